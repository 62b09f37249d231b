"""Compare the labels of a job with those that other settings give, from its kept scores."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from block.local_studio.jobs.kept_scores import JobScores, KeptScores
from block.local_studio.jobs.store import StudioJob
from block.recording import Segment
from block.score_store.collection import ScoredCollection
from block.score_store.relabel import WindowScores
from block.settings import DecisionSettings, SettingsError, WindowSettings

MOST_DECIDERS = 4  # whose scores stay in memory
Segments = tuple[Segment, ...]


@dataclass(frozen=True)
class LabelTotal:
    """How long a label is given, in seconds, and in how many segments."""

    seconds: float = 0.0
    segments: int = 0


@dataclass(frozen=True)
class Flip:
    """The values `start` … `end` - 1 of a sample have the label `was`, and would get `label`, with this score."""

    sample_id: int
    start: int
    end: int
    was: str
    label: str
    score: float


@dataclass(frozen=True)
class LabelComparison:
    """The labels of a job, and those that other settings give.

    `before` and `after` have the total of each label. `segments` are the new ones of the samples that change, by id;
    `flips` are in the order of samples and time. `samples` were compared, and for `missing` there are no scores.
    """

    before: Mapping[str, LabelTotal]
    after: Mapping[str, LabelTotal]
    segments: Mapping[int, Segments]
    flips: Sequence[Flip]
    samples: Sequence[int]
    missing: Sequence[int]


class _Totals:
    """Values and segments of labels, which can be added and taken away; values count per rate, so sums are exact."""

    def __init__(self) -> None:
        self._values: dict[Fraction, Counter[str]] = {}
        self._segments: Counter[str] = Counter()

    def copy(self) -> _Totals:
        copied = _Totals()
        copied._values = {rate_hz: values.copy() for rate_hz, values in self._values.items()}
        copied._segments = self._segments.copy()
        return copied

    def add(self, segments: Segments, rate_hz: Fraction, sign: int = 1) -> None:
        values = self._values.setdefault(rate_hz, Counter())
        for one in segments:
            values[one.label] += sign * one.length
            self._segments[one.label] += sign

    def sum_up(self) -> dict[str, LabelTotal]:
        seconds: dict[str, Fraction] = {}
        for rate_hz, values in self._values.items():
            for label, number in values.items():
                seconds[label] = seconds.get(label, Fraction(0)) + number / rate_hz
        return {label: LabelTotal(float(one), self._segments[label]) for label, one in seconds.items()}


class JobDecider:
    """Decides the labels of a job on `sample_ids` with other settings, or from scores of other windows.

    `own` are the scores that the job decided from, `scores` those to decide from now. Thread-safe.
    """

    def __init__(self, sample_ids: Sequence[int], own: JobScores, scores: JobScores) -> None:
        self.own, self.scores = own, scores
        before = _load(own)
        after = before if scores is own else _load(scores)
        self._samples = [sample_id for sample_id in sample_ids if sample_id in before and sample_id in after]
        self._missing = [sample_id for sample_id in sample_ids if sample_id not in before or sample_id not in after]
        self._rates = [before[one].value_rate_hz for one in self._samples]
        decided = ScoredCollection([before[one] for one in self._samples])
        self._before = decided.decide(own.record.decisions)
        self._collection = decided if scores is own else ScoredCollection([after[one] for one in self._samples])
        self._totals = _Totals()
        for segments, rate_hz in zip(self._before, self._rates, strict=True):
            self._totals.add(segments, rate_hz)

    @property
    def recordings(self) -> Mapping[int, WindowScores]:
        """The scores of each sample, by id."""
        return dict(zip(self._samples, self._collection.recordings, strict=True))

    def decide(self, settings: DecisionSettings) -> Mapping[int, Segments]:
        """Return the segments that `settings` give to each sample, by id."""
        return dict(zip(self._samples, self._collection.decide(settings), strict=True))

    def compare(self, settings: DecisionSettings) -> LabelComparison:
        """Return what `settings` would change; see `ScoredCollection.decide` for what they may differ in."""
        totals, changed, flips = self._totals.copy(), dict[int, Segments](), list[Flip]()
        new = self._collection.decide(settings)
        for sample_id, before, after, rate_hz in zip(self._samples, self._before, new, self._rates, strict=True):
            if before is after or before == after:
                continue
            changed[sample_id] = after
            totals.add(before, rate_hz, -1)
            totals.add(after, rate_hz)
            flips += find_flips(sample_id, before, after)
        return LabelComparison(self._totals.sum_up(), totals.sum_up(), changed, flips, self._samples, self._missing)


class JobDeciders:
    """The deciders of the jobs that were looked at last. Thread-safe."""

    def __init__(self, scores: KeptScores) -> None:
        self._scores = scores
        self._known: dict[tuple[int, WindowSettings], JobDecider] = {}
        self._lock = threading.Lock()

    def get(self, job: StudioJob, windows: WindowSettings) -> JobDecider:
        """Return the decider for a job and the scores of these windows. Raise ScoresGone."""
        own = self._scores.find(job)
        scores = own if windows == own.record.key.windows else self._scores.find(job, windows)
        with self._lock:
            known = self._known.pop((job.id, windows), None)
            if known is None or (known.own, known.scores) != (own, scores):
                known = JobDecider(job.sample_ids, own, scores)
            self._known[job.id, windows] = known  # the last one used
            while len(self._known) > MOST_DECIDERS:
                self._known.pop(next(iter(self._known)))
        return known


def find_flips(sample_id: int, before: Segments, after: Segments) -> Iterator[Flip]:
    """Yield the spans that have another label in `after` than in `before`, in order; both tile the same values."""
    pending: Flip | None = None
    at = 0
    for segment in after:
        while at < len(before) and before[at].start < segment.end:
            old = before[at]
            start, end = max(old.start, segment.start), min(old.end, segment.end)
            if old.label != segment.label:
                flip = Flip(sample_id, start, end, old.label, segment.label, segment.score)
                if pending is not None and (pending.end, pending.was, pending.label) == (start, flip.was, flip.label):
                    flip = Flip(sample_id, pending.start, end, flip.was, flip.label, max(pending.score, flip.score))
                elif pending is not None:
                    yield pending
                pending = flip
            if old.end > segment.end:
                break
            at += 1
    if pending is not None:
        yield pending


def _load(scores: JobScores) -> dict[int, WindowScores]:
    """Return the scores of each sample that has those of all windows that the job's settings need."""
    found = {}
    windows, decisions = scores.record.key.windows, scores.record.decisions
    for sample_id, scored in scores.load():
        try:
            found[sample_id] = WindowScores.of(scored, windows, decisions)
        except (SettingsError, ValueError):
            continue  # scores of a run that skipped other windows as silent, or of other audio
    return found
