"""Read projects, samples and WAVs over HTTP."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import requests
import soundfile

from block.local_studio.api import serializers
from block.local_studio.data import rows
from block.local_studio.data.project import LocalProject
from block.local_studio.data.sample import StructuredLabel
from block.local_studio.server import running
from tests.local_studio.conftest import add_recording, add_recordings, audio_file_of, make_audio_bytes

MakeWav = Callable[..., bytes]
Refused = Callable[..., None]


def list_ids(studio: Any, **parameters: object) -> list[int]:
    answer = studio.get("1/raw-data", params={"category": "all", "limit": 1000, **parameters})
    assert answer.status_code == 200, answer.text
    return [sample["id"] for sample in answer.json()["samples"]]


def test_the_key_gives_access_to_one_project(studio: Any):
    body = studio.get("projects").json()
    assert body["success"] is True
    (project,) = body["projects"]
    assert (project["id"], project["labelingMethod"]) == (1, "single_label")
    assert studio.get("1").json()["project"] == project


def test_the_project_info_summarizes_the_training_data(tmp_path: Path):
    project = LocalProject(tmp_path)
    labels = (StructuredLabel(0, 99, "a"), StructuredLabel(100, 15999, "b"))
    add_recording(project, 16000, label="x", structured_labels=labels)
    add_recording(project, 8000, label="c")
    add_recording(project, 8000, label="d", category="testing")
    with running(project) as address:
        headers = {"x-api-key": address.key}
        body = requests.get(f"{address.endpoint}/api/1", headers=headers, timeout=10).json()
    project.close()
    expected = {"totalLengthMs": 1500.0, "labels": ["a", "b", "c"], "totalLabels": 3, "dataCount": 2}
    assert body["dataSummary"] == body["dataSummaryPerCategory"]["training"] == expected


def test_a_list_needs_a_category_and_refuses_unsupported_parameters(studio: Any, refused: Refused):
    refused(studio.get("1/raw-data"), 400, "category")
    refused(studio.get("1/raw-data", params={"category": "all", "metadata": "[]"}), 400, "not supported")
    refused(studio.get("1/raw-data", params={"category": "all", "ids": "[1]"}), 400, "unknown")
    refused(studio.get("1/raw-data?category=all&category=testing"), 400, "2 times")


def test_pages_cover_all_samples_without_overlap(studio: Any):
    made = [studio.add(name="paged.wav") for _ in range(5)]
    pages = [list_ids(studio, filename="paged", limit=2, offset=offset) for offset in (0, 2, 4, 6)]
    assert [len(page) for page in pages] == [2, 2, 1, 0]
    assert [i for page in pages for i in page] == sorted(made, reverse=True)
    body = studio.get("1/raw-data", params={"category": "all", "filename": "paged", "limit": 1}).json()
    assert body["totalCount"] == 5


def test_a_list_has_only_samples_of_its_category(studio: Any):
    trained, tested = studio.add(category="training"), studio.add(category="testing")
    assert trained in list_ids(studio, category="training")
    assert tested not in list_ids(studio, category="training")
    assert list_ids(studio, category="anomaly") == []


def test_disabled_samples_are_listed_unless_excluded(studio: Any):
    disabled = studio.add(is_disabled=True)
    assert disabled in list_ids(studio)
    assert disabled not in list_ids(studio, includeDisabled="enabled")


def test_sensors_can_be_left_out_of_a_list(studio: Any):
    sample_id = studio.add()
    parameters = {"category": "all", "minId": sample_id, "excludeSensors": "true"}
    (sample,) = studio.get("1/raw-data", params=parameters).json()["samples"]
    assert sample["sensors"] == []


def test_a_list_with_a_job_shows_and_filters_what_the_job_proposes(studio: Any):
    sample_id = studio.add(label="old")
    body = {"jobId": 31, "proposedChanges": {"label": "proposed-31"}}
    assert studio.post(studio.raw_data(sample_id, "propose-changes"), body).ok
    assert list_ids(studio, labels='["proposed-31"]', proposedActionsJobId=31) == [sample_id]
    assert list_ids(studio, labels='["proposed-31"]') == []


def test_a_list_takes_one_query_and_opens_no_files_whatever_the_number_of_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    project = LocalProject(tmp_path)
    labels = [StructuredLabel(i * 10, i * 10 + 9, str(i)) for i in range(20)]
    calls: Counter[str] = Counter()

    def count_calls(module: ModuleType, name: str) -> None:
        original = getattr(module, name)

        def counted(*arguments: Any, **options: Any) -> Any:
            calls[name] += 1
            return original(*arguments, **options)

        monkeypatch.setattr(module, name, counted)

    count_calls(rows, "parse_sample")
    count_calls(serializers, "serialize_sample")
    with running(project) as address:
        for count in (100, 1000):
            add_recordings(project, count - len(project.samples()), make_audio_bytes(200), structured_labels=labels)
            for file in tmp_path.glob("*.wav"):
                file.rename(file.with_suffix(".away"))  # a list that reads the files would fail
            calls.clear()
            statements: list[str] = []
            project.store._db.set_trace_callback(statements.append)
            query: dict[str, str | int] = {"category": "all", "limit": 50}
            headers = {"x-api-key": address.key}
            body = requests.get(f"{address.endpoint}/api/1/raw-data", query, headers=headers, timeout=10).json()
            project.store._db.set_trace_callback(None)
            assert (body["totalCount"], len(body["samples"])) == (count, 50)
            assert len(statements) == 1, statements
            assert calls == {"parse_sample": count, "serialize_sample": 50}
            for file in tmp_path.glob("*.away"):
                file.rename(file.with_suffix(".wav"))
    project.close()


def test_a_sample_has_its_properties_and_a_limited_payload(studio: Any, audio_bytes: MakeWav):
    sample_id = studio.add(500, name="folder/<b>.wav", metadata={"room": "kitchen"}, label="x")
    body = studio.get(studio.raw_data(sample_id), params={"limitPayloadValues": 3}).json()
    sample = body["sample"]
    assert sample["filename"] == "folder/<b>.wav"
    assert (sample["valuesCount"], sample["frequency"], sample["intervalMs"]) == (500, 16000, 0.0625)
    assert sample["sensors"] == [{"index": 0, "name": "audio", "units": "wav"}]
    assert (sample["metadata"], sample["label"]) == ({"room": "kitchen"}, "x")
    assert "structuredLabels" not in sample
    assert body["totalPayloadLength"] == 500
    values, _ = soundfile.read(io.BytesIO(audio_bytes(500)), dtype="int16")
    assert body["payload"]["values"] == [[int(value)] for value in values[:3]]
    assert len(studio.get(studio.raw_data(sample_id)).json()["payload"]["values"]) == 500


def test_metadata_is_absent_when_there_is_none(studio: Any):
    assert "metadata" not in studio.sample(studio.add())


@pytest.mark.parametrize(
    "parameter",
    ["limitPayloadValues=-1", "limitPayloadValues=x", "proposedActionsJobId=0", "proposedActionsJobId=",
     "truncateStructuredLabels=true", "datasetVersionId=1", "impulseId=1", "limit=3"],
)  # fmt: skip
def test_a_sample_refuses_parameters_it_does_not_understand(studio: Any, refused: Refused, parameter: str):
    refused(studio.get(f"{studio.raw_data(studio.add())}?{parameter}"), 400, parameter.partition("=")[0])


def test_a_wav_is_served_byte_for_byte(studio: Any, audio_bytes: MakeWav):
    data = audio_bytes(100, subtype="FLOAT", channels=2)
    sample_id = studio.add(audio=data)
    answer = studio.get(studio.raw_data(sample_id, "wav"), params={"axisIx": 0})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/wav")
    assert answer.headers["content-length"] == str(len(data))
    assert answer.content == data


@pytest.mark.parametrize("container", ["WAV", "FLAC"])
def test_a_file_is_served_whole_and_in_ranges(studio: Any, audio_bytes: MakeWav, container: str):
    data = audio_bytes(400_000, container=container)
    name = f"served.{container.lower()}"
    (studio.project.root / name).write_bytes(data)
    studio.project.scan()
    (sample_id,) = list_ids(studio, filename=name)
    path = f"{studio.raw_data(sample_id, 'wav')}?axisIx=0"
    whole = studio.get(path).content
    values, rate = soundfile.read(io.BytesIO(whole), dtype="int16")
    np.testing.assert_array_equal(values, soundfile.read(io.BytesIO(data), dtype="int16")[0])
    assert rate == 16000
    part = studio.get(path, headers={"range": "bytes=300000-700000"})
    assert part.status_code == 206
    assert part.headers["content-range"] == f"bytes 300000-700000/{len(whole)}"
    assert part.content == whole[300_000:700_001]
    assert studio.get(path, headers={"range": "bytes=-10"}).content == whole[-10:]


@pytest.mark.parametrize("container", ["WAV", "FLAC"])
def test_a_range_beyond_the_end_is_416_with_the_size(studio: Any, audio_bytes: MakeWav, container: str):
    path = f"{studio.raw_data(studio.add(audio=audio_bytes(100, container=container)), 'wav')}?axisIx=0"
    answer = studio.get(path, headers={"range": "bytes=5000-"})
    assert (answer.status_code, answer.content) == (416, b"")
    assert answer.headers["content-range"] == "bytes */244"


@pytest.mark.parametrize(
    ("wanted", "status"), [("bytes=0-1,5-6", 206), ("bytes=9-3", 400), ("frames=0-9", 400), ("bytes=a-b", 400)]
)
def test_several_ranges_of_a_file_are_answered_and_malformed_ones_refused(studio: Any, wanted: str, status: int):
    answer = studio.get(f"{studio.raw_data(studio.add(100), 'wav')}?axisIx=0", headers={"range": wanted})
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("multipart/byteranges" if status == 206 else "text/plain")


def test_if_range_gets_a_range_only_if_the_file_is_the_same(studio: Any):
    path = f"{studio.raw_data(studio.add(100), 'wav')}?axisIx=0"
    etag = studio.get(path).headers["etag"]
    for known, status in ((etag, 206), ('"other"', 200)):
        assert studio.get(path, headers={"range": "bytes=0-9", "if-range": known}).status_code == status


def test_a_slice_of_a_wav_has_the_requested_values(studio: Any, audio_bytes: MakeWav, refused: Refused):
    path = studio.raw_data(studio.add(100), "wav")
    answer = studio.get(path, params={"axisIx": 0, "sliceStart": 10, "sliceEnd": 30})
    whole, _ = soundfile.read(io.BytesIO(audio_bytes(100)), dtype="int16")
    np.testing.assert_array_equal(soundfile.read(io.BytesIO(answer.content), dtype="int16")[0], whole[10:30])
    refused(studio.get(path, params={"axisIx": 0, "sliceStart": 30, "sliceEnd": 30}), 400, "slice 30…30")
    refused(studio.get(path, params={"axisIx": 0, "sliceEnd": 101}), 400, "slice 0…101")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "axisIx is required"),
        ("?axisIx=1", "no axis 1"),
        ("?axisIx=-1", "axisIx"),
        ("?axisIx=a", "axisIx"),
        ("?axisIx=0&sliceStart=-1", "sliceStart"),
        ("?axisIx=0&datasetVersionId=1", "datasetVersionId"),
    ],
)
def test_a_wav_needs_an_axis_in_range(studio: Any, refused: Refused, query: str, message: str):
    refused(studio.get(studio.raw_data(studio.add(), "wav") + query), 400, message)


def test_a_sample_whose_audio_can_no_longer_be_read_has_no_wav_and_no_payload(studio: Any, refused: Refused):
    sample_id = studio.add(100)
    path = studio.raw_data(sample_id, "wav?axisIx=0")
    assert studio.get(path).ok
    for damaged, reason in ((b"no audio", "the file is text, not audio"), (b"", "the file is empty")):
        audio_file_of(studio.project, sample_id).write_bytes(damaged)
        refused(studio.get(path), 400, f"sample {sample_id}: the audio can't be decoded: {reason}")
        refused(studio.get(f"{path}&sliceEnd=1"), 400, reason)
        assert studio.get(studio.raw_data(sample_id)).json()["payload"]["values"] == []
        assert studio.sample(sample_id)["valuesCount"] == 100


def test_a_file_that_cannot_be_read_is_a_sample_without_a_wav(studio: Any, refused: Refused):
    (studio.project.root / "unreadable.wav").write_bytes(b"no audio")
    studio.project.scan()
    (sample_id,) = list_ids(studio, filename="unreadable.wav")
    sample = studio.sample(sample_id)
    assert (sample["processingError"], sample["valuesCount"], sample["intervalMs"]) == (True, 0, 0)
    assert sample["processingErrorString"] == "the audio can't be decoded: the file is text, not audio"
    refused(studio.get(studio.raw_data(sample_id, "wav?axisIx=0")), 400, "the file is text, not audio")


def test_a_wav_without_frames_is_served_unchanged(studio: Any, audio_bytes: MakeWav):
    (studio.project.root / "empty.wav").write_bytes(audio_bytes(0))
    studio.project.scan()
    (sample_id,) = list_ids(studio, filename="empty.wav")
    assert studio.sample(sample_id)["valuesCount"] == 0
    assert studio.get(studio.raw_data(sample_id, "wav?axisIx=0")).content == audio_bytes(0)


def test_a_wav_that_is_cut_off_after_it_was_listed_is_refused(studio: Any, refused: Refused):
    sample_id = studio.add(1000)
    file = audio_file_of(studio.project, sample_id)
    file.write_bytes(file.read_bytes()[:144])
    message = f"sample {sample_id}: the audio is cut off: 100 of 2000 bytes are there"
    refused(studio.get(studio.raw_data(sample_id, "wav?axisIx=0")), 400, message)
    assert studio.sample(sample_id)["valuesCount"] == 1000


def test_a_deleted_file_is_not_found(studio: Any, audio_bytes: MakeWav, refused: Refused):
    path = studio.project.root / "gone.wav"
    path.write_bytes(audio_bytes(10))
    studio.project.scan()
    (sample_id,) = list_ids(studio, filename="gone.wav")
    path.unlink()
    refused(studio.get(studio.raw_data(sample_id)), 404)
    refused(studio.get(studio.raw_data(sample_id, "wav?axisIx=0")), 404)
    studio.project.scan()
    assert list_ids(studio, filename="gone.wav") == []
    refused(studio.post(studio.raw_data(sample_id, "enable")), 404)


def test_answers_are_cached_only_when_a_cache_key_is_given(studio: Any):
    path = studio.raw_data(studio.add(), "wav?axisIx=0")
    assert studio.get(path).headers["cache-control"] == "no-cache"
    assert "max-age=31536000" in studio.get(f"{path}&cacheKey=a").headers["cache-control"]
