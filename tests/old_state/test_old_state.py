"""What an earlier version of the block left on a disk: this one goes on from it, and loses nothing of it.

Every folder beside this file is what one version wrote; README.md says how. A version that cannot go on from one of
them has to say so in one line and to leave its files as they are; its tests then expect that line for that folder.
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
from block.local_studio.data.project import DATABASE, LocalProject
from block.local_studio.server import running
from tests.conftest import EMBEDDED
from tests.old_state.options import ENDPOINT, FAST, LABELS, PLACE, PREVIEW, RELABELED
from tests.old_state.reader import Json, Reader
from tests.old_state.recordings import NAME, lay_out, read_table

HERE = Path(__file__).resolve().parent
VERSIONS = sorted(path.parent.name for path in HERE.glob(f"*/{NAME}"))
STORED_ANEW = ("run.json", "manifest.json")  # they say which version wrote them last
TELL_VERSION = ("ast_version", "ast_job")


@pytest.fixture(params=VERSIONS)
def old(request: pytest.FixtureRequest) -> Path:
    """The fixtures of one version."""
    return HERE / str(request.param)


class Heard:
    """Counts the windows that the model is asked about, each as often as a layer attends to it."""

    def __init__(self) -> None:
        self._calls = 0
        self._layers = int(json.loads((EMBEDDED / "config.json").read_text())["num_hidden_layers"])

    @property
    def windows(self) -> float:
        return self._calls / self._layers

    def note(self, queries: Any) -> None:
        self._calls += len(queries)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    """How many windows the model has heard since the test began."""
    from torch.nn import functional

    heard, real = Heard(), functional.scaled_dot_product_attention

    def attend(queries: Any, *rest: Any, **options: Any) -> Any:
        heard.note(queries)
        return real(queries, *rest, **options)

    monkeypatch.setattr(functional, "scaled_dot_product_attention", attend)
    return heard


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls that were sent over HTTP: `GET /v1/api/1/raw-data/2/wav`."""
    calls: list[str] = []
    real = http.client.HTTPConnection.putrequest

    def putrequest(self: http.client.HTTPConnection, method: str, url: str, *rest: Any, **options: Any) -> None:
        calls.append(f"{method} {url.partition('?')[0]}")
        real(self, method, url, *rest, **options)

    monkeypatch.setattr(http.client.HTTPConnection, "putrequest", putrequest)
    return calls


def hollow(folder: Path) -> Path:
    """Empty the recordings of what they hold; a look at size and time of change does not tell. Returns `folder`."""
    for path in folder.rglob("*.wav"):
        before = path.stat()
        os.truncate(path, 0)
        os.truncate(path, before.st_size)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return folder


def copied(of: Path, to: Path, **replaced: str) -> Path:
    """A copy of a fixture's folder, in which the paths and the address are those of the test."""
    shutil.copytree(of, to)
    for path in to.glob("*.json*"):
        content = path.read_text(encoding="utf-8").replace(PLACE, str(to.parent.resolve()))
        path.write_text(content.replace(ENDPOINT, replaced.get("endpoint", ENDPOINT)), encoding="utf-8")
    return to


