"""This version continues from the files of earlier versions and loses nothing.

Each folder next to this file was written by one version; README.md says how. A version that can't continue from one of
them must say so in one line and leave its files unchanged; its tests then expect that line for that folder.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from block import __version__, cli
from block.folder import manifest
from block.local_studio.data.project import DATABASE, LocalProject
from block.local_studio.server import running
from tests.conftest import EMBEDDED
from tests.old_state.options import ENDPOINT, FAST, LABELS, PLACE, PREVIEW, RELABELED
from tests.old_state.reader import Json, Reader
from tests.old_state.recordings import NAME, lay_out, read_table

HERE = Path(__file__).resolve().parent
VERSIONS = sorted(path.parent.name for path in HERE.glob(f"*/{NAME}"))
VERSIONED = ("run.json", "manifest.json")  # they name the version that last wrote them
VERSION_KEYS = ("ast_version", "ast_job")


@pytest.fixture(params=VERSIONS)
def old(request: pytest.FixtureRequest) -> Path:
    """Return the folder with the fixtures of one version."""
    return HERE / str(request.param)


class WindowCounter:
    """Count the windows that the model computes, by its calls of attention in each layer."""

    def __init__(self) -> None:
        self._calls = 0
        self._layers = int(json.loads((EMBEDDED / "config.json").read_text())["num_hidden_layers"])

    @property
    def windows(self) -> float:
        return self._calls / self._layers

    def note(self, queries: Any) -> None:
        self._calls += len(queries)


@pytest.fixture
def window_counter(monkeypatch: pytest.MonkeyPatch) -> WindowCounter:
    """Count the windows that the model computes during the test."""
    from torch.nn import functional

    window_counter, real = WindowCounter(), functional.scaled_dot_product_attention

    def attend(queries: Any, *rest: Any, **options: Any) -> Any:
        window_counter.note(queries)
        return real(queries, *rest, **options)

    monkeypatch.setattr(functional, "scaled_dot_product_attention", attend)
    monkeypatch.setattr("block.model.encoder.heads_work", lambda: False)
    return window_counter


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the calls that are sent over HTTP, such as `GET /v1/api/1/raw-data/2/wav`."""
    calls: list[str] = []
    real = http.client.HTTPConnection.putrequest

    def putrequest(self: http.client.HTTPConnection, method: str, url: str, *rest: Any, **options: Any) -> None:
        calls.append(f"{method} {url.partition('?')[0]}")
        real(self, method, url, *rest, **options)

    monkeypatch.setattr(http.client.HTTPConnection, "putrequest", putrequest)
    return calls


def zero_out(folder: Path) -> Path:
    """Fill the recordings with zeros, keeping size and modification time; return `folder`."""
    for path in folder.rglob("*.wav"):
        before = path.stat()
        os.truncate(path, 0)
        os.truncate(path, before.st_size)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return folder


def copy_fixture(of: Path, to: Path, **replaced: str) -> Path:
    """Copy a fixture's folder, with the test's paths and address in it."""
    shutil.copytree(of, to)
    for path in to.glob("*.json*"):
        content = path.read_text(encoding="utf-8").replace(PLACE, str(to.parent.resolve()))
        path.write_text(content.replace(ENDPOINT, replaced.get("endpoint", ENDPOINT)), encoding="utf-8")
    return to


