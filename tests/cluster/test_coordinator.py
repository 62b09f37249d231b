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
from tests.score_store.made import KEY, NAMES, content, made, same


def run(what: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(what, 30))


async def begun(**given: Any) -> Coordinator:
    one = Coordinator()
    await one.configure(CoordinatorInputs(**given))
    return one


async def settled() -> None:
    """Everything that can go on has gone on."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_whoever_asks_waits_until_there_is_room_and_is_told_at_once() -> None:
    async def scene() -> None:
        one = await begun(requests=1)
        assert await one.acquire("a", 0)
        second, third = asyncio.create_task(one.acquire("b", 0)), asyncio.create_task(one.acquire("a", 1))
        await settled()
        assert not second.done()
        await one.release("a", 0, "good")
        await settled()
        assert (second.done(), third.done()) == (True, False)
        await one.release("b", 0, "good")
        assert await second
        assert await third

    run(scene())


def test_the_end_of_a_pause_needs_nobody_to_say_so() -> None:
    async def scene() -> None:
        one = await begun(requests=2)
        assert await one.acquire("a", 0)
        began = time.monotonic()
        await one.release("a", 0, "slowed", 1.2)
        assert await one.acquire("a", 1)
        assert time.monotonic() - began >= 1.2

    run(scene())


def test_what_is_given_up_is_no_longer_waited_for() -> None:
    async def scene() -> None:
        one = await begun(requests=1)
        assert await one.acquire("a", 0)
        waiting = asyncio.create_task(one.acquire("b", 0))
        await settled()
        await one.release("b", 0, "failed")
        assert await waiting is False
        assert state_of(one._throttle).waiting == 0

    run(scene())


def test_whoever_waits_for_long_is_told_to_ask_again_and_keeps_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coordinator, "WAIT_S", 0.05)

    async def scene() -> None:
        one = await begun(requests=1)
        assert await one.acquire("a", 0)
        assert await one.acquire("b", 0) is False
        assert await one.acquire("c", 0) is False
        await one.release("a", 0, "good")
        assert await one.acquire("c", 0) is False
        assert await one.acquire("b", 0)

    run(scene())


def test_what_a_lost_worker_held_is_let_to_others_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "LOST_AFTER_S", 0.5)

    async def scene() -> None:
        one = await begun(requests=1)
        assert await one.acquire("lost", 0)
        waiting = asyncio.create_task(one.acquire("kept", 0))
        while not waiting.done():
            await one.renew("kept", [0], 1)
            await asyncio.sleep(0.05)
        assert await waiting

    run(scene())


def test_a_worker_that_was_silent_and_lives_asks_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "LOST_AFTER_S", 0.2)

    async def scene() -> None:
        one = await begun(requests=1)
        assert await one.acquire("other", 0)
        waiting = asyncio.create_task(one.acquire("silent", 0))
        while not waiting.done():
            await asyncio.sleep(0.05)
            await one.renew("other", [0], 1)
        assert await waiting is False
        assert state_of(one._throttle).waiting == 0

    run(scene())


def test_scores_are_found_that_were_there_when_first_asked_for_and_none_of_another_key(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    with ScoreStore(tmp_path, KEY, NAMES) as store:
        store.add(made(1))

    async def scene() -> None:
        one = await begun(store=tmp_path, key=KEY)
        assert same(await one.find_scores(content(1)), made(1))
        assert await one.find_scores(content(2)) is None
        other = await begun(store=tmp_path, key=type(KEY)("cd" * 32, KEY.windows, "pad", "exact", "float32"))
        assert await other.find_scores(content(1)) is None
        assert await (await begun()).find_scores(content(1)) is None

    run(scene())


def test_attempts_are_counted() -> None:
    async def scene() -> None:
        one = await begun()
        for _ in range(2):
            assert (await one.start_chunk(0, [1, 2])).rest == (1, 2)
        for _ in range(2):
            assert 1 in (await one.start_chunk(0, [1, 2])).suspects
            await one.start_suspect(0, 1)
        plan = await one.start_chunk(0, [1, 2])
        assert list(plan.failures) == [1]
        await one.start_suspect(0, 2)
        await one.clear_suspect(0, 2)
        assert (await one.start_chunk(0, [1, 2])).rest == (2,)

    run(scene())


def test_a_key_that_nobody_gave_and_files_that_are_none_of_a_checkpoints_are_not_handed_out(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")

    async def scene() -> None:
        one = await begun(checkpoint=tmp_path)
        with pytest.raises(LookupError, match="the driver gave no API key"):
            await one.read_api_key()
        for name in ("secret", "../secret", str(tmp_path / "secret"), ""):
            with pytest.raises(LookupError, match="the driver gave no file"):
                await one.share_file(name)

    run(scene())


def test_a_limit_below_one_is_refused_before_anything_is_started() -> None:
    with pytest.raises(ValueError, match="the limit is 0 requests"):
        start_coordinator(CoordinatorInputs(requests=0))
