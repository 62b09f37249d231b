"""Who labels the samples of a project: this process (`Alone`), or a cluster (`block.cluster.executor`)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from block.edge_impulse.journal import Journal, Journaled
from block.edge_impulse.project import Project
from block.labeling.interfaces import Labeler, Reporter, Summary
from block.labeling.progress import Progress
from block.labeling.run import Run
from block.score_store import ScoreStore

if TYPE_CHECKING:
    from block.labeling.engine import Engine


@dataclass(frozen=True)
class Labeled:
    """What became of a run. `lines` are for its end.

    Where fast mode `fell_back` to exact, `fast_ids` were labelled the fast way before.
    """

    summary: Summary
    lines: list[str] = field(default_factory=list)
    fast_ids: list[int] = field(default_factory=list)
    fell_back: bool = False


@dataclass(frozen=True)
class Orders:
    """What is asked of a crew: label `project`, note it in `journal`, keep scores in `store`, tell `reporter`.

    With `explain`, labels come with what speaks for them. `stop` is set once the run is over. `key` is the API key.
    """

    project: Project
    journal: Journal | None
    store: ScoreStore | None
    progress: Progress
    reporter: Reporter
    explain: bool
    stop: threading.Event
    key: str = field(default="", repr=False)


class Crew(Protocol):
    """Who labels. `digest` is the SHA-256 of the model's weights, `dtype_name` what they are there."""

    @property
    def digest(self) -> str: ...
    @property
    def dtype_name(self) -> str: ...

    def progress(self, total: int, verbose: bool, max_hours: float | None) -> Progress:
        """Who reports a run over `total` recordings."""
        ...

    def store(self, folder: Path, progress: Progress) -> ScoreStore:
        """The scores that `folder` holds for the job. Raises SettingsError where it cannot be written."""
        ...

    def label_project(self, orders: Orders, ids: Sequence[int]) -> Labeled:
        """Label the samples `ids`. Never raises for what happens to one of them."""
        ...

    def leave(self) -> None:
        """There is nothing more to do."""
        ...


@dataclass(frozen=True)
class Alone:
    """A crew of one: the model of `engine`, in this process."""

    engine: Engine

    @property
    def digest(self) -> str:
        return self.engine.digest

    @property
    def dtype_name(self) -> str:
        return self.engine.device.dtype_name

    def progress(self, total: int, verbose: bool, max_hours: float | None) -> Progress:
        """As the engine's."""
        return self.engine.progress(total, verbose, max_hours)

    def store(self, folder: Path, progress: Progress) -> ScoreStore:
        """As the engine's."""
        return self.engine.store(folder, progress)

    def label_project(self, orders: Orders, ids: Sequence[int]) -> Labeled:
        """As `Crew.label_project`."""
        store, lines = orders.store, []
        computing = self.engine.labeler(orders.progress, stored=store is not None, explain=orders.explain)
        labeler: Labeler = computing
        if store is not None:
            from block.labeling.cached_labeler import CachedLabeler  # imports torch

            labeler = cached = CachedLabeler(computing, store)
        sink = Journaled(orders.project, orders.journal) if orders.journal is not None else orders.project
        summary = Run(orders.project, sink, labeler, orders.reporter, orders.stop).label(ids)
        if store is not None:
            lines.append(f"score store {store.folder}: {cached.describe()}")
        return Labeled(summary, [*lines, *labeler.report()], list(labeler.fast_ids), labeler.fell_back)

    def leave(self) -> None:
        """Nobody else is waiting."""
