"""What runs left behind, held against each other: label files byte for byte, scores bit for bit."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow.parquet

from block.score_store import Scored, ScoreStore

LOCK, SCORES = ".lock", "scores"


def label_files(out: Path) -> dict[str, bytes]:
    """Every file of a run but its scores, by its name in `out`."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != LOCK and SCORES not in path.relative_to(out).parts
    }


def scores(out: Path) -> dict[str, tuple[object, ...]]:
    """What the store in `out` holds of each recording, by the SHA-256 of its file; floats as their bits."""
    (key,) = ScoreStore.list_keys(out / SCORES)
    with ScoreStore.open_read_only(out / SCORES, key) as store:
        return {one.content: (key, *_bits(one)) for one in store.find_all(store.contents())}


def _bits(one: Scored) -> tuple[object, ...]:
    return (
        one.values, one.value_rate_hz, one.chunk_counts, one.mode, one.levels_dbfs.tobytes(), one.logits.shape,
        one.logits.tobytes(),
    )  # fmt: skip


def stored_rows(out: Path) -> Counter[str]:
    """How many rows there are of each recording, over all files of scores: the store itself passes over a second."""
    rows: Counter[str] = Counter()
    for path in sorted((out / SCORES).glob("*.parquet")):
        rows.update(pyarrow.parquet.read_table(path, columns=["content"]).column("content").to_pylist())
    return rows


def differences(one: Path, other: Path) -> list[str]:
    """What differs between two runs of the same recordings, in words; nothing, if they left the same."""
    found = []
    ours, theirs = label_files(one), label_files(other)
    for name in sorted(ours.keys() | theirs.keys()):
        if name not in ours or name not in theirs:
            found.append(f"{name} is in {(one if name in ours else other).name} alone")
        elif ours[name] != theirs[name]:
            found.append(f"{name} of {one.name} and of {other.name} differ")
    here, there = scores(one), scores(other)
    if here.keys() != there.keys():
        found.append(f"{one.name} holds scores of {len(here)} recordings, {other.name} of {len(there)}, not the same")
    differing = sum(here[content] != there[content] for content in here.keys() & there.keys())
    if differing:
        found.append(f"the scores of {differing} recordings differ between {one.name} and {other.name}")
    return found
