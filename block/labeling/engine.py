"""A job's model on its device, and the labeler that uses it.

Imports torch, which takes seconds; without a usable PyTorch the import itself raises SettingsError.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from block.labeling.job import Job, announce, faster, warn_of_other_weights
from block.labeling.progress import Progress
from block.score_store import Key, ScoreStore
from block.settings import FAST, SettingsError

try:
    from block.labeling.fast_labeler import FastLabeler
    from block.labeling.labeler import ExactLabeler
    from block.model.classifier import Classifier
    from block.model.device import Device, choose_device
    from block.model.features import FilterBanks
except (ImportError, OSError) as error:
    raise SettingsError(
        f"PyTorch cannot be used ({error}): pip install -r locked/run.txt -r locked/torch.txt"
    ) from None


class Notifier(Protocol):
    """Who is told what a user should know, in words."""

    def say(self, line: str) -> None: ...
    def warn_once(self, text: str) -> None: ...


@dataclass(frozen=True)
class Engine:
    """Where a job runs, and the SHA-256 of the weights it runs with. The model is loaded by `labeler`."""

    job: Job
    device: Device
    digest: str

    def progress(self, total: int, verbose: bool, max_hours: float | None) -> Progress:
        """Who reports a run of this job over `total` recordings."""
        return Progress(total, verbose, max_hours=max_hours, faster=faster(self.job, self.device.device.type))

    def store(self, folder: Path, progress: Progress) -> ScoreStore:
        """The scores that `folder` holds for this job. Raises SettingsError where it cannot be written."""
        job = self.job
        key = Key.of(job.checkpoint, job.windows, job.compute.fill, job.compute.mode, self.device.dtype_name)
        return ScoreStore(folder, key, job.checkpoint.class_names, lambda text: progress.say(f"warning: {text}"))

    def labeler(self, progress: Notifier, stored: bool = False, explain: bool = False) -> ExactLabeler | FastLabeler:
        """Load the model: what labels recordings as the job says. `progress` is told what a user should know.

        `stored` is for scores that are kept: exact mode then loads the model once a window has to be computed, and on a
        CPU the scores of a window are the same to the last bit whatever is computed beside it. With `explain`, labels
        come with what speaks for them.
        """
        job, device = self.job, self.device
        fast = job.compute.mode == FAST
        classifier = Classifier(job.checkpoint, device, job.compute.batch_size, fast, steady=stored and not fast)
        filter_banks = FilterBanks(job.checkpoint.front_end, device.device)
        exact = ExactLabeler(
            classifier,
            filter_banks,
            job.windows,
            job.decisions,
            progress.warn_once,
            filling=job.compute.fill,
            explain=explain,
        )
        return FastLabeler(exact, job.audit, progress.say) if fast else exact


def start(job: Job) -> Engine:
    """Choose the device, name the checkpoint, and say on standard output what is going to be done.

    Raises SettingsError if the device cannot be had, CheckpointError if the weights cannot be read.
    """
    checkpoint = job.checkpoint
    device = choose_device(job.compute)
    digest = checkpoint.sha256()
    warn_of_other_weights(checkpoint, digest)
    print(f"device: {device.device} ({device.reason}), {device.dtype_name}, mode {job.compute.mode}")
    announce(job, digest)
    return Engine(job, device, digest)
