"""The report's drawings, as SVG that takes its colours from the page's style sheet, so that it fits light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from block.evaluation.bootstrap import Bools, Estimate, Floats
from block.evaluation.markup import Markup, tag
from block.evaluation.ranking import require

WIDTH, HEIGHT = 300, 210
LEFT, RIGHT, TOP, BOTTOM = 40, 10, 18, 34
POINTS = 200
BINS = 28
TICKS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
END = 0.0003  # scores below it, and above 1 - END, stand in the outermost bins


def precision_recall(truth: Bools, scores: Floats, point: tuple[float, float]) -> Markup:
    """The precision–recall curve of one label, shape `(clips,)` both; `point`: recall and precision as labelled."""
    require()
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(truth, scores)
    # Of the thresholds with one recall the lowest and the highest are drawn, and of many recalls some.
    ends = np.flatnonzero(np.append(recall[1:] != recall[:-1], True))
    starts = np.concatenate(([0], ends[:-1] + 1))
    chosen = np.unique(np.linspace(0, len(ends) - 1, min(POINTS, len(ends))).round().astype(int))
    keep = np.union1d(starts[chosen], ends[chosen])
    precision, recall = precision[keep], recall[keep]
    share = float(truth.mean())
    frame = _Frame()
    # A step a threshold: recall falls to the next value at the precision that this one has.
    corners = [(recall[0], precision[0])]
    for at in range(1, len(recall)):
        corners += [(recall[at], precision[at - 1]), (recall[at], precision[at])]
    path = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in corners)
    parts = [
        *(frame.tick_y(y, f"{y:g}") for y in (0, 0.5, 1)),
        *(frame.tick_x(x, f"{x:g}") for x in (0, 0.5, 1)),
        frame.title_x("recall"),
        frame.title_y("precision"),
        tag("line", x1=frame.x(0), x2=frame.x(1), y1=frame.y(share), y2=frame.y(share), class_="chance"),
        tag("polyline", points=path, class_="curve"),
    ]
    found, right = point
    if not math.isnan(found) and not math.isnan(right):
        parts.append(
            tag("g", tag("title", f"as labelled: precision {right:.2f}, recall {found:.2f}"),
                tag("circle", cx=frame.x(found), cy=frame.y(right), r=5, class_="point"))
        )  # fmt: skip
    return frame.svg(parts, "precision against recall")


def histogram(truth: Bools, scores: Floats, thresholds: Sequence[float]) -> Markup:
    """Scores of the clips with the label upwards, of those without downwards, each as shares of their own number.

    The axis is that of log-odds, in which scores near 0 and near 1 are as far apart as those in the middle.
    """
    edge = _log_odds(END)
    bins = np.linspace(-edge, edge, BINS + 1)[::-1]
    bins = np.sort(bins)
    places = np.clip(np.digitize(_log_odds(scores), bins) - 1, 0, BINS - 1)
    groups = []
    for chosen in (truth, ~truth):
        counts = np.bincount(places[chosen], minlength=BINS)
        groups.append(counts / max(1, int(chosen.sum())))
    most = max(0.05, float(np.max(groups)))
    frame = _Frame()
    middle = (TOP + HEIGHT - BOTTOM) / 2
    room = middle - TOP - 2
    step = (WIDTH - LEFT - RIGHT) / BINS
    parts = [frame.tick_x(_place(tick), f"{tick:g}") for tick in TICKS]
    parts.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=middle, y2=middle, class_="axis"))
    for shares, class_, up in ((groups[0], "with", True), (groups[1], "without", False)):
        for at, share in enumerate(shares):
            if share:
                height = float(share) / most * room
                parts.append(
                    tag("rect", x=LEFT + at * step + 0.5, y=middle - height if up else middle, width=step - 1,
                        height=height, class_=class_)
                )  # fmt: skip
    for threshold in sorted(set(thresholds)):
        x = frame.x(_place(threshold))
        near_end = x > WIDTH - 80
        parts += [
            tag("line", x1=x, x2=x, y1=TOP - 6, y2=HEIGHT - BOTTOM, class_="threshold"),
            tag("text", f"{threshold:.3g}", x=x + (-4 if near_end else 4), y=TOP - 6, class_="mark",
                text_anchor="end" if near_end else "start"),
        ]  # fmt: skip
    percent = f"{most * 100:.0f} %"
    parts += [
        tag("text", percent, x=LEFT - 5, y=TOP + 8, text_anchor="end"),
        tag("text", percent, x=LEFT - 5, y=HEIGHT - BOTTOM, text_anchor="end"),
        _upright("with", 14, (TOP + middle) / 2),
        _upright("without", 14, (middle + HEIGHT - BOTTOM) / 2),
        frame.title_x("score"),
    ]
    return frame.svg(parts, "scores of clips with and without the label, and the threshold")


def interval(estimate: Estimate, width: int = 64) -> Markup:
    """A figure in 0…1 as a dot, its interval as a line."""
    if not estimate.defined:
        return Markup("")
    height, pad = 14, 5
    span = width - 2 * pad

    def x(value: float) -> float:
        return pad + max(0.0, min(1.0, value)) * span

    parts = [tag("line", x1=pad, x2=width - pad, y1=height / 2, y2=height / 2, class_="track")]
    if not math.isnan(estimate.low):
        parts.append(tag("line", x1=x(estimate.low), x2=x(estimate.high), y1=height / 2, y2=height / 2, class_="span"))
    parts.append(tag("circle", cx=x(estimate.value), cy=height / 2, r=4, class_="dot"))
    return tag("svg", *parts, viewBox=f"0 0 {width} {height}", width=width, height=height, class_="interval",
               aria_hidden="true")  # fmt: skip


class _Frame:
    """The plotting area: 0…1 to the right and upwards."""

    def x(self, value: float) -> float:
        return LEFT + float(value) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - float(value) * (HEIGHT - TOP - BOTTOM)

    def tick_x(self, value: float, text: str) -> Markup:
        x = self.x(value)
        return tag("g", tag("line", x1=x, x2=x, y1=TOP, y2=HEIGHT - BOTTOM, class_="gridline"),
                   tag("text", text, x=x, y=HEIGHT - BOTTOM + 14, text_anchor="middle"))  # fmt: skip

    def tick_y(self, value: float, text: str) -> Markup:
        y = self.y(value)
        return tag("g", tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="gridline"),
                   tag("text", text, x=LEFT - 6, y=y + 4, text_anchor="end"))  # fmt: skip

    def title_x(self, text: str) -> Markup:
        return tag("text", text, x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 4, text_anchor="middle", class_="title")

    def title_y(self, text: str) -> Markup:
        return _upright(text, 12, (TOP + HEIGHT - BOTTOM) / 2)

    def svg(self, parts: Sequence[Markup], told: str) -> Markup:
        return tag("svg", *parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", class_="chart", role="img", aria_label=told)


def _upright(text: str, x: float, y: float) -> Markup:
    return tag("text", text, x=x, y=y, text_anchor="middle", class_="title", transform=f"rotate(-90 {x:g} {y:g})")


def _log_odds(scores: Floats | float) -> Floats:
    clipped = np.clip(scores, 1e-12, 1 - 1e-12)
    return np.asarray(np.log(clipped / (1 - clipped)), dtype=np.float64)


def _place(score: float) -> float:
    """Where a score stands on the axis of log-odds, 0…1."""
    edge = float(_log_odds(1 - END))
    return float(np.clip(float(_log_odds(score)) / edge, -1, 1) + 1) / 2
