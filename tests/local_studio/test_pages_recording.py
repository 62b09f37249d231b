"""The page of a recording: its contents, labels by hand, proposals, audio and pictures."""

from __future__ import annotations

import html
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import soundfile

from block.local_studio.data.project import LocalProject
from block.local_studio.data.sample import Proposal, ProposedChanges, StructuredLabel
from block.local_studio.jobs.store import PREVIEW, RUN, JobStore
from block.local_studio.server import running
from tests.local_studio.conftest import add_recording, audio_file_of, make_audio_bytes

HOSTILE = """</script><img src=x onerror="alert('1')">&amp;"""
RATE, COUNT = 16000, 48000


@dataclass(frozen=True)
class Pages:
    """The pages of a project, requested as a browser does."""

    project: LocalProject
    url: str

    def get(self, path: str, **options: Any) -> requests.Response:
        return requests.get(self.url + path, timeout=10, **options)

    def page(self, path: str) -> str:
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    @property
    def token(self) -> str:
        return self._field(self.get("/recordings/1").text or "", r'name="csrf-token" content="([^"]+)"')

    def data(self, sample_id: int, query: str = "") -> dict[str, Any]:
        text = self.page(f"/recordings/{sample_id}{query}")
        found: dict[str, Any] = json.loads(html.unescape(self._field(text, r'data-recording="([^"]*)"')))
        return found

    def form(self, path: str, **fields: object) -> requests.Response:
        return requests.post(self.url + path, {"token": self.token, **fields}, timeout=10)

    def save(self, sample_id: int, revision: int, labels: object, **headers: str) -> requests.Response:
        body = {"revision": revision, "labels": labels}
        given = {"x-csrf-token": self.token, **headers}
        return requests.post(f"{self.url}/recordings/{sample_id}/labels", json=body, headers=given, timeout=10)

    def add(self, count: int = COUNT, **options: Any) -> int:
        return add_recording(self.project, count, **options)

    @staticmethod
    def _field(text: str, pattern: str) -> str:
        found = re.search(pattern, text)
        assert found, pattern
        return found.group(1)


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[Pages]:
    project = LocalProject(tmp_path)
    try:
        with running(project) as address:
            yield Pages(project, address.url)
    finally:
        project.close()


def labels(*parts: tuple[int, int, str]) -> tuple[StructuredLabel, ...]:
    return tuple(StructuredLabel(*part) for part in parts)


HALVES = labels((0, 23999, "speech"), (24000, COUNT - 1, "music"))


def as_json(these: tuple[StructuredLabel, ...]) -> list[dict[str, object]]:
    return [one.to_json() for one in these]


def add_details(pages: Pages, sample_id: int, kind: str, details: Mapping[str, object]) -> int:
    store = JobStore(pages.project.store)
    job = store.create(kind, "block", {}, [sample_id])
    store.add_details(job.id, {sample_id: details})
    store.end(job.id, "finished", 0)
    return job.id


def propose(pages: Pages, sample_id: int, job_id: int, changes: ProposedChanges) -> None:
    pages.project.store.propose(Proposal(job_id, sample_id, changes))


def entry(one: StructuredLabel, **more: object) -> dict[str, object]:
    return {**one.to_json(), **more}


def test_the_page_shows_the_facts_and_links_to_both_neighbors(pages: Pages) -> None:
    ids = [pages.add(name=name, metadata={"site": "roof"}, label="whole") for name in ("take 2", "take 10", "take 11")]
    text = pages.page(f"/recordings/{ids[1]}")
    for fact in ("take 10", "3.000 s", "16 kHz", "48000", "training", "site", "roof", "whole", "not labeled"):
        assert fact in text
    assert f'rel="prev" href="/recordings/{ids[0]}"' in text
    assert f'rel="next" href="/recordings/{ids[2]}"' in text
    assert 'rel="prev"' not in pages.page(f"/recordings/{ids[0]}")
    assert 'rel="next"' not in pages.page(f"/recordings/{ids[2]}")


def test_neighbors_follow_the_order_of_the_list(pages: Pages) -> None:
    second, first = pages.add(name="take 10"), pages.add(name="take 9")
    assert f'rel="prev" href="/recordings/{first}"' in pages.page(f"/recordings/{second}")
    assert f'rel="next" href="/recordings/{second}"' in pages.page(f"/recordings/{first}")