def files(folder: Path) -> dict[str, bytes]:
    """Return the contents of all files below `folder`, by path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def label_files(folder: Path, version: str = __version__) -> dict[str, str]:
    """Return the label files of `folder`, written by `version`, with this version's number instead.

    Byte order marks, which labels.csv and failed.csv did not always have, are left out.
    """
    return {
        name: content.decode("utf-8-sig").replace(f'"ast_version": "{version}"', f'"ast_version": "{__version__}"')
        for name, content in files(folder).items()
        if name not in VERSIONED and not name.startswith("scores/")
    }


def assert_alike(found: str, expected: str, what: str) -> None:
    """Assert that the texts are equal, except for the last digit of scores, which depends on the processor."""
    number = re.compile(r"(\d+\.\d+)")
    texts, values = number.split(found)[::2], number.findall(found)
    assert texts == number.split(expected)[::2], what
    assert [float(one) for one in values] == pytest.approx(
        [float(one) for one in number.findall(expected)], abs=1.5e-4
    ), what


def assert_shards_stay(before: dict[str, bytes], after: dict[str, bytes]) -> None:
    """Assert that the earlier files of scores still exist, unchanged."""
    for name, content in before.items():
        if name.endswith(".parquet"):
            assert after[name] == content, name


def assert_kept(old: Any, new: Any, where: str = "") -> None:
    """Assert that `new` has everything that `old` has; a later version may add more, and color labels differently."""
    if isinstance(old, dict):
        assert isinstance(new, dict), where
        for name, value in old.items():
            if name == "colour":
                continue
            assert name in new, f"{where}/{name}"
            assert_kept(value, new[name], f"{where}/{name}")
    elif isinstance(old, list):
        assert isinstance(new, list), where
        assert len(new) == len(old), where
        for at, pair in enumerate(zip(old, new, strict=True)):
            assert_kept(*pair, f"{where}/{at}")
    else:
        assert new == old, where


# ---- Folders


def label(audio: Path, out: Path, *options: str) -> int:
    return cli.run_command(["label", str(audio), "--out", str(out), *LABELS, *options])


@pytest.mark.parametrize(("mode", "options"), [("exact", ()), ("fast", FAST)])
def test_a_labeled_folder_is_labeled_again_without_reading_or_computing_anything(
    old: Path, tmp_path: Path, window_counter: WindowCounter, mode: str, options: tuple[str, ...]
) -> None:
    audio = zero_out(lay_out(tmp_path / "audio", read_table(old)))
    out = copy_fixture(old / "label" / mode, tmp_path / "out")
    before, scores = label_files(out, old.name), files(out / "scores")
    assert label(audio, out, *options) == 0
    assert window_counter.windows == 0
    assert label_files(out) == before
    assert files(out / "scores") == scores


def test_a_killed_run_continues_and_ends_with_the_files_of_an_undisturbed_run(
    old: Path, tmp_path: Path, window_counter: WindowCounter
) -> None:
    audio = lay_out(tmp_path / "audio", read_table(old))
    out = copy_fixture(old / "label" / "cut-off", tmp_path / "out")
    scores = files(out / "scores")
    assert label(audio, out) == 0
    # 13 of 22 windows were on disk. Block 0.1.0 also stored which windows it computed together; that is ignored.
    assert window_counter.windows == 9
    expected = label_files(old / "label" / "exact", old.name)
    found = label_files(out)
    assert found.keys() == expected.keys()
    for name, content in expected.items():
        assert_alike(found[name], content, name)
    found, expected = (json.loads((one / "manifest.json").read_text()) for one in (out, old / "label" / "exact"))
    assert found == {**expected, "version": manifest.VERSION}
    assert_shards_stay(scores, files(out / "scores"))


def test_scores_are_computed_again_if_config_json_is_unusual_and_one_line_says_so(
    old: Path, tmp_path: Path, window_counter: WindowCounter, capsys: pytest.CaptureFixture[str]
) -> None:
    """Earlier versions don't say which config.json their scores are from; only the usual one is certain enough."""
    audio = lay_out(tmp_path / "audio", read_table(old))
    out = copy_fixture(old / "label" / "exact", tmp_path / "out")
    scores = files(out / "scores")
    model = Path(shutil.copytree(EMBEDDED, tmp_path / EMBEDDED.name))
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "num_attention_heads": 6}))
    assert label(audio, out, "--model", str(model)) == 0
    assert window_counter.windows == 22
    said = [line for line in "".join(capsys.readouterr()).splitlines() if "can't be used" in line]
    assert len(said) == 1
    assert said[0].endswith('this run has config.json {"num_attention_heads": 6}')
    assert_shards_stay(scores, files(out / "scores"))


def test_stored_scores_are_relabeled_at_another_threshold_without_the_recordings(
    old: Path, tmp_path: Path, window_counter: WindowCounter
) -> None:
    out = copy_fixture(old / "label" / "exact", tmp_path / "out")
    relabeled = (old / "label" / "relabeled.csv").read_bytes().decode("utf-8-sig")
    assert label_files(out)["labels.csv"] != relabeled
    assert cli.run_command(["relabel", str(out), *RELABELED]) == 0
    assert label_files(out)["labels.csv"] == relabeled
    # The original options are still stored, so relabeling can be undone.
    assert cli.run_command(["relabel", str(out), "--min-confidence", "", "--other-label", ""]) == 0
    assert label_files(out) == label_files(old / "label" / "exact", old.name)
    assert window_counter.windows == 0


