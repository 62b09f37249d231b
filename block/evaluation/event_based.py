"""Compare when labels begin and end with when annotated events do: event by event, and second by second.

Events are counted as sed_eval does with `event_matching_type="optimal"`: Mesaros, Heittola, Virtanen, Metrics for
Polyphonic Sound Event Detection, Applied Sciences 6(6):162, 2016. A predicted event is correct if it can be matched
with an annotated event of its label whose start and end are within the collars. Each event is matched at most once,
and as many are matched as possible.

Times are compared as they are, without a tolerance for rounding, like sed_eval. Events aren't cut at the ends of the
recording, except for seconds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from block.evaluation.bootstrap import Bools, Floats
from block.evaluation.rates import LabelCounts
from block.evaluation.segment_based import Event

Integers = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Collars:
    """How far a correct event may begin and end from the annotated one, in seconds.

    It begins within `seconds`, and ends within `seconds` or `share` of the annotated event's length, whichever is more.
    """

    seconds: float = 0.2
    share: float = 0.2


COLLARS = Collars()


@dataclass(frozen=True, eq=False)
class Spans:
    """Events of one label in order of their starts. Shape of both: `(events,)`, in seconds."""

    starts: Floats
    ends: Floats

    def __len__(self) -> int:
        return len(self.starts)


def sort_events(events: Iterable[Event]) -> Spans:
    """Return the times of events, whatever their labels, by start and then by end."""
    times = np.array(sorted((event.start_s, event.end_s) for event in events), np.float64).reshape(-1, 2)
    return Spans(times[:, 0], times[:, 1])


def group_by_label(events: Iterable[Event]) -> dict[int, Spans]:
    """Return the events of each label that has any."""
    groups: defaultdict[int, list[Event]] = defaultdict(list)
    for event in events:
        groups[event.label].append(event)
    return {label: sort_events(group) for label, group in groups.items()}


def match_events(annotated: Spans, predicted: Spans, collars: Collars = COLLARS) -> list[tuple[int, int]]:
    """Match as many events of one label as possible, each at most once. Return the pairs, as positions in the two."""
    return _match_most(list(_list_candidates(annotated, predicted, collars)))


def _list_candidates(annotated: Spans, predicted: Spans, collars: Collars) -> Iterator[list[int]]:
    """Yield the predicted events within the collars of each annotated event."""
    # The bounds of the search are a little wide, because rounding makes them unlike the exact comparison below.
    reach = collars.seconds * (1 + 1e-9) + 1e-9
    firsts = np.searchsorted(predicted.starts, annotated.starts - reach, "left")
    lasts = np.searchsorted(predicted.starts, annotated.starts + reach, "right")
    for start, end, first, last in zip(annotated.starts, annotated.ends, firsts, lasts, strict=True):
        begins = np.abs(start - predicted.starts[first:last]) <= collars.seconds
        limit = max(collars.seconds, collars.share * (end - start))
        ends = np.abs(end - predicted.ends[first:last]) <= limit
        yield (np.flatnonzero(begins & ends) + first).tolist()


def _match_most(candidates: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Return a maximum matching of rows with their candidate columns, found by augmenting paths (Berge, 1957)."""
    owners: dict[int, int] = {}  # row of each matched column
    columns: dict[int, int] = {}  # column of each matched row
    exhausted: set[int] = set()  # columns from which no free column can be reached, now or later
    for root in range(len(candidates)):
        reached_from: dict[int, int] = {}
        rows, free = [root], None
        for row in rows:
            for column in candidates[row]:
                if column not in reached_from and column not in exhausted:
                    reached_from[column] = row
                    if column not in owners:
                        free = column
                        break
                    rows.append(owners[column])
            if free is not None:
                break
        else:
            exhausted.update(reached_from)
        while free is not None:
            row = reached_from[free]
            before = columns.get(row)
            owners[free], columns[row] = row, free
            free = before
    return sorted(columns.items())


def pair_events(annotated: Spans, predicted: Spans) -> list[tuple[int, int]]:
    """Pair events of one label that are each other's best overlap, however far apart their starts and ends are.

    The best overlap of an event is the one with the most intersection over union; the earliest of equals. An annotated
    event without a pair was missed, or shares a predicted event that fits another one better. Events without a length
    overlap nothing.
    """
    best = np.full(len(annotated), -1, np.intp)
    best_of_predicted = np.full(len(predicted), -1, np.intp)
    most = np.zeros(len(predicted))
    # Events may overlap each other, so their ends need not be in order: search among the latest ends so far.
    firsts = np.searchsorted(np.maximum.accumulate(predicted.ends), annotated.starts, "right")
    lasts = np.searchsorted(predicted.starts, annotated.ends, "left")
    for at, (start, end, first, last) in enumerate(zip(annotated.starts, annotated.ends, firsts, lasts, strict=True)):
        if first >= last:
            continue
        starts, ends = predicted.starts[first:last], predicted.ends[first:last]
        shared = np.clip(np.minimum(end, ends) - np.maximum(start, starts), 0, None)
        overlap = shared / np.maximum(end - start + ends - starts - shared, np.finfo(np.float64).tiny)
        if overlap.max() > 0:
            best[at] = first + overlap.argmax()
        is_better = overlap > most[first:last]
        most[first:last][is_better] = overlap[is_better]
        best_of_predicted[first:last][is_better] = at
    return [(at, int(other)) for at, other in enumerate(best) if other >= 0 and best_of_predicted[other] == at]


