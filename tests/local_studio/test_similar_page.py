"""The page of similar sounds: it finds windows, keeps verdicts, and proposes a label for what they say."""

from __future__ import annotations

import html
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from block.local_studio.address import Address
from block.local_studio.data.examples import Example, ExampleStore, SoundSpan
from block.local_studio.data.project import LocalProject
from block.local_studio.data.sample import StructuredLabel
from block.local_studio.jobs.sound_label import paint_label
from block.local_studio.jobs.sound_search import LikeWindow
from block.local_studio.server import running
from tests.local_studio.conftest import make_audio_bytes
from tests.local_studio.embeddings import keep_embeddings

# Two seconds each: birds in the first second of 1 to 4, and in both of 5; 6 to 9 have none.
BIRD, WIND, RAIN = [1.0, 0.1, 0.0], [0.0, 1.0, 0.1], [0.1, 0.0, 1.0]
VECTORS = {
    1: [BIRD, WIND], 2: [[1, 0.2, 0], WIND], 3: [[1, 0, 0.1], RAIN], 4: [[0.9, 0.2, 0], RAIN], 5: [BIRD, [1, 0.1, 0.1]],
    6: [WIND, WIND], 7: [RAIN, RAIN], 8: [[0.3, 1, 0], WIND], 9: [RAIN, WIND],
}  # fmt: skip
SOUND = SoundSpan(1, 0, 16000)


@dataclass
class Site:
    """A served project, and requests to its pages."""

    project: LocalProject
    address: Address

    def get(self, path: str) -> requests.Response:
        return requests.get(f"http://127.0.0.1:{self.address.port}{path}", timeout=30)

    def post(self, path: str, **fields: object) -> requests.Response:
        token = re.search(r'name="csrf-token" content="([0-9a-f]+)"', self.get("/").text)
        assert token is not None
        url = f"http://127.0.0.1:{self.address.port}{path}"
        return requests.post(url, {"token": token[1], **fields}, timeout=30)

    def mark(self, verdict: str, sample: int, start: int = 0) -> requests.Response:
        return self.post(
            "/similar/mark",
            **{**FIELDS, "other-sample": sample, "other-start": start, "other-end": start + 16000, "verdict": verdict},
        )


FIELDS = {"sample": 1, "start": 0, "end": 16000, "job": 0}
LINK = "/similar?sample=1&start=0&end=16000"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    for number in VECTORS:
        (tmp_path / f"{number}.wav").write_bytes(make_audio_bytes(32000))
    project = LocalProject(tmp_path)
    project.scan()
    with running(project) as address:
        yield Site(project, address)
    project.close()


def find_candidates(page: str) -> list[tuple[int, int]]:
    """Return the sample and the start of each candidate."""
    found = page.partition('<ol class="found">')[2].partition("</ol>")[0]
    fields = r'name="other-sample" value="(\d+)"><input type="hidden" name="other-start" value="(\d+)"'
    return [(int(sample), int(start)) for sample, start in re.findall(fields, found)]


def test_the_best_window_of_each_other_recording_is_shown_the_most_similar_first(site: Site) -> None:
    keep_embeddings(site.project, VECTORS)
    page = site.get(LINK)
    assert page.status_code == 200
    found = find_candidates(page.text)
    assert [sample for sample, _ in found][:4] == [5, 2, 4, 3]
    assert len({sample for sample, _ in found}) == len(found) == 9
    assert (1, 16000) in found  # the rest of the recording itself, which is unlike
    assert "Searched: 18 windows of 9 recordings" in page.text


def test_verdicts_sort_anew_and_can_be_forgotten(site: Site) -> None:
    keep_embeddings(site.project, VECTORS)
    for sample, start, verdict in ((5, 0, "yes"), (8, 0, "no")):
        assert site.mark(verdict, sample, start).status_code == 200
    page = site.get(LINK).text
    assert "1 yes, 1 no." in page
    assert not {(5, 0), (8, 0)} & set(find_candidates(page))
    assert site.mark("no", 5).status_code == 200  # a person may change their mind
    assert "0 yes, 2 no." in site.get(LINK).text
    site.mark("forget", 5)
    site.mark("forget", 8)
    examples = ExampleStore(site.project.store)
    assert examples.list(SOUND) == []
    assert "0 yes, 0 no." in site.get(LINK).text


def test_verdicts_are_about_one_sound_only(site: Site) -> None:
    keep_embeddings(site.project, VECTORS)
    site.mark("yes", 5)
    assert "0 yes, 0 no." in site.get("/similar?sample=7&start=0&end=16000").text
    assert ExampleStore(site.project.store).list(SOUND) == [Example(SoundSpan(5, 0, 16000), True)]


