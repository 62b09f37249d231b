"""From parsed options to a job, checked before torch is imported."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from block.labeling.job import Job
from block.labels import describe_unreachable_labels, parse_labels
from block.model.checkpoint import find_checkpoint
from block.settings import AuditSettings, ComputeSettings, DecisionSettings, WindowSettings


def read_job(options: argparse.Namespace) -> Job:
    """The job that parsed options describe. Raises SettingsError, LabelError or CheckpointError."""
    windows = WindowSettings(options.win_size_ms, options.win_stride_ms)
    compute = ComputeSettings(options.device, options.dtype, options.batch_size, options.mode, options.fill)
    audit = AuditSettings(options.min_agreement, options.audit_seed)
    checkpoint = find_checkpoint(options.model)
    return Job(checkpoint, windows, read_decisions(options, checkpoint.class_names), compute, audit)


def read_decisions(options: argparse.Namespace, class_names: Sequence[str]) -> DecisionSettings:
    """How scores become labels, for a checkpoint with these classes. Raises SettingsError or LabelError.

    Says on standard output which labels are asked for in vain.
    """
    labels = parse_labels(options.audioset_labels, class_names, options.min_confidence)
    for line in describe_unreachable_labels(labels):
        print(f"warning: {line}", flush=True)
    return DecisionSettings(
        labels, options.other_label, options.score_function, not options.no_merge,
        options.min_segment_ms, options.silence_dbfs,
    )  # fmt: skip
