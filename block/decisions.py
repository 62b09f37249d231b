"""Turn logits into scores, scores into one label per cell, and cells into segments.

All commands use these pure functions on arrays: no torch and no audio.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from block.labels import LabelOfInterest
from block.recording import LabeledRecording, Segment
from block.segments import Decision, build_segments
from block.settings import EXACT, DecisionSettings, ScoreFunction
from block.smoothing import Bools, Integers, filter_median, find_active
from block.windows import Cell, Layout, round_half_up

Scores = npt.NDArray[np.float64]
OTHER = -1  # instead of the index of a label of interest


def apply_score_function(logits: npt.ArrayLike, function: ScoreFunction) -> Scores:
    """Return scores in 0…1. Shape: `(..., classes)` in and out; softmax is over the classes.

    transformers' audio-classification pipeline applies softmax to a checkpoint without `problem_type`; AST was trained
    with sigmoid.
    """
    x = np.asarray(logits, dtype=np.float64)
    if function == "softmax":
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        return np.asarray(e / e.sum(axis=-1, keepdims=True), dtype=np.float64)
    # exp can't overflow: its argument is -|x|.
    e = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1, e) / (1 + e), dtype=np.float64)


def score_classes(logits: npt.ArrayLike, chunk_counts: Sequence[int], function: ScoreFunction) -> Scores:
    """Return each window's score for every class: the maximum over the window's chunks.

    Shape: `(chunks, classes)` in, window by window; `(windows, classes)` out. `chunk_counts` is the number of chunks
    per window; silent windows have none and score 0.
    """
    logits, counts = np.asarray(logits), np.asarray(chunk_counts)
    heard = counts > 0
    scores = np.zeros((len(counts), logits.shape[-1]))
    if heard.any():
        starts = np.cumsum(counts[heard]) - counts[heard]
        scores[heard] = np.maximum.reduceat(apply_score_function(logits, function), starts, axis=0)
    return scores


def reduce_to_labels(scores: Scores, labels: Sequence[LabelOfInterest]) -> Scores:
    """Return the scores of the labels of interest, each the highest of its classes.

    Shape: `(..., classes)` in, `(..., labels)` out, in the user's order.
    """
    if not labels:
        return scores[..., :0]
    columns = [index for label in labels for index in label.indices]
    starts = np.cumsum([0, *(len(label.indices) for label in labels[:-1])])
    return np.asarray(np.maximum.reduceat(scores[..., columns], starts, axis=-1))


def score_labels(logits: npt.ArrayLike, chunk_counts: Sequence[int], settings: DecisionSettings) -> Scores:
    """Return each window's score for every label of interest, `(windows, labels)`; see `score_classes`."""
    return reduce_to_labels(score_classes(logits, chunk_counts, settings.score_function), settings.labels)


def score_cells(scores: Scores, cells: Sequence[Cell]) -> Scores:
    """Average the scores of the windows that cover each cell. Shape: `(windows, n)` in, `(cells, n)` out."""
    # A long recording has very many cells, and most have one window: skip the mean of one.
    return np.stack(
        [
            scores[cell.windows.start]
            if len(cell.windows) == 1
            else scores[cell.windows.start : cell.windows.stop].mean(axis=0)
            for cell in cells
        ]
    )


def find_sounding(
    scores: Scores, heard: Bools, labels: Sequence[LabelOfInterest], hysteresis: float = 1.0
) -> npt.NDArray[np.int8]:
    """Return 2 where a label is at or above its threshold, 1 where hysteresis keeps it, and 0 elsewhere.

    With `hysteresis` below 1, a label is kept before and after the cells in which it reaches its threshold, for as long
    as its score is at or above that share of the threshold, no matter what other labels do. Silent cells end this, as
    the recording does. Shape: as for `decide_cells` in, `(cells, labels)` out.
    """
    thresholds = np.array([label.threshold for label in labels])
    reached = (scores >= thresholds) & heard[:, None]
    if hysteresis == 1:
        return reached * np.int8(2)
    active = find_active(reached, (scores >= hysteresis * thresholds) & heard[:, None])
    return active.astype(np.int8) + reached


def choose_labels(scores: Scores, heard: Bools, labels: Sequence[LabelOfInterest], hysteresis: float = 1.0) -> Integers:
    """Return the index of the label that each cell gets, or OTHER: the highest score at or above its threshold wins.

    Ties go to the first in `labels`. Shape: `(cells, labels)`, and `(cells,)` for `heard`, in; `(cells,)` out. Silent
    cells, for which `heard` is False, get OTHER even if a threshold is 0. Without any label at its threshold, the
    highest score that `hysteresis` keeps wins, as in `find_sounding`: so hysteresis only labels cells that would get
    OTHER. Without hysteresis, cells are decided independently; with it, those between two silent ones are.
    """
    sounding = find_sounding(scores, heard, labels, hysteresis)
    best = sounding.max(axis=1, initial=0)
    # argmax returns the first of equal scores, and the columns are in the user's order.
    winners = np.where(sounding == np.maximum(best, 1)[:, None], scores, -1.0).argmax(axis=1)
    return np.where(best > 0, winners, OTHER)


def describe_choices(
    scores: Scores, chosen: Integers, labels: Sequence[LabelOfInterest], other_label: str
) -> list[Decision]:
    """Return the name of each cell's label, and the score behind it: for OTHER, the highest one of any label.

    Shape: `(cells, labels)`, and `(cells,)` for what `choose_labels` returned.
    """
    behind = np.where(chosen == OTHER, scores.max(axis=1), scores[np.arange(len(chosen)), chosen])
    names = [*(label.name for label in labels), other_label]  # OTHER is the last
    return [Decision(names[at], score) for at, score in zip(chosen.tolist(), behind.tolist(), strict=True)]