def files(folder: Path) -> dict[str, bytes]:
    """All files below `folder`, by their paths."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def label_files(folder: Path, version: str = __version__) -> dict[str, str]:
    """The label files of `folder`, written by `version`, as this version would write them."""
    return {
        name: content.decode().replace(f'"ast_version": "{version}"', f'"ast_version": "{__version__}"')
        for name, content in files(folder).items()
        if name not in STORED_ANEW and not name.startswith("scores/")
    }


def assert_alike(found: str, expected: str, what: str) -> None:
    """The same text, in which scores may differ in their last digit: another processor adds up in another order."""
    number = re.compile(r"(\d+\.\d+)")
    texts, values = number.split(found)[::2], number.findall(found)
    assert texts == number.split(expected)[::2], what
    assert [float(one) for one in values] == pytest.approx(
        [float(one) for one in number.findall(expected)], abs=1.5e-4
    ), what


def assert_shards_stay(before: dict[str, bytes], after: dict[str, bytes]) -> None:
    """The files of scores that were there are there, and nothing was written into them."""
    for name, content in before.items():
        if name.endswith(".parquet"):
            assert after[name] == content, name


def assert_kept(old: Any, new: Any, where: str = "") -> None:
    """All that `old` says, `new` says, too; a later version may say more."""
    if isinstance(old, dict):
        assert isinstance(new, dict), where
        for name, value in old.items():
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
def test_a_labeled_folder_is_labeled_again_without_reading_it_or_computing_anything(
    old: Path, tmp_path: Path, heard: Heard, mode: str, options: tuple[str, ...]
) -> None:
    audio = hollow(lay_out(tmp_path / "audio", read_table(old)))
    out = copied(old / "label" / mode, tmp_path / "out")
    before, scores = label_files(out, old.name), files(out / "scores")
    assert label(audio, out, *options) == 0
    assert heard.windows == 0
    assert label_files(out) == before
    assert files(out / "scores") == scores


def test_a_run_that_was_killed_goes_on_and_ends_with_the_files_of_one_that_was_not(
    old: Path, tmp_path: Path, heard: Heard
) -> None:
    audio = lay_out(tmp_path / "audio", read_table(old))
    out = copied(old / "label" / "cut-off", tmp_path / "out")
    scores = files(out / "scores")
    assert label(audio, out) == 0
    # Of 22 windows 13 were on the disk. Block 0.1.0 noted which it computed together; what it noted is left unread.
    assert heard.windows == 9
    expected = label_files(old / "label" / "exact", old.name)
    found = label_files(out)
    assert found.keys() == expected.keys()
    for name, content in expected.items():
        assert_alike(found[name], content, name)
    assert json.loads((out / "manifest.json").read_text()) == json.loads(
        (old / "label" / "exact" / "manifest.json").read_text()
    )
    assert_shards_stay(scores, files(out / "scores"))


def test_kept_scores_are_decided_again_at_another_threshold_without_the_recordings(
    old: Path, tmp_path: Path, heard: Heard
) -> None:
    out = copied(old / "label" / "exact", tmp_path / "out")
    assert (out / "labels.csv").read_bytes() != (old / "label" / "relabeled.csv").read_bytes()
    assert cli.run_command(["relabel", str(out), *RELABELED]) == 0
    assert (out / "labels.csv").read_bytes() == (old / "label" / "relabeled.csv").read_bytes()
    # What was asked for at first is kept, too: it can be taken back.
    assert cli.run_command(["relabel", str(out), "--min-confidence", "", "--other-label", ""]) == 0
    assert label_files(out) == label_files(old / "label" / "exact", old.name)
    assert heard.windows == 0


def test_kept_scores_are_evaluated_without_reading_the_recordings_or_computing_anything(
    old: Path, tmp_path: Path, heard: Heard
) -> None:
    pytest.importorskip("sklearn")
    audio, out = hollow(lay_out(tmp_path / "audio", read_table(old))), tmp_path / "out"
    shutil.copytree(old / "label" / "exact" / "scores", out / "scores")
    shutil.copy(old / "label" / "evaluation-files.json", out)
    annotations = str(old / "label" / "annotations.csv")
    code = cli.run_command(
        ["evaluate", str(audio), "--annotations", annotations, "--out", str(out), "--bootstrap", "100", *LABELS]
    )
    assert code == 0
    assert heard.windows == 0
    found, expected = (json.loads((folder / "evaluation.json").read_text()) for folder in (out, old / "label"))
    assert_alike(json.dumps(found["figures"], indent=1), json.dumps(expected["figures"], indent=1), "figures")


# ---- The AI Action


class Studio:
    """A local Studio that is being served, and the AI Action on it."""

    def __init__(self, reader: Reader, endpoint: str, folder: Path) -> None:
        self.reader, self.endpoint = reader, endpoint
        self._folder = folder

    def act(self, *options: str) -> int:
        """Run the AI Action on all samples; returns the exit code."""
        path = self._folder / "ids.json"
        path.write_text(json.dumps({"ids": sorted(one["id"] for one in self.reader.samples().values())}))
        return cli.run_action(["--data-ids-file", str(path), *LABELS, *options])


@contextmanager
def served(audio: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    """A local Studio over the folder `audio`, and the environment of a block that labels its samples."""
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
    """Put the local Studio's database and the files of its jobs into the folder `audio`; returns that."""
    shutil.copy(old / "studio" / "local-studio.sqlite3", audio / DATABASE)
    shutil.copytree(old / "studio" / "jobs", audio / ".local-studio" / "jobs")
    return audio


def with_samples(reader: Reader, samples: dict[str, Json]) -> None:
    """Give the samples of a project, by their names, the labels and metadata that the API told of others."""
    ids = {name: one["id"] for name, one in reader.samples().items()}
    for name, sample in samples.items():
        path = f"1/raw-data/{ids[name]}"
        reader.post(f"{path}/metadata", {"metadata": sample.get("metadata", {})})
        if "structuredLabels" in sample:
            reader.post(f"{path}/structured-labels", {"structuredLabels": sample["structuredLabels"]})
        reader.post(f"{path}/edit-label", {"label": sample["label"]})
        if sample["isDisabled"]:
            reader.post(f"{path}/disable", {})


def sampled(asked: list[str], suffix: str = "") -> set[int]:
    """The samples that the AI Action has asked for; those whose audio it has asked for with the suffix `/wav`."""
    found = [re.fullmatch(rf"GET /v1/api/1/raw-data/(\d+){suffix}", call) for call in asked]
    return {int(match[1]) for match in found if match}


