"""How to label, read from options and checked before torch is imported: what the AI Action and folder runs share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from block import __version__
from block.labels import LabelOfInterest
from block.model.checkpoint import EMBEDDED, Checkpoint
from block.recording import printable
from block.settings import FAST, PAD, AuditSettings, ComputeSettings, DecisionSettings, WindowSettings

LABELED_BY = "audio-spectrogram-transformer"


@dataclass(frozen=True)
class Job:
    """How to label; all of it checked."""

    checkpoint: Checkpoint
    windows: WindowSettings
    decisions: DecisionSettings
    compute: ComputeSettings
    audit: AuditSettings


def describe(labels: Sequence[LabelOfInterest]) -> str:
    """The labels of interest as the user typed them, on one line that can be given to `--audioset-labels` again."""
    return ", ".join(label.entry for label in labels)


def named(decisions: DecisionSettings) -> str:
    """Which labels are given, for a log: names of classes are a checkpoint's, and may hold terminal commands."""
    text = f"{describe(decisions.labels)}; otherwise {decisions.other_label}"
    return printable(text, len(text))


def announce(job: Job, sha256: str) -> None:
    """Say on standard output with which model, of weights with this SHA-256, and for which labels a job runs."""
    checkpoint = job.checkpoint
    print(f"checkpoint: {checkpoint.name}, {len(checkpoint.class_names)} classes, sha256 {sha256[:12]}")
    filling = "" if job.compute.fill == PAD else f", filled by {job.compute.fill}"
    print(f"labels: {named(job.decisions)}; windows: {job.windows}{filling}", flush=True)


def faster(job: Job, device: str) -> list[str]:
    """Settings with which this job would take less time, in words; `device` is the type of the one it runs on."""
    ways = []
    # Without padding to merge, fast mode has only a CPU's 8-bit integers left.
    if job.compute.mode != FAST and (job.compute.fill == PAD or device == "cpu"):
        ways.append("--mode fast")
    if job.windows.size_ms and job.windows.stride_ms < job.windows.size_ms:
        ways.append(f"--win-stride-ms {job.windows.size_ms}, so that windows do not overlap")
    if job.windows.size_ms and job.windows.size_ms < job.checkpoint.front_end.limit_values / 16:
        ways.append("larger windows" if job.compute.mode != FAST else "larger windows, in exact mode")
    if job.checkpoint.name != EMBEDDED:
        ways.append(f"--model {EMBEDDED}, which is small and errs more")
    if device == "cpu":
        ways.append("a machine with more cores or a GPU")
    return ways


def fingerprint(job: Job, sha256: str, dtype: str) -> str:
    """12 hexadecimal digits for all that decides which labels a recording gets; `sha256` is of the weights."""
    decisions, compute = job.decisions, job.compute
    said = {
        "labels": [[label.class_name, label.name, label.threshold] for label in decisions.labels],
        "decisions": {name: value for name, value in vars(decisions).items() if name != "labels"},
        "windows": str(job.windows),
        "fill": compute.fill,
        "mode": [compute.mode, *([vars(job.audit)] if compute.mode == FAST else [])],
        "weights": sha256,
        "dtype": dtype,
        "version": __version__,
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:12]


def metadata(
    decisions: DecisionSettings, windows: WindowSettings, fill: str, model: str, sha256: str, dtype: str
) -> dict[str, str]:
    """What is written beside the labels, so that they can be told from others: all strings."""
    return {
        "labeled_by": LABELED_BY,
        "ast_labels": describe(decisions.labels),
        "ast_model": f"{model} sha256:{sha256[:12]}",
        "ast_score_function": decisions.score_function,
        "ast_windows": str(windows),
        # Written for pad, too: keys of an earlier run stay, and that may have repeated.
        "ast_fill": fill,
        "ast_dtype": dtype,
        "ast_version": __version__,
    }


def warn_of_other_weights(checkpoint: Checkpoint, digest: str) -> None:
    """Say so where a checkpoint of the store is not the one that is known, or was recorded, under its name."""
    from block.model.checkpoint import WEIGHTS
    from block.model_store.store import ModelStore

    if not checkpoint.is_in_store:
        return
    expected = ModelStore().expected_files(checkpoint.name).get(WEIGHTS)
    if expected is not None and expected.sha256 != digest:
        print(
            f"warning: {checkpoint.name} has other weights than those known by this name: sha256 {digest[:12]}, "
            f"expected {expected.sha256[:12]}; `python -m block models verify {checkpoint.name}` says more"
        )