def decide_cells(
    scores: Scores, heard: Bools, labels: Sequence[LabelOfInterest], other_label: str, hysteresis: float = 1.0
) -> list[Decision]:
    """Choose one label per cell; see `choose_labels` for what wins, and `describe_choices` for the score."""
    return describe_choices(scores, choose_labels(scores, heard, labels, hysteresis), labels, other_label)


def decide_windows(scores: Scores, labels: Sequence[LabelOfInterest], other_label: str) -> list[str]:
    """Return the label of each window, decided independently. None of the windows may be silent."""
    decided = decide_cells(scores, np.ones(len(scores), dtype=bool), labels, other_label)
    return [one.label for one in decided]


def compute_margins(
    scores: Scores, given: Sequence[str], labels: Sequence[LabelOfInterest], hysteresis: float = 1.0
) -> Scores:
    """Return how far each row of scores is from giving a label other than the `given` one.

    This is the smallest change of a single score that drops the given label below its threshold, or lifts a rival (a
    label with another name) to both its threshold and the given label's score. It is negative if the scores favor
    another label already, and 1 without labels of interest. With `hysteresis`, the given label counts as kept down to
    that share of its threshold; below the threshold, a rival only has to reach its own.
    Shape: `(cells, labels)` and `(cells,)` in, `(cells,)` out.
    """
    thresholds = np.array([label.threshold for label in labels])
    is_own = np.array([[label.name == name for label in labels] for name in given]).reshape(scores.shape)
    is_ahead = is_own if hysteresis == 1 else is_own & (scores >= thresholds)
    winners = np.where(is_ahead, scores, 0.0).max(axis=1, initial=0.0)
    to_rivals = np.where(is_own, 1.0, np.maximum(thresholds, winners[:, None]) - scores)
    to_thresholds = np.where(is_own, scores - hysteresis * thresholds, -np.inf).max(axis=1, initial=-np.inf)
    to_thresholds[~is_own.any(axis=1)] = 1.0
    return np.asarray(np.minimum(to_thresholds, to_rivals.min(axis=1, initial=1.0)))


def smooth_cells(scores: Scores, heard: Bools, cells: Sequence[Cell], median: int) -> Scores:
    """Return the scores of cells after the median filter over `median` values; those of silent cells don't change.

    Shape: `(windows, labels)`, and `(cells,)` for `heard`, in; `(cells, labels)` out.
    """
    return smooth_means(score_cells(scores, cells), heard[:, None], cells, median)


def smooth_means(means: Scores, heard: Bools, cells: Sequence[Cell], median: int) -> Scores:
    """Return the scores of cells after the median filter, as `smooth_cells` does, from what `score_cells` returned.

    Each column is filtered by itself. Shape: `(cells, n)`, and `(cells, n)` or `(cells, 1)` for `heard`, in;
    `(cells, n)` out.
    """
    filtered = filter_median(means, cells, median)
    return means if filtered is means else np.where(heard, filtered, means)


def count_values(ms: int, value_rate_hz: Fraction) -> int:
    """Return the number of values in a time in milliseconds."""
    return round_half_up(ms * value_rate_hz / 1000) if ms else 0


def label_recording(
    recording_id: int, name: str, value_rate_hz: Fraction, layout: Layout, chunk_counts: Sequence[int],
    scores: Scores, settings: DecisionSettings, mode: str = EXACT,
) -> LabeledRecording:  # fmt: skip
    """Decide the segments of a recording from the scores of its windows, shape `(windows, labels)`.

    Silent windows have no chunks. They count with a score of 0 in the mean of cells that other windows cover too; cells
    covered only by silent windows are silent.
    """
    heard = np.array(chunk_counts) > 0
    cells_heard = find_heard_cells(heard, layout.cells)
    smooth = smooth_cells(scores, cells_heard, layout.cells, count_values(settings.median_ms, value_rate_hz))
    decisions = decide_cells(smooth, cells_heard, settings.labels, settings.other_label, settings.hysteresis)
    segments = join_cells(layout.cells, decisions, value_rate_hz, settings)
    seconds = float(layout.values / value_rate_hz)
    return LabeledRecording(recording_id, name, layout.values, seconds, segments, len(heard), mode)


def join_cells(
    cells: Sequence[Cell], decisions: Sequence[Decision], value_rate_hz: Fraction, settings: DecisionSettings
) -> tuple[Segment, ...]:
    """Return the segments of cells with these `decisions`, as `settings` merges them; see `build_segments`."""
    return build_segments(
        cells,
        decisions,
        settings.merge,
        count_values(settings.min_segment_ms, value_rate_hz),
        other_label=settings.other_label,
        min_event=count_values(settings.min_event_ms, value_rate_hz),
        min_gap=count_values(settings.min_gap_ms, value_rate_hz),
    )


def is_silent(levels_dbfs: npt.ArrayLike, settings: DecisionSettings) -> Bools:
    """Return True for windows whose RMS level makes them silent. Shape: `(…)` in and out.

    Pass levels as float32, as they are stored, so that relabeling gives the same result.
    """
    limit_dbfs = -math.inf if settings.silence_dbfs is None else settings.silence_dbfs
    return np.asarray(np.asarray(levels_dbfs, np.float64) < limit_dbfs)


def find_heard_cells(heard: Bools, cells: Sequence[Cell]) -> Bools:
    """Return True for cells that any `heard` (not silent) window covers. Shape: `(windows,)` in, `(cells,)` out."""
    return np.array([heard[cell.windows.start : cell.windows.stop].any() for cell in cells])
