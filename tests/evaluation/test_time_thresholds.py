"""Thresholds for strong labels: every second counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from block.evaluation.bootstrap import Resamples
from block.evaluation.evaluation import evaluate_labels, fit_thresholds
from block.evaluation.event_based import measure_covered, measure_union, sort_events
from block.evaluation.predictions import Clip, predict
from block.evaluation.segment_based import Event
from block.evaluation.thresholds import Goal
from block.evaluation.time_thresholds import CellTimes, _choose, count_times, gather_cell_times
from block.settings import WindowSettings
from tests.conftest import NAMES
from tests.evaluation.synthetic import make_clip, make_settings, make_truth

pytest.importorskip("sklearn")

DECISIONS = make_settings("Speech, Dog")
DOG = NAMES.index("Dog")


def clip_of(values: list[float], seconds: float) -> Clip:
    """Return a clip with windows of 1 s in which the logit of Dog has these values."""
    logits = np.full((len(values), len(NAMES)), -6.0)
    logits[:, DOG] = values
    return make_clip(logits, seconds, WindowSettings(1000, 1000))


def test_covered_time_equals_that_of_the_union_up_to_each_time() -> None:
    rng = np.random.default_rng(6)
    for _ in range(100):
        starts = rng.uniform(0, 8, int(rng.integers(0, 9))).round(1)
        spans = sort_events(Event(0, float(start), float(start + rng.uniform(0, 3))) for start in starts)
        times = np.sort(rng.uniform(0, 12, 20))
        assert measure_covered(spans, times) == pytest.approx([measure_union(spans, time) for time in times])


def test_cells_have_the_time_for_which_a_label_is_annotated() -> None:
    clips = [clip_of([2, -2, 2], 3.0), clip_of([2, 2], 2.0)]
    clips[1] = replace(clips[1], chunk_counts=(1, 0), logits=clips[1].logits[:1])
    truth = make_truth([("a", 0.25, 1.5, "Dog"), ("a", 0.5, 1.25, "Dog"), ("b", 1.0, 9.0, "Dog")], DECISIONS)
    found = gather_cell_times([predict(one, DECISIONS) for one in clips], truth)
    assert found.clips.tolist() == [0, 0, 0, 1, 1]
    assert found.seconds.tolist() == [1] * 5
    assert found.annotated_s[:, 1].tolist() == [0.75, 0.5, 0, 0, 1]
    assert found.is_heard.tolist() == [True] * 4 + [False]
    assert found.is_reached[:, 1].tolist() == [True, False, True, True, False]
    counts = count_times(found, found.is_reached, 2)
    assert counts.correct[:, 1].tolist() == [0.75, 0]
    assert counts.predicted[:, 1].tolist() == [2, 1]
    assert counts.annotated[:, 1].tolist() == [1.25, 1]


def test_the_best_threshold_equals_that_of_an_exhaustive_search_over_time() -> None:
    rng = np.random.default_rng(7)
    for _ in range(60):
        cells = int(rng.integers(3, 15))
        seconds = rng.uniform(0.1, 5, cells)
        annotated = seconds * rng.choice([0, 0, 0.3, 1], cells)
        annotated[0] = seconds[0]
        scores, heard = rng.random(cells).round(1), rng.random(cells) < 0.8
        heard[0] = True
        times = CellTimes(
            np.zeros(cells, np.intp), seconds, heard, scores[:, None], annotated[:, None], np.zeros((cells, 1), bool)
        )
        reached = []
        for threshold in np.unique(scores[heard]):
            kept = (scores >= threshold) & heard
            right, given = annotated[kept].sum(), seconds[kept].sum()
            reached.append((2 * right / (given + annotated.sum()), right / given, right))
        threshold = _choose(times, 0, np.ones(cells, bool), Goal("f1"))
        assert threshold is not None
        kept = (scores >= threshold) & heard
        f1 = 2 * annotated[kept].sum() / (seconds[kept].sum() + annotated.sum())
        assert f1 == pytest.approx(max(one for one, *_ in reached))
        threshold = _choose(times, 0, np.ones(cells, bool), Goal("precision", 0.7))
        possible = [right for _, precision, right in reached if precision >= 0.7 and right > 0]
        assert (threshold is None) == (not possible)
        if threshold is not None:
            kept = (scores >= threshold) & heard
            assert annotated[kept].sum() == pytest.approx(max(possible))


@pytest.mark.parametrize("clips", [12, 30])
def test_a_threshold_for_strong_labels_separates_seconds_not_clips(clips: int) -> None:
    """Every clip has the label, so that clips say nothing about a threshold, but its seconds do."""
    rng = np.random.default_rng(8)
    made = [clip_of([3 + rng.random(), -1 + rng.random(), -2, -1], 4.0) for _ in range(clips)]
    truth = make_truth([(f"{at}", 0.0, 1.0, "Dog") for at in range(clips)], DECISIONS)
    resamples = Resamples(clips, 100)
    result = evaluate_labels("", made, DECISIONS, truth, resamples, 1.0)
    speech, dog = fit_thresholds(result, truth, Goal("f1"), resamples)
    assert speech.fit.reason == "it is never annotated"
    assert dog.fit.threshold is not None
    assert 1 / (1 + np.exp(0)) < dog.fit.threshold < 1 / (1 + np.exp(-3))
    assert dog.fit.expected is not None
    assert dog.fit.expected.f1.value == dog.labeled.f1.value == dog.before.f1.value == 1
    few = make_truth([(f"{at}", 0.0, 1.0, "Dog" if at < 9 else "") for at in range(9)], DECISIONS)
    result = evaluate_labels("", made[:9], DECISIONS, few, Resamples(9, 100), 1.0)
    found = fit_thresholds(result, few, Goal("f1"), Resamples(9, 100))
    assert found[1].fit.reason == "9 clips with it; at least 10 are needed"
