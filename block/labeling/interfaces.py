"""The interfaces of a run: source, sink, labeler and reporter, and its summary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from block.recording import LabeledRecording, Recording
from block.windows import PreparedRecording


class Source(Protocol):
    """Provide recordings. `fetch` is called from several threads."""

    def fetch(self, recording_id: int, expect: Callable[[int], None]) -> Recording:
        """Return the recording. Call `expect` once, with the number of its values, before loading them.

        Raise RecordingError, RecordingSkipped or RunEnded.
        """
        ...


class Sink(Protocol):
    """Store labels. For each recording, one of the methods is called once, from any of several threads."""

    def write(self, labeled: LabeledRecording) -> LabeledRecording:
        """Store the labels of a recording. Return the part of them that was stored. Raise RecordingError or RunEnded.

        Less than all is stored where a recording already has labels that must stay.
        """
        ...

    def give_up(self, recording_id: int) -> None:
        """Record that a recording gets no labels. Raise RecordingError or RunEnded."""
        ...


class RecordingLabeler(Protocol):
    """Turn recordings into labels: exactly, by a faster path, or using a score store.

    `batch_windows` is the target number of windows in a batch; `startup_s` is as in `Reporter.report_batch`. `fast_ids`
    are the recordings with scores that aren't exact. `has_fallen_back` is True if the faster path failed an audit, so
    that the rest was computed exactly.
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
        """Prepare a recording for `label`. Called from several threads. Raise RecordingError."""
        ...

    def label(self, batch: Sequence[PreparedRecording]) -> list[LabeledRecording]:
        """Label a batch. Raise RecordingError if any of its recordings can't be labeled.

        Raise CheckpointError or SettingsError if the model can't be loaded.
        """
        ...

    def describe_audit(self) -> list[str]:
        """Return what the run found out about the faster path, as lines for the user."""
        ...


class LabelerWrapper:
    """A labeler that delegates everything a subclass doesn't override to `labeler`."""

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


@dataclass(frozen=True)
class Batch:
    """Recordings that were labeled together: their ids, the number of their windows, and their length in seconds."""

    ids: tuple[int, ...]
    windows: int
    seconds: float

    @staticmethod
    def of(labeled: Sequence[LabeledRecording]) -> Batch:
        """Return the batch of these recordings."""
        ids = tuple(one.id for one in labeled)
        return Batch(ids, sum(one.windows for one in labeled), sum(one.seconds for one in labeled))


class Reporter(Protocol):
    """Receive the result of each recording, from one thread and in the order of the ids, except if one has stalled.

    `name` is empty if unknown.
    """

    def report_labeled(self, labeled: LabeledRecording) -> None: ...
    def report_failed(self, recording_id: int, reason: str, name: str = "") -> None: ...
    def report_skipped(self, recording_id: int, reason: str) -> None: ...
    def report_batch(self, batch: Batch, startup_s: float) -> None:
        """Note a labeled batch, before its results are reported.

        `startup_s` is the time in seconds that the run has spent so far on one-time work.
        """
        ...


@dataclass
class Summary:
    """The result of a run. Each id is in one of the lists; those in `done` were already labeled by the same job.

    `fast_done` are those of `done` that have labels from fast mode.
    `end_reason` says why the run ended early, if it did. `canceled` is True if the user canceled it.
    """

    labeled: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    fast_done: list[int] = field(default_factory=list)
    not_reached: list[int] = field(default_factory=list)
    end_reason: str = ""
    canceled: bool = False

    def add(self, other: Summary) -> None:
        """Add a run over other recordings, after this one."""
        for mine, more in zip(vars(self).values(), vars(other).values(), strict=True):
            if isinstance(mine, list):
                mine += more
        self.end_reason, self.canceled = other.end_reason or self.end_reason, other.canceled or self.canceled

    @property
    def unlabeled(self) -> list[int]:
        """The ids that are left for another run."""
        return self.failed + self.not_reached
