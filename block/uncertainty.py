"""Find the scores whose error could change a label.

Pure functions on arrays: no torch and no audio.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from block.decisions import Scores, find_heard_cells, find_sounding, score_cells
from block.labels import LabelOfInterest
from block.smoothing import Bools, FilterSpans, filter_median, number_runs
from block.windows import Cell


def find_uncertain_cells(scores: Scores, heard: Bools, labels: Sequence[LabelOfInterest], errors: Scores) -> Bools:
    """Return which cells could get another label if each of their scores were off by up to `errors`.

    Shape: as for `decide_cells`; `errors`, 0 or more, and the result are `(cells,)`. Silent cells and cells with an
    error of 0 are certain.
    """
    thresholds = np.array([label.threshold for label in labels])
    low, high = scores - errors[:, None], scores + errors[:, None]
    winners = np.where(scores >= thresholds, scores, -1.0).argmax(axis=1)
    rows = np.arange(len(scores))
    found = scores[rows, winners] >= thresholds[winners]
    # A rival must be able to reach its threshold and, if there is a winner, the winner's lowest possible score.
    rivals = high >= thresholds
    rivals[found] &= high[found] >= low[rows, winners][found, None]
    rivals[rows[found], winners[found]] = False
    lost = found & (low[rows, winners] < thresholds[winners])
    return np.asarray((rivals.any(axis=1) | lost) & (errors > 0) & heard)


def find_uncertain_windows(
    scores: Scores,
    errors: npt.NDArray[np.floating],
    heard: Bools,
    cells: Sequence[Cell],
    labels: Sequence[LabelOfInterest],
    hysteresis: float = 1.0,
    median: int = 0,
) -> Bools:
    """Return the windows to compute exactly so that labels become certain. Then call this again.

    If it returns none, no label changes when the score of each window is off by up to its error. Otherwise, these
    are windows with errors that could change a label: that of a cell they cover; with a `median` over so many values,
    of a cell near them; with `hysteresis`, of a cell that a label reaches from one they cover.

    Shape: `(windows, labels)`, `(windows,)` for `errors`, 0 or more, and `heard`; `(windows,)` out. Silent windows have
    no error.
    """
    errors = np.where(heard, errors, 0).astype(np.float64)
    found = np.zeros(len(errors), dtype=bool)
    if not errors.any():
        return found
    spans = [slice(cell.windows.start, cell.windows.stop) for cell in cells]
    cell_errors = np.array([errors[span].mean() for span in spans])
    means, cells_heard = score_cells(scores, cells), find_heard_cells(heard, cells)
    if hysteresis == 1 and median == 0:
        causes = find_uncertain_cells(means, cells_heard, labels, cell_errors)
    else:
        ranges = _Ranges.of(means, cell_errors, cells_heard, cells, median)
        causes = _find_causes(ranges, cells_heard, labels, hysteresis)
        if median:
            causes = FilterSpans.of(cells, median).spread(causes)
    for at in np.flatnonzero(causes):
        found[spans[at]] = True
    return found & (errors > 0)


@dataclass(frozen=True, eq=False)
class _Ranges:
    """The scores of cells after the median filter, and the lowest and highest that they could be: `(cells, labels)`."""

    scores: Scores
    low: Scores
    high: Scores

    @classmethod
    def of(cls, means: Scores, errors: Scores, heard: Bools, cells: Sequence[Cell], median: int) -> _Ranges:
        # A median grows with each of its scores, so those of the bounds are its bounds.
        filtered = (
            filter_median(one, cells, median) for one in (means, means - errors[:, None], means + errors[:, None])
        )
        return cls(*(np.where(heard[:, None], one, 0.0) for one in filtered))


def _find_causes(ranges: _Ranges, heard: Bools, labels: Sequence[LabelOfInterest], hysteresis: float) -> Bools:
    """Return the cells whose smoothed scores decide whether a label could change. Shape: `(cells,)` in and out.

    Where each label sounds grows with its scores, so the bounds of the scores give the bounds of that.
    """
    sounding, least, most = (
        find_sounding(one, heard, labels, hysteresis) for one in (ranges.scores, ranges.low, ranges.high)
    )
    rows = np.arange(len(heard))
    best = sounding.max(axis=1)
    winners = np.where(sounding == np.maximum(best, 1)[:, None], ranges.scores, -1.0).argmax(axis=1)
    found = best > 0
    winner_least, winner_low = least[rows, winners][:, None], ranges.low[rows, winners][:, None]
    rivals = most > 0
    is_ahead = (most > winner_least) | ((most == winner_least) & (ranges.high >= winner_low))
    rivals[found] &= is_ahead[found]
    rivals[rows[found], winners[found]] = False
    is_open = (least != most) | (ranges.low != ranges.high)
    uncertain = (rivals.any(axis=1) | (found & (winner_least[:, 0] == 0))) & is_open.any(axis=1) & heard
    # Whether a label sounds in a cell depends on the cells of the same run whose scores may cross a threshold. Only if
    # that is certain for every label, the cell's own scores decide.
    thresholds = np.array([label.threshold for label in labels])
    runs = number_runs((ranges.high >= hysteresis * thresholds) & heard[:, None])
    is_concerned = np.zeros(runs.max(initial=0) + 1, dtype=bool)
    is_concerned[runs[(least != most) & uncertain[:, None]]] = True
    is_concerned[0] = False
    crosses = [(ranges.low < limit) & (ranges.high >= limit) for limit in (thresholds, hysteresis * thresholds)]
    is_own = uncertain & (least == most).all(axis=1)
    return np.asarray(is_own | (is_concerned[runs] & (crosses[0] | crosses[1])).any(axis=1))
