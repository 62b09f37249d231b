"""The order of a review that spreads verdicts over the scores of a label."""

from __future__ import annotations

import html
import json
import math
import re
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from block.evaluation.strata import STRATA, find_strata
from block.local_studio.data.sample import Proposal, ProposedChanges, StructuredLabel
from block.local_studio.data.verdicts import ACCEPTED, REJECTED, Verdict, VerdictStore
from block.local_studio.jobs.store import PREVIEW, JobStore
from block.local_studio.web.range_order import RangeOrder
from tests.local_studio.conftest import Studio, add_recordings, make_audio_bytes

LENGTH = 100
Segments = list[tuple[str, float]]  # of one recording: each segment's label and score, all of equal length


def propose(studio: Studio, recordings: list[Segments]) -> tuple[int, list[int]]:
    """Add recordings and a job that proposes these segments for them. Return the ids of the job and of the samples."""
    ids = add_recordings(studio.project, len(recordings), make_audio_bytes(LENGTH))
    jobs = JobStore(studio.project.store)
    job = jobs.create(PREVIEW, "toy", {"other-label": "noise"}, ids)
    for sample_id, segments in zip(ids, recordings, strict=True):
        length = LENGTH // len(segments)
        labels = [StructuredLabel(i * length, (i + 1) * length - 1, name) for i, (name, _) in enumerate(segments)]
        studio.project.store.propose(Proposal(job.id, sample_id, ProposedChanges(structured_labels=tuple(labels))))
        entries = [{**one.to_json(), "score": score} for one, (_, score) in zip(labels, segments, strict=True)]
        jobs.add_details(job.id, {sample_id: {"segments": entries}})
    jobs.end(job.id, "finished", 0)
    return job.id, ids


def read_queue(studio: Studio, query: str) -> list[dict[str, Any]]:
    """Return the segments that wait, as the page hands them to its script."""
    answer = studio.session.get(f"{studio.address.url}/review?{query}", timeout=30)
    assert answer.status_code == 200, answer.text
    found = re.search(r'data-review="([^"]*)"', answer.text)
    assert found is not None
    pending: list[dict[str, Any]] = json.loads(html.unescape(found[1]))["pending"]
    return pending


def test_the_queue_is_spread_over_the_scores_of_one_label_and_keeps_its_order_while_verdicts_are_given(studio: Studio):
    scores = [*np.linspace(0.3, 0.9, 12).round(4).tolist(), *[0.99] * 28]
    job_id, _ = propose(studio, [[("dog", score), ("cat", 0.5)] for score in scores])
    query = f"job={job_id}&label=dog&order=range"
    pending = read_queue(studio, query)
    assert {one["label"] for one in pending} == {"dog"}
    assert len(pending) == 40
    first = np.array([one["why"]["score"] for one in pending[:10]])
    assert np.bincount(find_strata(first, 0.3, 0.99), minlength=STRATA).tolist() == [2] * STRATA
    left = pending
    for turn, taken in enumerate((0, 2, 0, 5)):  # also out of turn
        one = left.pop(taken)
        new, kind = (("dog", ACCEPTED), ("noise", REJECTED))[turn % 2]
        span = one["sample"], one["start"], one["end"]
        # The recording is complete after the second verdict: its proposal is gone, its score still counts.
        verdicts = [Verdict(job_id, *span, new, "dog", kind)]
        verdicts += [Verdict(job_id, one["sample"], one["end"], LENGTH, "cat", "cat", ACCEPTED)]
        VerdictStore(studio.project.store).decide(verdicts)
        assert read_queue(studio, query) == left


def test_all_labels_take_turns_if_none_is_chosen(studio: Studio):
    job_id, _ = propose(studio, [[("dog", number / 20), ("cat", 1 - number / 20)] for number in range(20)])
    labels = [one["label"] for one in read_queue(studio, f"job={job_id}&order=range")[:10]]
    assert labels.count("dog") == labels.count("cat") == 5


def test_segments_without_a_score_come_last(studio: Studio):
    job_id, ids = propose(studio, [[("dog", 0.4)], [("dog", 0.5)], [("dog", 0.6)]])
    JobStore(studio.project.store).add_details(job_id, {ids[0]: {"segments": []}})
    assert read_queue(studio, f"job={job_id}&order=range")[-1]["sample"] == ids[0]


def test_the_form_of_the_review_offers_the_order(studio: Studio):
    page = studio.session.get(f"{studio.address.url}/review?order=range", timeout=30).text
    assert '<option value="range" selected>spread over the scores</option>' in page


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_each_segment_has_a_place_of_its_own(scores: list[float]):
    entries = [
        {"startIndex": 10 * at, "endIndex": 10 * at + 9, "label": "dog", "score": score}
        for at, score in enumerate(scores)
    ]
    order = RangeOrder({(1, 7): json.dumps({"segments": entries})})
    places = [order.find_place(1, 7, "dog", 10 * at + 5) for at in range(len(scores))]
    assert sorted(places) == list(range(len(scores)))
    assert order.find_place(1, 7, "cat", 5) == order.find_place(2, 7, "dog", 5) == math.inf
