"""Why a recording has its labels: for each segment what else was heard, how loud it was, and which windows agreed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from block import decisions
from block.recording import Evidence, RunnerUp, Segment
from block.settings import DecisionSettings
from block.windows import Layout

RUNNERS_UP = 3


def evidence(
    segments: Sequence[Segment],
    layout: Layout,
    piece_counts: Sequence[int],
    logits: npt.ArrayLike,
    levels_dbfs: npt.ArrayLike,
    settings: DecisionSettings,
    class_names: Sequence[str],
) -> tuple[Evidence, ...]:
    """What speaks for each of `segments`, in order.

    `logits`, shape `(pieces, classes)`, are those of the pieces of all windows, `piece_counts` tells how many each
    window has, 0 where it was left out as silent; `levels_dbfs`, shape `(windows,)`, is each window's RMS level.
    """
    heard = np.array(piece_counts) > 0
    of_classes = np.zeros((len(heard), len(class_names)))
    if heard.any():
        counts = [count for count in piece_counts if count]
        of_classes[heard] = decisions.window_scores(logits, counts, settings.score_function)
    of_labels = decisions.score_labels(logits, piece_counts, settings)
    alone = [one.label for one in decisions.decide(of_labels, heard, settings.labels, settings.other_label)]
    power = 10 ** (np.asarray(levels_dbfs, np.float64) / 10)
    own = {label.name: label.indices for label in settings.labels}
    found = []
    for segment in segments:
        spoke = _windows(segment, layout)
        margin = decisions.compute_margins(of_labels[spoke].mean(axis=0)[None], [segment.label], settings.labels)
        found.append(_of_segment(segment, spoke, alone, of_classes, power, own, class_names, float(margin[0])))
    return tuple(found)


def _windows(segment: Segment, layout: Layout) -> list[int]:
    """The windows that spoke for the cells of a segment, in order."""
    spoke = {
        window
        for cell in layout.cells
        if cell.start < segment.end and segment.start < cell.end
        for window in cell.windows
    }
    return sorted(spoke)


def _of_segment(
    segment: Segment,
    windows: Sequence[int],
    alone: Sequence[str],
    of_classes: npt.NDArray[np.float64],
    power: npt.NDArray[np.float64],
    own: dict[str, tuple[int, ...]],
    class_names: Sequence[str],
    margin: float,
) -> Evidence:
    means = of_classes[windows].mean(axis=0)
    others = [at for at in np.argsort(-means, kind="stable") if at not in own.get(segment.label, ())]
    mean_power = float(power[windows].mean())
    return Evidence(
        tuple(RunnerUp(class_names[at], float(means[at])) for at in others[:RUNNERS_UP]),
        10 * math.log10(mean_power) if mean_power > 0 else -math.inf,
        len(windows),
        sum(alone[window] == segment.label for window in windows),
        margin,
    )
