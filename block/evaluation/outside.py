"""Find annotated events that aren't within their recording, which is often because their times are in milliseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from block.evaluation.annotations import Annotations
from block.formatting import count, make_printable
from block.settings import SettingsError

# Annotators round times, and lossy formats pad recordings: an event may end this much later than its recording.
TOLERANCE_S = 0.1


@dataclass(frozen=True)
class OutsideEvent:
    """An event that ends more than `TOLERANCE_S` after its recording, which is `length_s` seconds long."""

    file: str
    start_s: float
    end_s: float
    length_s: float

    def __str__(self) -> str:
        times = f"{_format_seconds(self.start_s)} to {_format_seconds(self.end_s)} s"
        return f"{make_printable(self.file)}: {times}, it is {_format_seconds(self.length_s)} s long"

    @property
    def is_mostly_outside(self) -> bool:
        """Whether more than half of the event is after the end of the recording."""
        return self.start_s + self.end_s > 2 * self.length_s


def find_outside(annotations: Annotations, lengths_s: Mapping[str, float]) -> list[OutsideEvent]:
    """Return the events that end after their recording, given the lengths of recordings by name, in seconds.

    Raise SettingsError if more than half of every event is after the end: nothing could be judged.
    """
    events = [
        OutsideEvent(row.file, row.start_s, row.end_s, lengths_s[row.file])
        for row in annotations.rows
        if row.start_s is not None and row.end_s is not None and row.file in lengths_s
    ]
    outside = [event for event in events if event.end_s > event.length_s + TOLERANCE_S]
    if events and len(outside) == len(events) and all(event.is_mostly_outside for event in outside):
        raise SettingsError(
            f"{annotations.source}: {describe_outside(outside)} Expected seconds from the start of each recording"
        )
    return outside


def describe_outside(events: Sequence[OutsideEvent]) -> str:
    """Return how many events are outside, an example, and a question."""
    what = "lies outside of its recording" if len(events) == 1 else "lie outside of their recordings"
    return f"{count(len(events), 'annotation')} {what} ({events[0]}): are the times in milliseconds?"


def _format_seconds(seconds: float) -> str:
    return f"{seconds:.3f}".rstrip("0").rstrip(".")
