"""Hubs and web servers that never come to an end, send too much, or ask to wait too long."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub.constants
import pytest

from block.model.checkpoint import WEIGHTS, CheckpointError
from block.model_store import hub_client, web
from block.model_store.hub import find_on_hub
from block.model_store.store import ModelStore
from tests.model_store.conftest import REPOSITORY
from tests.model_store.standin import StandIn, served
from tests.model_store.test_fetch import fetch_into, is_empty
from tests.runtime.dripping import DRIPS, dripping

HEADS = ("status line", "header", "1xx answers")
MANY_BYTES = 64 << 20


@pytest.fixture(autouse=True)
def _short_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (web, hub_client):
        monkeypatch.setattr(module, "TRY_S", 0.3)
        monkeypatch.setattr(module, "STALL_S", 0.3)
    monkeypatch.setattr(web, "ATTEMPTS", 2)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore the long deadlines, for tests in which none may pass."""
    for module in (web, hub_client):
        monkeypatch.setattr(module, "TRY_S", 60.0)
        monkeypatch.setattr(module, "STALL_S", 60.0)


@pytest.mark.parametrize("kind", DRIPS)
def test_a_web_server_that_drips_is_given_up(kind: str, tmp_path: Path) -> None:
    with (
        dripping(DRIPS[kind]) as url,
        pytest.raises(CheckpointError, match=f"^{url}/{WEIGHTS}: not done within .* s, 2 times in a row$"),
    ):
        web.download(f"{url}/{WEIGHTS}", tmp_path / WEIGHTS)


def test_a_web_server_that_drips_has_no_file(tmp_path: Path) -> None:
    with dripping(DRIPS["header"]) as url:
        assert not web.file_exists(f"{url}/{WEIGHTS}")


@pytest.mark.parametrize("kind", HEADS)
def test_a_hub_that_drips_is_given_up(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with dripping(DRIPS[kind]) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        message = f"^{REPOSITORY} at {url}: the hub can't be reached: config.json was not done within 0 s$"
        with pytest.raises(CheckpointError, match=message):
            find_on_hub(REPOSITORY, "main")


def test_a_download_from_a_hub_that_drips_is_given_up(
    store: ModelStore, hub: StandIn, large: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add(large, f"/{REPOSITORY}")
    hub.pause_s = 0.05  # so the weights take 15 s
    monkeypatch.setattr(hub_client, "TRY_S", 60.0)
    monkeypatch.setattr(hub_client, "STALL_S", 3.0)
    with pytest.raises(CheckpointError, match=r"the download of .* was interrupted: model.safetensors was not done"):
        fetch_into(store)
    assert is_empty(store)
    assert len(hub.got(WEIGHTS)) == 1


@pytest.mark.usefixtures("patient")
def test_a_download_that_is_resumed_again_and_again_is_given_up(
    store: ModelStore, hub: StandIn, large: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_client, "TRIES", 10)
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 1024)  # the progress that resets its count
    hub.add(large, f"/{REPOSITORY}")
    hub.break_after, hub.breaks, hub.ranges = 4096, 1000, False
    with pytest.raises(CheckpointError, match="the download was interrupted 10 times; run the same command again"):
        fetch_into(store)
    assert is_empty(store)
    assert len(hub.got(WEIGHTS)) == 10


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("wait", ["301", "86400", "9" * 5000])
def test_a_hub_that_asks_for_a_long_wait_is_not_asked_again(store: ModelStore, hub: StandIn, wait: str) -> None:
    hub.busy, hub.asks_to_wait = 1, wait
    with pytest.raises(CheckpointError, match=f"asks to wait {wait[:20]} s, over the limit of 300 s"):
        fetch_into(store)
    assert len(hub.asked) == 1


@pytest.mark.usefixtures("patient")
def test_a_hub_that_asks_for_a_short_wait_is_asked_again(store: ModelStore, hub: StandIn) -> None:
    hub.busy, hub.asks_to_wait = 1, "300"  # sleeping takes no time in these tests
    fetch_into(store)
    assert not is_empty(store)


@pytest.mark.usefixtures("patient")
def test_the_body_of_a_hubs_redirect_is_not_read(store: ModelStore, hub: StandIn) -> None:
    with served(StandIn(hub.files)) as there:
        hub.redirect_to, hub.redirect_bytes = there.url, MANY_BYTES
        fetch_into(store)
    assert not is_empty(store)
    assert max(one.sent for one in hub.asked) < MANY_BYTES // 2


@pytest.mark.usefixtures("patient")
def test_the_body_of_a_web_servers_redirect_is_not_read(tmp_path: Path) -> None:
    with served(StandIn({f"/{WEIGHTS}": b"content"})) as there, served(StandIn(there.files)) as here:
        here.redirect_to, here.redirect_bytes = there.url, MANY_BYTES
        web.download(f"{here.url}/{WEIGHTS}", tmp_path / WEIGHTS)
    assert (tmp_path / WEIGHTS).read_bytes() == b"content"
    assert 0 < max(one.sent for one in here.asked) < MANY_BYTES // 2


@pytest.mark.usefixtures("patient")
def test_a_hub_that_sends_more_than_it_announced_is_given_up(store: ModelStore, hub: StandIn) -> None:
    hub.lengths = False
    hub.lie_about_linked_size = -1
    with pytest.raises(CheckpointError, match=r"sent more than the \d+ bytes that it announced"):
        fetch_into(store)
    assert is_empty(store)
