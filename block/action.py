"""The AI Action: from arguments and environment to a run. What is wrong with them is refused before torch is imported.

Exit codes: 0 every recording labelled, 1 some failed, 2 nothing could start, 130 cancelled.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from block import __version__, checkpoints
from block.audit import AuditSettings
from block.checkpoints import Checkpoint
from block.labels import LabelOfInterest, parse_labels
from block.options import parse
from block.settings import FAST, ComputeSettings, DecisionSettings, SettingsError, WindowSettings
from block.studio.access import Access, read_access, read_ids, write_ids
from block.studio.client import StudioClient
from block.studio.project import Project, projects_of

if TYPE_CHECKING:
    from block.audited import AuditedLabeler

ALL_LABELED, SOME_FAILED, NOTHING_STARTED, CANCELLED = 0, 1, 2, 130
LABELED_BY = "audio-spectrogram-transformer"


@dataclass(frozen=True)
class Job:
    """What to label and how; all of it checked."""

    ids: list[int]
    checkpoint: Checkpoint
    windows: WindowSettings
    decisions: DecisionSettings
    compute: ComputeSettings
    audit: AuditSettings


def run_action(argv: Sequence[str]) -> int:
    """Label the samples of an Edge Impulse project. Returns the exit code.

    Raises SettingsError, LabelError, CheckpointError or StudioError where nothing could start.
    """
    options = parse(argv, warn=lambda text: print(f"warning: {text}", flush=True))
    access = read_access(os.environ)
    job = _job(options)
    if not job.ids:
        print(f"nothing to do: {options.data_ids_file} names no samples")
        if options.failed_ids_file:
            _write_ids("--failed-ids-file", options.failed_ids_file, [])
        return ALL_LABELED
    stop = threading.Event()
    client = StudioClient(access.endpoint, access.key, stop=stop)
    return _label(options, job, client, _project_id(client, access), stop)


def _job(options: argparse.Namespace) -> Job:
    ids = read_ids(options.data_ids_file)
    windows = WindowSettings(options.win_size_ms, options.win_stride_ms)
    compute = ComputeSettings(options.device, options.dtype, options.batch_size, options.mode)
    audit = AuditSettings(options.min_agreement, options.audit_seed)
    checkpoint = checkpoints.find(options.model)
    labels = parse_labels(options.audioset_labels, checkpoint.class_names, options.min_confidence)
    decisions = DecisionSettings(
        labels, options.other_label, options.score_function, not options.no_merge,
        options.min_segment_ms, options.silence_dbfs,
    )  # fmt: skip
    return Job(ids, checkpoint, windows, decisions, compute, audit)


def _project_id(client: StudioClient, access: Access) -> int:
    """Which project to label. Asks the API even where the environment says it: a refused key ends the run here."""
    projects = projects_of(client)
    if access.project_id is not None and access.project_id not in projects:
        raise SettingsError(f"EI_PROJECT_ID is {access.project_id}, but the key belongs to {_told(projects)}")
    if access.project_id is None and len(projects) != 1:
        raise SettingsError(f"the key gives access to {_told(projects)}; say which one: set EI_PROJECT_ID")
    return projects[0] if access.project_id is None else access.project_id


def _told(projects: Sequence[int]) -> str:
    return f"project {projects[0]}" if len(projects) == 1 else f"{len(projects)} projects"


def _label(options: argparse.Namespace, job: Job, client: StudioClient, project_id: int, stop: threading.Event) -> int:
    # From here on torch is needed, which takes seconds to import.
    try:
        from block.audited import AuditedLabeler
        from block.classifier import Classifier, choose_device
        from block.features import FilterBanks
        from block.labeler import Labeler
        from block.progress import Progress
        from block.run import Run
    except (ImportError, OSError) as error:
        raise SettingsError(f"PyTorch cannot be used ({error}); install what requirements.txt names") from None

    checkpoint, decisions, compute = job.checkpoint, job.decisions, job.compute
    device = choose_device(compute)
    digest = checkpoint.sha256()
    _warn_of_other_weights(checkpoint, digest)
    classifier = Classifier(checkpoint, device, compute.batch_size, fast=compute.mode == FAST)
    print(f"device: {device.device} ({device.reason}), {device.dtype_name}, mode {compute.mode}")
    print(f"checkpoint: {checkpoint.name}, {len(checkpoint.class_names)} classes, sha256 {digest[:12]}")
    print(
        f"labels: {describe(decisions.labels)}; otherwise {decisions.other_label}; windows: {job.windows}", flush=True
    )
    progress = Progress(
        len(job.ids), options.verbose, max_hours=options.max_hours, faster=_faster(job, device.device.type)
    )
    exact = Labeler(
        classifier, FilterBanks(checkpoint.front_end, device.device), job.windows, decisions, progress.warn_once
    )
    labeler = AuditedLabeler(exact, job.audit, progress.say) if compute.mode == FAST else exact
    metadata = {
        "labeled_by": LABELED_BY,
        "ast_labels": describe(decisions.labels),
        "ast_model": f"{checkpoint.name} sha256:{digest[:12]}",
        "ast_score_function": decisions.score_function,
        "ast_windows": str(job.windows),
        "ast_dtype": device.dtype_name,
        "ast_version": __version__,
    }
    project = Project(
        client, project_id, metadata, options.propose_actions, options.dry_run,
        progress.say_some, progress.warn_once, checkpoint.front_end.rate_hz,
    )  # fmt: skip
    summary = Run(project, project, labeler, progress, stop).label(job.ids)
    # Before the last words: these may go to somebody who no longer listens.
    wrote_failed = bool(options.failed_ids_file) and _write_ids(
        "--failed-ids-file", options.failed_ids_file, summary.unlabeled
    )
    if isinstance(labeler, AuditedLabeler):
        _tell_of_audit(labeler, summary.labeled, options.fast_ids_file, progress.say)
    progress.finish(summary, options.failed_ids_file if wrote_failed else None)
    if summary.cancelled:
        return CANCELLED
    if summary.ended and not summary.labeled:
        return NOTHING_STARTED
    return SOME_FAILED if summary.unlabeled else ALL_LABELED


def _warn_of_other_weights(checkpoint: Checkpoint, digest: str) -> None:
    """Say so where a checkpoint of the store is not the one that is known, or was recorded, under its name."""
    from block.model_store.known import WEIGHTS
    from block.model_store.store import Store

    if checkpoint.folder.parent != checkpoints.STORE:
        return
    expected = Store().expected(checkpoint.name).get(WEIGHTS)
    if expected is not None and expected.sha256 != digest:
        print(
            f"warning: {checkpoint.name} has other weights than those known by this name: sha256 {digest[:12]}, "
            f"expected {expected.sha256[:12]}; `python -m block models verify {checkpoint.name}` says more"
        )


def _faster(job: Job, device: str) -> list[str]:
    """Settings with which this job would take less time, in words."""
    ways = []
    if job.compute.mode != FAST:
        ways.append("--mode fast")
    if job.windows.size_ms and job.windows.stride_ms < job.windows.size_ms:
        ways.append(f"--win-stride-ms {job.windows.size_ms}, so that windows do not overlap")
    if job.windows.size_ms and job.windows.size_ms < job.checkpoint.front_end.limit_values / 16:
        ways.append("larger windows" if job.compute.mode != FAST else "larger windows, in exact mode")
    if job.checkpoint.name != checkpoints.EMBEDDED:
        ways.append(f"--model {checkpoints.EMBEDDED}, which is small and errs more")
    if device == "cpu":
        ways.append("a machine with more cores or a GPU")
    return ways


def _tell_of_audit(labeler: AuditedLabeler, labeled: Sequence[int], path: str, say: Callable[[str], None]) -> None:
    """What the audit found; after a fall-back, which recordings had been labelled the fast way and are final."""
    for line in labeler.report():
        say(line)
    if not labeler.fell_back:
        return
    posted = set(labeled)
    fast = [recording_id for recording_id in labeler.fast_ids if recording_id in posted]
    where = (
        f"; ids written to {path}, to label again with --mode exact"
        if _write_ids("--fast-ids-file", path, fast)
        else ""
    )
    say(f"labelled the fast way before the fall-back: {len(fast)} recordings{where}")


def _write_ids(option: str, path: str, ids: list[int]) -> bool:
    """Write an ids file; False, and a line on standard error, where that cannot be done."""
    try:
        write_ids(path, ids)
    except OSError as error:
        print(f"{option} {path} cannot be written: {error.strerror or error}", file=sys.stderr)
        return False
    return True


def describe(labels: Sequence[LabelOfInterest]) -> str:
    """The labels of interest as the user typed them, on one line that can be given to `--audioset-labels` again."""
    return ", ".join(label.entry for label in labels)