def test_segments_and_their_reasons_can_be_read_without_script(pages: Pages) -> None:
    sample_id = pages.add(structured_labels=HALVES)
    segments = [entry(HALVES[0], score=0.83, runnersUp=[["bird", 0.11]], loudnessDbfs=-23.45, windows=5, agreeing=4)]
    add_details(pages, sample_id, RUN, {"segments": segments})
    text = pages.page(f"/recordings/{sample_id}")
    for text_shown in ("1.500", "speech", "0.83", "bird", "0.11", "-23.4", "4 of 5"):
        assert text_shown in text
    assert "spectrogram.png?" in text
    assert "<audio" in text


def test_hostile_names_labels_and_metadata_are_escaped(pages: Pages) -> None:
    these = labels((0, COUNT - 1, HOSTILE))
    sample_id = pages.add(name=HOSTILE, metadata={HOSTILE: HOSTILE}, structured_labels=these)
    job_id = add_details(pages, sample_id, PREVIEW, {"segments": [entry(these[0], runnersUp=[[HOSTILE, 0.2]])]})
    propose(pages, sample_id, job_id, ProposedChanges(label=HOSTILE, structured_labels=these, metadata={HOSTILE: "x"}))
    answer = pages.get(f"/recordings/{sample_id}")
    assert "<img src=x" not in answer.text
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert " style=" not in answer.text
    assert not re.search(r"<script(?![^>]* src=)", answer.text)
    data = pages.data(sample_id)
    assert data["proposed"][0]["label"] == HOSTILE
    assert data["proposed"][0]["why"]["runnersUp"][0]["label"] == HOSTILE


def test_the_current_labels_show_the_details_of_the_job_that_fits_them(pages: Pages) -> None:
    sample_id = pages.add(structured_labels=HALVES)
    fitting = add_details(pages, sample_id, PREVIEW, {"segments": [entry(one, score=0.7) for one in HALVES]})
    other = labels((0, COUNT - 1, "wind"))
    newer = add_details(pages, sample_id, RUN, {"segments": [entry(other[0], score=0.9)]})
    propose(pages, sample_id, newer, ProposedChanges(structured_labels=other))
    data = pages.data(sample_id)
    assert [one["why"]["job"] for one in data["current"]] == [fitting, fitting]
    assert data["current"][0]["why"]["same"] is True
    assert data["proposed"][0]["why"]["score"] == 0.9


def test_details_of_changed_labels_show_the_original_labels(pages: Pages) -> None:
    now = labels((0, 19999, "speech"), (20000, COUNT - 1, "bird"))
    sample_id = pages.add(structured_labels=now)
    add_details(pages, sample_id, RUN, {"segments": [entry(one, score=0.7) for one in HALVES]})
    first, second = pages.data(sample_id)["current"]
    assert (first["why"]["was"], first["why"]["same"]) == (None, False)
    assert second["why"]["was"] == "music"


def test_a_detail_that_covers_less_than_half_of_a_segment_is_not_its_reason(pages: Pages) -> None:
    sample_id = pages.add(structured_labels=labels((0, COUNT - 1, "speech")))
    add_details(pages, sample_id, RUN, {"segments": [entry(labels((0, 9999, "speech"))[0], score=0.7)]})
    assert pages.data(sample_id)["current"][0]["why"] is None


@pytest.mark.parametrize(
    "details",
    [
        {},
        {"segments": "no list"},
        {"segments": [1, {}, {"startIndex": "0", "endIndex": 5, "label": "x"}]},
        {"segments": [{"startIndex": 0, "endIndex": COUNT, "label": "x", "score": "high", "runnersUp": 7}]},
        {"segments": [{"startIndex": 0, "endIndex": COUNT, "label": "x", "runnersUp": [["a"], ["b", None]]}]},
        {
            "segments": [
                {"startIndex": 0, "endIndex": COUNT, "label": "x", "margin": 0.1, "windows": "5", "agreeing": 4}
            ]
        },
    ],
)
def test_malformed_details_do_not_break_the_pages(pages: Pages, details: dict[str, object]) -> None:
    sample_id = pages.add(structured_labels=HALVES)
    job_id = add_details(pages, sample_id, PREVIEW, details)
    propose(pages, sample_id, job_id, ProposedChanges(structured_labels=labels((0, COUNT - 1, "x"))))
    assert len(pages.data(sample_id)["current"]) == 2
    assert pages.get("/review").status_code == 200


