"""Fetches that are interrupted: by the server, by a full disk, by being killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from block.model.checkpoint import FILES, WEIGHTS, CheckpointError
from block.model_store.fetch import FetchTarget, fetch
from block.model_store.store import ModelStore
from block.model_store.transfer import DownloadTimeouts, shown
from tests.conftest import ROOT
from tests.model_store.conftest import HASTE, REPOSITORY
from tests.model_store.standin import COMMIT, StandIn, wait_until

TARGET = FetchTarget("small", REPOSITORY, COMMIT)


@pytest.fixture
def hub(hub: StandIn, large: dict[str, bytes]) -> StandIn:
    hub.add(large, f"/{REPOSITORY}")
    return hub


def bring(store: ModelStore, patience: DownloadTimeouts = HASTE) -> None:
    fetch(store, TARGET, patience=patience, say=lambda line: None)


def is_whole(store: ModelStore, contents: dict[str, bytes]) -> bool:
    return {path.name: path.read_bytes() for path in store.path("small").iterdir()} == contents


def test_a_broken_transfer_is_carried_on_with_where_it_broke_off(
    store: ModelStore, hub: StandIn, large: dict[str, bytes]
) -> None:
    hub.break_after, hub.breaks = 400_000, 2
    bring(store)
    assert is_whole(store, large)
    assert [one.status for one in hub.got(WEIGHTS)] == [200, 206, 206]
    assert hub.sent(WEIGHTS) < len(large[WEIGHTS]) + 3 * (1 << 16)


def test_a_transfer_that_brings_nothing_new_is_given_up_and_the_next_fetch_carries_on(
    store: ModelStore, hub: StandIn, large: dict[str, bytes]
) -> None:
    hub.break_after, hub.breaks = 100_000, 1000
    with pytest.raises(CheckpointError, match="carry on"):
        bring(store, replace(HASTE, attempts=1))
    assert not store.path("small").exists()
    kept = store.hidden("small", "partial") / f"{WEIGHTS}.part"
    received = kept.stat().st_size
    assert received >= 1 << 16
    hub.breaks = 0
    before = hub.sent(WEIGHTS)
    bring(store)
    assert is_whole(store, large)
    assert hub.got(WEIGHTS)[-1].range == f"bytes={received}-"
    assert hub.sent(WEIGHTS) - before == len(large[WEIGHTS]) - received


def test_a_server_that_knows_no_ranges_is_asked_for_all_again(
    store: ModelStore, hub: StandIn, large: dict[str, bytes]
) -> None:
    hub.break_after, hub.breaks, hub.ranges = 400_000, 1, False
    bring(store)
    assert is_whole(store, large)
    assert [one.status for one in hub.got(WEIGHTS)] == [200, 200]


def test_what_was_received_of_another_version_is_not_continued(
    store: ModelStore, hub: StandIn, large: dict[str, bytes]
) -> None:
    hub.break_after, hub.breaks = 400_000, 1000
    with pytest.raises(CheckpointError, match="carry on"):
        bring(store, replace(HASTE, attempts=1))
    hub.breaks = 0
    changed = {**large, WEIGHTS: large[WEIGHTS][:-8] + b"changed!"}
    hub.add(changed, f"/{REPOSITORY}")
    bring(store)
    assert is_whole(store, changed)
    assert hub.got(WEIGHTS)[-1].range is None


def test_a_busy_server_is_asked_again(store: ModelStore, hub: StandIn, large: dict[str, bytes]) -> None:
    hub.busy = 2
    bring(store)
    assert is_whole(store, large)


def test_a_server_that_stays_busy_ends_in_one_clear_error(store: ModelStore, hub: StandIn) -> None:
    hub.busy = 1000
    with pytest.raises(CheckpointError, match=r"small-ast at http.*: the hub answered 503, 3 times in a row"):
        bring(store)


def test_a_slow_server_is_waited_for_as_long_as_something_comes(
    store: ModelStore, hub: StandIn, large: dict[str, bytes]
) -> None:
    # In all longer than the patience for no data at all.
    hub.pause_s = 0.008
    bring(store, replace(HASTE, read_s=1.5))
    assert is_whole(store, large)
    assert len(hub.got(WEIGHTS)) == 1


def test_a_server_that_falls_silent_is_left_after_a_while_and_the_transfer_carried_on(
    store: ModelStore, hub: StandIn, large: dict[str, bytes]
) -> None:
    hub.stall = True
    with pytest.raises(CheckpointError, match=r"no data for 1 s, 1 times in a row; \d+ bytes are kept"):
        bring(store, replace(HASTE, attempts=1, read_s=1.0))
    hub.stall = False
    bring(store)
    assert is_whole(store, large)
    assert hub.got(WEIGHTS)[-1].status == 206


def test_a_hub_that_is_not_there_ends_in_one_clear_error(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://user:secret@127.0.0.1:9/")
    with pytest.raises(CheckpointError, match=r"at http://127\.0\.0\.1:9: the hub cannot be reached \(ConnectError\)"):
        bring(store)


def test_a_server_whose_sizes_do_not_agree_is_refused(store: ModelStore, hub: StandIn) -> None:
    hub.etags = False
    hub.lie_about_size = 5
    with pytest.raises(CheckpointError, match=r"broke off at \d+ of \d+ bytes|the connection broke off"):
        bring(store)
    assert not store.path("small").exists()


def test_a_url_is_shown_without_its_secrets() -> None:
    assert shown("https://user:secret@host:8/a/b.tar?token=secret#x") == "https://host:8/a/b.tar"


# In a process of its own, as whoever runs the command has it.
SCRIPT = """
import resource, sys
from pathlib import Path
from block.model.checkpoint import FILES, WEIGHTS, CheckpointError
from block.commands.models import main
from block.model_store.store import ModelStore

