"""Compare the outputs of runs: label files byte for byte, scores bit for bit."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow.parquet

from block.formatting import count
from block.score_store import Scored, ScoreStore

LOCK, SCORES = ".lock", "scores"


def read_files(out: Path) -> dict[str, bytes]:
    """Return every file of a run except its scores, by its name in `out`."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != LOCK and SCORES not in path.relative_to(out).parts
    }


def read_scores(out: Path) -> dict[str, tuple[object, ...]]:
    """Return what the store in `out` has for each recording, by its file's SHA-256, with floats as bits."""
    (key,) = ScoreStore.list_keys(out / SCORES)
    with ScoreStore.open_read_only(out / SCORES, key) as store:
        return {one.content: (key, *_bits(one)) for one in store.find_all(store.contents())}


def _bits(one: Scored) -> tuple[object, ...]:
    return (
        one.values, one.value_rate_hz, one.chunk_counts, one.mode, one.levels_dbfs.tobytes(), one.logits.shape,
        one.logits.tobytes(),
    )  # fmt: skip


def count_rows(out: Path) -> Counter[str]:
    """Return how many rows each recording has in all score files. The store itself would ignore duplicates."""
    rows: Counter[str] = Counter()
    for path in sorted((out / SCORES).glob("*.parquet")):
        rows.update(pyarrow.parquet.read_table(path, columns=["content"]).column("content").to_pylist())
    return rows


def find_differences(one: Path, other: Path) -> list[str]:
    """Describe the differences between the outputs of two runs over the same recordings."""
    found = []
    ours, theirs = read_files(one), read_files(other)
    for name in sorted(ours.keys() | theirs.keys()):
        if name not in ours or name not in theirs:
            found.append(f"{name} is only in {(one if name in ours else other).name}")
        elif ours[name] != theirs[name]:
            found.append(f"{name} differs between {one.name} and {other.name}")
    here, there = read_scores(one), read_scores(other)
    if here.keys() != there.keys():
        numbers = f"{count(len(here), 'recording')}, {other.name} of {count(len(there), 'recording')}"
        found.append(f"{one.name} has scores of {numbers}; expected the same recordings")
    differing = sum(here[content] != there[content] for content in here.keys() & there.keys())
    if differing:
        found.append(f"the scores of {count(differing, 'recording')} differ between {one.name} and {other.name}")
    return found
