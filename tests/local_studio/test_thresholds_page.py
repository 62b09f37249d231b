"""The page of thresholds: its numbers are relabel's, and what it proposes is what a preview would propose."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from block.edge_impulse.run_record import RunRecord
from block.labels import parse_labels
from block.local_studio.address import Address
from block.local_studio.data.project import LocalProject
from block.local_studio.data.store import BY_HAND
from block.local_studio.jobs.comparison import Flip, find_flips
from block.local_studio.jobs.jobs import Jobs
from block.local_studio.jobs.store import DECIDED, PREVIEW, StudioJob
from block.local_studio.server import running
from block.recording import Segment
from block.score_store.relabel import NamedRecording, relabel
from tests.conftest import EMBEDDED
from tests.local_studio.conftest import make_audio_bytes
from tests.local_studio.test_jobs import wait_for_end

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "demo" / "recordings"
LABELS = "Speech (voice, 0.2)\nMusic\nTelephone bell ringing (phone, 0.1)"
SETTINGS = {"audioset-labels": LABELS, "model": EMBEDDED.name, "win-size-ms": "1000", "win-stride-ms": "500",
            "other-label": "other", "existing-labels": "replace"}  # fmt: skip
MOVED = {"t0": "0.05", "t1": "0.6", "t2": "0.1", "hysteresis": "0.5", "median-ms": "1500", "min-event-ms": "1200",
         "min-segment-ms": "0", "min-gap-ms": "0", "merge": "on"}  # fmt: skip


@dataclass(frozen=True)
class Served:
    """A project on which this block has run a preview, its jobs, and a session with its pages."""

    project: LocalProject
    jobs: Jobs
    preview: StudioJob
    url: str
    session: requests.Session

    def get(self, path: str, **query: str) -> requests.Response:
        return self.session.get(f"{self.url}{path}?{urlencode(query)}", timeout=20)

    def start(self, **changed: str) -> StudioJob:
        ids = [sample.id for sample in self.project.samples()]
        return wait_for_end(self.jobs, self.jobs.start(PREVIEW, {**SETTINGS, **changed}, {}, ids))

    def propose(self, job: StudioJob, query: dict[str, str], which: str = "changed") -> StudioJob | None:
        """Press the button of the page; return the new job, or None if it's refused."""
        page = self.get(f"/jobs/{job.id}/thresholds", **query).text
        found = re.search(r'name="token" value="([^"]+)"', page)
        assert found is not None
        fields = {"token": found[1], "query": urlencode(query), "which": which}
        answer = self.session.post(f"{self.url}/jobs/{job.id}/thresholds", data=fields, timeout=20)
        if answer.status_code != 200:
            return None
        return self.jobs.store.get(int(answer.url.rpartition("/")[2].partition("#")[0]))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("thresholds")
    for path in DEMO.glob("*.wav"):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "tone.wav").write_bytes(make_audio_bytes(48000))
    project = LocalProject(folder)
    project.scan()
    by_hand = project.samples()[-1]
    project.store.add_metadata(by_hand.id, BY_HAND)
    with running(project, block=ROOT) as address, requests.Session() as session:
        session.trust_env = False
        jobs = Jobs(project, ROOT, Address("127.0.0.1", address.port, address.key))
        ids = [sample.id for sample in project.samples()]
        preview = wait_for_end(jobs, jobs.start(PREVIEW, SETTINGS, {}, ids))
        assert preview.exit_code == 0, jobs.log(preview.id).text
        yield Served(project, jobs, preview, f"http://127.0.0.1:{address.port}", session)
    jobs.close()
    project.close()


def decide_as_relabel(served: Served, job: StudioJob, record: RunRecord) -> dict[int, tuple[Segment, ...]]:
    scores = served.jobs.scores.find(job)
    recordings = [NamedRecording(sample_id, "", content) for sample_id, content in scores.contents.items()]
    return {one.id: one.segments for one in relabel(scores.store, recordings, record.decisions)}


def sum_up(served: Served, decided: dict[int, tuple[Segment, ...]]) -> dict[str, tuple[float, int]]:
    rates = {sample.id: sample.frequency_hz for sample in served.project.samples()}
    found: dict[str, tuple[float, int]] = {}
    for sample_id, segments in decided.items():
        for one in segments:
            seconds, number = found.get(one.label, (0.0, 0))
            found[one.label] = seconds + one.length / rates[sample_id], number + 1
    return found


def assert_rows(rows: list[dict[str, Any]], when: str, expected: dict[str, tuple[float, int]]) -> None:
    found = {row["label"]: (row[when]["seconds"], row[when]["segments"]) for row in rows}
    assert set(expected) <= set(found)
    for label, (seconds, number) in found.items():
        assert (seconds, number) == pytest.approx(expected.get(label, (0, 0)), abs=0.002)


