"""Choose thresholds for strong labels, where every second counts: those with the best precision, recall or F1 of time.

A cell is detected as a whole, but may have a label for part of its time. For ranking, it counts as two items with one
score: the seconds with the label, and those without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from block import decisions
from block.evaluation.bootstrap import Bools, Floats, Resamples
from block.evaluation.event_based import Spans, group_by_label, measure_covered
from block.evaluation.ground_truth import GroundTruth
from block.evaluation.predictions import Prediction, find_reached, reduce_to_targets
from block.evaluation.rates import LabelCounts, compute_rates
from block.evaluation.thresholds import FOLDS, MIN_POSITIVES, Fit, Goal, choose_threshold, shorten_threshold
from block.formatting import count


@dataclass(frozen=True, eq=False)
class CellTimes:
    """The cells of all clips, one after the other. Shape: `(cells,)` for the first three, else `(cells, targets)`.

    `clips` says which clip a cell is in, and `seconds` how long it is; `is_heard` is False if it is silent.
    `annotated_s` is the time for which a target is annotated, and `is_reached` is True at the current thresholds.
    """

    clips: npt.NDArray[np.intp]
    seconds: Floats
    is_heard: Bools
    scores: Floats
    annotated_s: Floats
    is_reached: Bools


def gather_cell_times(predictions: Sequence[Prediction], ground_truth: GroundTruth) -> CellTimes:
    """Return the cells of `predictions`, one for each of the files of `ground_truth`."""
    parts = [
        _gather_clip(clip, one, group_by_label(events), ground_truth)
        for clip, (one, events) in enumerate(zip(predictions, ground_truth.events, strict=True))
    ]
    return CellTimes(*(np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])))


def _gather_clip(clip: int, one: Prediction, spans: dict[int, Spans], ground_truth: GroundTruth) -> CellTimes:
    cells, targets = one.clip.layout.cells, ground_truth.targets
    borders_s = np.array([*(one.clip.seconds_at(cell.start) for cell in cells), one.clip.seconds_at(cells[-1].end)])
    annotated_s = np.zeros((len(cells), len(targets)))
    for target, times in spans.items():
        annotated_s[:, target] = np.diff(measure_covered(times, borders_s))
    means = decisions.score_cells(one.scores, cells)
    is_heard = decisions.find_heard_cells(one.is_heard, cells)
    reached = find_reached(means, one.settings) & is_heard[:, None]
    return CellTimes(
        np.full(len(cells), clip),
        np.diff(borders_s),
        is_heard,
        reduce_to_targets(means, targets),
        annotated_s,
        reduce_to_targets(reached, targets),
    )


def count_times(times: CellTimes, is_given: Bools, clips: int) -> LabelCounts:
    """Return for how many seconds of each clip labels are right, given and annotated.

    Shape of `is_given`, which says which cells get which labels: `(cells, targets)`.
    """

    def add_up(seconds: Floats) -> Floats:
        return np.stack([np.bincount(times.clips, column, clips) for column in seconds.T], axis=1)

    given = add_up(is_given * times.annotated_s), add_up(is_given * times.seconds[:, None])
    return LabelCounts(*given, add_up(times.annotated_s))


def fit_time_threshold(times: CellTimes, target: int, present: Bools, goal: Goal, resamples: Resamples) -> Fit:
    """Choose a threshold for a target by cross-validation, as `fit_threshold` does, but so that every second counts.

    `present`, shape `(clips,)`: the clips in which it is annotated. All cells of a clip are in one fold. `held_out` of
    the fit has the shape `(cells,)`.
    """
    from sklearn.model_selection import StratifiedKFold

    positives = int(present.sum())
    if positives < MIN_POSITIVES:
        return Fit(None, f"{count(positives, 'clip')} with it; at least {MIN_POSITIVES} are needed")
    scores = times.scores[:, target]
    detected = np.zeros(len(scores), dtype=bool)
    chosen: list[float] = []
    # With fewer clips without the label than folds, each fold can't have the same share of them.
    strata = present if len(present) - positives >= FOLDS else np.zeros(len(present), dtype=bool)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=resamples.seed)
    for others, held_out in folds.split(present[:, None], strata):
        threshold = _choose(times, target, np.isin(times.clips, others), goal)
        if threshold is None:
            return Fit(None, f"no threshold reaches a precision of {goal.precision:g} in every fold")
        chosen.append(threshold)
        tested = np.isin(times.clips, held_out) & times.is_heard
        detected[tested] = scores[tested] >= threshold
    is_given = np.zeros(times.scores.shape, dtype=bool)
    is_given[:, target] = detected
    expected = compute_rates(count_times(times, is_given, len(present)), resamples).labels[target]
    threshold = shorten_threshold(float(np.median(chosen)), scores[times.is_heard])
    return Fit(threshold, "", expected, detected)


def _choose(times: CellTimes, target: int, chosen: Bools, goal: Goal) -> float | None:
    heard = chosen & times.is_heard
    with_it_s, scores = times.annotated_s[heard, target], times.scores[heard, target]
    if not len(scores):
        return None
    return choose_threshold(
        np.arange(2 * len(scores)) < len(scores),
        np.concatenate((scores, scores)),
        goal,
        np.concatenate((with_it_s, np.maximum(times.seconds[heard] - with_it_s, 0))),
        float(times.annotated_s[chosen, target].sum()),
    )
