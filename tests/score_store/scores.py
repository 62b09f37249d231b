"""Random scores for tests of the store."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from fractions import Fraction

import numpy as np

from block.score_store import Key, Scored
from block.settings import WindowSettings

NAMES = ("dog", "rain", "speech, male", "naïve (ж)", "e")
KEY = Key("ab" * 32, WindowSettings(2000, 1000), "pad", "exact", "float32")


def content(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def make_scores(
    number: int, windows: int = 5, silent: tuple[int, ...] = (), chunks: int = 1, mode: str = "exact"
) -> Scored:
    """Return random scores of recording `number`, the same every time."""
    rng = np.random.default_rng(number)
    counts = tuple(0 if at in silent else chunks for at in range(windows))
    levels = rng.normal(-40, 10, windows).astype(np.float32)
    logits = rng.normal(0, 4, (windows * chunks, len(NAMES))).astype(np.float32)
    heard = np.repeat([count > 0 for count in counts], chunks)
    return Scored(content(number), 16000 * windows + number, Fraction(44100, 7), counts, levels, logits[heard], mode)


def add_embeddings(scored: Scored, size: int = 6) -> Scored:
    """Return `scored` with random embeddings, the same every time."""
    embeddings = np.random.default_rng(scored.values).normal(0, 2, (scored.chunks, size))
    return replace(scored, embeddings=embeddings.astype(np.float16))


def is_same(one: Scored | None, other: Scored | None) -> bool:
    """Return True if both are equal to the last bit, or both None."""
    if one is None or other is None:
        return one is other
    return (
        (one.content, one.values, one.value_rate_hz, one.chunk_counts, one.mode)
        == (other.content, other.values, other.value_rate_hz, other.chunk_counts, other.mode)
        and one.levels_dbfs.tobytes() == other.levels_dbfs.tobytes()
        and one.logits.tobytes() == other.logits.tobytes()
        and one.logits.shape == other.logits.shape
        and one.embeddings.tobytes() == other.embeddings.tobytes()
        and one.embeddings.shape == other.embeddings.shape
    )
