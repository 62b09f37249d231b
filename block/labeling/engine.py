"""A job's model on its device, and the labeler that uses it.

Importing this module imports torch, which takes seconds, and raises SettingsError if PyTorch can't be used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from block.labeling.job import Job
from block.runtime.imports import describe_import_error, describe_install
from block.settings import BACKEND_NAMES, FAST, SettingsError

try:
    from block.labeling.cached_labeler import CompletingLabeler
    from block.labeling.fast_labeler import FastLabeler
    from block.labeling.labeler import ExactLabeler
    from block.model.classifier import Classifier
    from block.model.device import Device, choose_device
    from block.model.extractor import CheckpointFeatures
except Exception as error:  # a broken package, or a local file with its name, can raise anything
    raise SettingsError(f"PyTorch can't be imported ({describe_import_error(error)}); {describe_install()}") from None


class Notifier(Protocol):
    """Receive lines and warnings for the user."""

    def say(self, line: str) -> None: ...
    def warn_once(self, text: str) -> None: ...


@dataclass(frozen=True)
class Engine:
    """A job, its device, and the SHA-256 of its weights. `load_labeler` loads the model."""

    job: Job
    device: Device
    digest: str

    def load_labeler(
        self, notifier: Notifier, stored: bool = False, explain: bool = False, exact_only: bool = False
    ) -> CompletingLabeler:
        """Return the labeler for the job, with its model.

        Set `stored` if scores are stored: exact mode then loads the model only when it has to compute a window, and on
        a CPU, the scores of a window are bit-identical whatever else is in its batch. With `explain`, labels come with
        evidence. With `exact_only`, fast mode computes exactly, because it fell back earlier.
        """
        job, device = self.job, self.device
        fast = job.compute.mode == FAST
        classifier = Classifier(
            job.checkpoint,
            device,
            job.compute.batch_size,
            fast,
            for_store=stored and not fast,
            keep_embeddings=stored and job.compute.keep_embeddings,
        )
        features = CheckpointFeatures(job.checkpoint, device.device, notifier.warn_once)
        if fast or not stored:
            features.load()
        exact = ExactLabeler(
            classifier,
            features,
            job.windows,
            job.decisions,
            notifier.warn_once,
            fill=job.compute.fill,
            context_ms=job.compute.context_ms,
            explain=explain,
        )
        if not fast:
            return exact
        for line in classifier.explain_missing_paths():
            notifier.say(line)
        return FastLabeler(exact, job.audit, notifier.say, exact_only)


def start(job: Job) -> Engine:
    """Choose the device, hash the weights, and print the device.

    Raise SettingsError if the device isn't available, or CheckpointError if the weights can't be read.
    """
    device = choose_device(job.compute)
    digest = job.checkpoint.sha256()
    arithmetic = device.dtype_name + BACKEND_NAMES[device.backend]
    print(f"device: {device.device} ({device.reason}), {arithmetic}, mode {job.compute.mode}")
    return Engine(job, device, digest)