def test_the_reason_why_the_newest_job_failed_is_shown(pages: Pages) -> None:
    sample_id = pages.add()
    add_details(pages, sample_id, RUN, {"error": "the recording is <odd>"})
    assert "the recording is &lt;odd&gt;" in pages.page(f"/recordings/{sample_id}")


def test_the_newest_proposal_is_shown_unless_another_job_is_requested(pages: Pages) -> None:
    sample_id = pages.add(structured_labels=HALVES)
    for job_id, name in ((4, "older"), (9, "newer")):
        propose(pages, sample_id, job_id, ProposedChanges(structured_labels=labels((0, COUNT - 1, name))))
    assert pages.data(sample_id)["proposed"][0]["label"] == "newer"
    assert pages.data(sample_id, "?job=4")["proposed"][0]["label"] == "older"
    assert pages.data(sample_id, "?job=5")["proposed"] is None
    assert "Job 5 has no open proposal" in pages.page(f"/recordings/{sample_id}?job=5")
    assert pages.get(f"/recordings/{sample_id}?job=x").status_code == 404


def test_labels_by_hand_are_stored_and_marked(pages: Pages) -> None:
    sample_id = pages.add(metadata={"site": "roof"})
    answer = pages.save(sample_id, pages.data(sample_id)["revision"], as_json(HALVES))
    assert answer.status_code == 200, answer.text
    sample = pages.project.sample(sample_id)
    assert sample.structured_labels == HALVES
    assert sample.metadata == {"site": "roof", "labeled_by": "human"}
    assert answer.json()["revision"] == sample.revision
    assert "Actions keep them" in pages.page(f"/recordings/{sample_id}")


def test_labels_of_an_older_revision_are_refused_and_change_nothing(pages: Pages) -> None:
    sample_id = pages.add(structured_labels=HALVES)
    seen = pages.data(sample_id)["revision"]
    pages.project.store.set_structured_labels(sample_id, labels((0, COUNT - 1, "other")))
    answer = pages.save(sample_id, seen, as_json(HALVES))
    assert answer.status_code == 409
    assert "load it again" in answer.json()["error"]
    assert pages.project.sample(sample_id).structured_labels == labels((0, COUNT - 1, "other"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([(0, 23999, "a")], "without a label"),
        ([(0, 23999, "a"), (24000, COUNT, "b")], "spans"),
        ([(0, 30000, "a"), (24000, COUNT - 1, "b")], "begins before"),
        ([(24000, COUNT - 1, "b"), (0, 23999, "a")], "have no label"),
        ([(0, COUNT - 1, " ")], "no label yet"),
        ([(0, 1.5, "a"), (2, COUNT - 1, "b")], "must be an integer"),
        ("none", "must be an array"),
    ],
)
def test_labels_that_are_invalid_or_incomplete_are_refused(pages: Pages, given: Any, message: str) -> None:
    sample_id = pages.add()
    body = given if isinstance(given, str) else as_json(labels(*given))
    answer = pages.save(sample_id, 0, body)
    assert (answer.status_code, message in answer.json()["error"]) == (400, True), answer.text
    assert pages.project.sample(sample_id).structured_labels is None


def test_labels_from_another_site_or_without_the_token_are_refused(pages: Pages) -> None:
    sample_id = pages.add()
    for headers in ({"x-csrf-token": "x"}, {"origin": "http://evil.test"}, {"sec-fetch-site": "cross-site"}):
        assert pages.save(sample_id, 0, as_json(HALVES), **headers).status_code == 403
    for path, fields in (("labels", {"lines": "0 3 a"}), ("proposal", {"job": "1", "decision": "accept"})):
        answer = requests.post(f"{pages.url}/recordings/{sample_id}/{path}", {"token": "x", **fields}, timeout=10)
        assert answer.status_code == 403
    assert pages.project.sample(sample_id).structured_labels is None


def test_labels_as_text_are_stored_without_script(pages: Pages) -> None:
    sample_id = pages.add()
    answer = pages.form(
        f"/recordings/{sample_id}/labels", revision=0, lines="0 1.5 speech\r\n\r\n1.5 3 loud  music\r\n"
    )
    assert answer.url.endswith("?done=saved")
    assert "marked as hand-made" in answer.text
    expected = labels((0, 23999, "speech"), (24000, COUNT - 1, "loud  music"))
    assert pages.project.sample(sample_id).structured_labels == expected


