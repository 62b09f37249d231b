"""How to label: settings from the options, checked before torch is imported, for every command that labels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from block import __version__
from block.formatting import make_printable, print_warning
from block.labels import LabelOfInterest
from block.model.checkpoint import EMBEDDED, WEIGHTS, Checkpoint
from block.model_store.store import ModelStore
from block.runtime.places import name_program
from block.score_store import Key
from block.settings import (
    FAST,
    FILL_GAPS,
    PAD,
    SOUND,
    AuditSettings,
    ComputeSettings,
    DecisionSettings,
    WindowSettings,
)

# Settings that block 0.1.0 didn't have. In fingerprints, they are included only if they change anything.
ADDED = {"hysteresis": 1.0, "median_ms": 0, "min_event_ms": 0, "min_gap_ms": 0}
LABELED_BY = "audio-spectrogram-transformer"


@dataclass(frozen=True)
class Job:
    """How to label. All settings are valid."""

    checkpoint: Checkpoint
    windows: WindowSettings
    decisions: DecisionSettings
    compute: ComputeSettings
    audit: AuditSettings

    def score_key(self, dtype: str) -> Key:
        """Return what the scores of this job depend on. They are computed in `dtype`, which can't be auto."""
        return Key.from_checkpoint(self.checkpoint, self.windows, self.compute.filling, self.compute.mode, dtype)


def format_labels(labels: Sequence[LabelOfInterest]) -> str:
    """Return labels of interest as the user typed them, on one line that `--audioset-labels` accepts."""
    return ", ".join(label.entry for label in labels)


def format_decisions(decisions: DecisionSettings) -> str:
    """Return the possible labels for a log. Class names from a checkpoint may contain terminal escape codes."""
    text = f"{format_labels(decisions.labels)}; otherwise {decisions.other_label}"
    return make_printable(text, len(text))


def print_job(job: Job, sha256: str) -> None:
    """Print a job's model, whose weights have this SHA-256, its labels and its windows."""
    checkpoint = job.checkpoint
    _warn_of_other_weights(checkpoint, sha256)
    name = make_printable(checkpoint.name)
    print(f"checkpoint: {name}, {len(checkpoint.class_names)} classes, sha256 {sha256[:12]}")
    fill = "" if job.compute.fill == PAD else f", filled by {job.compute.fill}"
    context = f", with {job.compute.context_ms} ms of context" if job.compute.context_ms else ""
    print(f"labels: {format_decisions(job.decisions)}; windows: {job.windows}{context}{fill}", flush=True)


def suggest_speedups(job: Job, device: str) -> list[str]:
    """Return, as text, settings that would make this job faster on a device of type `device`."""
    speedups = []
    # Without padding to merge, only 8-bit integers on a CPU make fast mode faster.
    if job.compute.mode != FAST and (job.compute.fill == PAD or device == "cpu"):
        speedups.append("--mode fast")
    if job.windows.size_ms and job.windows.stride_ms < job.windows.size_ms:
        speedups.append(f"--win-stride-ms {job.windows.size_ms}, so that windows don't overlap")
    if job.windows.size_ms and job.windows.size_ms < job.checkpoint.front_end.limit_values / 16:
        speedups.append("larger windows" if job.compute.mode != FAST else "larger windows, in exact mode")
    if job.checkpoint.name != EMBEDDED:
        speedups.append(f"--model {EMBEDDED}, which is smaller but less accurate")
    if device == "cpu":
        speedups.append("a machine with more cores or a GPU")
    return speedups


def compute_fingerprint(
    key: Key, decisions: DecisionSettings, audit: AuditSettings, *, fills_gaps: bool = False
) -> str:
    """Return 12 hexadecimal digits that identify everything that affects the labels. `key` is that of the scores.

    A job that `fills_gaps` between existing labels has another fingerprint than one that replaces them.

    The scores version takes the place of the block's version, which block 0.1.0 included: with it, every release would
    label all samples again. Its value stays 0.1.0 until the arithmetic changes, so samples that block 0.1.0 labeled are
    still recognized. For the same reason, settings of config.json and of the front end are included only if they
    differ from the usual ones. If the rules that turn scores into labels change, add a part for them here.
    """
    content = {
        "labels": [[label.class_name, label.name, label.threshold] for label in decisions.labels],
        "decisions": {
            name: value
            for name, value in vars(decisions).items()
            if name != "labels" and (name not in ADDED or value != ADDED[name])
        },
        "windows": str(key.windows),
        "fill": key.fill,
        "mode": [key.mode, *([vars(audit)] if key.mode == FAST else [])],
        "weights": key.checkpoint,
        "dtype": key.dtype,
        "version": key.scores,
    }
    added = {"config": key.config, "front_end": key.front_end}
    content |= {name: text for name, text in added.items() if text}
    if key.windows.boundaries == SOUND:
        content["boundaries"] = key.placement.removeprefix(f"{SOUND} ")
    if fills_gaps:
        content["existing"] = FILL_GAPS
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def build_metadata(
    decisions: DecisionSettings, windows: WindowSettings, fill: str, model: str, sha256: str, dtype: str
) -> dict[str, str]:
    """Return the metadata that says where labels come from. All values are strings."""
    return {
        "labeled_by": LABELED_BY,
        "ast_labels": format_labels(decisions.labels),
        "ast_model": f"{model} sha256:{sha256[:12]}",
        "ast_score_function": decisions.score_function,
        "ast_windows": str(windows),
        # Written even if it's the default: keys of an earlier run stay, and that may have used another fill.
        "ast_fill": fill,
        "ast_dtype": dtype,
        "ast_version": __version__,
    }


def _warn_of_other_weights(checkpoint: Checkpoint, digest: str) -> None:
    """Warn if the weights of a checkpoint in the model store aren't those known or recorded for its name."""
    if not checkpoint.is_in_store:
        return
    expected = ModelStore().expected_files(checkpoint.name).get(WEIGHTS)
    if expected is not None and expected.sha256 != digest:
        print_warning(
            f"{checkpoint.name} has unexpected weights: sha256 {digest[:12]}, expected "
            f"{expected.sha256[:12]}; to check them, run: {name_program()} models verify {checkpoint.name}"
        )