@pytest.mark.parametrize(
    "query", [MOVED, {**MOVED, "t0": "0", "hysteresis": "1", "median-ms": "0"}, {"t0": "0.9", "t1": "1"}],
    ids=["all", "few", "no merging"],
)  # fmt: skip
def test_numbers_are_those_of_relabel_to_the_segment(served: Served, query: dict[str, str]):
    answer = served.get(f"/jobs/{served.preview.id}/thresholds.json", **query).json()
    record = RunRecord.from_json(json.loads(served.preview.record))
    thresholds = [float(query.get(f"t{at}", label.threshold)) for at, label in enumerate(record.decisions.labels)]
    settings = replace(
        record.decisions,
        labels=tuple(
            replace(label, threshold=one) for label, one in zip(record.decisions.labels, thresholds, strict=True)
        ),
        hysteresis=float(query.get("hysteresis", 1)), median_ms=int(query.get("median-ms", 0)),
        min_event_ms=int(query.get("min-event-ms", 0)), merge="merge" in query,
    )  # fmt: skip
    before = decide_as_relabel(served, served.preview, record)
    after = decide_as_relabel(served, served.preview, replace(record, decisions=settings))
    assert_rows(answer["rows"], "before", sum_up(served, before))
    assert_rows(answer["rows"], "after", sum_up(served, after))
    changed = [one for one in before if before[one] != after[one]]
    flips = [flip for one in before for flip in find_flips(one, before[one], after[one])]
    assert changed
    assert answer["summary"].startswith(f"{len(flips)} segment")
    assert f" in {len(changed)} of {len(before)} recordings " in answer["summary"]


def test_what_the_page_proposes_is_what_a_preview_with_these_settings_proposes(served: Served):
    decided = served.propose(served.preview, MOVED, which="all")
    assert decided is not None
    assert (decided.kind, decided.state, decided.exit_code) == (DECIDED, "finished", 0)
    preview = served.start(**decided.parameters)
    assert preview.exit_code == 0, served.jobs.log(preview.id).text
    assert "0 computed" in served.jobs.log(preview.id).text
    assert json.loads(preview.record) == json.loads(decided.record)
    for sample_id in decided.sample_ids:
        changes = [served.project.store.changes(job.id, sample_id) for job in (decided, preview)]
        assert changes[0] == changes[1]
        details = [served.jobs.store.details(sample_id, job.id) for job in (decided, preview)]
        assert details[0] == details[1]
        assert details[0]["segments"]
    by_hand = served.project.samples()[-1].id
    assert by_hand not in decided.sample_ids  # the preview skipped it, so it has no scores
    assert served.project.store.changes(preview.id, by_hand).apply_to(served.project.sample(by_hand)) == (
        served.project.sample(by_hand)
    )


def test_only_recordings_that_change_are_proposed_and_the_new_job_has_a_page_like_any(served: Served):
    answer = served.get(f"/jobs/{served.preview.id}/thresholds.json", t0="0.5", t1="0.2", t2="0.12", merge="on").json()
    decided = served.propose(served.preview, {"t0": "0.5", "t1": "0.2", "t2": "0.12", "merge": "on"})
    number = re.search(r" in (\d+) of (\d+) recordings", answer["summary"])
    assert number is not None
    assert decided is not None
    assert len(decided.sample_ids) == int(number[1]) < int(number[2])
    page = served.get(f"/jobs/{decided.id}")
    assert f"<h1>New thresholds {decided.id}" in page.text
    assert f"decided again from the scores of job {served.preview.id}" in page.text
    assert f'href="/jobs/{decided.id}/thresholds"' in page.text
    again = served.get(f"/jobs/{decided.id}/thresholds")
    assert 'value="0.12"' in again.text


def test_the_page_counts_recordings_that_are_only_cut_differently(served: Served):
    query = {f"t{at}": value for at, value in enumerate(("0.2", "0.2", "0.1"))} | {"hysteresis": "1"}
    answer = served.get(f"/jobs/{served.preview.id}/thresholds.json", **query).json()
    assert re.fullmatch(
        r"No segment in \d+ recordings gets another label; \d+ recordings are cut differently\.", answer["summary"]
    )
    assert "Propose these labels" in answer["changes"]


def test_someone_who_labels_by_hand_meanwhile_keeps_the_labels(served: Served):
    sample_id = served.preview.sample_ids[0]
    metadata = served.project.sample(sample_id).metadata
    served.project.store.add_metadata(sample_id, BY_HAND)
    decided = served.propose(served.preview, MOVED, which="all")
    with served.project.store.transaction() as db:
        db.execute("UPDATE samples SET metadata = ? WHERE id = ?", (json.dumps(dict(metadata)), sample_id))
    assert decided is not None
    assert sample_id in decided.sample_ids
    assert sample_id not in {one.sample_id for one in served.project.store.open_proposals(decided.id)}
    assert "set or changed by hand" in served.jobs.log(decided.id).text


