"""Lay out when labels were annotated and when they were found, one line above the other, for the worst recordings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from block.evaluation.evaluation import LabelingResult
from block.evaluation.event_based import COLLARS, Collars, Spans, group_by_label, match_events, sort_events
from block.evaluation.examples import MAX_MOMENTS
from block.evaluation.ground_truth import GroundTruth
from block.evaluation.predictions import find_labeled_events
from block.evaluation.segment_based import Event

SPAN_S = 120.0  # of a longer recording, show the two minutes with the most events without a match
MAX_STRETCHES = 300  # in a line; no screen shows more, and annotations may have any number
MAX_LANES = 8
STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20)


@dataclass(frozen=True)
class Stretch:
    """A label in a line, from `start_s` to `end_s`; `lane` is 0 unless it overlaps others. `label` is a target."""

    label: int
    start_s: float
    end_s: float
    is_matched: bool
    lane: int = 0


@dataclass(frozen=True)
class Line:
    """The stretches of one side in order of time; `more` were left out. They need so many `lanes`."""

    name: str
    stretches: tuple[Stretch, ...]
    more: int

    @property
    def lanes(self) -> int:
        return 1 + max((one.lane for one in self.stretches), default=0)


@dataclass(frozen=True)
class Timelines:
    """The lines of a clip from `start_s` to `end_s`: first what is annotated, then what each configuration found.

    `right` is the share of the clip's time with the right label under the first configuration.
    """

    clip: int
    start_s: float
    end_s: float
    right: float
    lines: tuple[Line, ...]

    def percent(self, second: float) -> float:
        """Return where a time is, from 0 at the left to 100 at the right; times outside are at an end."""
        place = (second - self.start_s) / (self.end_s - self.start_s)
        return 100 * min(1.0, max(0.0, place))

    @property
    def ticks(self) -> list[float]:
        """Return the times to write below the lines, at most nine."""
        length_s = self.end_s - self.start_s
        step = next((step for step in STEPS_S if length_s / step <= 8), STEPS_S[-1])
        first = math.ceil(self.start_s / step - 1e-9)
        return [at * step for at in range(first, first + 9) if at * step <= self.end_s + 1e-9]


def find_timelines(
    results: Sequence[LabelingResult], ground_truth: GroundTruth, collars: Collars = COLLARS
) -> list[Timelines]:
    """Return the lines of the ten clips with the least share of time right under the first of `results`.

    Clips that are right all the time are left out. Without times in the annotations, there are none.
    """
    events = results[0].events
    if events is None:
        return []
    shares = np.divide(events.right_s, events.judged_s, out=np.ones(len(events.right_s)), where=events.judged_s > 0)
    worst = [int(clip) for clip in np.argsort(shares, kind="stable") if shares[clip] < 1 - 1e-9][:MAX_MOMENTS]
    return [_lay_out(clip, float(shares[clip]), results, ground_truth, collars) for clip in worst]


def _lay_out(
    clip: int, right: float, results: Sequence[LabelingResult], ground_truth: GroundTruth, collars: Collars
) -> Timelines:
    columns = {target.name: column for column, target in enumerate(ground_truth.targets)}
    length_s = results[0].predictions[clip].clip.seconds
    annotated = [event for event in ground_truth.events[clip] if event.start_s < length_s]
    found = [find_labeled_events(one.predictions[clip], columns) for one in results]
    sides = [_match(annotated, found[0], collars)[0], *(_match(annotated, one, collars)[1] for one in found)]
    start_s = 0.0 if length_s <= SPAN_S else _find_span(sides[0] + sides[1], length_s)
    end_s = min(length_s, start_s + SPAN_S)
    names = ("annotated", "labeled") if len(results) == 1 else ("annotated", "A", "B")
    lines = tuple(_cut(name, side, start_s, end_s) for name, side in zip(names, sides, strict=True))
    return Timelines(clip, start_s, end_s, right, lines)


def _match(annotated: Sequence[Event], found: Sequence[Event], collars: Collars) -> tuple[list[Stretch], list[Stretch]]:
    """Return the stretches of both sides, and whether each is matched with one of the other."""
    one, other = group_by_label(annotated), group_by_label(found)
    none = sort_events(())
    sides: tuple[list[Stretch], list[Stretch]] = ([], [])
    for label in sorted(one.keys() | other.keys()):
        spans = (one.get(label, none), other.get(label, none))
        pairs = match_events(*spans, collars)
        for at, side in enumerate(sides):
            side += _list_stretches(label, spans[at], {pair[at] for pair in pairs})
    return sides


def _list_stretches(label: int, spans: Spans, matched: set[int]) -> list[Stretch]:
    times = zip(spans.starts.tolist(), spans.ends.tolist(), strict=True)
    return [Stretch(label, start_s, end_s, at in matched) for at, (start_s, end_s) in enumerate(times)]


def _find_span(stretches: Sequence[Stretch], length_s: float) -> float:
    """Return the start of the `SPAN_S` in which the most stretches without a match begin."""
    starts = np.array(sorted(one.start_s for one in stretches if not one.is_matched))
    if not len(starts):
        return 0.0
    counts = np.searchsorted(starts, starts + SPAN_S) - np.arange(len(starts))
    return float(min(starts[counts.argmax()], length_s - SPAN_S))


def _cut(name: str, stretches: Sequence[Stretch], start_s: float, end_s: float) -> Line:
    """Return the stretches between two times, each in the first lane that is free."""
    inside = [one for one in stretches if one.start_s < end_s and one.end_s > start_s]
    inside.sort(key=lambda one: (one.start_s, one.end_s, one.label))
    free_from: list[float] = []
    placed = []
    for one in inside[:MAX_STRETCHES]:
        lane = next((at for at, until in enumerate(free_from) if until <= one.start_s), len(free_from))
        lane = min(lane, MAX_LANES - 1)
        free_from[lane : lane + 1] = [one.end_s]
        placed.append(Stretch(one.label, one.start_s, one.end_s, one.is_matched, lane))
    return Line(name, tuple(placed), len(inside) - len(placed))
