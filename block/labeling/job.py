"""How to label, read from options and checked before torch is imported. Every command that labels shares it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from block import __version__
from block.formatting import make_printable
from block.labels import LabelOfInterest
from block.model.checkpoint import EMBEDDED, Checkpoint
from block.settings import FAST, PAD, AuditSettings, ComputeSettings, DecisionSettings, WindowSettings

LABELED_BY = "audio-spectrogram-transformer"


@dataclass(frozen=True)
class Job:
    """How to label; all settings have been checked."""

    checkpoint: Checkpoint
    windows: WindowSettings
    decisions: DecisionSettings
    compute: ComputeSettings
    audit: AuditSettings


def format_labels(labels: Sequence[LabelOfInterest]) -> str:
    """Return labels of interest as the user typed them, on one line that `--audioset-labels` takes again."""
    return ", ".join(label.entry for label in labels)


def format_decisions(decisions: DecisionSettings) -> str:
    """Return the possible labels for a log. Class names come with a checkpoint, and may hold terminal commands."""
    text = f"{format_labels(decisions.labels)}; otherwise {decisions.other_label}"
    return make_printable(text, len(text))


def print_job(job: Job, sha256: str) -> None:
    """Print the model, whose weights have this SHA-256, the labels and the windows of a job."""
    checkpoint = job.checkpoint
    _warn_of_other_weights(checkpoint, sha256)
    print(f"checkpoint: {checkpoint.name}, {len(checkpoint.class_names)} classes, sha256 {sha256[:12]}")
    fill = "" if job.compute.fill == PAD else f", filled by {job.compute.fill}"
    print(f"labels: {format_decisions(job.decisions)}; windows: {job.windows}{fill}", flush=True)


def suggest_speedups(job: Job, device: str) -> list[str]:
    """Return settings, in words, that would make this job faster; `device` is the type of the one it runs on."""
    speedups = []
    # Without padding to merge, fast mode has only a CPU's 8-bit integers left.
    if job.compute.mode != FAST and (job.compute.fill == PAD or device == "cpu"):
        speedups.append("--mode fast")
    if job.windows.size_ms and job.windows.stride_ms < job.windows.size_ms:
        speedups.append(f"--win-stride-ms {job.windows.size_ms}, so that windows do not overlap")
    if job.windows.size_ms and job.windows.size_ms < job.checkpoint.front_end.limit_values / 16:
        speedups.append("larger windows" if job.compute.mode != FAST else "larger windows, in exact mode")
    if job.checkpoint.name != EMBEDDED:
        speedups.append(f"--model {EMBEDDED}, which is small and errs more")
    if device == "cpu":
        speedups.append("a machine with more cores or a GPU")
    return speedups


def compute_fingerprint(job: Job, sha256: str, dtype: str) -> str:
    """Return 12 hexadecimal digits for everything that decides the labels; `sha256` is that of the weights."""
    decisions, compute = job.decisions, job.compute
    content = {
        "labels": [[label.class_name, label.name, label.threshold] for label in decisions.labels],
        "decisions": {name: value for name, value in vars(decisions).items() if name != "labels"},
        "windows": str(job.windows),
        "fill": compute.fill,
        "mode": [compute.mode, *([vars(job.audit)] if compute.mode == FAST else [])],
        "weights": sha256,
        "dtype": dtype,
        "version": __version__,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def build_metadata(
    decisions: DecisionSettings, windows: WindowSettings, fill: str, model: str, sha256: str, dtype: str
) -> dict[str, str]:
    """Return what is written beside the labels to say where they come from. All values are strings."""
    return {
        "labeled_by": LABELED_BY,
        "ast_labels": format_labels(decisions.labels),
        "ast_model": f"{model} sha256:{sha256[:12]}",
        "ast_score_function": decisions.score_function,
        "ast_windows": str(windows),
        # Written even if it is the default: keys of an earlier run stay, and that may have used another.
        "ast_fill": fill,
        "ast_dtype": dtype,
        "ast_version": __version__,
    }


def _warn_of_other_weights(checkpoint: Checkpoint, digest: str) -> None:
    """Warn if a checkpoint of the model store is not the one that is known, or was recorded, by its name."""
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
