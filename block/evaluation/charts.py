"""Compute the data of the report's charts, which `templates/charts.html` draws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from block.evaluation.bootstrap import Bools, Floats
from block.evaluation.excerpts import Excerpt
from block.spectrogram import hz_to_mel

POINTS = 200
BINS = 28
TICKS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
END = 0.0003  # scores below END or above 1 - END fall into the outermost bins
TICKS_KHZ = (0.5, 1, 2, 4, 8, 16)
STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10)


@dataclass(frozen=True)
class PlotArea:
    """The area of a chart of `width` by `height` that holds the data, whose 0…1 run right and up."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int

    def x(self, value: float) -> float:
        return self.left + float(value) * (self.right - self.left)

    def y(self, value: float) -> float:
        return self.bottom - float(value) * (self.bottom - self.top)


PLOT = PlotArea(width=300, height=210, left=40, right=290, top=18, bottom=176)
SPECTROGRAM = PlotArea(width=398, height=140, left=34, right=394, top=2, bottom=122)


@dataclass(frozen=True)
class Curve:
    """A precision–recall curve: its corners and the current threshold `in_use`, each as (recall, precision).

    `in_use` is None if precision or recall is not defined; `chance` is the precision of guessing.
    """

    corners: list[tuple[float, float]]
    chance: float
    in_use: tuple[float, float] | None
    area: PlotArea = PLOT


def draw_curve(present: Bools, scores: Floats, in_use: tuple[float, float]) -> Curve:
    """Return the curve of a label from arrays of shape `(clips,)`; `in_use`: recall and precision at its threshold."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(present, scores)
    # Draw the lowest and the highest of the thresholds with one recall, and some of many recalls.
    ends = np.flatnonzero(np.append(recall[1:] != recall[:-1], True))
    starts = np.concatenate(([0], ends[:-1] + 1))
    chosen = np.unique(np.linspace(0, len(ends) - 1, min(POINTS, len(ends))).round().astype(int))
    keep = np.union1d(starts[chosen], ends[chosen])
    precision, recall = precision[keep], recall[keep]
    # Each threshold is a step: recall falls to the next value at the precision of this one.
    corners = [(recall[0], precision[0])]
    for at in range(1, len(recall)):
        corners += [(recall[at], precision[at - 1]), (recall[at], precision[at])]
    return Curve(corners, float(present.mean()), None if any(map(math.isnan, in_use)) else in_use)


@dataclass(frozen=True)
class Bar:
    """A bar of a histogram, in the chart's units; `is_positive` is True for clips with the label."""

    x: float
    y: float
    width: float
    height: float
    is_positive: bool


@dataclass(frozen=True)
class Histogram:
    """Bars, the `highest` share on the axis, and ticks and thresholds, each a position in 0…1 with its text."""

    bars: list[Bar]
    highest: float
    ticks: list[tuple[float, str]]
    thresholds: list[tuple[float, str]]
    area: PlotArea = PLOT


def draw_histogram(present: Bools, scores: Floats, thresholds: Sequence[float]) -> Histogram:
    """Return the histogram of scores: clips with the label upward, clips without it downward, as shares of each group.

    The score axis is in log-odds, which spreads out scores near 0 and 1.
    """
    bins = np.minimum((_place(scores) * BINS).astype(np.intp), BINS - 1)
    groups = [np.bincount(bins[chosen], minlength=BINS) / max(1, int(chosen.sum())) for chosen in (present, ~present)]
    highest = max(0.05, float(np.max(groups)))
    middle, step = PLOT.y(0.5), (PLOT.right - PLOT.left) / BINS
    bars = []
    for shares, is_positive in zip(groups, (True, False), strict=True):
        for at in np.flatnonzero(shares).tolist():
            height = float(shares[at]) / highest * (middle - PLOT.top - 2)
            top = middle - height if is_positive else middle
            bars.append(Bar(PLOT.left + at * step + 0.5, top, step - 1, height, is_positive))
    ticks = [(place, f"{tick:g}") for place, tick in zip(_place(TICKS).tolist(), TICKS, strict=True)]
    marks = [(place, f"{mark:.3g}") for place, mark in zip(_place(thresholds).tolist(), thresholds, strict=True)]
    return Histogram(bars, highest, ticks, marks)


@dataclass(frozen=True)
class SpectrogramAxes:
    """Ticks of a spectrogram, each with its text, and the `bounds` of a moment, in the chart's units."""

    frequencies: list[tuple[float, str]]
    times: list[tuple[float, str]]
    bounds: list[float]
    area: PlotArea = SPECTROGRAM


def draw_axes(excerpt: Excerpt, bounds: Sequence[float]) -> SpectrogramAxes:
    """Return the axes of an excerpt. `bounds` are in seconds of the recording; those outside it are left out."""
    area = SPECTROGRAM
    visible = [khz for khz in TICKS_KHZ if khz * 1000 < excerpt.high_hz * 0.99]
    low, high, *at_ticks = hz_to_mel([excerpt.low_hz, excerpt.high_hz, *(khz * 1000 for khz in visible)])
    frequencies = [(area.y((at - low) / (high - low)), f"{khz:g}") for at, khz in zip(at_ticks, visible, strict=True)]
    step = next(step for step in STEPS_S if excerpt.seconds / step <= 7)
    first = math.ceil(excerpt.start_s / step - 1e-9)
    last = int((excerpt.start_s + excerpt.seconds) / step + 1e-9)

    def x(second: float) -> float:
        return area.x((second - excerpt.start_s) / excerpt.seconds)

    times = [(x(at * step), f"{at * step:.{0 if step >= 1 else 1}f} s") for at in range(first, last + 1)]
    visible_bounds = [x(bound) for bound in bounds if area.left + 2 < x(bound) < area.right - 2]
    return SpectrogramAxes(frequencies, times, visible_bounds)


def _place(scores: Floats | Sequence[float]) -> Floats:
    """Return the positions of scores on the log-odds axis, in 0…1."""
    odds = np.clip(scores, END, 1 - END) / (1 - np.clip(scores, END, 1 - END))
    return np.asarray(np.log(odds) / math.log((1 - END) / END) / 2 + 0.5)
