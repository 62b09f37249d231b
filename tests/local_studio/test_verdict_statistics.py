"""What verdicts say of segments: which are confirmed, how precise a label is, and which threshold fits."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from block.evaluation.bootstrap import Floats
from block.evaluation.thresholds import Goal
from block.formatting import count
from block.local_studio.data.project import LocalProject
from block.local_studio.data.sample import Proposal, ProposedChanges, StructuredLabel
from block.local_studio.data.verdict_statistics import (
    CellScores,
    Judgment,
    average_spans,
    describe_labels,
    drop_replaced,
    fit_thresholds,
    judge_segments,
)
from block.local_studio.data.verdicts import (
    ACCEPTED,
    ACCEPTED_WHOLE,
    IN_BULK,
    LABELED,
    MOVED,
    NO_JOB,
    REJECTED,
    BorderMove,
    Verdict,
    VerdictStore,
)
from block.recording import Segment
from tests.local_studio.conftest import add_recording

JOB = 7
F1 = Goal("f1")
SEGMENTS = [Segment(0, 40, "dog", 0.9), Segment(40, 80, "cat", 0.6), Segment(80, 100, "other", 0.1)]


def verdict(start: int, end: int, label: str, was: str = "dog", kind: str = LABELED, sample: int = 1) -> Verdict:
    return Verdict(JOB, sample, start, end, label, was, kind)


def judge(*verdicts: Verdict) -> list[Judgment]:
    return judge_segments({1: SEGMENTS}, drop_replaced(verdicts))


def test_a_verdict_confirms_or_rejects_the_segment_that_it_is_about():
    found = judge(verdict(0, 40, "dog"), verdict(40, 80, "dog", "cat"), verdict(80, 100, "other", "other"))
    assert [(one.segment.label, one.segment.score, one.given, one.is_confirmed) for one in found] == [
        ("dog", 0.9, "dog", True),
        ("cat", 0.6, "dog", False),
        ("other", 0.1, "other", True),
    ]


def test_the_newest_verdict_on_a_place_counts_once():
    assert judge(verdict(0, 40, "noise"), verdict(0, 40, "dog", "noise")) == judge(verdict(0, 40, "dog"))
    # Borders moved, then another label: the earlier verdict is replaced; a neighbor that gave up a little is not.
    moved = [verdict(0, 40, "dog"), verdict(0, 35, "dog", kind=MOVED), verdict(35, 80, "cat", "cat", MOVED)]
    assert [(one.segment.start, one.given) for one in judge(*moved)] == [(0, "dog"), (35, "cat")]


def test_moved_borders_confirm_the_label_with_the_score_of_the_segment():
    (found,) = judge(verdict(10, 48, "dog", kind=MOVED))
    assert found.is_confirmed
    assert found.segment.score == 0.9


def test_with_another_threshold_a_verdict_is_about_what_is_there_now():
    halves = {1: [Segment(0, 10, "dog", 0.95), Segment(10, 30, "other", 0.2), Segment(30, 40, "dog", 0.75)]}
    (found,) = judge_segments(halves, [verdict(0, 40, "dog")])
    assert (found.segment.label, found.is_confirmed) == ("dog", True)
    assert found.segment.score == pytest.approx(0.85)
    longer = {1: [Segment(0, 100, "dog", 0.5)]}
    assert [one.given for one in judge_segments(longer, [verdict(0, 40, "dog"), verdict(40, 80, "cat")])] == [
        "dog",
        "cat",
    ]
    assert judge_segments({2: SEGMENTS}, [verdict(0, 40, "dog")]) == []


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(1, 60), st.sampled_from(["dog", "cat"])), max_size=12))
def test_there_is_at_most_one_judgment_per_verdict_with_a_score_of_its_label(drawn: list[tuple[int, int, str]]):
    verdicts = drop_replaced([verdict(start, min(100, start + length), label) for start, length, label in drawn])
    found = judge_segments({1: SEGMENTS}, verdicts)
    assert len(found) <= len(verdicts)
    scores = {one.label: one.score for one in SEGMENTS}
    assert all(one.segment.score == pytest.approx(scores[one.segment.label]) for one in found)


def test_statistics_say_what_rejected_segments_are_instead():
    segments = {at: [Segment(0, 40, "dog", 0.5 + at / 100)] for at in range(30)}
    verdicts = [verdict(0, 40, "dog", sample=at) for at in range(20)]
    verdicts += [verdict(0, 40, "cat" if at % 2 else "noise", sample=at) for at in range(20, 24)]
    found = describe_labels(["dog", "cat"], segments, verdicts)
    assert (found["dog"].confirmed, found["dog"].rejected) == (20, Counter({"cat": 2, "noise": 2}))
    assert len(found["dog"].segments) == 30
    assert found["dog"].precision.unjudged == pytest.approx(0.2)
    assert (found["cat"].confirmed, found["cat"].precision.is_enough) == (0, False)


def test_only_verdicts_on_what_was_heard_count_and_only_while_they_stand(project: LocalProject):
    store = VerdictStore(project.store)
    ids = [add_recording(project) for _ in range(4)]
    labels = (StructuredLabel(0, 49, "dog"), StructuredLabel(50, 99, "cat"))
    for one in ids:
        project.store.propose(Proposal(JOB, one, ProposedChanges(structured_labels=labels)))
    store.decide([Verdict(JOB, ids[0], 0, 100, "", "", IN_BULK)])
    sample = project.sample(ids[1])
    store.decide_whole(ACCEPTED_WHOLE, JOB, sample, lambda: project.store.accept(JOB, ids[1], sample.revision))
    assert store.list_heard(JOB) == []
    heard = [
        Verdict(JOB, ids[2], 0, 50, "noise", "dog", REJECTED),
        Verdict(JOB, ids[2], 50, 100, "cat", "cat", ACCEPTED),
    ]
    for one in heard:
        store.decide([one])
    store.decide([Verdict(JOB, ids[3], 0, 50, "dog", "dog", ACCEPTED)])
    store.undo(JOB)
    assert store.list_heard(JOB) == store.list_heard(JOB + 1) == heard
    # What is settled can't be undone, and says something only of the job that it was about.
    store.decide([Verdict(JOB, ids[3], 0, 40, "dog", "dog", MOVED)], BorderMove(0, 50, "noise"))
    project.store.accept(JOB, ids[3])
    assert len(store.list_heard(JOB)) == 3
    assert store.list_heard(NO_JOB) == heard


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.integers(0, 79), st.integers(1, 80))
def test_scores_over_a_span_are_weighted_by_time(scores: list[float], start: int, length: int):
    ends = 10 * np.arange(1, len(scores) + 1)
    cells = {7: CellScores(ends - 10, ends, np.array(scores)[:, None])}
    ((found,),) = average_spans(cells, [(7, start, start + length)], 1)
    values = np.repeat(scores, 10)[start : start + length]
    assert found == pytest.approx(values.mean() if len(values) else 0)


def draw(number: int) -> tuple[Floats, list[str]]:
    """Return scores of two labels on `number` segments, and what is heard there: a dog from 0.6 on, never a cat."""
    scores = np.random.default_rng(1).uniform(0, 1, (number, 2))
    return scores, ["dog" if one > 0.6 else "noise" for one in scores[:, 0]]


def test_thresholds_are_fitted_to_verdicts():
    scores, truth = draw(400)
    dog, cat = fit_thresholds(["dog", "cat"], truth[:80], scores[:80], scores, F1)
    assert dog.threshold == pytest.approx(0.6, abs=0.05)
    assert dog.expected is not None
    assert dog.expected.f1.value > 0.9
    assert (cat.threshold, cat.reason) == (None, "0 verdicts with it; at least 10 are needed")


def test_too_few_verdicts_fit_nothing_and_the_reason_has_the_numbers():
    scores, truth = draw(40)
    few, nothing = (fit_thresholds(["dog"], truth[:n], scores[:n, :1], scores[:, :1], F1)[0] for n in (12, 0))
    assert few.threshold is None
    assert few.reason == f"{count(truth[:12].count('dog'), 'verdict')} with it; at least 10 are needed"
    assert nothing.reason == "0 verdicts with it; at least 10 are needed"


def test_a_wanted_precision_gives_a_higher_threshold_than_the_best_f1():
    random = np.random.default_rng(5)
    scores = random.uniform(0, 1, (600, 1))
    truth = ["dog" if random.random() < score else "noise" for score in scores[:, 0]]
    by_f1, by_precision = (
        fit_thresholds(["dog"], truth, scores, scores, goal)[0].threshold for goal in (F1, Goal("precision", 0.85))
    )
    assert by_f1 is not None
    assert by_precision is not None
    assert by_precision > by_f1
