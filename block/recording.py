"""Recordings, windows, segments and labels, and the exceptions for single recordings.

Positions are integers that count the values of a recording from 0. Spans are half-open, `[start, end)`; only Edge
Impulse's `endIndex` is inclusive, see `build_structured_labels`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

Waveform = npt.NDArray[np.float32]


class RecordingError(Exception):
    """One recording can't be labeled. The message says what was found and what was expected."""


class RecordingForbidden(RecordingError):
    """The API key may not read or write one recording."""


class RecordingLost(RecordingError):
    """A request about one recording failed, retries included."""


class RecordingSkipped(Exception):
    """One recording is skipped on purpose, for example a disabled sample. This isn't a failure."""


class RecordingDone(RecordingSkipped):
    """One recording already has the labels that this run would give it, computed in `mode`."""

    def __init__(self, message: str, mode: str = "exact") -> None:
        super().__init__(message)
        self.mode = mode


class RunEnded(Exception):
    """The run can't continue, for example because the API key was refused."""


@contextmanager
def name_errors(name: str) -> Iterator[None]:
    """Attach the name of a recording to errors, for `find_recording_name`."""
    try:
        yield
    except Exception as error:
        error.__dict__["recording_name"] = name
        raise


def find_recording_name(error: Exception) -> str:
    """Return the name of the recording that failed with `error`; empty if it isn't known."""
    return str(getattr(error, "recording_name", ""))


@dataclass(frozen=True)
class Span:
    """The values `[start, end)` of a recording, or the bytes of a file."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


class Window(Span):
    """The values of a recording that get one set of scores."""


@dataclass(frozen=True)
class Segment:
    """Neighboring cells with one label, `[start, end)` in values.

    `score`, in 0…1, is the length-weighted mean of the winning scores of the cells with this label. Cells with the
    other label count with the best score of any label of interest, all of which are below their thresholds.
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
    """One audio sample as its source delivers it.

    Labels refer to `values`, as the source counts them. The sound file has positions at `rate_hz`, `stretch` of them
    per value, which is 1 unless the source counts values at another rate than the file's. `waveform` is mono, in ±1,
    shape `(length,)`, at the model's rate, with `ratio` values per position. `content` is the SHA-256 of the file, or
    empty.
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
        """Values per second."""
        return self.rate_hz / self.stretch

    @property
    def seconds(self) -> float:
        return float(self.values / self.value_rate_hz)


@dataclass(frozen=True)
class RunnerUp:
    """Any class of the checkpoint, and its mean score over the windows of a segment, in 0…1."""

    name: str
    score: float


@dataclass(frozen=True)
class Evidence:
    """Why a segment has its label.

    `windows` is the number of windows that cover its cells; `agreeing` of them would get the same label on their own.
    `loudness_dbfs` is the level of their mean power, −infinity for digital silence. `runners_up` are the classes with
    the highest scores, except the label's own. `margin` is how much a label's mean score would have to change to change
    the label; it is negative if the means over the whole segment favor another label than its cells do.
    """

    runners_up: tuple[RunnerUp, ...]
    loudness_dbfs: float
    windows: int
    agreeing: int
    margin: float = 1.0


@dataclass(frozen=True)
class LabeledRecording:
    """The labels of a recording: `segments` tile `[0, values)` in order. They are based on `windows` windows.

    In what a sink stored, segments are in order, but may leave out parts.

    `mode` is `exact`, or `fast` with the path that computed some of the windows. `evidence` has an entry per segment if
    requested. `content` is as in `Recording`.
    """

    id: int
    name: str
    values: int
    seconds: float
    segments: tuple[Segment, ...]
    windows: int
    mode: str = "exact"
    evidence: tuple[Evidence, ...] = ()
    content: str = ""

    def seconds_by_label(self) -> dict[str, float]:
        """Return the seconds of each label, in order of first appearance."""
        seconds: dict[str, float] = {}
        for segment in self.segments:
            share = segment.length / self.values * self.seconds
            seconds[segment.label] = seconds.get(segment.label, 0.0) + share
        return seconds


def build_structured_labels(segments: tuple[Segment, ...]) -> list[dict[str, Any]]:
    """Return segments in Edge Impulse's format, where `endIndex` is the last value with the label."""
    return [{"startIndex": segment.start, "endIndex": segment.end - 1, "label": segment.label} for segment in segments]
