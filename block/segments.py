"""Build segments from cells with labels, and give away those that are too short.

Pure functions: no torch and no audio.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from block.recording import Segment
from block.windows import Cell


@dataclass(frozen=True)
class Decision:
    """The label of one cell, and the score behind it, in 0…1."""

    label: str
    score: float


@dataclass(eq=False, repr=False, slots=True)
class _CellRun:
    """A run of neighboring cells that becomes a segment, in a linked list of runs.

    The segment's score is `weighted / weight`, the mean of its cells' scores weighted by length.
    """

    start: int
    end: int
    label: str
    weighted: float
    weight: int
    previous: _CellRun | None = None
    next: _CellRun | None = None
    is_absorbed: bool = False

    @property
    def length(self) -> int:
        return self.end - self.start

    def absorb(self, neighbor: _CellRun) -> None:
        """Add the span of `neighbor`, and take it out of the list."""
        self.start, self.end = min(self.start, neighbor.start), max(self.end, neighbor.end)
        if neighbor is self.next:
            self.next = neighbor.next
        else:
            self.previous = neighbor.previous
        if self.next is not None:
            self.next.previous = self
        if self.previous is not None:
            self.previous.next = self
        neighbor.is_absorbed = True


def build_segments(
    cells: Sequence[Cell],
    decisions: Sequence[Decision],
    merge: bool,
    min_length: int,
    *,
    other_label: str = "",
    min_event: int = 0,
    min_gap: int = 0,
) -> tuple[Segment, ...]:
    """Return segments that tile the same span as `cells`, in order.

    With `merge`, neighboring cells with the same label become one segment. Then, in this order:

    - A segment of `other_label` that is shorter than `min_gap` values and lies between two segments of one label gets
      that label.
    - A segment of any other label that is shorter than `min_event` values gets `other_label`, unless it fills the
      recording. Gaps that become short enough in this way are closed, too.
    - Each segment shorter than `min_length` values, shortest first, joins its longer neighbor (the earlier one of
      equals), which keeps its label and score.
    """
    runs: list[_CellRun] = []
    for cell, decision in zip(cells, decisions, strict=True):
        if merge and runs and runs[-1].label == decision.label:
            runs[-1].end = cell.end
            runs[-1].weighted += decision.score * cell.length
            runs[-1].weight += cell.length
        else:
            runs.append(_CellRun(cell.start, cell.end, decision.label, decision.score * cell.length, cell.length))
    if merge and min_gap > 0:
        runs = _close_gaps(runs, other_label, min_gap)
    if merge and min_event > 0 and len(runs) > 1:
        for run in runs:
            if run.length < min_event:
                run.label = other_label
        runs = _close_gaps(runs, other_label, min_gap)
    if merge and min_length > 0:
        _give_away_short_runs(runs, min_length)
    remaining = [run for run in runs if not run.is_absorbed]
    return tuple(Segment(run.start, run.end, run.label, run.weighted / run.weight) for run in remaining)


def _close_gaps(runs: Sequence[_CellRun], other_label: str, min_gap: int) -> list[_CellRun]:
    """Return `runs` without gaps shorter than `min_gap`, and with neighbors of one label merged.

    The score of a closed gap doesn't count, because it isn't one of the label around it.
    """
    joined: list[_CellRun] = []
    for run in runs:
        is_closed = (
            len(joined) > 1
            and joined[-1].label == other_label
            and joined[-1].length < min_gap
            and joined[-2].label == run.label
        )
        if is_closed:
            joined.pop()
        if joined and joined[-1].label == run.label:
            joined[-1].end = run.end
            joined[-1].weighted += run.weighted
            joined[-1].weight += run.weight
        else:
            joined.append(run)
    return joined


def _give_away_short_runs(runs: list[_CellRun], min_length: int) -> None:
    """Let longer neighbors absorb the runs below `min_length`, shortest first, until none is left or only one run."""
    for left, right in itertools.pairwise(runs):
        left.next, right.previous = right, left
    # No two entries have the same length and start, so the heap never compares runs.
    queue = [(run.length, run.start, run) for run in runs if run.length < min_length]
    heapq.heapify(queue)
    while queue:
        length, _, short = heapq.heappop(queue)
        neighbors = [run for run in (short.previous, short.next) if run is not None]
        # A run that has grown still has an entry with its old length.
        if short.is_absorbed or short.length != length or not neighbors:
            continue
        longer = max(neighbors, key=lambda run: run.length)
        longer.absorb(short)
        # The short run's score was for another label, so it doesn't count. The runs on both sides of it may now be
        # neighbors with the same label.
        for neighbor in (longer.next, longer.previous):
            if neighbor is not None and neighbor.label == longer.label:
                longer.weighted += neighbor.weighted
                longer.weight += neighbor.weight
                longer.absorb(neighbor)
        if longer.length < min_length:
            heapq.heappush(queue, (longer.length, longer.start, longer))
