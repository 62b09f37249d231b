"""Decide the labels of many recordings again and again, as fast as a slider moves.

The same functions decide as in `relabel`. They decide all recordings in one pass, because a silent cell between two
recordings keeps them apart; then only those are cut into segments again in which a cell has another label.
"""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from block.decisions import (
    Scores,
    choose_labels,
    count_values,
    describe_choices,
    find_heard_cells,
    join_cells,
    score_cells,
    smooth_means,
)
from block.recording import Segment
from block.score_store.relabel import WindowScores
from block.settings import DecisionSettings
from block.smoothing import Integers

Segments = tuple[Segment, ...]
MEDIANS_KEPT = 4  # for which all scores are in memory, the last ones used


@dataclass(frozen=True, eq=False)
class _Decided:
    """What was decided last: the label of each cell, and each recording's segments."""

    settings: DecisionSettings
    chosen: Integers
    segments: Sequence[Segments]


class ScoredCollection:
    """The scores of `recordings` for labels of interest, decided again with each call of `decide`. Thread-safe."""

    def __init__(self, recordings: Sequence[WindowScores]) -> None:
        self.recordings = recordings
        cells = [len(one.layout.cells) for one in recordings]
        # One row more for each recording: a silent cell after its last one.
        self._starts = np.concatenate([[0], np.cumsum(np.array(cells, np.intp) + 1)])
        self._owners = np.repeat(np.arange(len(recordings)), np.diff(self._starts))
        heard = [find_heard_cells(np.array(one.chunk_counts) > 0, one.layout.cells) for one in recordings]
        self._heard = np.concatenate([np.zeros(0, bool), *itertools.chain(*((one, [False]) for one in heard))])
        self._means = np.zeros((len(self._heard), recordings[0].scores.shape[1] if recordings else 0))
        alike: dict[tuple[int, Fraction], list[int]] = {}
        for at, one in enumerate(recordings):
            self._means[self._starts[at] : self._starts[at + 1] - 1] = score_cells(one.scores, one.layout.cells)
            alike.setdefault((id(one.layout), one.value_rate_hz), []).append(at)
        # Recordings with the same layout, which are filtered side by side.
        self._alike = list(alike.values())
        self._smooth = functools.lru_cache(MEDIANS_KEPT)(self._smooth_all)
        self._lock = threading.Lock()
        self._last: _Decided | None = None

    def decide(self, settings: DecisionSettings) -> Sequence[Segments]:
        """Return the segments of each recording. Those that stay the same objects have not changed since the last call.

        `settings` may differ from those that the scores were computed for in everything but the classes of its labels
        of interest, the score function and the silence.
        """
        if not self.recordings:
            return []
        with self._lock:
            scores, last = self._smooth(settings.median_ms) if settings.median_ms else self._means, self._last
            chosen = choose_labels(scores, self._heard, settings.labels, settings.hysteresis)
            if last is not None and _cut_alike(last.settings, settings):
                segments = list(last.segments)
                changed = np.unique(self._owners[chosen != last.chosen]).tolist()
            else:
                segments, changed = [()] * len(self.recordings), range(len(self.recordings))
            rows = np.isin(self._owners, changed) if len(changed) < len(self.recordings) else slice(None)
            decisions = iter(describe_choices(scores[rows], chosen[rows], settings.labels, settings.other_label))
            for at in changed:
                one = self.recordings[at]
                *mine, _ = itertools.islice(decisions, len(one.layout.cells) + 1)
                segments[at] = join_cells(one.layout.cells, mine, one.value_rate_hz, settings)
            self._last = _Decided(settings, chosen, segments)
            return segments

    def _smooth_all(self, median_ms: int) -> Scores:
        """Return the scores of all cells after a median filter; those of the silent rows between are 0."""
        found = self._means.copy()
        for members in self._alike:
            one = self.recordings[members[0]]
            median, cells = count_values(median_ms, one.value_rate_hz), one.layout.cells
            rows = self._starts[members] + np.arange(len(cells))[:, None]  # (cells, recordings)
            means, heard = self._means[rows], np.broadcast_to(self._heard[rows][..., None], self._means[rows].shape)
            wide = (len(cells), -1)
            smooth = smooth_means(means.reshape(wide), heard.reshape(wide), cells, median)
            found[rows] = smooth.reshape(means.shape)
        return found


def _cut_alike(before: DecisionSettings, after: DecisionSettings) -> bool:
    """Return True if the same choices give the same segments: all but thresholds and hysteresis are equal."""
    names = [[label.name for label in one.labels] for one in (before, after)]
    same = replace(before, labels=after.labels, hysteresis=after.hysteresis)
    return names[0] == names[1] and same == after