limit = int(sys.argv[2])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    sys.exit(main(["fetch", sys.argv[3], "--name", "small"], ModelStore(Path(sys.argv[1]), ())))
except CheckpointError as error:
    sys.exit(f"refused: {error}")
"""


def start(store: ModelStore, limit: int = 0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SCRIPT, str(store.folder), str(limit), f"{REPOSITORY}@{COMMIT}"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_fetch_that_is_killed_leaves_no_checkpoint_and_the_next_one_carries_on(
    store: ModelStore, hub: StandIn, large: dict[str, bytes]
) -> None:
    hub.pause_s = 0.02
    part = store.hidden("small", "partial") / f"{WEIGHTS}.part"
    killed = start(store)
    with killed:
        wait_until(lambda: part.exists() and part.stat().st_size >= 3 << 16)
        killed.send_signal(signal.SIGKILL)
        killed.wait(10)
    received = part.stat().st_size
    assert 0 < received < len(large[WEIGHTS])
    assert not store.path("small").exists()
    assert store.names() == ["small", "tiny"]  # those that are known, none that is there
    hub.pause_s = 0.0
    before = len(hub.asked)
    with start(store) as second:
        output, errors = second.communicate(timeout=60)
    assert (second.returncode, errors) == (0, "")
    assert "carrying on at" in output
    assert is_whole(store, large)
    served = [one for one in hub.asked[before:] if one.method == "GET"]
    # Only the rest of the weights: the small files were whole already.
    assert [one.range for one in served] == [f"bytes={received}-"]
    assert served[0].sent == len(large[WEIGHTS]) - received


def test_a_full_disk_is_said_and_what_was_received_is_kept(
    store: ModelStore, hub: StandIn, large: dict[str, bytes]
) -> None:
    with start(store, limit=300_000) as full:
        _, errors = full.communicate(timeout=60)
    assert full.returncode == 1
    assert "File too large; what was received is kept: make room, and run the same command again" in errors
    assert "Traceback" not in errors
    assert not store.path("small").exists()
    received = (store.hidden("small", "partial") / f"{WEIGHTS}.part").stat().st_size
    assert 200_000 < received <= 300_000
    bring(store)
    assert is_whole(store, large)
    assert hub.got(WEIGHTS)[-1].range == f"bytes={received}-"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1536k", "tmpfs", str(folder)], capture_output=True, check=False
        )
        if sys.platform == "linux" and os.geteuid() == 0
        else None
    )
    if mounted is None or mounted.returncode != 0:
        pytest.skip("no small file system can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_too_small_for_it_is_said_before_anything_is_transferred(
    small_disk: Path, hub: StandIn, large: dict[str, bytes]
) -> None:
    store = ModelStore(small_disk / "models", ())
    with pytest.raises(CheckpointError, match=r"MB free; 2\.3 MB are needed"):
        bring(store)
    assert not hub.got(WEIGHTS)
    assert not store.path("small").exists()
    assert all(hub.sent(name) for name in FILES[:2])