def measure_union(spans: Spans, seconds: float) -> float:
    """Return for how many of a recording's `seconds` any of the events is active."""
    starts, ends = np.clip(spans.starts, 0, seconds), np.clip(spans.ends, 0, seconds)
    if not len(spans):
        return 0.0
    covered = np.concatenate(([0.0], np.maximum.accumulate(ends)[:-1]))
    return float(np.clip(ends - np.maximum(starts, covered), 0, None).sum())


def measure_covered(spans: Spans, times_s: Floats) -> Floats:
    """Return for how many seconds any of the events is active before each of the times."""
    reach = np.maximum.accumulate(spans.ends)
    starts = np.maximum(spans.starts, np.concatenate(([-np.inf], reach[:-1])))
    lengths = np.clip(spans.ends - starts, 0, None)
    is_new = lengths > 0  # an event within earlier ones adds nothing
    borders = np.stack((starts[is_new], spans.ends[is_new]), axis=1).ravel()
    before = np.concatenate(([0.0], np.cumsum(lengths[is_new])))
    covered = np.stack((before[:-1], before[1:]), axis=1).ravel()
    return np.asarray(np.interp(times_s, borders, covered)) if len(borders) else np.zeros(len(times_s))


@dataclass(frozen=True, eq=False)
class BorderErrors:
    """How far the borders of events are off, predicted minus annotated: one entry for each pair of `pair_events`.

    Shape of each: `(pairs,)`. `clips` and `labels` say where the pair is; errors are in seconds, below 0 if early.
    """

    clips: Integers
    labels: Integers
    onsets_s: Floats
    offsets_s: Floats


@dataclass(frozen=True, eq=False)
class EventCounts:
    """What each clip adds. `events` counts events; `seconds`, the time for which labels are active.

    `errors` are those of borders. `right_s`, shape `(clips,)`, is the time with the right label: one that is annotated
    then, or none while none is annotated. `judged_s`, same shape, is the time that can be right or wrong: all but the
    time in which a label is predicted that isn't judged while none is annotated.
    """

    events: LabelCounts
    seconds: LabelCounts
    errors: BorderErrors
    right_s: Floats
    judged_s: Floats


def count_events(
    annotated: Sequence[Iterable[Event]],
    predicted: Sequence[Iterable[Event]],
    seconds: Sequence[float],
    is_judged: Bools,
    collars: Collars = COLLARS,
) -> EventCounts:
    """Compare the annotated and predicted events of each clip, which is so many `seconds` long.

    `is_judged`, shape `(labels,)`, is False for labels whose absence is not known. Predicted events must not overlap
    for `right_s` to be true: only one label at a time can be right or wrong.
    """
    shape = (len(seconds), len(is_judged))
    events = LabelCounts(*(np.zeros(shape) for _ in range(3)))
    times = LabelCounts(*(np.zeros(shape) for _ in range(3)))
    right_s, judged_s = np.zeros(len(seconds)), np.zeros(len(seconds))
    errors: list[tuple[int, int, float, float]] = []
    none = sort_events(())
    for clip, (*both, length) in enumerate(zip(annotated, predicted, seconds, strict=True)):
        truth, found = ([event for event in side if event.start_s < length] for side in both)
        true_spans, found_spans = group_by_label(truth), group_by_label(found)
        for label in sorted(true_spans.keys() | found_spans.keys()):
            one, other = true_spans.get(label, none), found_spans.get(label, none)
            events.annotated[clip, label], events.predicted[clip, label] = len(one), len(other)
            events.correct[clip, label] = len(match_events(one, other, collars))
            for at, to in pair_events(one, other):
                errors.append((clip, label, other.starts[to] - one.starts[at], other.ends[to] - one.ends[at]))
            one_s, other_s = measure_union(one, length), measure_union(other, length)
            times.annotated[clip, label], times.predicted[clip, label] = one_s, other_s
            times.correct[clip, label] = max(0.0, one_s + other_s - measure_union(_join(one, other), length))
        active_s = measure_union(sort_events(truth), length)
        unjudged = [event for event in found if not is_judged[event.label]]
        judged_s[clip] = length - max(0.0, measure_union(sort_events([*truth, *unjudged]), length) - active_s)
        right_s[clip] = times.correct[clip].sum() + length - measure_union(sort_events([*truth, *found]), length)
    clips, labels, onsets, offsets = np.array(errors, np.float64).reshape(-1, 4).T
    return EventCounts(
        events, times, BorderErrors(clips.astype(np.intp), labels.astype(np.intp), onsets, offsets), right_s, judged_s
    )


def _join(one: Spans, other: Spans) -> Spans:
    starts, ends = np.concatenate((one.starts, other.starts)), np.concatenate((one.ends, other.ends))
    order = np.lexsort((ends, starts))
    return Spans(starts[order], ends[order])
