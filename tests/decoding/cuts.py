"""Places at which to cut a file, as a copy or a recording that broke off does, and holes in its middle."""

from __future__ import annotations

import random


def choose_cuts(content: bytes, count: int, seed: int = 0) -> list[int]:
    """Return up to `count` sizes, in order, that are smaller than the file's: borders of its headers, and random ones.

    A third lie within the first and the last kilobyte, where headers and indexes are.
    """
    size = len(content)
    near = [*range(min(4, size)), *(size - back for back in (1, 2, 3, 4, 8) if back < size)]
    chosen = set(near[:count])
    source = random.Random(seed)
    while len(chosen) < min(count, size):
        edge = source.random()
        if edge < 1 / 6:
            chosen.add(source.randrange(min(1024, size)))
        elif edge < 1 / 3:
            chosen.add(source.randrange(max(0, size - 1024), size))
        else:
            chosen.add(source.randrange(size))
    return sorted(chosen)


def cut(content: bytes, count: int, seed: int = 0) -> list[bytes]:
    """Return up to `count` different beginnings of a file, shortest first."""
    return [content[:size] for size in choose_cuts(content, count, seed)]


def make_holes(content: bytes, count: int, seed: int = 0) -> list[bytes]:
    """Return `count` versions of a file of which up to a quarter is missing, zero or noise, as on a failing disk."""
    source = random.Random(seed)
    found = []
    for number in range(count):
        size = source.randrange(1, len(content) // 4)
        at = source.randrange(len(content) - size)
        hole = (b"", bytes(size), source.randbytes(size))[number % 3]
        found.append(content[:at] + hole + content[at + size :])
    return found
