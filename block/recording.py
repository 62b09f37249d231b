"""What passes between the rooms of the block: recordings, windows, segments, and why one could not be had.

Positions are integers that count values of a recording from 0; spans are half-open, `[start, end)`.
The inclusive `endIndex` of Edge Impulse exists only in `block.edge_impulse`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

Waveform = npt.NDArray[np.float32]


class RecordingError(Exception):
    """One recording cannot be labelled. The message says what was got and what was expected."""


class RecordingForbidden(RecordingError):
    """The source or the sink does not let this key read or write one recording."""


class RecordingLost(RecordingError):
    """A call about one recording did not come through, tried again as often as that makes sense."""


class RecordingSkipped(Exception):
    """One recording is left alone on purpose (a disabled sample, say); this is no failure."""


class RecordingDone(RecordingSkipped):
    """One recording has the labels already that this run would give it."""


class RunEnded(Exception):
    """Nothing more can be labelled in this run: a refused key, for example."""


@dataclass(frozen=True)
class Window:
    """A half-open span `[start, end)` of a recording, in values, that is judged in one piece."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


@dataclass(frozen=True)
class Segment:
    """Neighbouring cells with one label.

    `start` and `end` count values, half-open. `score` lies in 0…1: the length-weighted mean over the cells that
    were given this label of the winning score; for the other label, of the best score among the labels of
    interest, each of which stayed below its threshold.
    """

    start: int
    end: int
    label: str
    score: float

    @property
    def length(self) -> int:
        return self.end - self.start


@dataclass(frozen=True, eq=False)
class Recording:
    """One audio sample as its source hands it over.

    `values` is the number of readings that the source counts; labels are given for these. The audio came as positions
    at `rate_hz`; `stretch` is its positions per value, 1 unless it was delivered at another rate than the one the
    values are counted at. `waveform` is mono, in ±1, shape `(length,)`, at the model's rate, with `ratio` of its values
    per position (`block.audio.Sound`). `content` is the SHA-256 of the file, or empty.
    """

    id: int
    name: str
    rate_hz: int
    values: int
    waveform: Waveform
    stretch: Fraction = Fraction(1)
    ratio: Fraction = Fraction(1)
    content: str = ""

    @property
    def value_rate_hz(self) -> Fraction:
        """How many values make a second."""
        return self.rate_hz / self.stretch

    @property
    def seconds(self) -> float:
        return float(self.values / self.value_rate_hz)


@dataclass(frozen=True)
class RunnerUp:
    """A class of the checkpoint, asked for or not, and its mean score over the windows of a segment, in 0…1."""

    name: str
    score: float


@dataclass(frozen=True)
class Evidence:
    """What speaks for a segment's label.

    `windows` are those that cover a part of it that gets one label, `agreeing` those of them that alone would have
    given it the same label. `loudness_dbfs` is the level of these windows, by the mean of their power; −infinity for
    digital silence. `runners_up` are the classes with the highest scores that are not the label's own. `margin` is by
    how much some mean score of a label of interest would have to change for another label; below 0 where the means over
    the whole segment would give another one than its parts.
    """

    runners_up: tuple[RunnerUp, ...]
    loudness_dbfs: float
    windows: int
    agreeing: int
    margin: float = 1.0


@dataclass(frozen=True)
class LabeledRecording:
    """A recording's labels: `segments` tile `[0, values)` in order. `windows` were judged for them.

    `mode` is how: `exact`, or `fast` and the path that some of the windows took. `evidence` has an entry a segment,
    where it was asked for.
    """

    id: int
    name: str
    values: int
    seconds: float
    segments: tuple[Segment, ...]
    windows: int
    mode: str = "exact"
    evidence: tuple[Evidence, ...] = ()

    def seconds_by_label(self) -> dict[str, float]:
        """Seconds per label, in order of first appearance."""
        seconds: dict[str, float] = {}
        for segment in self.segments:
            share = segment.length / self.values * self.seconds
            seconds[segment.label] = seconds.get(segment.label, 0.0) + share
        return seconds


def make_printable(text: Any, limit: int = 80) -> str:
    """`text` on one line for a log: control characters become `?`, anything over `limit` characters is cut.

    Names come from other people's projects and may hold newlines or terminal commands.
    """
    line = "".join(character if character.isprintable() else "?" for character in str(text))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def build_structured_labels(segments: tuple[Segment, ...]) -> list[dict[str, Any]]:
    """Segments as Edge Impulse has them: `endIndex` is the last value that belongs to the label."""
    return [{"startIndex": segment.start, "endIndex": segment.end - 1, "label": segment.label} for segment in segments]