@pytest.mark.parametrize("rate", [11025, 16000, 44100, 192000])
def test_labels_as_text_convert_back_to_the_same_values(pages: Pages, rate: int) -> None:
    these = labels((0, 6, "a"), (7, 4999, "b"), (5000, 5000, "c"), (5001, 9999, "d"))
    sample_id = pages.add(10000, rate=rate, structured_labels=these)
    text = pages.page(f"/recordings/{sample_id}")
    found = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", text, re.DOTALL)
    assert found
    assert pages.form(f"/recordings/{sample_id}/labels", revision=0, lines=html.unescape(found.group(1))).ok
    assert pages.project.sample(sample_id).structured_labels == these


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("0 3", "line 1 must hold a start, an end and a label"),
        ("0 1 a\n1 4 b", "line 2: expected seconds from 0 to 3"),
        ("0 nan a", "line 1: expected seconds"),
        ("0 2 a\n1 3 b", "begins before the one above it ends"),
        ("0 1 a\n2 3 b", "1–2 s have no label"),
        ("0 1 a", "1–3 s have no label"),
        ("1 1 a", "the end must come after the start"),
        ("", "0–3 s have no label"),
    ],
)
def test_invalid_text_is_returned_with_the_reason(pages: Pages, lines: str, message: str) -> None:
    sample_id = pages.add()
    answer = pages.form(f"/recordings/{sample_id}/labels", revision=0, lines=lines)
    assert answer.status_code == 400
    assert message in html.unescape(answer.text)
    assert f"\n{lines}</textarea>" in answer.text
    assert pages.project.sample(sample_id).structured_labels is None


def test_a_proposal_is_accepted_and_rejected_by_plain_forms(pages: Pages) -> None:
    sample_id = pages.add(structured_labels=HALVES)
    for job_id in (1, 2):
        propose(pages, sample_id, job_id, ProposedChanges(structured_labels=labels((0, COUNT - 1, f"of {job_id}"))))
    path = f"/recordings/{sample_id}/proposal"
    assert "rejected" in pages.form(path, job=2, decision="reject").text
    assert pages.project.sample(sample_id).structured_labels == HALVES
    assert "accepted" in pages.form(path, job=1, decision="accept", revision=0).text
    assert pages.project.sample(sample_id).structured_labels == labels((0, COUNT - 1, "of 1"))
    assert pages.form(path, job=1, decision="accept").status_code == 409
    assert pages.form(path, job=1, decision="perhaps").status_code == 400


def test_accepting_does_not_replace_labels_that_the_page_did_not_show(pages: Pages) -> None:
    sample_id = pages.add(structured_labels=HALVES)
    propose(pages, sample_id, 1, ProposedChanges(structured_labels=labels((0, COUNT - 1, "new"))))
    assert pages.save(sample_id, 0, as_json(labels((0, COUNT - 1, "mine")))).ok
    answer = pages.form(f"/recordings/{sample_id}/proposal", job=1, decision="accept", revision=0)
    assert answer.status_code == 409
    assert pages.project.sample(sample_id).structured_labels == labels((0, COUNT - 1, "mine"))


def test_accepting_over_hand_made_labels_is_announced_and_removes_their_mark(pages: Pages) -> None:
    sample_id = pages.add()
    assert pages.save(sample_id, 0, as_json(HALVES)).ok
    propose(pages, sample_id, 1, ProposedChanges(structured_labels=labels((0, COUNT - 1, "new"))))
    assert "Accept and overwrite" in pages.page(f"/recordings/{sample_id}")
    revision = pages.data(sample_id)["revision"]
    assert pages.form(f"/recordings/{sample_id}/proposal", job=1, decision="accept", revision=revision).ok
    assert "labeled_by" not in pages.project.sample(sample_id).metadata


@pytest.mark.parametrize("middle", ["dog", "speech"])
def test_accepting_what_only_fills_gaps_is_not_announced_as_overwriting(pages: Pages, middle: str) -> None:
    sample_id = pages.add()
    mine = (*labels((0, 9999, "speech"), (10000, 19999, "other")), *labels((20000, COUNT - 1, "music")))
    assert pages.save(sample_id, 0, as_json(mine)).ok
    filled = labels((0, 9999, "speech"), (10000, 19999, middle), (20000, COUNT - 1, "music"))
    propose(pages, sample_id, 1, ProposedChanges(structured_labels=filled))
    text = pages.page(f"/recordings/{sample_id}")
    assert "Accepting keeps your hand-made labels and fills the gaps" in text
    assert "overwrite" not in text.partition("What <a")[2]
    propose(pages, sample_id, 1, ProposedChanges(structured_labels=labels((0, COUNT - 1, "speech"))))
    assert "Accepting overwrites your hand-made labels" in pages.page(f"/recordings/{sample_id}")


