"""A cluster writes the same label files as a single machine, whatever happens during the run."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from block.score_store import ScoreStore
from block.score_store.shard import list_shards
from tests.cluster.conftest import Machines
from tests.conftest import ROOT

# Ray leaves the files of a killed machine to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
Label = Callable[..., subprocess.CompletedProcess[str]]


def files(out: Path) -> dict[str, bytes]:
    """Return every file in a folder except the scores, whose files may have any name and number."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.parent.name != "scores"
    }


def scores(out: Path) -> Mapping[str, bytes]:
    """Return the logits of each recording."""
    (key,) = ScoreStore.list_keys(out / "scores")
    with ScoreStore.open_read_only(out / "scores", key) as store:
        return {one.content: one.logits.tobytes() for one in store.find_all(store.contents())}


def embeddings(out: Path) -> Mapping[str, bytes]:
    """Return the embeddings of each recording, empty if none were kept."""
    (key,) = ScoreStore.list_keys(out / "scores")
    with ScoreStore.open_read_only(out / "scores", key) as store:
        return {one.content: one.embeddings.tobytes() for one in store.find_all(store.contents())}


def count_stored(out: Path) -> Counter[str]:
    """Return how often each recording is in the score files."""
    import pyarrow.parquet as pq

    found: Counter[str] = Counter()
    for path in list_shards(out / "scores"):
        found.update(pq.read_table(path, columns=["content"]).column("content").to_pylist())
    return found


# The files that don't depend on where the recordings are.
ANYWHERE = ("labels.csv", "failed.csv", "manifest.json")


def assert_equal(out: Path, alone: Path, named: tuple[str, ...] = ()) -> None:
    assert files(out).keys() == files(alone).keys()
    assert [name for name in named or files(out) if files(alone)[name] != files(out)[name]] == []
    assert scores(out) == scores(alone)
    assert set(count_stored(out).values()) == {1}


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_cluster_writes_the_same_files_as_a_single_machine(
    workers: str, two: Machines, recordings: Path, alone: Path, label: Label, tmp_path: Path
) -> None:
    done = label(recordings, tmp_path / "out", "--ray", two.address, "--ray-workers", workers)
    assert done.returncode == 1, done.stdout + done.stderr
    assert_equal(tmp_path / "out", alone)
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stderr == ""
    for said in ("Ray cluster at", "stage read:", "stage model:", "26 labeled, 2 failed"):
        assert said in done.stdout
    again = label(recordings, tmp_path / "out", "--ray", two.address)
    assert "26 of 28 recordings did not change" in again.stdout
    assert_equal(tmp_path / "out", alone)


@pytest.mark.slow
def test_a_cluster_keeps_the_same_embeddings_as_a_single_machine(
    two: Machines, recordings: Path, label: Label, tmp_path: Path
) -> None:
    kept = []
    for out, options in (("one", ()), ("cluster", ("--ray", two.address, "--ray-workers", "2"))):
        done = label(recordings, tmp_path / out, "--keep-embeddings", *options)
        assert done.returncode == 1, done.stdout + done.stderr
        kept.append(embeddings(tmp_path / out))
    assert len(kept[0]) == 25  # one of 26 recordings exists twice
    assert all(kept[0].values())
    assert kept[0] == kept[1]


@pytest.mark.slow
def test_a_cluster_computes_with_openvino_what_a_single_machine_does(
    two: Machines, recordings: Path, label: Label, tmp_path: Path
) -> None:
    for out, options in (("one", ()), ("cluster", ("--ray", two.address, "--ray-workers", "2"))):
        done = label(recordings, tmp_path / out, "--backend", "openvino", *options)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "float32, OpenVINO, mode exact" in done.stdout
    assert_equal(tmp_path / "cluster", tmp_path / "one")


@pytest.mark.slow
def test_stored_scores_are_reused_if_the_manifest_is_lost(
    two: Machines, recordings: Path, alone: Path, label: Label, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(alone, out)
    (out / "manifest.json").unlink()
    done = label(recordings, out, "--ray", two.address, "--ray-workers", "1")
    assert done.returncode == 1, done.stdout + done.stderr
    assert_equal(out, alone)


@pytest.mark.slow
def test_losing_a_machine_during_the_run_loses_and_duplicates_no_recording(
    two: Machines, slow: Path, alone: Path, command: Callable[..., list[str]], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    running = subprocess.Popen(
        command(slow, out, "--ray", two.address, "--ray-workers", "2"),
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert running.stdout is not None
    said, labeled = [], 0
    for line in running.stdout:
        said.append(line)
        labeled += ".wav (" in line
        if labeled == 10:
            two.kill(two.running[-1])
            labeled += 1
    assert running.wait(timeout=200) == 1, "".join(said)
    assert_equal(out, alone, ANYWHERE)
    assert "26 labeled, 2 failed" in "".join(said)


@pytest.mark.slow
def test_a_recording_that_crashes_its_worker_fails_and_the_others_are_labeled(
    two: Machines, recordings: Path, alone: Path, label: Label, tmp_path: Path
) -> None:
    folder, out = tmp_path / "recordings", tmp_path / "out"
    folder.mkdir()
    for number in range(4):
        shutil.copy(recordings / "dogs" / f"{[1, 2, 4, 5][number]:02}.wav", folder / f"{number}.wav")
    shutil.copy(recordings / "00.wav", folder / "deadly.wav")
    done = label(folder, out, "--ray", two.address, "--ray-workers", "2")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "4 labeled, 1 failed" in done.stdout
    with (out / "failed.csv").open(newline="", encoding="utf-8-sig") as file:
        (failed,) = csv.DictReader(file)
    assert failed["file"] == "deadly.wav"
    assert "the worker process died 2 times while labeling this recording" in failed["reason"]
    assert set(count_stored(out).values()) == {1}


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_whose_driver_ends_resumes_from_the_store(
    how: signal.Signals, two: Machines, slow: Path, alone: Path, command: Callable[..., list[str]],
    label: Label, tmp_path: Path,
) -> None:  # fmt: skip
    out = tmp_path / "out"
    running = subprocess.Popen(command(slow, out, "--ray", two.address), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    seen = 0
    for line in running.stdout:
        seen += ".wav (" in line
        if seen == 5:
            running.send_signal(how)
            break
    running.stdout.read()
    assert running.wait(timeout=60) == (130 if how == signal.SIGTERM else -signal.SIGKILL)
    done = label(slow, out, "--ray", two.address)
    assert done.returncode == 1, done.stdout + done.stderr
    if how == signal.SIGTERM:
        assert "reusing stored scores: " in done.stdout
    assert_equal(out, alone, ANYWHERE)


@pytest.mark.slow
def test_a_folder_that_workers_cannot_see_ends_the_run_with_an_error(
    two: Machines, command: Callable[..., list[str]], label: Label, tmp_path: Path
) -> None:
    """Machines of a real cluster have their own folders; here, the folder is removed before the workers start."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    import soundfile

    from tests.folder.conftest import tones

    soundfile.write(folder / "one.wav", tones(3, 16000), 16000)
    running = subprocess.Popen(
        command(folder, tmp_path / "out", "--ray", two.address), cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    said = [running.stdout.readline()]
    shutil.rmtree(folder)
    said += running.stdout.readlines()
    assert running.wait(timeout=60) == 2, "".join(said)
    assert "recordings can't be read as a folder" in "".join(said)


@pytest.mark.slow
def test_run_json_does_not_record_where_it_was_computed(alone: Path) -> None:
    assert "ray" not in json.loads((alone / "run.json").read_text())["options"]
