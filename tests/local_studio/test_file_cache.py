"""The cache of the WAVs that the local Studio makes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from block.local_studio.data.file_cache import IN_USE_S, FileCache


class Clock:
    """A clock that the test sets, in seconds."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> Iterator[FileCache]:
    """A cache of up to 100 bytes."""
    cache = FileCache(100, clock)
    yield cache
    cache.close()


def write(size: int) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(bytes(size)) and None


def test_a_file_is_made_once_and_found_from_then_on(cache: FileCache) -> None:
    assert cache.find("a") is None
    path = cache.get("a", write(10))
    assert path.read_bytes() == bytes(10)
    assert cache.get("a", lambda path: pytest.fail("it is there")) == cache.find("a") == path


def test_the_least_recently_used_files_are_removed_beyond_the_limit(cache: FileCache, clock: Clock) -> None:
    a, b = cache.get("a", write(40)), cache.get("b", write(40))
    clock.now_s += 2 * IN_USE_S
    assert cache.find("a") == a
    c = cache.get("c", write(40))
    assert (a.exists(), b.exists(), c.exists()) == (True, False, True)
    assert cache.find("b") is None


def test_files_in_use_stay_even_beyond_the_limit(cache: FileCache, clock: Clock) -> None:
    paths = [cache.get(name, write(80)) for name in "abc"]
    assert all(path.exists() for path in paths)
    clock.now_s += 2 * IN_USE_S
    cache.get("d", write(1))
    assert not any(path.exists() for path in paths[:2])


def test_threads_that_need_the_same_file_make_it_once_and_others_do_not_wait(cache: FileCache) -> None:
    started, finish = threading.Event(), threading.Event()
    made = []

    def make(path: Path) -> None:
        made.append(path)
        started.set()
        assert finish.wait(10)
        path.write_bytes(b"whole")

    with ThreadPoolExecutor(4) as threads:
        waiting = [threads.submit(cache.get, "a", make) for _ in range(3)]
        assert started.wait(10)
        assert cache.get("b", write(1)).exists()
        assert cache.find("a") is None
        finish.set()
        assert {one.result().read_bytes() for one in waiting} == {b"whole"}
    assert len(made) == 1


def test_a_failure_leaves_nothing_and_the_next_try_succeeds(cache: FileCache) -> None:
    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    folder = cache.get("other", write(1)).parent
    with pytest.raises(OSError, match="No space left"):
        cache.get("a", fail)
    assert [path.name for path in folder.iterdir()] == ["other"]
    assert cache.get("a", write(3)).read_bytes() == bytes(3)


def test_closing_removes_all_files(cache: FileCache) -> None:
    folder = cache.get("a", write(10)).parent
    cache.close()
    assert not folder.exists()