def test_stored_scores_are_evaluated_without_reading_or_computing_anything(
    old: Path, tmp_path: Path, window_counter: WindowCounter
) -> None:
    pytest.importorskip("sklearn")
    audio, out = zero_out(lay_out(tmp_path / "audio", read_table(old))), tmp_path / "out"
    shutil.copytree(old / "label" / "exact" / "scores", out / "scores")
    shutil.copy(old / "label" / "evaluation-files.json", out)
    annotations = str(old / "label" / "annotations.csv")
    code = cli.run_command(
        ["evaluate", str(audio), "--annotations", annotations, "--out", str(out), "--bootstrap", "100", *LABELS]
    )
    assert code == 0
    assert window_counter.windows == 0
    found, expected = (json.loads((folder / "evaluation.json").read_text()) for folder in (out, old / "label"))
    assert_alike(json.dumps(found["figures"], indent=1), json.dumps(expected["figures"], indent=1), "figures")


# ---- The AI Action


class Studio:
    """A running local Studio, and the AI Action on it."""

    def __init__(self, reader: Reader, endpoint: str, folder: Path) -> None:
        self.reader, self.endpoint = reader, endpoint
        self._folder = folder

    def act(self, *options: str) -> int:
        """Run the AI Action on all samples; return its exit code."""
        path = self._folder / "ids.json"
        path.write_text(json.dumps({"ids": sorted(one["id"] for one in self.reader.samples().values())}))
        return cli.run_action(["--data-ids-file", str(path), *LABELS, *options])


