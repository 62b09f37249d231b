"""Jobs keep their scores: a preview and the run after it compute no window twice, and labels can be decided again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from block.edge_impulse.run_record import RunRecord
from block.local_studio.address import Address
from block.local_studio.data.project import LocalProject
from block.local_studio.jobs.files import SCORES, JobFiles
from block.local_studio.jobs.jobs import Jobs
from block.local_studio.jobs.kept_scores import ScoresGone
from block.local_studio.jobs.store import PREVIEW, RUN, StudioJob
from block.local_studio.server import running
from block.score_store import ScoreStore
from block.score_store.relabel import NamedRecording, relabel
from block.settings import GRID, WindowSettings
from tests.conftest import EMBEDDED
from tests.local_studio.conftest import make_audio_bytes
from tests.local_studio.test_jobs import wait_for_end

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {"audioset-labels": "Sine wave (tone, 0.1)\nSpeech", "model": EMBEDDED.name, "win-size-ms": "1000",
            "win-stride-ms": "1000", "existing-labels": "replace"}  # fmt: skip


@dataclass(frozen=True)
class Labeled:
    """A project on which this block ran a preview, then a run with other thresholds, from another server."""

    project: LocalProject
    jobs: Jobs
    preview: StudioJob
    run: StudioJob
    logs: tuple[str, str]


@pytest.fixture(scope="module")
def labeled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Labeled]:
    folder = tmp_path_factory.mktemp("kept")
    for name, options in {"a.wav": {}, "b.flac": {"container": "FLAC"}}.items():
        (folder / name).write_bytes(make_audio_bytes(48000 + 16000 * len(options), **options))
    found, logs = [], []
    for kind, changed in (
        (PREVIEW, {}),
        (RUN, {"audioset-labels": "Sine wave (tone, 0.9)\nSpeech", "hysteresis": "0.5"}),
    ):
        project = LocalProject(folder)
        project.scan()
        with running(project) as address:
            jobs = Jobs(project, ROOT, Address("127.0.0.1", address.port, address.key))
            ids = [sample.id for sample in project.samples()]
            found.append(wait_for_end(jobs, jobs.start(kind, {**SETTINGS, **changed}, {}, ids)))
            logs.append(jobs.log(found[-1].id).text)
            jobs.close()
        project.close()
    project = LocalProject(folder)
    with running(project) as address:
        yield Labeled(project, Jobs(project, ROOT, address), found[0], found[1], (logs[0], logs[1]))
    project.close()


def test_a_run_after_a_preview_computes_nothing_even_after_a_restart(labeled: Labeled):
    assert [job.exit_code for job in (labeled.preview, labeled.run)] == [0, 0], labeled.logs
    assert "0 windows reused, 7 computed" in labeled.logs[0]
    assert "7 windows reused, 0 computed" in labeled.logs[1]


def test_a_run_labels_again_because_no_journal_is_kept(labeled: Labeled):
    assert all(sample.structured_labels for sample in labeled.project.samples())
    assert not list((labeled.project.root / ".local-studio" / SCORES).glob("*journal*"))


@pytest.mark.parametrize("kind", [PREVIEW, RUN])
def test_labels_decided_from_kept_scores_are_those_of_the_job(labeled: Labeled, kind: str):
    job = labeled.preview if kind == PREVIEW else labeled.run
    scores = labeled.jobs.scores.find(job)
    assert set(scores.contents) == set(job.sample_ids) == {sample_id for sample_id, _ in scores.load()}
    recordings = [NamedRecording(sample_id, "", content) for sample_id, content in scores.contents.items()]
    for one in relabel(scores.store, recordings, scores.record.decisions):
        entries = labeled.jobs.store.details(one.id, job.id)["segments"]
        assert isinstance(entries, list)
        assert [(entry["startIndex"], entry["endIndex"] + 1, entry["label"], entry["score"]) for entry in entries] == [
            (segment.start, segment.end, segment.label, round(segment.score, 4)) for segment in one.segments
        ]


def test_the_record_has_the_fingerprint_and_the_metadata_that_labels_come_with(labeled: Labeled):
    record = labeled.jobs.scores.find(labeled.run).record
    for sample in labeled.project.samples():
        assert record.metadata.items() <= sample.metadata.items()
    assert RunRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


def test_scores_of_other_windows_are_listed_and_scores_that_are_gone_are_explained(labeled: Labeled, tmp_path: Path):
    scores = labeled.jobs.scores
    assert scores.list_windows(labeled.preview) == [WindowSettings(1000, 1000)]
    with pytest.raises(ScoresGone, match="no scores for"):
        scores.find(labeled.preview, WindowSettings(0, 0, "sound"))
    with pytest.raises(ScoresGone, match="This job kept no scores"):
        scores.find(replace(labeled.preview, record=""))
    found = scores.find(labeled.preview)
    folder = labeled.project.root / ".local-studio" / SCORES
    with ScoreStore(folder, replace(found.record.key, windows=WindowSettings(500, 500)), found.class_names) as store:
        (_, some), *_ = found.load()
        store.add(replace(some, content="0" * 64))
    assert scores.list_windows(labeled.preview) == [WindowSettings(1000, 1000), WindowSettings(500, 500)]
    assert scores.list_windows(labeled.preview)[0].boundaries == GRID
    with pytest.raises(ScoresGone, match="None of the 2 recordings"):
        scores.find(labeled.preview, WindowSettings(500, 500))
    shutil.move(folder, tmp_path / "scores")
    with pytest.raises(ScoresGone, match="can't be read"):
        scores.find(labeled.preview)
    shutil.move(tmp_path / "scores", folder)
    scores.find(labeled.preview)


@pytest.mark.parametrize(
    ("path", "value"),
    [(("decisions", "hysteresis"), 2), (("decisions", "merge"), "yes"), (("decisions", "labels"), [{"index": 1}]),
     (("key", "format"), 99), (("audit",), None), (("existing",), 1), (("decisions", "median_ms"), True),
     (("decisions", "labels"), []), (("decisions", "labels", 0, "indices"), []),
     (("decisions", "labels", 0, "indices"), [-1]), (("decisions", "labels", 0, "threshold"), float("nan")),
     (("decisions", "labels", 0, "threshold"), 5.0), (("key", "checkpoint"), {}), (("key", "mode"), [])],
)  # fmt: skip
def test_a_record_that_a_faulty_block_wrote_is_refused(labeled: Labeled, path: tuple[str | int, ...], value: object):
    content = json.loads(json.dumps(labeled.jobs.scores.find(labeled.run).record.to_json()))
    *parents, name = path
    place = content
    for parent in parents:
        place = place[parent]
    place[name] = value
    with pytest.raises(ValueError, match=r".+"):
        RunRecord.from_json(content)


def test_a_record_with_classes_that_the_scores_lack_is_refused(labeled: Labeled):
    record = json.loads(labeled.preview.record)
    record["decisions"]["labels"][0]["indices"] = [527]
    with pytest.raises(ScoresGone, match="classes that its scores of 527 classes lack"):
        labeled.jobs.scores.find(replace(labeled.preview, record=json.dumps(record)))


def test_scores_are_not_written_through_a_link_out_of_the_folder(tmp_path: Path):
    (tmp_path / "project").mkdir()
    (tmp_path / "elsewhere").mkdir()
    files = JobFiles(tmp_path / "project")
    assert files.find_scores() == tmp_path / "project" / ".local-studio" / SCORES
    files.find_scores().symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="scores is a link out of the project's folder"):
        files.find_scores()
