"""Compute a folder's scores in this process. Imports torch."""

from __future__ import annotations

from collections.abc import Sequence

from block.folder.compute import FolderResult, FolderRun
from block.folder.manifest import ManifestReporter
from block.folder.source import Folder
from block.labeling.cached_labeler import CachedLabeler
from block.labeling.engine import Engine
from block.labeling.interfaces import RecordingLabeler
from block.labeling.progress import Progress
from block.labeling.run import Run


def compute(engine: Engine, work: FolderRun, ids: Sequence[int], progress: Progress) -> FolderResult:
    """Compute the recordings `ids` with the model of `engine`. Never raise for what happens to a recording."""
    computing = engine.labeler(progress, stored=work.store is not None)
    labeler: RecordingLabeler = CachedLabeler(computing, work.store) if work.store is not None else computing
    rate_hz = engine.job.checkpoint.front_end.rate_hz
    folder = Folder(work.place, work.files, progress.warn_once, work.store is None, rate_hz)
    summary = Run(folder, folder, labeler, ManifestReporter(progress, work.files), folder.stop).label(ids)
    for line in labeler.report():
        progress.say(line)
    if labeler.fell_back:
        progress.say_fast_count("labelled the fast way before the fall-back", labeler.fast_ids)
    return FolderResult(summary, folder.labeled)
