"""What a run works with: a source of recordings, a sink for labels, a labeler, a reporter, and its summary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from block.recording import LabeledRecording, Recording
from block.windows import PreparedRecording


class Source(Protocol):
    """Where recordings come from. `fetch` is called from several threads."""

    def fetch(self, recording_id: int, expect: Callable[[int], None]) -> Recording:
        """Return the recording. Calls `expect` once, with the number of its values, before it loads them.

        Raises RecordingError, RecordingSkipped or RunEnded.
        """
        ...


class Sink(Protocol):
    """Where labels go. Both methods are called from several threads, one of them once per recording."""

    def write(self, labeled: LabeledRecording) -> None:
        """Keep the labels of a recording. Raises RecordingError or RunEnded."""
        ...

    def give_up(self, recording_id: int) -> None:
        """Note that a recording gets no labels. Raises RecordingError or RunEnded."""
        ...


class RecordingLabeler(Protocol):
    """Turns recordings into labels: exactly, by a faster path, or with a score store around either.

    `batch_windows` is the number of windows to aim for in a batch; `startup_s` is as in `Reporter.report_batch`.
    `fast_ids` are the recordings with scores that are not exact. `has_fallen_back` if the faster path failed an audit,
    so that the rest was computed exactly.
    """

    @property
    def batch_windows(self) -> int: ...
    @property
    def startup_s(self) -> float: ...
    @property
    def fast_ids(self) -> Sequence[int]: ...
    @property
    def has_fallen_back(self) -> bool: ...
    def prepare(self, recording: Recording) -> PreparedRecording:
        """Make a recording ready for `label`; called from several threads. Raises RecordingError."""
        ...

    def label(self, batch: Sequence[PreparedRecording]) -> list[LabeledRecording]:
        """Label a batch. Raises RecordingError if one of it cannot be labeled, or RunEnded."""
        ...

    def describe_audit(self) -> list[str]:
        """Return what the run found out about a faster path, a line each."""
        ...


class LabelerWrapper:
    """A labeler that leaves to another, `labeler`, what a subclass does not override."""

    def __init__(self, labeler: RecordingLabeler) -> None:
        self.labeler = labeler

    @property
    def batch_windows(self) -> int:
        return self.labeler.batch_windows

    @property
    def startup_s(self) -> float:
        return self.labeler.startup_s

    @property
    def fast_ids(self) -> Sequence[int]:
        return self.labeler.fast_ids

    @property
    def has_fallen_back(self) -> bool:
        return self.labeler.has_fallen_back

    def prepare(self, recording: Recording) -> PreparedRecording:
        return self.labeler.prepare(recording)

    def label(self, batch: Sequence[PreparedRecording]) -> list[LabeledRecording]:
        return self.labeler.label(batch)

    def describe_audit(self) -> list[str]:
        return self.labeler.describe_audit()


class Reporter(Protocol):
    """Is called with what became of each recording, from one thread and in the order of the ids."""

    def report_labeled(self, labeled: LabeledRecording) -> None: ...
    def report_failed(self, recording_id: int, reason: str, name: str = "") -> None: ...
    def report_skipped(self, recording_id: int, reason: str) -> None: ...
    def report_batch(self, recordings: int, windows: int, startup_s: float) -> None:
        """Take note of a labeled batch. The run has so far spent `startup_s` seconds on what happens only once."""
        ...


@dataclass
class Summary:
    """What became of a run. Each id is in one of the lists; `done` had been labeled before, by the same job.

    `end_reason` says why the run ended early, if it did; `canceled` if the user ended it.
    """

    labeled: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    not_reached: list[int] = field(default_factory=list)
    end_reason: str = ""
    canceled: bool = False

    @property
    def unlabeled(self) -> list[int]:
        """The ids to label in another run."""
        return self.failed + self.not_reached
