"""Export labels in all formats, and import them as `info.labels`."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from block.local_studio.address import Address
from block.local_studio.data.project import LocalProject
from block.local_studio.data.sample import StructuredLabel
from block.local_studio.data.validation import RequestError
from block.local_studio.jobs.store import RUN, JobStore
from block.local_studio.server import running
from block.local_studio.web import info_labels
from block.local_studio.web.info_labels import export, plan_import
from tests.local_studio.conftest import add_recording, audio_file_of


@pytest.fixture
def folder(tmp_path: Path, project: LocalProject, audio_bytes: Callable[..., bytes]) -> LocalProject:
    """Return a project with a.wav, sub/b.wav and sub/c.wav, with ids 1 to 3 and 100 values each."""
    (tmp_path / "sub").mkdir()
    for name in ("a.wav", "sub/b.wav", "sub/c.wav"):
        (tmp_path / name).write_bytes(audio_bytes(100))
    project.scan()
    return project


@pytest.fixture
def address(folder: LocalProject) -> Iterator[Address]:
    with running(folder) as address:
        yield address


def file_of(*entries: dict[str, Any]) -> str:
    return json.dumps({"version": 1, "files": list(entries)})


def entry(path: str, *labels: str, last: int = 99, **more: Any) -> dict[str, Any]:
    """Return an entry with one label, or two that change halfway; unlabeled if there are none."""
    if not labels:
        return {"path": path, "category": "training", "label": {"type": "unlabeled"}, **more}
    spans = [(0, last)] if len(labels) == 1 else [(0, 49), (50, last)]
    made = [
        {"startIndex": start, "endIndex": end, "label": label}
        for (start, end), label in zip(spans, labels, strict=True)
    ]
    return {"path": path, "category": "training", "label": {"type": "multi-label", "labels": made}, **more}


def import_labels(project: LocalProject, text: str, replace_hand: bool = False) -> info_labels.ImportPlan:
    plan = plan_import(text, project.samples(), replace_hand=replace_hand)
    assert info_labels.write(project.store, plan.changes) == []
    return plan


def labels_of(project: LocalProject, sample_id: int) -> list[str]:
    return [one.label for one in project.sample(sample_id).structured_labels or ()]


def token(address: Address) -> str:
    page = requests.get(f"{address.url}/", timeout=10).text
    return re.search(r'name="token" value="([0-9a-f]+)"', page)[1]  # type: ignore[index]


def test_each_kind_of_labels_is_written_as_the_uploader_reads_it(folder: LocalProject) -> None:
    folder.store.set_structured_labels(1, [StructuredLabel(0, 49, "dog"), StructuredLabel(50, 99, "<rain>")])
    folder.store.add_metadata(1, {"site": "Zürich", "labeled_by": "human"})
    folder.store.set_label(2, "rain")
    assert json.loads(export(folder.samples())) == {
        "version": 1,
        "files": [
            {
                "path": "a.wav",
                "category": "training",
                "label": {
                    "type": "multi-label",
                    "labels": [
                        {"startIndex": 0, "endIndex": 49, "label": "dog"},
                        {"startIndex": 50, "endIndex": 99, "label": "<rain>"},
                    ],
                },
                "metadata": {"site": "Z\\xfcrich", "labeled_by": "human"},
            },
            {"path": "sub/b.wav", "category": "training", "label": {"type": "label", "label": "rain"}},
            {"path": "sub/c.wav", "category": "training", "label": {"type": "unlabeled"}},
        ],
    }


def test_a_recording_gets_the_path_of_its_file_whatever_its_name(project: LocalProject) -> None:
    sample_id = add_recording(project, name="../../etc/passwd", category="anomaly")
    (file,) = json.loads(export(project.samples()))["files"]
    assert (file["path"], file["category"]) == (audio_file_of(project, sample_id).name, "testing")
    assert "name" not in file


def test_no_recordings_make_an_empty_file(project: LocalProject) -> None:
    assert json.loads(export([])) == {"version": 1, "files": []}


def test_an_export_can_be_imported(folder: LocalProject) -> None:
    folder.store.set_structured_labels(1, [StructuredLabel(0, 9, "dog"), StructuredLabel(10, 99, "rain")])
    folder.store.set_label(2, "wind")
    folder.store.add_metadata(1, {"labeled_by": "some block", "site": "yard"})
    text = export(folder.samples())
    before = folder.samples()
    folder.store.set_structured_labels(1, [StructuredLabel(0, 99, "cat")])
    folder.store.set_structured_labels(2, [StructuredLabel(0, 99, "cat")])
    plan = import_labels(folder, text)
    assert (len(plan.changes), plan.unlabeled, plan.unknown, plan.refused) == (2, 1, (), ())
    after = folder.samples()
    assert after[0].structured_labels == before[0].structured_labels
    assert after[0].metadata == before[0].metadata
    assert (after[1].structured_labels, after[1].label) == (None, "wind")
    assert after[1].metadata == {"labeled_by": "human"}
    assert after[2].revision == before[2].revision


def test_imported_labels_count_as_hand_made_unless_the_file_says_otherwise(folder: LocalProject) -> None:
    folder.store.add_metadata(1, {"site": "yard", "labeled_by": "some block"})
    import_labels(
        folder, file_of(entry("a.wav", "dog"), entry("sub/b.wav", "cat", metadata={"labeled_by": "x", "n": "1"}))
    )
    assert folder.sample(1).metadata == {"site": "yard", "labeled_by": "human"}
    assert folder.sample(2).metadata == {"labeled_by": "x", "n": "1"}


@pytest.mark.parametrize(
    ("path", "sample_id"),
    [
        ("a.wav", 1),
        ("./sub/b.wav", 2),
        ("b.wav", 2),
        ("../recordings/sub/b.wav", 2),
        ("/data/audio/a.wav", 1),
        ("training/c.wav", 3),
        ("d.wav", None),
        ("../../etc/passwd", None),
        ("", None),
        ("..", None),
    ],
)
def test_a_recording_is_found_by_its_path_or_by_a_unique_name(
    folder: LocalProject, path: str, sample_id: int | None
) -> None:
    plan = plan_import(file_of(entry(path, "dog")), folder.samples(), replace_hand=False)
    assert [one.sample_id for one in plan.changes] == ([] if sample_id is None else [sample_id])
    assert plan.unknown == ((path,) if sample_id is None else ())
    assert plan.refused == ()


def test_a_name_that_several_recordings_share_is_refused(
    tmp_path: Path, folder: LocalProject, audio_bytes: Callable[..., bytes]
) -> None:
    (tmp_path / "b.wav").write_bytes(audio_bytes(100))
    folder.scan()
    plan = plan_import(file_of(entry("elsewhere/b.wav", "dog")), folder.samples(), replace_hand=False)
    assert "more than one" in plan.refused[0].reason
    both = file_of(entry("x/c.wav", "dog"), entry("y/c.wav", "cat"))
    assert len(plan_import(both, folder.samples(), replace_hand=False).refused) == 2


def test_a_file_can_label_a_recording_only_once(folder: LocalProject) -> None:
    plan = import_labels(folder, file_of(entry("a.wav", "dog"), entry("./a.wav", "cat")))
    assert labels_of(folder, 1) == ["dog"]
    assert "again" in plan.refused[0].reason


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"label": {"type": "multi-label", "labels": [{"startIndex": 0, "endIndex": 98, "label": "x"}]}}, "99…99"),
        ({"label": {"type": "multi-label", "labels": [{"startIndex": 0, "endIndex": 100, "label": "x"}]}}, "0…100"),
        ({"label": {"type": "multi-label", "labels": "x"}}, "array"),
        ({"label": {"type": "label", "label": 5}}, "string"),
        ({"label": {"type": "keyvalue-labels", "labels": {}}}, "keyvalue-labels"),
        ({"label": None}, "no label"),
        ({"metadata": {"a": 1}}, "string"),
        ({"boundingBoxes": [{}]}, "bounding boxes"),
        ({"label": {"type": "label", "label": "\ud800"}}, "surrogate"),
    ],
)
def test_invalid_labels_are_refused_without_affecting_other_recordings(
    folder: LocalProject, change: dict[str, Any], why: str
) -> None:
    plan = import_labels(folder, file_of({**entry("a.wav", "dog"), **change}, entry("sub/b.wav", "cat")))
    assert [one.path for one in plan.refused] == ["a.wav"]
    assert why in plan.refused[0].reason
    assert labels_of(folder, 1) == []
    assert labels_of(folder, 2) == ["cat"]


@pytest.mark.parametrize(
    "text",
    ["", "no", "[]", "{}", '{"version": 2, "files": []}', '{"version": 1, "files": {}}', file_of({"x": 1}),
     '{"version": 1, "files": [5]}', '{"__ndjson":true,"version":1}\n{}', "[" * 100_000],
)  # fmt: skip
def test_an_invalid_file_changes_nothing(folder: LocalProject, text: str) -> None:
    with pytest.raises(RequestError):
        plan_import(text, folder.samples(), replace_hand=False)


def test_labels_set_by_hand_stay_unless_replacing_is_requested(folder: LocalProject) -> None:
    folder.store.set_by_hand(1, [StructuredLabel(0, 99, "mine")], 0)
    plan = import_labels(folder, file_of(entry("a.wav", "theirs")))
    assert "by hand" in plan.refused[0].reason
    assert labels_of(folder, 1) == ["mine"]
    assert len(import_labels(folder, file_of(entry("a.wav", "mine"))).changes) == 1
    import_labels(folder, file_of(entry("a.wav", "theirs")), replace_hand=True)
    assert labels_of(folder, 1) == ["theirs"]


def test_a_recording_that_has_changed_since_is_skipped_and_reported(folder: LocalProject) -> None:
    plan = plan_import(file_of(entry("a.wav", "dog"), entry("sub/b.wav", "cat")), folder.samples(), replace_hand=False)
    folder.store.set_label(1, "changed")
    assert [one.path for one in info_labels.write(folder.store, plan.changes)] == ["a.wav"]
    assert labels_of(folder, 1) == []
    assert labels_of(folder, 2) == ["cat"]


def test_an_import_that_fails_changes_nothing(folder: LocalProject) -> None:
    plan = plan_import(file_of(entry("a.wav", "dog"), entry("sub/b.wav", "cat")), folder.samples(), replace_hand=False)

    def breaking() -> Iterator[info_labels.LabelChange]:
        yield plan.changes[0]
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        info_labels.write(folder.store, breaking())
    assert labels_of(folder, 1) == []


def test_the_file_is_downloaded_under_its_name(address: Address) -> None:
    answer = requests.get(f"{address.url}/labels/export", timeout=10)
    assert answer.headers["Content-Disposition"] == 'attachment; filename="info.labels"'
    assert answer.headers["Content-Type"] == "application/json"
    assert [one["path"] for one in answer.json()["files"]] == ["a.wav", "sub/b.wav", "sub/c.wav"]


def test_the_report_says_what_happened_to_each_entry(folder: LocalProject, address: Address) -> None:
    evil = '<script>alert("x")</script>\u202e.wav'
    text = file_of(entry("a.wav", "dog"), entry(evil, "dog"), entry("sub/b.wav", "dog", last=200), entry("sub/c.wav"))
    fields = {"token": token(address), "labels": text}
    answer = requests.post(f"{address.url}/labels/import", data=fields, timeout=10)
    assert answer.status_code == 200
    assert "1 recording now has the labels of the file" in answer.text
    assert "1 entry has no labels" in answer.text
    assert "1 refused" in answer.text
    assert "1 not in this project" in answer.text
    assert "<script>alert" not in answer.text
    assert "\u202e" not in answer.text
    assert labels_of(folder, 1) == ["dog"]
    assert "1</b> by hand" in requests.get(f"{address.url}/", timeout=10).text


def test_the_checkbox_for_hand_made_labels_takes_effect(folder: LocalProject, address: Address) -> None:
    folder.store.set_by_hand(1, [StructuredLabel(0, 99, "mine")], 0)
    fields = {"token": token(address), "labels": file_of(entry("a.wav", "theirs"))}
    requests.post(f"{address.url}/labels/import", data=fields, timeout=10)
    assert labels_of(folder, 1) == ["mine"]
    requests.post(f"{address.url}/labels/import", data={**fields, "replace_hand": "1"}, timeout=10)
    assert labels_of(folder, 1) == ["theirs"]


def test_an_import_from_another_site_is_refused(folder: LocalProject, address: Address) -> None:
    fields = {"token": token(address), "labels": file_of(entry("a.wav", "dog"))}
    for headers, sent in (
        ({"Origin": "http://evil.example"}, fields),
        ({"Sec-Fetch-Site": "cross-site"}, fields),
        ({}, {**fields, "token": "0" * 64}),
    ):
        answer = requests.post(f"{address.url}/labels/import", data=sent, headers=headers, timeout=10)
        assert answer.status_code == 403
    assert labels_of(folder, 1) == []


@pytest.mark.slow
def test_a_file_of_several_megabytes_is_imported(folder: LocalProject, address: Address) -> None:
    many = [entry(f"gone/{i}.wav", "dog") for i in range(20_000)]
    fields = {"token": token(address), "labels": file_of(*many, entry("a.wav", "dog"))}
    answer = requests.post(f"{address.url}/labels/import", data=fields, timeout=30)
    assert answer.status_code == 200
    assert "20000 not in this project" in answer.text
    assert "and 19800 more" in answer.text
    assert labels_of(folder, 1) == ["dog"]


def test_labels_are_exported_as_a_table_as_tracks_and_as_tasks(folder: LocalProject, address: Address) -> None:
    halves = [StructuredLabel(0, 49, "dog"), StructuredLabel(50, 99, "=rain")]
    folder.store.set_structured_labels(1, halves)
    folder.store.set_structured_labels(2, [StructuredLabel(0, 99, "cat")])
    jobs = JobStore(folder.store)
    job = jobs.create(RUN, "toy", {}, [1])
    jobs.add_details(job.id, {1: {"segments": [{**halves[0].to_json(), "score": 0.75}]}})

    def fetch(name: str) -> requests.Response:
        answer = requests.get(f"{address.url}/labels/export?format={name}", timeout=10)
        assert answer.status_code == 200
        assert answer.headers["content-disposition"].startswith("attachment; filename=")
        return answer

    table = fetch("csv").content.decode("utf-8-sig").splitlines()
    assert table[1:] == [
        "a.wav,0.000000,0.003125,0,49,dog,0.7500",
        "a.wav,0.003125,0.006250,50,99,'=rain,1.0000",
        "sub/b.wav,0.000000,0.006250,0,99,cat,1.0000",
    ]
    with zipfile.ZipFile(io.BytesIO(fetch("audacity").content)) as tracks:
        assert tracks.namelist() == ["a.wav.txt", "sub/b.wav.txt"]
        assert tracks.read("sub/b.wav.txt") == b"0.000000\t0.006250\tcat\n"
    tasks = fetch("label-studio").json()
    assert [task["meta"]["file"] for task in tasks] == ["a.wav", "sub/b.wav"]
    assert [one["value"]["labels"] for one in tasks[0]["predictions"][0]["result"]] == [["dog"], ["=rain"]]
    assert '<Label value="cat"/>' in fetch("label-studio-interface").text
    assert requests.get(f"{address.url}/labels/export?format=mp3", timeout=10).status_code == 400


@pytest.mark.parametrize(("ending", "container", "subtype"), [(".opus", "OGG", "OPUS"), (".aiff", "AIFF", "PCM_16")])
def test_formats_that_label_reads_are_listed_and_played(
    folder: LocalProject, address: Address, audio_bytes: Callable[..., bytes], ending: str, container: str, subtype: str
) -> None:
    (folder.root / f"new{ending}").write_bytes(audio_bytes(4800, 48000, container=container, subtype=subtype))
    folder.scan()
    (sample,) = (sample for sample in folder.samples() if sample.name == f"new{ending}")
    assert sample.processing_error is None
    clip = requests.get(f"{address.url}/recordings/{sample.id}/clip?start=0&end=1000", timeout=10)
    assert (clip.status_code, clip.content[:4]) == (200, b"RIFF")
