"""A score store survives kills, full disks, and damaged and foreign files."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from block.score_store import ScoreStore
from block.score_store import shard as shard_module
from block.score_store import store as store_module
from block.settings import SettingsError
from tests.conftest import ROOT
from tests.score_store.scores import KEY, NAMES, content, is_same, make_scores

WRITER = """
import sys
from pathlib import Path
from block.score_store import ScoreStore, store
from tests.score_store.scores import KEY, NAMES, make_scores
store.FLUSH_CHUNKS, store.SMALL_CHUNKS, store.SMALL_SHARDS = 10, 160, 4
writer = ScoreStore(Path(sys.argv[1]), KEY, NAMES)
for number in range(100000):
    writer.add(make_scores(number))
    if number % 5 == 4:
        writer.flush()
        print(number, flush=True)
"""


def test_everything_that_was_flushed_survives_a_killed_writer(tmp_path: Path) -> None:
    rng = random.Random(4)
    pyc = {**os.environ, "PYTHONPATH": str(ROOT)}
    for attempt in range(3):
        folder = tmp_path / str(attempt)
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True, env=pyc
        )
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(rng.uniform(0.0, 0.3))
        writer.send_signal(signal.SIGKILL)
        flushed = [int(line) for line in writer.stdout.read().split("\n") if line.strip().isdecimal()]
        writer.wait()
        writer.stdout.close()
        last = max(flushed, default=4)
        warnings: list[str] = []
        store = ScoreStore(folder, KEY, NAMES, warnings.append)
        assert {content(number) for number in range(last + 1)} <= store.contents()
        assert len(store.contents()) <= last + 1 + 10
        assert all(is_same(store.find(content(number)), make_scores(number)) for number in range(last + 1))
        assert all("unfinished" in line for line in warnings)


def test_leftover_truncated_and_foreign_files_are_ignored_with_a_warning(tmp_path: Path) -> None:
    with ScoreStore(tmp_path, KEY, NAMES) as store:
        store.add(make_scores(1))
    (good,) = tmp_path.iterdir()
    whole = good.read_bytes()
    stem = good.name[: -len("00000000.parquet")]
    (tmp_path / f"{stem}aaaaaaaa.tmp").write_bytes(whole[:100])
    for name, data in (("bbbbbbbb", whole[:-9]), ("cccccccc", b""), ("dddddddd", b"PAR1 not at all")):
        (tmp_path / f"{stem}{name}.parquet").write_bytes(data)
    foreign = tmp_path / f"{stem}eeeeeeee.parquet"
    shard_module.need_pyarrow().parquet.write_table(shard_module.need_pyarrow().table({"x": [1]}), foreign)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "scores-folder.parquet").mkdir()
    warnings: list[str] = []
    store = ScoreStore(tmp_path, KEY, NAMES, warnings.append)
    assert is_same(store.find(content(1)), make_scores(1))
    assert store.contents() == {content(1)}
    for name in ("bbbbbbbb", "cccccccc", "dddddddd", "eeeeeeee", "scores-folder"):
        assert len([line for line in warnings if name in line and "is ignored" in line]) == 1
    assert len([line for line in warnings if "1 unfinished" in line]) == 1
    assert ScoreStore.list_keys(tmp_path) == [KEY]
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_flipped_bit_loses_one_file_and_the_run_continues(tmp_path: Path) -> None:
    with ScoreStore(tmp_path, KEY, NAMES) as store:
        store.add(make_scores(1, windows=100))
    with ScoreStore(tmp_path, KEY, NAMES) as store:
        store.add(make_scores(2))
    first, second = sorted(tmp_path.iterdir())
    at = first.read_bytes().index(make_scores(1, windows=100).logits[40:50].tobytes())
    data = bytearray(first.read_bytes())
    data[at] ^= 1
    first.write_bytes(bytes(data))
    warnings: list[str] = []
    with ScoreStore(tmp_path, KEY, NAMES, warnings.append) as store:
        assert store.find(content(1)) is None
        assert is_same(store.find(content(2)), make_scores(2))
        assert [first.name in line for line in warnings] == [True]
        store.add(make_scores(1, windows=100))
    assert is_same(ScoreStore(tmp_path, KEY, NAMES, warnings.append).find(content(2)), make_scores(2))
    assert second.exists()


def test_scores_with_other_class_names_are_ignored(tmp_path: Path) -> None:
    with ScoreStore(tmp_path, KEY, NAMES) as store:
        store.add(make_scores(1))
    warnings: list[str] = []
    store = ScoreStore(tmp_path, KEY, ("dog", "rain", "x", "y", "z"), warnings.append)
    assert store.find(content(1)) is None
    assert "class names differ" in warnings[0]


def test_a_full_disk_is_reported_once_and_stored_scores_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "FLUSH_CHUNKS", 10)
    warnings: list[str] = []
    store = ScoreStore(tmp_path, KEY, NAMES, warnings.append)
    for number in range(4):
        store.add(make_scores(number))

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shard_module.os, "fsync", full)
    for number in range(4, 50):
        store.add(make_scores(number))
    store.close()
    assert len(warnings) == 1
    assert "No space left on device; continuing without storing scores" in warnings[0]
    monkeypatch.undo()
    assert ScoreStore(tmp_path, KEY, NAMES).contents() == {content(number) for number in range(4)}
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".tmp"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_write_error_inside_parquet_counts_as_a_disk_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open
    monkeypatch.setattr(
        Path, "open", lambda path, mode="r": opened(Path("/dev/full"), "wb") if mode == "xb" else opened(path, mode)
    )
    warnings: list[str] = []
    with ScoreStore(tmp_path, KEY, NAMES, warnings.append) as store:
        store.add(make_scores(1))
    assert "can't be written anymore: No space left" in warnings[0]


def test_pending_scores_are_flushed_by_a_timer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "FLUSH_S", 0.05)
    store = ScoreStore(tmp_path, KEY, NAMES)
    store.add(make_scores(1))
    deadline = time.monotonic() + 20
    while not list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    store.flush()  # waits for the other thread
    assert is_same(ScoreStore.open_read_only(tmp_path, KEY).find(content(1)), make_scores(1))
    store.close()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(SettingsError, match="the score store .* can't be written: "):
            ScoreStore(folder, KEY, NAMES)


def test_a_store_whose_files_are_deleted_works_like_an_empty_one(tmp_path: Path) -> None:
    with ScoreStore(tmp_path, KEY, NAMES) as store:
        store.add(make_scores(1))
    store = ScoreStore(tmp_path, KEY, NAMES)
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    assert store.find(content(1)) is None
    store.add(make_scores(1))
    store.close()
    assert is_same(ScoreStore.open_read_only(tmp_path, KEY).find(content(1)), make_scores(1))
