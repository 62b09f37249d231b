"""Whom a run deals with: where recordings come from, where labels go, who is told, and what is told in the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from block.recording import LabeledRecording, Recording
from block.windows import PreparedRecording


class Source(Protocol):
    """Where recordings come from. `fetch` is called from several threads."""

    def fetch(self, recording_id: int, expect: Callable[[int], None]) -> Recording:
        """The recording; `expect` is told its number of values, once, before they are loaded.

        Raises RecordingError, RecordingSkipped or RunEnded.
        """
        ...


class Sink(Protocol):
    """Where labels go. Both methods are called from several threads, once a recording."""

    def write(self, labeled: LabeledRecording) -> None:
        """Keep the labels of a recording. Raises RecordingError or RunEnded."""
        ...

    def give_up(self, recording_id: int) -> None:
        """A recording that was fetched, or tried, gets no labels. Raises RecordingError or RunEnded."""
        ...


class RecordingLabeler(Protocol):
    """What makes labels of recordings: exactly, the fast way, or with a store around either.

    `batch_windows` is how many windows a group that several recordings share aims for; `startup_s` as in
    `Reporter.report_batch`. `fast_ids` are the recordings with scores that are not exact; `has_fallen_back` tells
    whether the fast way failed an audit, so that the rest was computed exactly.
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
        """Called from several threads. Raises RecordingError."""
        ...

    def label(self, batch: Sequence[PreparedRecording]) -> list[LabeledRecording]:
        """Raises RecordingError if one of the batch cannot be labelled, or RunEnded."""
        ...

    def report(self) -> list[str]:
        """Return what the run found out about its own faithfulness, a line each."""
        ...


class LabelerWrapper:
    """A labeler that leaves to `labeler` what it does not do itself."""

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

    def report(self) -> list[str]:
        return self.labeler.report()


class Reporter(Protocol):
    """Is told what became of each recording, from the thread that runs, in the order of the ids."""

    def report_labeled(self, labeled: LabeledRecording) -> None: ...
    def report_failed(self, recording_id: int, reason: str) -> None: ...
    def report_skipped(self, recording_id: int, reason: str) -> None: ...
    def report_batch(self, recordings: int, windows: int, startup_s: float) -> None:
        """A batch was labelled; of all the time so far, `startup_s` seconds went into what does not come again."""
        ...


@dataclass
class Summary:
    """What became of a run. Each id is in exactly one of the lists; `done` were labelled before, by the same job."""

    labeled: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    not_reached: list[int] = field(default_factory=list)
    end_reason: str = ""
    canceled: bool = False

    @property
    def unlabeled(self) -> list[int]:
        """The ids to name in another run."""
        return self.failed + self.not_reached