def test_parameters_of_the_new_job_parse_to_the_same_labels(served: Served):
    decided = served.propose(served.preview, {**MOVED, "t0": str(1 / 3)})
    assert decided is not None
    record = RunRecord.from_json(json.loads(decided.record))
    class_names = served.jobs.scores.find(decided).class_names
    assert parse_labels(decided.parameters["audioset-labels"], class_names, 0.2) == record.decisions.labels
    assert record.decisions.labels[0].threshold == 1 / 3


def test_the_page_works_without_a_script_and_names_recordings_without_scores(served: Served):
    page = served.get(f"/jobs/{served.preview.id}/thresholds", **MOVED)
    assert page.status_code == 200
    assert 'value="0.05"' in page.text
    assert "Show what changes" in page.text
    assert f'value="{urlencode(MOVED).replace("&", "&amp;")}"' in page.text
    assert '1 recording has no scores and is left out: <bdi class="mono">waltz.wav</bdi>' in page.text  # by hand
    job = served.get(f"/jobs/{served.preview.id}")
    assert "Adjust thresholds…" in job.text


@pytest.mark.parametrize(
    ("query", "refusal"),
    [({"t0": "2"}, "a number from 0 to 1"), ({"t1": "nan"}, "from 0 to 1"), ({"hysteresis": "0"}, "hysteresis"),
     ({"median-ms": "-3"}, "whole number"), ({"windows": "x"}, "size-stride"), ({"windows": "10-10"}, "win-size-ms"),
     ({"windows": "sound"}, "no scores for")],
)  # fmt: skip
def test_settings_that_cannot_be_used_are_refused_with_the_reason(served: Served, query: dict[str, str], refusal: str):
    answer = served.get(f"/jobs/{served.preview.id}/thresholds.json", **query)
    assert answer.status_code in (400, 409)
    assert refusal in answer.json()["error"]


def test_scores_of_other_boundaries_decide_once_a_preview_has_kept_them(served: Served):
    sound = served.start(boundaries="sound")
    assert sound.exit_code == 0, served.jobs.log(sound.id).text
    page = served.get(f"/jobs/{served.preview.id}/thresholds")
    assert '<option value="sound">between changes of the sound</option>' in page.text
    same = {"t0": "0.2", "t1": "0.2", "t2": "0.1", "merge": "on", "windows": "sound"}
    answer = served.get(f"/jobs/{served.preview.id}/thresholds.json", **same).json()
    record = RunRecord.from_json(json.loads(sound.record))
    assert_rows(answer["rows"], "after", sum_up(served, decide_as_relabel(served, sound, record)))
    decided = served.propose(served.preview, same, which="all")
    assert decided is not None
    for sample_id in decided.sample_ids:
        changes = [served.project.store.changes(job.id, sample_id) for job in (decided, sound)]
        assert changes[0] == changes[1]


def test_a_job_without_scores_says_how_to_get_them(served: Served):
    job = served.jobs.store.create(PREVIEW, served.preview.block, SETTINGS, [1])
    served.jobs.store.end(job.id, "finished", 0)
    page = served.get(f"/jobs/{job.id}/thresholds")
    assert page.status_code == 409
    assert "This job kept no scores" in page.text
    assert "Preview again" in page.text
    assert "Adjust thresholds…" not in served.get(f"/jobs/{job.id}").text


def test_spans_that_flip_are_joined_if_they_flip_alike():
    before = (Segment(0, 10, "a", 0.9), Segment(10, 20, "b", 0.8), Segment(20, 30, "a", 0.7), Segment(30, 40, "a", 0.1))
    after = (Segment(0, 15, "b", 0.5), Segment(15, 35, "c", 0.6), Segment(35, 40, "c", 0.4))
    assert list(find_flips(7, before, after)) == [
        Flip(7, 0, 10, "a", "b", 0.5),
        Flip(7, 15, 20, "b", "c", 0.6),
        Flip(7, 20, 40, "a", "c", 0.6),
    ]
    assert list(find_flips(7, before, before)) == []


def test_fast_scores_are_decided_again_and_the_page_says_what_that_means(served: Served):
    fast = served.start(mode="fast")
    assert fast.exit_code == 0, served.jobs.log(fast.id).text
    record = RunRecord.from_json(json.loads(fast.record))
    before = decide_as_relabel(served, fast, record)
    for sample_id, segments in before.items():
        entries = served.jobs.store.details(sample_id, fast.id)["segments"]
        assert isinstance(entries, list)
        assert [(one["startIndex"], one["label"]) for one in entries] == [(one.start, one.label) for one in segments]
    page = served.get(f"/jobs/{fast.id}/thresholds")
    assert "These scores are from fast mode." in page.text
    assert "No segment in 5 recordings gets another label." in page.text
