"""This process as the one that computes a folder's scores. Imports torch."""

from __future__ import annotations

from dataclasses import dataclass

from block.folder.compute import Done, ToDo, Work
from block.folder.groups import GroupedLabeler
from block.folder.manifest import Told
from block.folder.source import Folder
from block.labeling.cached_labeler import StoredLabeler
from block.labeling.engine import Engine
from block.labeling.fast_labeler import AuditedLabeler
from block.labeling.interfaces import Judge
from block.labeling.progress import Progress
from block.labeling.run import Run


@dataclass(frozen=True)
class Alone:
    """A crew of one: the model of `engine`, in this process."""

    engine: Engine

    @property
    def dtype_name(self) -> str:
        return self.engine.device.dtype_name

    def progress(self, total: int, verbose: bool, max_hours: float | None) -> Progress:
        """As the engine's."""
        return self.engine.progress(total, verbose, max_hours)

    def compute(self, work: Work, todo: ToDo, progress: Progress) -> Done:
        """As `Crew.compute`."""
        labeler = self.engine.labeler(progress, stored=work.store is not None)
        used: Judge = labeler
        if work.store is not None and not work.exact:
            used = StoredLabeler(labeler, work.store)
        elif work.store is not None:
            paths = [entry.path for entry in work.files.entries]
            used = GroupedLabeler(labeler, work.store, work.journal, paths, todo.again)
        rate_hz = self.engine.job.checkpoint.front_end.rate_hz
        folder = Folder(work.place, work.files, progress.warn_once, work.store is None, rate_hz)
        summary = Run(folder, folder, used, Told(progress, work.files), folder.stop).label(todo.ids)
        if isinstance(labeler, AuditedLabeler):
            for line in labeler.report():
                progress.say(line)
            if labeler.fell_back:
                progress.say(
                    f"labelled the fast way before the fall-back: {len(labeler.fast_ids)} recordings; --mode exact "
                    f"computes all of them exactly"
                )
        return Done(summary, folder.labeled)

    def leave(self) -> None:
        """Nobody else is waiting."""
