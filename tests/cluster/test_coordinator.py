from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from block.cluster import coordinator, throttle
from block.cluster.coordinator import Coordinator, CoordinatorInputs, start_coordinator
from block.score_store import ScoreStore
from tests.cluster.throttle_state import state_of
from tests.score_store.scores import KEY, NAMES, content, is_same, make_scores


def run(what: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(what, 30))


async def make_coordinator(**given: Any) -> Coordinator:
    one = Coordinator()
    await one.configure(CoordinatorInputs(**given))
    return one


async def let_others_run() -> None:
    """Let every other coroutine run as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_a_request_waits_until_there_is_room_and_then_proceeds_immediately() -> None:
    async def scene() -> None:
        one = await make_coordinator(requests=1)
        assert await one.acquire("a", 0)
        second, third = asyncio.create_task(one.acquire("b", 0)), asyncio.create_task(one.acquire("a", 1))
        await let_others_run()
        assert not second.done()
        await one.release("a", 0, "good")
        await let_others_run()
        assert (second.done(), third.done()) == (True, False)
        await one.release("b", 0, "good")
        assert await second
        assert await third

    run(scene())


def test_a_pause_ends_without_another_call() -> None:
    async def scene() -> None:
        one = await make_coordinator(requests=2)
        assert await one.acquire("a", 0)
        began = time.monotonic()
        await one.release("a", 0, "slowed", 1.2)
        assert await one.acquire("a", 1)
        assert time.monotonic() - began >= 1.2

    run(scene())


def test_a_request_that_is_given_up_leaves_the_line() -> None:
    async def scene() -> None:
        one = await make_coordinator(requests=1)
        assert await one.acquire("a", 0)
        waiting = asyncio.create_task(one.acquire("b", 0))
        await let_others_run()
        await one.release("b", 0, "failed")
        assert await waiting is False
        assert state_of(one._throttle).waiting == 0

    run(scene())


def test_a_request_that_waits_long_has_to_ask_again_and_keeps_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coordinator, "WAIT_S", 0.05)

    async def scene() -> None:
        one = await make_coordinator(requests=1)
        assert await one.acquire("a", 0)
        assert await one.acquire("b", 0) is False
        assert await one.acquire("c", 0) is False
        await one.release("a", 0, "good")
        assert await one.acquire("c", 0) is False
        assert await one.acquire("b", 0)

    run(scene())


def test_requests_of_a_lost_worker_go_to_others_without_another_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "LOST_AFTER_S", 0.5)

    async def scene() -> None:
        one = await make_coordinator(requests=1)
        assert await one.acquire("lost", 0)
        waiting = asyncio.create_task(one.acquire("kept", 0))
        while not waiting.done():
            await one.renew("kept", [0], 1)
            await asyncio.sleep(0.05)
        assert await waiting

    run(scene())


def test_a_silent_worker_that_is_alive_has_to_ask_again_immediately(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "LOST_AFTER_S", 0.2)

    async def scene() -> None:
        one = await make_coordinator(requests=1)
        assert await one.acquire("other", 0)
        waiting = asyncio.create_task(one.acquire("silent", 0))
        while not waiting.done():
            await asyncio.sleep(0.05)
            await one.renew("other", [0], 1)
        assert await waiting is False
        assert state_of(one._throttle).waiting == 0

    run(scene())


def test_find_scores_returns_what_the_store_had_at_first_use_for_the_same_key_only(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    with ScoreStore(tmp_path, KEY, NAMES) as store:
        store.add(make_scores(1))

    async def scene() -> None:
        one = await make_coordinator(store=tmp_path, key=KEY)
        assert is_same(await one.find_scores(content(1)), make_scores(1))
        assert await one.find_scores(content(2)) is None
        other = await make_coordinator(store=tmp_path, key=type(KEY)("cd" * 32, KEY.windows, "pad", "exact", "float32"))
        assert await other.find_scores(content(1)) is None
        assert await (await make_coordinator()).find_scores(content(1)) is None

    run(scene())


def test_the_coordinator_counts_attempts() -> None:
    async def scene() -> None:
        one = await make_coordinator()
        for _ in range(2):
            assert (await one.start_portion(0, [1, 2])).rest == (1, 2)
        for _ in range(2):
            assert 1 in (await one.start_portion(0, [1, 2])).suspects
            await one.start_suspect(0, 1)
        plan = await one.start_portion(0, [1, 2])
        assert list(plan.failures) == [1]
        await one.start_suspect(0, 2)
        await one.clear_suspect(0, 2)
        assert (await one.start_portion(0, [1, 2])).rest == (2,)

    run(scene())


def test_a_missing_key_and_files_outside_the_checkpoint_are_not_handed_out(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")

    async def scene() -> None:
        one = await make_coordinator(checkpoint=tmp_path)
        with pytest.raises(LookupError, match="the driver gave no API key"):
            await one.read_api_key()
        for name in ("secret", "../secret", str(tmp_path / "secret"), ""):
            with pytest.raises(LookupError, match="the driver gave no file"):
                await one.share_file(name)

    run(scene())


def test_a_limit_below_one_is_rejected_before_anything_starts() -> None:
    with pytest.raises(ValueError, match="the limit is 0 requests"):
        start_coordinator(CoordinatorInputs(requests=0))