def test_audio_in_any_container_is_served_in_ranges(pages: Pages) -> None:
    flac = make_audio_bytes(COUNT, container="FLAC")
    sound = soundfile.read(io.BytesIO(flac), dtype="int16")[0].tobytes()
    # All WAVs of this length have the same header.
    plain = make_audio_bytes(COUNT)[:44] + sound
    for data in (plain, flac):
        sample_id = pages.add(audio=data)
        whole = pages.get(f"/recordings/{sample_id}/audio")
        assert whole.headers["Content-Type"] == "audio/wav"
        assert whole.content == plain
        part = pages.get(f"/recordings/{sample_id}/audio", headers={"range": "bytes=1000-1999"})
        assert part.status_code == 206
        assert part.content == plain[1000:2000]
        assert part.headers["Content-Range"] == f"bytes 1000-1999/{len(plain)}"
        assert pages.get(f"/recordings/{sample_id}/audio", headers={"range": "bytes=999999-"}).status_code == 416


def test_pictures_are_cached_by_the_browser_until_the_audio_changes(pages: Pages) -> None:
    sample_id = pages.add()
    version = pages.data(sample_id)["version"]
    for name in ("spectrogram.png", "waveform.json"):
        path = f"/recordings/{sample_id}/{name}?start=0&end=1&width=50"
        first = pages.get(path)
        assert first.status_code == 200
        assert first.headers["Cache-Control"] == "private, no-cache"
        again = pages.get(path, headers={"if-none-match": first.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert "max-age" in pages.get(f"{path}&v={version}").headers["Cache-Control"]
        assert "max-age" not in pages.get(f"{path}&v=other").headers["Cache-Control"]


def test_the_waveform_is_of_the_requested_part(pages: Pages) -> None:
    sample_id = pages.add()
    body = pages.get(f"/recordings/{sample_id}/waveform.json?start=0.5&end=1&width=20").json()
    assert len(body["low"]) == len(body["high"]) == 20
    assert body["exact"] is True
    assert max(body["high"]) == pytest.approx(0.4, abs=0.01)


@pytest.mark.parametrize(
    "query",
    ["start=-1", "start=2&end=1", "end=99", "start=nan", "end=inf", "start=x", "width=9999", "width=0", "width=-5"],
)
def test_pictures_of_impossible_parts_are_refused(pages: Pages, query: str) -> None:
    sample_id = pages.add()
    for name in ("spectrogram.png", "waveform.json"):
        answer = pages.get(f"/recordings/{sample_id}/{name}?{query}")
        assert answer.status_code == 400, (name, query)
        assert answer.json()["success"] is False


@pytest.mark.parametrize("audio", [b"RIFF damaged", b""])
def test_a_recording_whose_audio_can_no_longer_be_read_still_has_its_page_and_labels(
    pages: Pages, audio: bytes
) -> None:
    sample_id = pages.add()
    audio_file_of(pages.project, sample_id).write_bytes(audio)
    assert pages.data(sample_id)["values"] == COUNT
    for name in ("spectrogram.png", "waveform.json", "audio"):
        answer = pages.get(f"/recordings/{sample_id}/{name}")
        assert answer.status_code == 400, name
    assert pages.save(sample_id, 0, as_json(HALVES)).ok


def test_the_page_of_an_unreadable_file_says_why(pages: Pages) -> None:
    (pages.project.root / "broken.wav").write_bytes(b"RIFF")
    pages.project.scan()
    (sample,) = pages.project.samples()
    text = pages.page(f"/recordings/{sample.id}")
    assert "can’t be read" in text
    assert "data-recording" not in text
    assert pages.get(f"/recordings/{sample.id}/spectrogram.png").status_code == 400


def test_an_empty_recording_and_one_without_a_rate_have_pages(pages: Pages) -> None:
    assert "it has 0 values" in pages.page(f"/recordings/{pages.add(0)}")
    assert "rate of this recording isn’t known" in pages.page(f"/recordings/{pages.add(frequency_hz=0)}")


def test_a_recording_that_does_not_exist_is_not_found(pages: Pages) -> None:
    for path in ("/recordings/7", "/recordings/x", "/recordings/7/audio", "/recordings/7/waveform.json"):
        assert pages.get(path).status_code == 404