def described(sample: Json) -> Json:
    """A sample's labels and metadata, without what every version says in its own way."""
    metadata = {name: value for name, value in sample.get("metadata", {}).items() if name not in TELL_VERSION}
    return {"labels": sample.get("structuredLabels"), "metadata": metadata}


def expected_samples(old: Path) -> dict[str, Json]:
    """The samples of a project that a whole run has labeled."""
    samples: dict[str, Json] = json.loads((old / "action" / "samples.json").read_text())
    return samples


def test_a_killed_action_goes_on_by_its_journal_and_its_scores(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: Heard, asked: list[str]
) -> None:
    with served(lay_out(tmp_path / "audio", read_table(old)), monkeypatch) as studio:
        store = copied(old / "action" / "cut-off", tmp_path / "scores", endpoint=studio.endpoint)
        before = files(store)
        assert studio.act("--score-store", str(store)) == 0
        # The scores of all but one, of 6 windows, were on the disk, and two recordings in the journal.
        assert heard.windows == 6
        samples = studio.reader.samples()
        done = {json.loads(line)["labeled"] for line in before["journal.jsonl"].splitlines()[1:]}
        assert len(done) == 2
        assert sampled(asked) == {one["id"] for one in samples.values()} - done
        for name, expected in expected_samples(old).items():
            if samples[name]["id"] in done:
                assert described(samples[name]) == {"labels": None, "metadata": {}}
            else:
                assert described(samples[name]) == described(expected)
        after = files(store)
        assert after["journal.jsonl"].startswith(before["journal.jsonl"])
        assert_shards_stay(before, after)


def test_a_preview_and_the_action_behind_it_are_known_by_their_journal_and_their_scores(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: Heard, asked: list[str]
) -> None:
    with served(lay_out(tmp_path / "audio", read_table(old)), monkeypatch) as studio:
        store = copied(old / "action" / "complete", tmp_path / "scores", endpoint=studio.endpoint)
        assert studio.act("--score-store", str(store), "--propose-actions", str(PREVIEW)) == 0
        assert sampled(asked) == set()
        # A run that came to its end may be of last year: each sample is asked for, but no window is heard.
        assert studio.act("--score-store", str(store)) == 0
        assert heard.windows == 0
        samples = studio.reader.samples()
        assert sampled(asked) == {one["id"] for one in samples.values()}
        for name, expected in expected_samples(old).items():
            assert described(samples[name]) == described(expected)


@pytest.mark.parametrize("told_by", ["the database", "the API"])
def test_labeled_samples_are_known_those_of_people_stay_and_an_unfinished_one_is_labeled_again(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: Heard, asked: list[str], told_by: str
) -> None:
    audio = lay_out(tmp_path / "audio", read_table(old))
    with served(with_database(old, audio) if told_by == "the database" else audio, monkeypatch) as studio:
        if told_by == "the API":
            with_samples(studio.reader, json.loads((old / "studio" / "everything.json").read_text())["samples"])
        before = studio.reader.samples()
        asked.clear()
        assert studio.act() == 0
        after = studio.reader.samples()
    heard_again = {"station/platform.wav", "waltz.wav"}
    assert "ast_replacing" in before["station/platform.wav"]["metadata"]
    assert "structuredLabels" not in before["waltz.wav"]
    assert sampled(asked, "/wav") == {after[name]["id"] for name in heard_again}
    assert heard.windows == 7
    for name, sample in after.items():
        if name not in heard_again:
            assert sample == before[name], name
            continue
        expected = described(expected_samples(old)[name])
        assert sample["structuredLabels"] == expected["labels"]
        assert sample["label"] == before[name]["label"]
        assert expected["metadata"].items() <= sample["metadata"].items()
        assert sample["metadata"].get("ast_replacing") in (None, sample["metadata"]["ast_segments"])


# ---- The local Studio


def test_a_local_studio_opens_its_database_and_nothing_is_lost(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: Json = json.loads((old / "studio" / "everything.json").read_text())
    audio = hollow(lay_out(tmp_path / "audio", read_table(old)))
    with served(with_database(old, audio), monkeypatch) as studio:
        reader = studio.reader
        assert_kept(told, reader.everything(tuple(map(int, told["jobs"]))))
        # And what was proposed by then can still be accepted.
        (job,) = (job for job, proposed in told["proposed"].items() if proposed)
        proposed = reader.samples(int(job))
        reader.send(f"/jobs/{job}/proposals", decision="accept")
        after = reader.samples()
        for one in told["proposed"][job]:
            changes = one["proposedChanges"]
            (sample,) = (sample for sample in after.values() if sample["id"] == one["sampleId"])
            assert sample["structuredLabels"] == changes["structuredLabels"]
            assert sample["metadata"] == changes["metadata"]
        assert {name: described(one) for name, one in after.items()} == {
            name: described(one) for name, one in proposed.items()
        }
        assert reader.get(f"1/raw-data/ai-actions-preview/{job}/proposed-changes")["proposedChanges"] == []
