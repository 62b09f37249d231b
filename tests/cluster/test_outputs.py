"""The comparison of runs finds every difference, and none between equal runs."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from block.score_store import Key, Scored, ScoreStore
from block.settings import WindowSettings
from tests.cluster.measure import replace_marked
from tests.cluster.outputs import count_rows, find_differences

pytest.importorskip("pyarrow")

KEY = Key("0" * 64, WindowSettings(2000, 2000), "pad", "exact", "float32")


def make_scored(number: int, score: float = 0.0) -> Scored:
    logits = np.full((2, 3), score, np.float32)
    return Scored(f"{number:064x}", 64000, Fraction(16000), (1, 1), np.zeros(2, np.float32), logits)


def write_output(out: Path, rows: list[Scored]) -> Path:
    out.mkdir()
    (out / "labels.csv").write_text("file,label\r\n")
    (out / ".lock").write_text("")
    with ScoreStore(out / "scores", KEY, ["a", "b", "c"]) as store:
        for row in rows:
            store.add(row)
    return out


def test_runs_that_stored_the_same_in_a_different_order_do_not_differ(tmp_path: Path) -> None:
    one = write_output(tmp_path / "one", [make_scored(1), make_scored(2)])
    other = write_output(tmp_path / "other", [make_scored(2), make_scored(1)])
    assert find_differences(one, other) == []


def test_a_label_file_that_differs_or_is_missing_is_named(tmp_path: Path) -> None:
    one, other = (write_output(tmp_path / name, [make_scored(1)]) for name in ("one", "other"))
    (one / "labels.csv").write_text("file,label\n")
    (one / "more.csv").write_text("")
    assert find_differences(one, other) == ["labels.csv differs between one and other", "more.csv is only in one"]


def test_a_single_bit_of_a_score_is_a_difference(tmp_path: Path) -> None:
    one = write_output(tmp_path / "one", [make_scored(1, 1.0), make_scored(2)])
    other = write_output(
        tmp_path / "other", [make_scored(1, float(np.nextafter(np.float32(1), np.float32(2)))), make_scored(2)]
    )
    assert find_differences(one, other) == ["the scores of 1 recording differ between one and other"]


def test_scores_of_other_recordings_are_a_difference(tmp_path: Path) -> None:
    one, other = (
        write_output(tmp_path / "one", [make_scored(1)]),
        write_output(tmp_path / "other", [make_scored(1), make_scored(2)]),
    )
    assert find_differences(one, other) == [
        "one has scores of 1 recording, other of 2 recordings; expected the same recordings"
    ]


def test_a_recording_stored_twice_is_counted_twice(tmp_path: Path) -> None:
    out = write_output(tmp_path / "out", [make_scored(1), make_scored(2)])
    (shard,) = (out / "scores").glob("*.parquet")
    assert count_rows(out) == {f"{1:064x}": 1, f"{2:064x}": 1}
    shutil.copy(shard, shard.with_name(f"again-{shard.name}"))
    assert count_rows(out) == {f"{1:064x}": 2, f"{2:064x}": 2}


def test_results_are_written_only_between_their_markers() -> None:
    text = "a <!-- cluster:measured -->old<!-- /cluster:measured --> b"
    found = replace_marked(text, "measured", "new")
    assert found == "a <!-- cluster:measured -->\nnew\n<!-- /cluster:measured --> b"
    with pytest.raises(ValueError, match="no markers for 'elsewhere'"):
        replace_marked(text, "elsewhere", "new")