def test_a_label_is_proposed_where_the_sound_is_and_all_other_labels_stay(site: Site) -> None:
    keep_embeddings(site.project, VECTORS)
    own = (StructuredLabel(0, 19999, "hum"), StructuredLabel(20000, 31999, "speech"))
    site.project.store.set_by_hand(2, own, site.project.sample(2).revision)
    for sample, start, verdict in (
        (5, 0, "yes"), (3, 0, "yes"), (6, 0, "no"), (6, 16000, "no"), (7, 0, "no"), (7, 16000, "no")
    ):  # fmt: skip
        site.mark(verdict, sample, start)
    page = site.get(LINK).text
    assert "Propose for 6 windows" in page
    assert 'Estimated precision: <strong class="num">100 %</strong>' in page
    answer = site.post("/similar/propose", **FIELDS, label=" my bird ")
    assert answer.url.endswith("/review?job=2&label=my+bird")
    proposals = {one.sample_id: one.changes for one in site.project.store.open_proposals(2)}
    labels = {
        sample_id: [(one.start_index, one.end_index, one.label) for one in changes.structured_labels or ()]
        for sample_id, changes in proposals.items()
    }
    assert labels == {
        1: [(0, 15999, "my bird"), (16000, 31999, "noise")],
        2: [(0, 15999, "my bird"), (16000, 19999, "hum"), (20000, 31999, "speech")],
        3: [(0, 15999, "my bird"), (16000, 31999, "noise")],
        4: [(0, 15999, "my bird"), (16000, 31999, "noise")],
        5: [(0, 31999, "my bird")],
    }
    assert proposals[2].metadata == {"labeled_by": "human"}
    assert all(sample.structured_labels is None for sample in site.project.samples() if sample.id != 2)
    job = site.get("/jobs/2").text
    assert "similar sounds" in job
    assert "proposed my bird for 5 recordings, from 2 yes and 4 no" in job


def test_proposed_windows_have_scores_by_which_the_review_sorts_them(site: Site) -> None:
    keep_embeddings(site.project, VECTORS)
    site.mark("yes", 5)
    site.mark("no", 6)
    site.mark("no", 7)
    site.post("/similar/propose", **FIELDS, label="bird")
    found = {}
    for order in ("", "score", "range"):
        page = site.get(f"/review?job=2&label=bird&order={order}")
        data = json.loads(html.unescape(re.findall(r'data-review="([^"]*)"', page.text)[0]))
        found[order] = [(one["sample"], one["why"]["score"]) for one in data["pending"]]
    scores = dict(found["score"])
    assert scores.keys() == {1, 2, 3, 4, 5}
    assert scores[1] == 1  # the sound itself
    assert all(0.5 < scores[one] < 1 for one in (2, 3, 4, 5))  # no one heard the second window of 5
    assert [score for _, score in found["score"]] == sorted(scores.values(), reverse=True)
    assert [score for _, score in found[""]] == sorted(scores.values())
    assert dict(found["range"]) == scores


def test_only_what_changes_waits_for_verdicts_and_a_rejection_brings_back_what_was_there(site: Site) -> None:
    keep_embeddings(site.project, VECTORS)
    own = (StructuredLabel(0, 11999, "hum"), StructuredLabel(12000, 31999, "speech"))
    site.project.store.set_by_hand(2, own, site.project.sample(2).revision)
    site.mark("no", 6)
    site.mark("no", 7)
    site.post("/similar/propose", **FIELDS, label="bird")
    page = site.get("/review?job=2&order=time").text
    data = json.loads(html.unescape(re.findall(r'data-review="([^"]*)"', page)[0]))
    pending = [(one["sample"], one["start"], one["end"], one["label"], one["before"]) for one in data["pending"]]
    assert pending[:4] == [
        (1, 0, 16000, "bird", "noise"),
        (1, 16000, 32000, "noise", ""),
        (2, 0, 16000, "bird", "hum"),
        (3, 0, 16000, "bird", "noise"),
    ]
    fields = {"job": 2, "sample": 2, "start": 0, "end": 16000, "was": "bird", "other": "hum", "verdict": "rejected"}
    assert site.post("/review/verdict", **fields).status_code == 200
    labels = site.project.sample(2).structured_labels
    assert labels == (StructuredLabel(0, 15999, "hum"), StructuredLabel(16000, 31999, "speech"))


