"""Fetches interrupted by the server, a full disk or a kill signal. They leave nothing in the store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest

from block.model.checkpoint import CONFIG, FILES, WEIGHTS, CheckpointError
from block.model_store.fetch import FetchTarget, fetch
from block.model_store.store import ModelStore
from block.model_store.web import hide_secrets
from tests.conftest import ROOT
from tests.model_store.conftest import REPOSITORY
from tests.model_store.standin import COMMIT, StandIn, wait_until

TARGET = FetchTarget("small", REPOSITORY, COMMIT)


@pytest.fixture
def hub(hub: StandIn, large: dict[str, bytes]) -> StandIn:
    hub.add(large, f"/{REPOSITORY}")
    return hub


def fetch_into(store: ModelStore) -> None:
    fetch(store, TARGET, say=lambda line: None)


def is_whole(store: ModelStore, contents: dict[str, bytes]) -> bool:
    return {path.name: path.read_bytes() for path in store.path("small").iterdir()} == contents


def files_in(store: ModelStore) -> list[str]:
    """Return the names of all files in the store except locks."""
    paths = (path for path in store.folder.rglob("*") if path.is_file())
    return sorted(path.name for path in paths if path.suffix != ".lock")


def test_an_interrupted_download_is_restarted(store: ModelStore, hub: StandIn, large: dict[str, bytes]) -> None:
    hub.break_after, hub.breaks = 400_000, 2
    fetch_into(store)
    assert is_whole(store, large)
    assert len(hub.got(WEIGHTS)) == 3


def test_a_download_that_is_always_interrupted_fails_and_leaves_nothing(
    store: ModelStore, hub: StandIn, large: dict[str, bytes]
) -> None:
    hub.break_after, hub.breaks = 100_000, 1000
    with pytest.raises(
        CheckpointError, match=r"the download of model\.safetensors was interrupted \(RemoteProtocolError\)"
    ):
        fetch_into(store)
    assert not store.path("small").exists()
    assert files_in(store) == []
    hub.breaks = 0
    fetch_into(store)
    assert is_whole(store, large)
    assert hub.got(WEIGHTS)[-1].range is None


def test_a_server_without_range_requests_sends_the_whole_file_again(
    store: ModelStore, hub: StandIn, large: dict[str, bytes]
) -> None:
    hub.break_after, hub.breaks, hub.ranges = 400_000, 1, False
    fetch_into(store)
    assert is_whole(store, large)
    assert [one.status for one in hub.got(WEIGHTS)] == [200, 200]


def test_a_busy_server_is_asked_again(store: ModelStore, hub: StandIn, large: dict[str, bytes]) -> None:
    hub.busy = 2
    fetch_into(store)
    assert is_whole(store, large)


def test_a_server_that_stays_busy_gives_one_clear_error(store: ModelStore, hub: StandIn) -> None:
    hub.busy = 1000
    with pytest.raises(CheckpointError, match=r"small-ast at http.*: the hub answered 503; run the same command again"):
        fetch_into(store)
    assert 3 <= len(hub.asked) <= 10
    assert files_in(store) == []


def test_a_slow_download_continues_as_long_as_data_arrives(
    store: ModelStore, hub: StandIn, large: dict[str, bytes]
) -> None:
    # The download takes longer than the timeout, which applies only while no data arrives.
    hub.pause_s = 0.008
    fetch_into(store)
    assert is_whole(store, large)
    assert len(hub.got(WEIGHTS)) == 1


def test_a_server_that_stops_sending_times_out_and_leaves_nothing(
    store: ModelStore, hub: StandIn, large: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    hub.stall = True
    with pytest.raises(CheckpointError, match=r"the download of model\.safetensors was interrupted \(ReadTimeout\)"):
        fetch_into(store)
    assert not store.path("small").exists()
    assert files_in(store) == []
    hub.stall = False
    fetch_into(store)
    assert is_whole(store, large)
    assert hub.got(WEIGHTS)[-1].status == 200


def test_an_unreachable_hub_gives_one_clear_error(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://user:secret@127.0.0.1:9/")
    with pytest.raises(CheckpointError, match=r"at http://127\.0\.0\.1:9: the hub can't be reached \(ConnectError\)"):
        fetch_into(store)


def test_a_server_with_contradictory_sizes_is_refused(store: ModelStore, hub: StandIn) -> None:
    hub.lie_about_size = 5
    with pytest.raises(CheckpointError, match=r"the download of config\.json was interrupted"):
        fetch_into(store)
    hub.lie_about_size, hub.lie_about_linked_size = 0, 5
    with pytest.raises(CheckpointError, match=r"the download of model\.safetensors was interrupted \(OSError\)"):
        fetch_into(store)
    assert not store.path("small").exists()
    assert files_in(store) == []


def test_a_url_is_printed_without_its_secrets() -> None:
    assert hide_secrets("https://user:secret@host:8/a/b.tar?token=secret#x") == "https://host:8/a/b.tar"


def test_a_file_in_xet_storage_is_still_downloaded_from_the_hub(
    store: ModelStore, hub: StandIn, large: dict[str, bytes]
) -> None:
    hub.xet = True
    fetch_into(store)
    assert is_whole(store, large)
    assert all("/resolve/" in one.path for one in hub.asked)


def test_files_in_the_users_cache_are_not_used(
    store: ModelStore, hub: StandIn, large: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "cache" / f"models--{REPOSITORY.replace('/', '--')}" / "snapshots" / COMMIT
    there.mkdir(parents=True)
    (there / CONFIG).write_text("{}")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    fetch_into(store)
    assert is_whole(store, large)


# In a separate process, like the real command.
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


def test_retries_are_logged_without_the_secrets_of_a_url(
    store: ModelStore, hub: StandIn, large: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.url.replace("http://", "http://user:secret@"))
    hub.busy = 1
    with start(store) as fetching:
        output, errors = fetching.communicate(timeout=60)
    assert fetching.returncode == 0, errors
    assert f"HTTP Error 503 thrown while requesting HEAD {hub.url}/{REPOSITORY}" in errors
    assert "Retrying in 1s" in errors
    assert "secret" not in output + errors
    assert is_whole(store, large)


def test_a_killed_fetch_leaves_no_checkpoint_and_the_next_one_starts_over(
    store: ModelStore, hub: StandIn, large: dict[str, bytes]
) -> None:
    hub.pause_s = 0.02
    staging = store.hidden_path("small", "partial")
    killed = start(store)
    with killed:
        wait_until(lambda: hub.sent(WEIGHTS) >= 3 << 16)
        killed.send_signal(signal.SIGKILL)
        killed.wait(10)
    assert staging.is_dir()
    assert not store.path("small").exists()
    assert store.list_names() == ["small", "tiny"]  # from the catalog; none is present
    hub.pause_s = 0.0
    before = len(hub.asked)
    with start(store) as second:
        output, errors = second.communicate(timeout=60)
    assert (second.returncode, errors) == (0, "")
    assert f"fetching small from {hub.url}/{REPOSITORY}@{COMMIT}" in output
    assert is_whole(store, large)
    assert not staging.exists()
    served = [one for one in hub.asked[before:] if one.method == "GET"]
    assert [(one.path.rpartition("/")[2], one.range) for one in served] == [(name, None) for name in FILES]
    assert served[-1].sent == len(large[WEIGHTS])


def test_a_full_disk_gives_a_clear_error_and_partial_files_are_deleted(
    store: ModelStore, hub: StandIn, large: dict[str, bytes]
) -> None:
    with start(store, limit=300_000) as full:
        _, errors = full.communicate(timeout=60)
    assert full.returncode == 1
    assert "File too large; free some space and run the same command again" in errors
    assert "Traceback" not in errors
    assert not store.path("small").exists()
    assert files_in(store) == []
    fetch_into(store)
    assert is_whole(store, large)
    assert hub.got(WEIGHTS)[-1].range is None


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
        pytest.skip("a small file system can't be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_too_little_disk_space_is_an_error_before_the_weights_are_downloaded(
    small_disk: Path, hub: StandIn, large: dict[str, bytes]
) -> None:
    store = ModelStore(small_disk / "models", ())
    with pytest.raises(CheckpointError, match=r"MB free; 2\.3 MB are needed"):
        fetch_into(store)
    assert not hub.got(WEIGHTS)
    assert not store.path("small").exists()
    assert all(hub.got(name) for name in FILES[:2])
