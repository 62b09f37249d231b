"""What comes back from a worker: the results of recordings, and where its time went."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any

from block.folder.manifest import FileEntry
from block.recording import LabeledRecording
from block.score_store import Scored

LABELED, FAILED, SKIPPED, DONE = "labeled", "failed", "skipped", "done"


@dataclass(frozen=True, eq=False)
class RecordingResult:
    """What became of a recording: `kind` is one of the four above, `reason` why it has no labels.

    `entry` is the manifest's entry of its file, brought up to date; `scores` are those that were not stored yet.
    """

    id: int
    kind: str
    reason: str = ""
    labeled: LabeledRecording | None = None
    entry: FileEntry | None = None
    scores: Scored | None = None
    name: str = ""


@dataclass
class StageTimes:
    """Amounts, and seconds by stage, of one worker or of several together.

    `read_s` is waiting for a file or for Edge Impulse, `prepare_s` laying out windows, `model_s` the forward passes and
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
        """Add the amounts and times of `other`."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))


@dataclass
class Report:
    """Some of a chunk's results, as soon as they are there, from `worker`, whose name includes its machine.

    `batches` are the recordings and windows of each batch that was labeled; `warnings` and `lines` are for the user.
    `audit` is what fast mode has found so far, `has_fallen_back` whether it went on exactly. `end_reason` is why no
    worker can label anything more.
    """

    worker: str
    results: list[RecordingResult] = field(default_factory=list)
    stages: StageTimes = field(default_factory=StageTimes)
    batches: list[tuple[int, int]] = field(default_factory=list)
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
    """Return the report that a worker of this run packed. The cluster runs its users' code, and is trusted."""
    report: Any = pickle.loads(content)  # noqa: S301
    if not isinstance(report, Report):
        raise TypeError(f"a {type(report).__name__} came from a worker; expected a report")
    return report


class ReportBuffer:
    """A report of `worker` that several threads fill and one takes out, part by part."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._report = Report(worker)
        self._lock = threading.Lock()

    def add(self, **parts: Any) -> None:
        """Add parts of a `Report`, by its fields."""
        with self._lock:
            self._report.add(Report(self._worker, **parts))

    def say(self, line: str) -> None:
        """Tell the user `line`, with the next report."""
        self.add(lines=[line])

    def warn_once(self, text: str) -> None:
        """Warn the user, with the next report; the driver passes over what it has said before."""
        self.add(warnings=[text])

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Add the time that is spent inside to that field of `StageTimes`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add(stages=StageTimes(**{stage: time.perf_counter() - started}))  # type: ignore[arg-type]

    def take(self) -> Report:
        """Return what came since the last call."""
        with self._lock:
            report, self._report = self._report, Report(self._worker)
        return report
