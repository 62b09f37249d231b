"""What a score store survives: being killed, full disks, damaged and foreign files."""

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
from tests.score_store.made import KEY, NAMES, content, made, same

WRITER = """
import sys
from pathlib import Path
from block.score_store import ScoreStore, store
from tests.score_store.made import KEY, NAMES, made
store.FLUSH_CHUNKS, store.SMALL_CHUNKS, store.SMALL_SHARDS = 10, 160, 4
held = ScoreStore(Path(sys.argv[1]), KEY, NAMES)
for number in range(100000):
    held.add(made(number))
    if number % 5 == 4:
        held.flush()
        print(number, flush=True)
"""


def test_a_writer_that_is_killed_at_any_moment_leaves_all_that_was_flushed(tmp_path: Path) -> None:
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
        said: list[str] = []
        store = ScoreStore(folder, KEY, NAMES, said.append)
        assert {content(number) for number in range(last + 1)} <= store.contents()
        assert len(store.contents()) <= last + 1 + 10
        assert all(same(store.find(content(number)), made(number)) for number in range(last + 1))
        assert all("unfinished" in line for line in said)


def test_leftovers_truncated_and_foreign_files_are_named_and_passed_over(tmp_path: Path) -> None:
    with ScoreStore(tmp_path, KEY, NAMES) as store:
        store.add(made(1))
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
    said: list[str] = []
    store = ScoreStore(tmp_path, KEY, NAMES, said.append)
    assert same(store.find(content(1)), made(1))
    assert store.contents() == {content(1)}
    for name in ("bbbbbbbb", "cccccccc", "dddddddd", "eeeeeeee", "scores-folder"):
        assert len([line for line in said if name in line and "is ignored" in line]) == 1
    assert len([line for line in said if "1 unfinished" in line]) == 1
    assert ScoreStore.list_keys(tmp_path) == [KEY]
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_flipped_bit_costs_the_file_and_not_the_run(tmp_path: Path) -> None:
    with ScoreStore(tmp_path, KEY, NAMES) as store:
        store.add(made(1, windows=100))
    with ScoreStore(tmp_path, KEY, NAMES) as store:
        store.add(made(2))
    first, second = sorted(tmp_path.iterdir())
    at = first.read_bytes().index(made(1, windows=100).logits[40:50].tobytes())
    data = bytearray(first.read_bytes())
    data[at] ^= 1
    first.write_bytes(bytes(data))
    said: list[str] = []
    with ScoreStore(tmp_path, KEY, NAMES, said.append) as store:
        assert store.find(content(1)) is None
        assert same(store.find(content(2)), made(2))
        assert [first.name in line for line in said] == [True]
        store.add(made(1, windows=100))
    assert same(ScoreStore(tmp_path, KEY, NAMES, said.append).find(content(2)), made(2))
    assert second.exists()


def test_classes_of_other_names_are_other_classes(tmp_path: Path) -> None:
    with ScoreStore(tmp_path, KEY, NAMES) as store:
        store.add(made(1))
    said: list[str] = []
    store = ScoreStore(tmp_path, KEY, ("dog", "rain", "x", "y", "z"), said.append)
    assert store.find(content(1)) is None
    assert "class names differ" in said[0]


def test_a_full_disk_is_told_once_and_what_was_kept_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "FLUSH_CHUNKS", 10)
    said: list[str] = []
    store = ScoreStore(tmp_path, KEY, NAMES, said.append)
    for number in range(4):
        store.add(made(number))

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shard_module.os, "fsync", full)
    for number in range(4, 50):
        store.add(made(number))
    store.close()
    assert len(said) == 1
    assert "No space left on device; continuing without storing scores" in said[0]
    monkeypatch.undo()
    assert ScoreStore(tmp_path, KEY, NAMES).contents() == {content(number) for number in range(4)}
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".tmp"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_write_that_parquet_itself_trips_over_is_an_error_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Path.open
    monkeypatch.setattr(
        Path, "open", lambda path, mode="r": opened(Path("/dev/full"), "wb") if mode == "xb" else opened(path, mode)
    )
    said: list[str] = []
    with ScoreStore(tmp_path, KEY, NAMES, said.append) as store:
        store.add(made(1))
    assert "cannot be written any more: No space left" in said[0]


def test_what_waits_reaches_the_disk_without_another_addition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "FLUSH_S", 0.05)
    store = ScoreStore(tmp_path, KEY, NAMES)
    store.add(made(1))
    deadline = time.monotonic() + 20
    while not list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    store.flush()  # waits for the other thread
    assert same(ScoreStore.open_read_only(tmp_path, KEY).find(content(1)), made(1))
    store.close()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(SettingsError, match="the score store .* cannot be written: "):
            ScoreStore(folder, KEY, NAMES)


def test_files_that_vanish_are_as_if_they_had_never_been(tmp_path: Path) -> None:
    with ScoreStore(tmp_path, KEY, NAMES) as store:
        store.add(made(1))
    store = ScoreStore(tmp_path, KEY, NAMES)
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    assert store.find(content(1)) is None
    store.add(made(1))
    store.close()
    assert same(ScoreStore.open_read_only(tmp_path, KEY).find(content(1)), made(1))