@contextmanager
def serve(audio: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    """Serve a local Studio over the folder `audio`, and set the environment of a block that labels its samples."""
    project = LocalProject(audio)
    try:
        project.scan()
        with running(project) as address, Reader(address.url, address.key) as reader:
            monkeypatch.setenv("EI_PROJECT_API_KEY", address.key)
            monkeypatch.setenv("EI_API_ENDPOINT", address.endpoint)
            yield Studio(reader, address.endpoint, audio.parent)
    finally:
        project.close()


def with_database(old: Path, audio: Path) -> Path:
    """Copy the local Studio's database and the files of its jobs into the folder `audio`; return that."""
    shutil.copy(old / "studio" / "local-studio.sqlite3", audio / DATABASE)
    shutil.copytree(old / "studio" / "jobs", audio / ".local-studio" / "jobs")
    return audio


def with_samples(reader: Reader, samples: dict[str, Json]) -> None:
    """Give a project's samples the labels and metadata of `samples`, by name."""
    ids = {name: one["id"] for name, one in reader.samples().items()}
    for name, sample in samples.items():
        path = f"1/raw-data/{ids[name]}"
        reader.post(f"{path}/metadata", {"metadata": sample.get("metadata", {})})
        if "structuredLabels" in sample:
            reader.post(f"{path}/structured-labels", {"structuredLabels": sample["structuredLabels"]})
        reader.post(f"{path}/edit-label", {"label": sample["label"]})
        if sample["isDisabled"]:
            reader.post(f"{path}/disable", {})


def ids_read(asked: list[str], suffix: str = "") -> set[int]:
    """Return the ids of the samples that were read; with the suffix `/wav`, those whose audio was read."""
    found = [re.fullmatch(rf"GET /v1/api/1/raw-data/(\d+){suffix}", call) for call in asked]
    return {int(match[1]) for match in found if match}


def describe(sample: Json) -> Json:
    """Return a sample's labels and metadata, without metadata that depends on the version or the run."""
    found = sample.get("metadata", {}).items()
    metadata = {name: text for name, text in found if name not in VERSION_KEYS and not name.startswith("ast_write_")}
    return {"labels": sample.get("structuredLabels"), "metadata": metadata}


def expected_samples(old: Path) -> dict[str, Json]:
    """Return the samples of a project after a complete run."""
    samples: dict[str, Json] = json.loads((old / "action" / "samples.json").read_text())
    return samples


def test_a_killed_action_continues_from_its_journal_and_its_scores(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window_counter: WindowCounter, asked: list[str]
) -> None:
    with serve(lay_out(tmp_path / "audio", read_table(old)), monkeypatch) as studio:
        store = copy_fixture(old / "action" / "cut-off", tmp_path / "scores", endpoint=studio.endpoint)
        before = files(store)
        assert studio.act("--score-store", str(store)) == 0
        # Two recordings were in the journal, and the scores of all but one, which has 6 windows, were on disk.
        assert window_counter.windows == 6
        samples = studio.reader.samples()
        done = {json.loads(line)["labeled"] for line in before["journal.jsonl"].splitlines()[1:]}
        assert len(done) == 2
        assert ids_read(asked) == {one["id"] for one in samples.values()} - done
        for name, expected in expected_samples(old).items():
            if samples[name]["id"] in done:
                assert describe(samples[name]) == {"labels": None, "metadata": {}}
            else:
                assert describe(samples[name]) == describe(expected)
        after = files(store)
        assert after["journal.jsonl"].startswith(before["journal.jsonl"])
        assert_shards_stay(before, after)


def test_a_preview_and_the_action_after_it_are_recognized_by_journal_and_scores(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window_counter: WindowCounter, asked: list[str]
) -> None:
    with serve(lay_out(tmp_path / "audio", read_table(old)), monkeypatch) as studio:
        store = copy_fixture(old / "action" / "complete", tmp_path / "scores", endpoint=studio.endpoint)
        assert studio.act("--score-store", str(store), "--propose-actions", str(PREVIEW)) == 0
        assert ids_read(asked) == set()
        # A complete run may be a year old, so each sample is read again, but no window is computed.
        assert studio.act("--score-store", str(store)) == 0
        assert window_counter.windows == 0
        samples = studio.reader.samples()
        assert ids_read(asked) == {one["id"] for one in samples.values()}
        for name, expected in expected_samples(old).items():
            assert describe(samples[name]) == describe(expected)


@pytest.mark.parametrize("told_by", ["the database", "the API"])
def test_labeled_samples_are_recognized_hand_labels_stay_and_an_unfinished_sample_is_relabeled(
    old: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    window_counter: WindowCounter,
    asked: list[str],
    told_by: str,
) -> None:
    audio = lay_out(tmp_path / "audio", read_table(old))
    with serve(with_database(old, audio) if told_by == "the database" else audio, monkeypatch) as studio:
        if told_by == "the API":
            with_samples(studio.reader, json.loads((old / "studio" / "everything.json").read_text())["samples"])
        before = studio.reader.samples()
        asked.clear()
        assert studio.act() == 0
        after = studio.reader.samples()
    heard_again = {"station/platform.wav", "waltz.wav"}
    assert "ast_replacing" in before["station/platform.wav"]["metadata"]
    assert "structuredLabels" not in before["waltz.wav"]
    assert ids_read(asked, "/wav") == {after[name]["id"] for name in heard_again}
    assert window_counter.windows == 7
    for name, sample in after.items():
        if name not in heard_again:
            assert sample == before[name], name
            continue
        expected = describe(expected_samples(old)[name])
        assert sample["structuredLabels"] == expected["labels"]
        assert sample["label"] == before[name]["label"]
        assert expected["metadata"].items() <= sample["metadata"].items()
        assert f"ast_write_{sample['metadata']['ast_segments']}" in sample["metadata"]


# ---- The local Studio


def test_a_local_studio_opens_an_old_database_and_loses_nothing(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: Json = json.loads((old / "studio" / "everything.json").read_text())
    audio = zero_out(lay_out(tmp_path / "audio", read_table(old)))
    with serve(with_database(old, audio), monkeypatch) as studio:
        reader = studio.reader
        assert_kept(told, reader.everything(tuple(map(int, told["jobs"]))))
        # Earlier proposals can still be accepted.
        (job,) = (job for job, proposed in told["proposed"].items() if proposed)
        proposed = reader.samples(int(job))
        reader.send(f"/jobs/{job}/bulk", decision="accept")
        after = reader.samples()
        for one in told["proposed"][job]:
            changes = one["proposedChanges"]
            (sample,) = (sample for sample in after.values() if sample["id"] == one["sampleId"])
            assert sample["structuredLabels"] == changes["structuredLabels"]
            assert sample["metadata"] == changes["metadata"]
        assert {name: describe(one) for name, one in after.items()} == {
            name: describe(one) for name, one in proposed.items()
        }
        assert reader.get(f"1/raw-data/ai-actions-preview/{job}/proposed-changes")["proposedChanges"] == []