def test_an_undo_gives_what_stays_back_to_the_review(site: Site) -> None:
    keep_embeddings(site.project, VECTORS)
    own = (StructuredLabel(0, 15999, "hum"), StructuredLabel(16000, 31999, "speech"))
    site.project.store.set_by_hand(2, own, site.project.sample(2).revision)
    site.mark("no", 6)
    site.mark("no", 7)
    site.post("/similar/propose", **FIELDS, label="bird")
    assert '"label":"speech"' not in html.unescape(site.get("/review?job=2").text)
    assert site.post("/review/undo", job=2).status_code == 200
    assert '"label":"speech"' in html.unescape(site.get("/review?job=2").text)
    assert site.project.sample(2).structured_labels == own


def test_windows_in_a_row_are_one_segment_with_the_mean_of_their_scores(site: Site) -> None:
    windows = [LikeWindow(SoundSpan(3, start, start + 8000), score) for start, score in ((0, 1), (4000, 0.6))]
    painted = paint_label(site.project.sample(3), windows, "bird", "noise")
    assert painted.labels == (StructuredLabel(0, 11999, "bird"), StructuredLabel(12000, 31999, "noise"))
    assert painted.unchanged == []
    assert painted.segments == [
        {"startIndex": 0, "endIndex": 11999, "label": "bird", "score": 0.8, "margin": 0.6, "windows": 2, "agreeing": 2,
         "before": "noise"}
    ]  # fmt: skip


def test_without_a_counterexample_nothing_is_proposed(site: Site) -> None:
    keep_embeddings(site.project, VECTORS)
    site.mark("yes", 5)
    assert "Say no to at least 1 window" in site.get(LINK).text
    answer = site.post("/similar/propose", **FIELDS, label="bird")
    assert answer.status_code == 400
    assert "Say no to at least 1 window first" in answer.text


def test_windows_that_a_person_said_no_to_are_never_proposed(site: Site) -> None:
    keep_embeddings(site.project, VECTORS)
    site.mark("no", 2)
    site.mark("no", 6)
    site.post("/similar/propose", **FIELDS, label="bird")
    assert 2 not in {one.sample_id for one in site.project.store.open_proposals(2)}


def test_jobs_that_kept_no_embeddings_are_named_as_the_reason(site: Site) -> None:
    assert "No job has kept embeddings yet" in site.get(LINK).text
    keep_embeddings(site.project, VECTORS, embedded=False)
    answer = site.get(LINK)
    assert answer.status_code == 409
    assert "Preview an AI action" in answer.text


def test_a_part_without_embeddings_is_named(site: Site) -> None:
    keep_embeddings(site.project, {key: value for key, value in VECTORS.items() if key != 1})
    answer = site.get(LINK)
    assert answer.status_code == 409
    assert "This part has no embedding" in answer.text


def test_new_embeddings_are_found_without_a_restart(site: Site) -> None:
    keep_embeddings(site.project, {1: VECTORS[1], 2: VECTORS[2]})
    assert {sample for sample, _ in find_candidates(site.get(LINK).text)} == {1, 2}
    keep_embeddings(site.project, {3: VECTORS[3]})
    assert {sample for sample, _ in find_candidates(site.get(LINK).text)} == {1, 2, 3}


def test_without_pyarrow_one_sentence_says_what_is_missing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_embeddings(site.project, VECTORS)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    answer = site.get(LINK)
    assert answer.status_code == 409
    assert "pyarrow" in site.get(f"{LINK}&job=1").text


@pytest.mark.parametrize(
    "query",
    ["", "sample=1", "sample=1&start=0", "sample=1&start=5&end=5", "sample=1&start=0&end=32001",
     "sample=x&start=0&end=1", "sample=1&start=-1&end=4", "sample=99&start=0&end=4", "sample=1&start=0&end=16000&job=x",
     "sample=1&start=0&end=16000&job=99"],
)  # fmt: skip
def test_addresses_that_make_no_sense_are_refused(site: Site, query: str) -> None:
    keep_embeddings(site.project, VECTORS)
    assert site.get(f"/similar?{query}").status_code in (400, 404)


@pytest.mark.parametrize("label", ["", "  ", "x" * 201])
def test_empty_and_overlong_labels_are_refused(site: Site, label: str) -> None:
    keep_embeddings(site.project, VECTORS)
    site.mark("no", 6)
    assert site.post("/similar/propose", **FIELDS, label=label).status_code == 400
    assert site.project.store.open_proposals(2) == []


def test_unknown_verdicts_are_refused(site: Site) -> None:
    keep_embeddings(site.project, VECTORS)
    assert site.mark("maybe", 5).status_code == 400
    assert ExampleStore(site.project.store).list(SOUND) == []
