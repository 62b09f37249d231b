"""What the page of thresholds says of each label."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from block.evaluation.bootstrap import Estimate
from block.evaluation.strata import JudgedPrecision
from block.evaluation.thresholds import Goal
from block.formatting import count
from block.local_studio.data.verdict_statistics import CellScores
from block.local_studio.data.verdicts import LABELED, Verdict, VerdictStore
from block.local_studio.jobs.comparison import JobDeciders
from block.local_studio.jobs.files import JobFiles
from block.local_studio.jobs.kept_scores import KeptScores, read_record
from block.local_studio.jobs.store import JobStore
from block.local_studio.web import label_overview
from block.local_studio.web.label_overview import (
    LabelOverview,
    count_scores,
    describe_precision,
    load_overviews,
    make_overviews,
)
from block.recording import Segment
from tests.local_studio.conftest import Studio, add_recordings, make_audio_bytes
from tests.local_studio.scored_job import VALUES, WINDOWS, keep_scores

F1 = Goal("f1")


def make(heard: int, threshold: float = 0.5, goal: Goal = F1) -> tuple[LabelOverview, LabelOverview]:
    """Return the overviews of dogs and cats in 200 recordings with a cell each: a dog is heard from 0.6 on."""
    scores = np.random.default_rng(2).uniform(0, 1, 200)
    cells = {
        at: CellScores(np.array([0]), np.array([100]), np.array([[one, 1 - one]])) for at, one in enumerate(scores)
    }
    segments = {
        at: [Segment(0, 100, "dog" if one >= threshold else "noise", float(one))] for at, one in enumerate(scores)
    }
    verdicts = [
        Verdict(1, at, 0, 100, "dog" if scores[at] >= 0.6 else "noise", segments[at][0].label, LABELED)
        for at in range(heard)
    ]
    dog, cat = make_overviews(1, [("dog", threshold), ("cat", 0.5)], segments, verdicts, cells, goal)
    return dog, cat


def test_an_overview_has_the_scores_the_verdicts_the_precision_and_the_fitted_threshold():
    dog, cat = make(100)
    assert sum(bar.cells for bar in dog.bars) == 200
    assert dog.statistics.confirmed + dog.statistics.rejected.total() > 40
    assert dog.rejected == f"{dog.statistics.rejected.total()} ({dog.statistics.rejected.total()} now noise)"
    assert len(dog.marks) == len(cat.marks) == 100  # also where the label isn't given, or no dog was found
    assert all(is_label == (score >= 0.6) for score, is_label in dog.marks)
    assert not any(is_label for _, is_label in cat.marks)
    precision = dog.statistics.precision.estimate
    truth = (np.random.default_rng(2).uniform(0, 1, 200) >= 0.6).sum() / len(dog.statistics.segments)
    assert precision.low <= truth <= precision.high
    assert dog.precision.endswith("verdicts")
    assert dog.fit.threshold == pytest.approx(0.6, abs=0.03)
    assert dog.fitted.startswith("for the best F1: expect precision 1.00, recall")
    assert (cat.precision, cat.rejected, cat.fitted) == (
        "no verdicts yet",
        "0",
        "none: 0 verdicts with it; at least 10 are needed",
    )


def test_precision_rises_with_the_threshold_that_the_verdicts_are_compared_with():
    low, high = make(200, 0.3)[0], make(200, 0.6)[0]
    assert low.statistics.precision.estimate.value < 0.7 < high.statistics.precision.estimate.value == 1


def test_the_text_of_the_chart_says_what_it_shows():
    dog, _ = make(9)
    given = sum(is_label for _, is_label in dog.marks)
    tenths = [sum(bar.cells for bar in dog.bars if at / 10 <= bar.low < (at + 1) / 10) for at in range(10)]
    assert dog.chart_text.startswith(f"Scores of 200 cells: {tenths[0]} from 0 to 0.1, {tenths[1]} from 0.1 to 0.2, ")
    assert dog.chart_text.endswith(
        f"{tenths[9]} from 0.9 to 1. {count(given, 'verdict')} with this label, {9 - given} with another."
    )


def test_bars_count_every_score_once_also_at_the_ends():
    bars = count_scores(np.array([0.0, 0.0, 0.024, 0.5, 1.0]))
    assert [(bar.low, bar.cells) for bar in bars if bar.cells] == [(0.0, 3), (0.5, 1), (0.975, 1)]
    assert max(bar.height for bar in bars) == 1
    assert {bar.height for bar in count_scores(np.zeros(0))} == {0}


@pytest.mark.parametrize(
    ("judged", "unjudged", "text"),
    [
        (0, 1.0, "no verdicts yet"),
        (1, 0.0, "too few to tell: 1 verdict, at least 5 are needed"),
        (9, 0.7, "too few to tell: 70 % of the segments have scores far from any with a verdict"),
        (9, 0.1, "0.90 [0.70…0.95], from 9 verdicts"),
    ],
)
def test_the_page_says_that_verdicts_are_too_few(judged: int, unjudged: float, text: str):
    assert describe_precision(JudgedPrecision(Estimate(0.9, 0.7, 0.95), judged, unjudged)) == text


def test_without_scikit_learn_everything_else_is_shown(monkeypatch: pytest.MonkeyPatch):
    def fail(*arguments: object) -> object:
        raise ImportError("No module named 'sklearn'")

    monkeypatch.setattr(label_overview, "fit_thresholds", fail)
    dog, _ = make(60)
    assert dog.fit.threshold is None
    assert dog.fitted.startswith("none: fitting needs scikit-learn; ")
    assert dog.statistics.confirmed


def test_the_overview_of_a_job_comes_from_its_kept_scores_and_its_verdicts(studio: Studio):
    project = studio.project
    ids = add_recordings(project, 30, make_audio_bytes(3 * VALUES))
    certain = np.linspace(0.1, 0.95, 30)
    given = {one: [[high, 0.05], [high, 0.05], [0.05, 0.5]] for one, high in zip(ids, certain, strict=True)}
    job_id = keep_scores(project, given, {"dog": 0.3, "cat": 0.2})
    verdicts = VerdictStore(project.store)
    for sample_id, high in zip(ids, certain, strict=True):
        was = "dog" if high >= 0.3 else "noise"
        given = "dog" if high >= 0.5 else "noise"
        verdicts.decide([Verdict(job_id, sample_id, 0, 2 * VALUES, given, was, LABELED)])
    jobs = JobStore(project.store)
    job = jobs.get(job_id)
    assert job is not None
    settings = read_record(job).decisions
    decider = JobDeciders(KeptScores(JobFiles(project.root), jobs)).get(job, WINDOWS)

    def load(threshold: float) -> LabelOverview:
        labels = (replace(settings.labels[0], threshold=threshold), settings.labels[1])
        return load_overviews(project.store, job_id, decider, replace(settings, labels=labels), F1)[0]

    dog = load(0.3)
    assert dog.statistics.confirmed == (certain >= 0.5).sum()
    assert dog.statistics.rejected.total() == ((certain >= 0.3) & (certain < 0.5)).sum()
    assert sum(bar.cells for bar in dog.bars) == 90
    assert dog.fit.threshold == pytest.approx(0.5, abs=0.03)
    assert load(dog.fit.threshold).statistics.precision.estimate.value == 1
    assert load(0.01).statistics.rejected.total() == (certain < 0.5).sum()


def test_the_range_of_a_label_is_sampled_in_the_review():
    assert make(0)[0].review_link == "/review?job=1&label=dog&order=range"


def test_the_page_and_its_script_get_the_same_overviews_for_the_settings_in_the_query(studio: Studio):
    ids = add_recordings(studio.project, 3, make_audio_bytes(2 * VALUES))
    job_id = keep_scores(studio.project, {one: [[0.6, 0.1], [0.6, 0.1]] for one in ids}, {"dog": 0.5, "cat": 0.5})
    VerdictStore(studio.project.store).decide([Verdict(job_id, ids[0], 0, 2 * VALUES, "<b>", "dog", LABELED)])
    url = f"{studio.address.url}/jobs/{job_id}"
    for threshold, rejected in (("0.5", "1 (1 now &lt;b&gt;)"), ("0.7", "0")):
        query = {"t0": threshold, "t1": "0.5", "merge": "on", "goal": "precision=0.9"}
        page = studio.session.get(f"{url}/thresholds", params=query, timeout=30).text
        found = studio.session.get(f"{url}/overviews.json", params=query, timeout=30).json()["overviews"]
        assert len(found) == 2
        assert all(one in page for one in found)
        assert f"<dd>{rejected}</dd>" in found[0]
        assert f'class="threshold" x1="{float(threshold) * 400:.1f}"' in found[0]
        assert '<option value="precision=0.9" selected>' in page


def test_an_unknown_goal_is_refused(studio: Studio):
    ids = add_recordings(studio.project, 1, make_audio_bytes(VALUES))
    job_id = keep_scores(studio.project, {ids[0]: [[0.6]]}, {"dog": 0.5})
    for path in ("thresholds", "overviews.json"):
        answer = studio.session.get(f"{studio.address.url}/jobs/{job_id}/{path}?goal=best", timeout=30)
        assert answer.status_code == 400
        assert "the goal must be one of f1, precision=0.8" in answer.text
