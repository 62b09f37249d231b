"""What a worker sends back: the results of recordings, and how it spent its time."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any

from block.folder.manifest import FileEntry
from block.labeling.interfaces import Batch
from block.recording import LabeledRecording
from block.score_store import Scored
from block.settings import EXACT

LABELED, FAILED, SKIPPED, DONE = "labeled", "failed", "skipped", "done"


@dataclass(frozen=True, eq=False)
class RecordingResult:
    """The result of a recording. `kind` is one of the four above; `reason` says why it has no new labels.

    `entry` is the updated manifest entry of its file; `scores` are set if the store didn't have them yet.
    `mode` is that of the labels of a recording that was done before.
    """

    id: int
    kind: str
    reason: str = ""
    labeled: LabeledRecording | None = None
    entry: FileEntry | None = None
    scores: Scored | None = None
    name: str = ""
    mode: str = EXACT


@dataclass
class StageTimes:
    """Amounts, and seconds per stage, of one or more workers.

    `read_s` is the wait for a file or for Edge Impulse, `prepare_s` laying out windows, `model_s` forward passes and
    decisions, `write_s` setting labels in Edge Impulse.
    """

    recordings: int = 0
    windows: int = 0
    audio_s: float = 0.0
    read_s: float = 0.0
    prepare_s: float = 0.0
    model_s: float = 0.0
    write_s: float = 0.0

    def add(self, other: StageTimes) -> None:
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


@dataclass
class Report:
    """New results of a portion from `worker`, whose name includes its machine.

    `batches` are those that were labeled; `warnings` and `lines` are for the user.
    `audit` has fast mode's findings so far, and `has_fallen_back` says whether it switched to exact mode. `end_reason`
    says why no worker can label anything more.
    """

    worker: str
    results: list[RecordingResult] = field(default_factory=list)
    stages: StageTimes = field(default_factory=StageTimes)
    batches: list[Batch] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    audit: list[str] = field(default_factory=list)
    startup_s: float = 0.0
    has_fallen_back: bool = False
    end_reason: str = ""

    def add(self, other: Report) -> None:
        """Add the results, times, batches, warnings and lines of `other`, and its `end_reason`."""
        self.results += other.results
        self.stages.add(other.stages)
        self.batches += other.batches
        self.warnings += other.warnings
        self.lines += other.lines
        self.end_reason = other.end_reason or self.end_reason


def pack(report: Report) -> bytes:
    """Return `report` as bytes."""
    return pickle.dumps(report, protocol=5)


def unpack(content: bytes) -> Report:
    """Return the report that a worker of this run packed. A cluster runs its users' code anyway, so it is trusted."""
    report: Any = pickle.loads(content)  # noqa: S301
    if not isinstance(report, Report):
        raise TypeError(f"got a {type(report).__name__} from a worker; expected a Report")
    return report


class ReportBuffer:
    """A report of `worker` that several threads fill and one thread takes, bit by bit."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._report = Report(worker)
        self._lock = threading.Lock()

    def add(self, **parts: Any) -> None:
        """Add to the fields of the `Report` named in `parts`."""
        with self._lock:
            self._report.add(Report(self._worker, **parts))

    def say(self, line: str) -> None:
        """Show `line` to the user with the next report."""
        self.add(lines=[line])

    def warn_once(self, text: str) -> None:
        """Warn the user with the next report; the driver drops repeated warnings."""
        self.add(warnings=[text])

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Add the time spent inside the block to the field `stage` of `StageTimes`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add(stages=StageTimes(**{stage: time.perf_counter() - started}))  # type: ignore[arg-type]

    def take(self) -> Report:
        """Return what was added since the last call."""
        with self._lock:
            report, self._report = self._report, Report(self._worker)
        return report
