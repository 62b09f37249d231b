"""A score store returns exactly what was added to it."""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from block import boundaries
from block.model.arithmetic import SCORES_VERSION
from block.model.checkpoint import find_checkpoint
from block.score_store import Key, Scored, ScoreStore, check_folder
from block.score_store import store as store_module
from block.score_store.shard import Shard, ShardError, write_shard
from block.settings import SettingsError, WindowSettings
from tests.conftest import EMBEDDED
from tests.score_store.scores import KEY, NAMES, content, is_same, make_scores

ROWS = [
    make_scores(1), make_scores(2, windows=1), make_scores(3, windows=9, silent=(0, 8)),
    make_scores(4, windows=3, silent=(0, 1, 2)), make_scores(5, windows=2, chunks=7),
    make_scores(6, mode="fast merged-int8"), make_scores(7, windows=1300),
]  # fmt: skip


def fill(folder: Path, rows: list[Scored] = ROWS, key: Key = KEY) -> None:
    with ScoreStore(folder, key, NAMES) as store:
        for row in rows:
            store.add(row)


def test_logits_come_back_to_the_last_bit_before_and_after_the_flush(tmp_path: Path) -> None:
    special = replace(make_scores(8, windows=2), logits=np.array([[0, -0.0, 1e-42, 3.4e38, -1e-7]] * 2, np.float32))
    silence = replace(make_scores(9, windows=1), levels_dbfs=np.array([-np.inf], np.float32))
    rows = [*ROWS, special, silence]
    with ScoreStore(tmp_path, KEY, NAMES) as store:
        for row in rows:
            store.add(row)
            assert is_same(store.find(row.content), row)
    again = ScoreStore(tmp_path, KEY, NAMES)
    assert again.contents() == {row.content for row in rows}
    for row in rows[::-1]:
        assert is_same(again.find(row.content), row)
    assert again.find(content(99)) is None


def test_find_all_yields_each_requested_recording_once(tmp_path: Path) -> None:
    fill(tmp_path, ROWS[:4])
    store = ScoreStore(tmp_path, KEY, NAMES)
    store.add(ROWS[4])
    asked = [ROWS[4].content, ROWS[2].content, ROWS[0].content, content(99)]
    got = list(store.find_all(asked))
    assert sorted(one.content for one in got) == sorted(asked[:3])
    by_content = {row.content: row for row in ROWS}
    assert all(is_same(one, by_content[one.content]) for one in got)


def test_any_parquet_reader_finds_the_logits_in_the_documented_columns(tmp_path: Path) -> None:
    fill(tmp_path)
    (path,) = tmp_path.iterdir()
    table = pq.read_table(path)
    assert json.loads(table.schema.metadata[b"class_names"]) == list(NAMES)
    assert json.loads(table.schema.metadata[b"ast_score_store"])["windows"] == {"size_ms": 2000, "stride_ms": 1000}
    assert table.num_rows == len(ROWS)
    for row in table.to_pylist():
        expected = next(one for one in ROWS if one.content == row["content"])
        assert row["values"] == expected.values
        assert Fraction(row["rate_numerator"], row["rate_denominator"]) == expected.value_rate_hz
        assert tuple(row["piece_counts"]) == expected.chunk_counts
        assert row["pieces"] == len(row["logits"]) == sum(expected.chunk_counts)
        assert np.array_equal(np.array(row["logits"], np.float32).reshape(-1, len(NAMES)), expected.logits)
        assert row["mode"] == expected.mode


@pytest.mark.parametrize(
    "other",
    [
        replace(KEY, checkpoint="cd" * 32), replace(KEY, windows=WindowSettings(2000, 2000)),
        replace(KEY, fill="repeat"), replace(KEY, mode="fast"), replace(KEY, dtype="bfloat16"),
        replace(KEY, front_end='{"mean": -4.0}'), replace(KEY, config='{"num_attention_heads": 4}'),
        replace(KEY, scores="0.9.0"), replace(KEY, placement="boundaries"),
    ],
)  # fmt: skip
def test_keys_in_one_folder_do_not_mix(tmp_path: Path, other: Key) -> None:
    fill(tmp_path, ROWS[:2])
    fill(tmp_path, [replace(make_scores(1), logits=make_scores(2).logits)], other)
    assert ScoreStore.list_keys(tmp_path) == [KEY, other]
    assert is_same(ScoreStore(tmp_path, KEY, NAMES).find(content(1)), make_scores(1))
    mine = ScoreStore.open_read_only(tmp_path, other)
    assert mine.class_names == NAMES
    assert mine.contents() == {content(1)}
    assert not is_same(mine.find(content(1)), make_scores(1))


def test_where_the_sound_was_cut_is_stored_and_has_a_key_of_its_own(tmp_path: Path) -> None:
    key = replace(KEY, windows=WindowSettings(2000, 1000, "sound"))
    assert key.placement == f"sound {boundaries.VERSION}"
    assert Key.from_json(key.to_json()) == key == replace(KEY, windows=WindowSettings(500, 500, "sound"))
    assert not key.differs_in_arithmetic(replace(KEY, windows=WindowSettings(0, 0)))
    rows = [replace(make_scores(1), cuts=(3, 700, 4000, 60000)), replace(make_scores(2, windows=1), cuts=())]
    fill(tmp_path, rows, key)
    fill(tmp_path)
    store = ScoreStore(tmp_path, key, NAMES)
    for row in rows:
        found = store.find(row.content)
        assert is_same(found, row)
        assert found is not None
        assert found.cuts == row.cuts
    grid = ScoreStore(tmp_path, KEY, NAMES).find(content(1))
    assert grid is not None
    assert grid.cuts is None
    later = Key.from_json(key.to_json().replace(key.placement, "sound 99"))
    assert later != key
    assert later.windows.boundaries == "sound"
    assert ScoreStore(tmp_path, later, NAMES).contents() == set()


def test_the_stride_is_ignored_for_one_window_over_the_whole_recording() -> None:
    assert replace(KEY, windows=WindowSettings(0, 2000)) == replace(KEY, windows=WindowSettings(0, 5))


def test_an_unusual_front_end_or_config_is_part_of_the_key(tmp_path: Path) -> None:
    usual = find_checkpoint(str(EMBEDDED))
    key = Key.from_checkpoint(usual, WindowSettings(), "pad", "exact", "float32")
    assert key == Key(usual.sha256(), WindowSettings(), "pad", "exact", "float32")
    unusual = replace(usual, front_end=replace(usual.front_end, mean=-4.0))
    configured = replace(usual, config='{"num_attention_heads": 6}')
    for changed in (unusual, configured):
        other = Key.from_checkpoint(changed, WindowSettings(), "pad", "exact", "float32")
        assert other != key
        assert Key.from_json(other.to_json()) == other
        assert other.digest != key.digest


def test_the_row_with_more_chunks_wins_and_the_first_of_equal_rows(tmp_path: Path) -> None:
    less, more = make_scores(1, windows=4, silent=(1, 2)), make_scores(1, windows=4, silent=(2,))
    late = replace(more, logits=more.logits + 1)
    for rows in ([less], [more], [late]):
        fill(tmp_path, rows)  # one session each
    assert is_same(ScoreStore(tmp_path, KEY, NAMES).find(content(1)), more)
    with ScoreStore(tmp_path, KEY, NAMES) as store:
        store.add(less)
        assert is_same(store.find(content(1)), more)
        store.add(make_scores(1, windows=4))
        assert is_same(store.find(content(1)), make_scores(1, windows=4))
    assert is_same(ScoreStore(tmp_path, KEY, NAMES).find(content(1)), make_scores(1, windows=4))


def test_a_read_only_store_does_not_change_the_folder(tmp_path: Path) -> None:
    fill(tmp_path)
    before = sorted((path.name, path.read_bytes()) for path in tmp_path.iterdir())
    with ScoreStore.open_read_only(tmp_path, KEY) as store:
        store.add(make_scores(50))
        assert store.find(content(50)) is None
    assert sorted((path.name, path.read_bytes()) for path in tmp_path.iterdir()) == before


def test_the_error_for_a_missing_key_names_the_keys_that_exist(tmp_path: Path) -> None:
    fill(tmp_path)
    other = replace(KEY, windows=WindowSettings(500, 500))
    with pytest.raises(SettingsError, match="no scores for .*500 ms every 500 ms.*it has .*2000 ms every 1000 ms"):
        ScoreStore.open_read_only(tmp_path, other)
    with pytest.raises(SettingsError, match="has no scores .*it has none at all"):
        (tmp_path / "empty").mkdir()
        ScoreStore.open_read_only(tmp_path / "empty", KEY)
    with pytest.raises(SettingsError, match="can't be read: No such file"):
        ScoreStore.open_read_only(tmp_path / "nowhere", KEY)


def test_many_small_flushes_end_in_few_files_without_losses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "FLUSH_CHUNKS", 10)
    monkeypatch.setattr(store_module, "SMALL_CHUNKS", 160)
    monkeypatch.setattr(store_module, "SMALL_SHARDS", 4)
    rows = [make_scores(number) for number in range(100)]
    most = 0
    with ScoreStore(tmp_path, KEY, NAMES) as store:
        for row in rows:
            store.add(row)
            most = max(most, len(list(tmp_path.iterdir())))
        assert all(is_same(store.find(row.content), row) for row in rows)
    assert most <= 8
    assert len(list(tmp_path.iterdir())) <= 4
    again = ScoreStore(tmp_path, KEY, NAMES)
    assert all(is_same(again.find(row.content), row) for row in rows)


def test_a_reader_continues_while_a_writer_merges_its_files(tmp_path: Path) -> None:
    writer = ScoreStore(tmp_path, KEY, NAMES)
    for row in ROWS[:3]:
        writer.add(row)
        writer.flush()
    reader = ScoreStore.open_read_only(tmp_path, KEY)
    iterator = reader.find_all(reader.contents())
    first = next(iterator)
    writer.close()
    assert len(list(tmp_path.iterdir())) == 1
    assert {one.content for one in [first, *iterator]} == {row.content for row in ROWS[:3]}


def test_threads_and_stores_at_the_same_time_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "FLUSH_CHUNKS", 20)
    monkeypatch.setattr(store_module, "SMALL_SHARDS", 3)
    stores = [ScoreStore(tmp_path, KEY, NAMES) for _ in range(2)]

    def work(store: ScoreStore, first: int) -> None:
        for number in range(first, first + 30):
            store.add(make_scores(number))
            assert is_same(store.find(content(number)), make_scores(number))

    threads = [
        threading.Thread(target=work, args=(store, first)) for store in stores for first in (0, 20, 40)
    ]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in stores:
        store.close()
    whole = ScoreStore(tmp_path, KEY, NAMES)
    assert whole.contents() == {content(number) for number in range(70)}
    assert all(is_same(whole.find(content(number)), make_scores(number)) for number in range(70))


def test_without_pyarrow_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for attempt in (lambda: ScoreStore(tmp_path, KEY, NAMES), lambda: check_folder(tmp_path)):
        with pytest.raises(SettingsError, match=r"needs pyarrow.*: pip install -r locked/folder\.txt$"):
            attempt()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"content": "../../etc/passwd"}, "expected a SHA-256"),
        ({"logits": np.zeros((4, 5), np.float32)}, r"logits of shape \(4, 5\) for 5 chunks"),
        ({"logits": np.zeros((5, 5))}, "logits are float64; expected float32"),
        ({"levels_dbfs": np.zeros(4, np.float32)}, r"levels of shape \(4,\) for 5 windows"),
        ({"cuts": (1, 2, 3)}, "3 cuts for 5 windows"),
    ],
)
def test_scores_that_do_not_fit_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(make_scores(1), **change)  # type: ignore[arg-type]


def test_logits_of_other_classes_are_refused(tmp_path: Path) -> None:
    store = ScoreStore(tmp_path, KEY, ("a", "b"))
    with pytest.raises(ValueError, match="logits of 5 classes; the store has 2"):
        store.add(make_scores(1))


def test_the_index_ignores_later_rows_that_have_no_more_chunks(tmp_path: Path) -> None:
    """Processes that write at once don't see each other's rows, so rows of one recording can be in several files."""
    less, more = make_scores(1, windows=4, silent=(1, 2)), make_scores(1, windows=4, silent=(2,))
    equal = replace(more, logits=more.logits + 1)
    for row in (more, equal, less):
        write_shard(tmp_path, KEY, NAMES, [row])
    store = ScoreStore(tmp_path, KEY, NAMES)
    assert is_same(store.find(content(1)), more)
    assert [one.chunks for one in store.find_all([content(1)])] == [more.chunks]
    write_shard(tmp_path, KEY, NAMES, [make_scores(1, windows=4)])
    assert is_same(ScoreStore(tmp_path, KEY, NAMES).find(content(1)), make_scores(1, windows=4))


FIRST_KEY = (
    '{"checkpoint": "%s", "dtype": "float32", "fill": "pad", "format": 1, "front_end": "", "mode": "exact", '
    '"windows": {"size_ms": 2000, "stride_ms": 1000}}' % ("ab" * 32)
)


def test_a_key_with_the_usual_settings_is_written_as_block_0_1_0_wrote_it() -> None:
    first = replace(KEY, scores="0.1.0")
    assert first.to_json() == FIRST_KEY
    assert Key.from_json(FIRST_KEY) == first


def test_a_key_without_a_scores_version_is_of_0_1_0_whatever_the_current_one_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    defaults = tuple("0.9.0" if value == SCORES_VERSION else value for value in Key.__init__.__defaults__ or ())
    monkeypatch.setattr(Key.__init__, "__defaults__", defaults)
    assert Key("ab" * 32, WindowSettings(), "pad", "exact", "float32").scores == "0.9.0"
    assert Key.from_json(FIRST_KEY).scores == "0.1.0"


def test_a_key_does_not_differ_in_arithmetic_from_itself() -> None:
    assert not KEY.differs_in_arithmetic(KEY)
    assert KEY.differs_in_arithmetic(replace(KEY, scores="0.9.0"))
    assert not KEY.differs_in_arithmetic(replace(KEY, scores="0.9.0", fill="repeat"))


@pytest.mark.parametrize(
    "added", [{"config": '{"num_attention_heads": 4}'}, {"scores": "0.9.0"}, {"placement": "boundaries"}]
)
def test_parts_that_block_0_1_0_did_not_record_are_kept_in_a_key(added: dict[str, str]) -> None:
    other = replace(KEY, **added)
    assert Key.from_json(other.to_json()) == other
    assert other != KEY
    assert other.digest != KEY.digest
    assert all(value.strip('{"}').split('"')[0] in str(other) for value in added.values())


@pytest.mark.parametrize(("mode", "error"), [("exact", 0.0), ("fast merged", np.inf)])
def test_rows_without_errors_have_none_if_they_are_exact_and_unknown_ones_otherwise(
    tmp_path: Path, mode: str, error: float
) -> None:
    """Block 0.1.0 wrote rows like these, and a key of exact mode still has no columns for errors."""
    write_shard(tmp_path, Key.from_json(FIRST_KEY), NAMES, [make_scores(1, windows=3, mode=mode)])
    row = ScoreStore(tmp_path, KEY, NAMES).find(content(1))
    assert row is not None
    assert row.errors.tolist() == [[error, error]] * 3


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"config": '{"num_attention_heads": 4}'}, 'this run has config.json {"num_attention_heads": 4}'),
        ({"front_end": '{"mean": -4.0}'}, 'this run has front end {"mean": -4.0}'),
        ({"scores": "0.9.0"}, "this run has scores version 0.9.0"),
    ],
)
def test_scores_of_block_0_1_0_are_not_used_with_unusual_settings_and_one_line_says_why(
    tmp_path: Path, changes: dict[str, str], reason: str
) -> None:
    first = Key.from_json(FIRST_KEY)
    for row in ROWS[:3]:
        write_shard(tmp_path, first, NAMES, [row])
    lines: list[str] = []
    with ScoreStore(tmp_path, replace(first, **changes), NAMES, warn=lines.append) as store:
        assert store.contents() == set()
        store.add(ROWS[0])
    (line,) = lines
    assert line == (
        f"the score store {tmp_path} has scores of these weights that can't be used: they were computed with the usual "
        f"settings, or any that block 0.1.0 didn't record; {reason}"
    )
    # Files of the other key stay, and are used again with its settings.
    assert ScoreStore(tmp_path, first, NAMES, warn=lines.append).contents() == {row.content for row in ROWS[:3]}


def test_scores_of_other_windows_or_weights_need_no_explanation(tmp_path: Path) -> None:
    fill(tmp_path, ROWS[:1])
    lines: list[str] = []
    for other in (
        replace(KEY, checkpoint="cd" * 32), replace(KEY, windows=WindowSettings(500, 500)),
        replace(KEY, mode="fast"), replace(KEY, placement="boundaries"),
    ):  # fmt: skip
        assert ScoreStore(tmp_path, other, NAMES, warn=lines.append).contents() == set()
    assert lines == []


def test_a_shard_with_another_column_is_refused(tmp_path: Path) -> None:
    path = write_shard(tmp_path, KEY, NAMES, ROWS[:1])
    table = pq.read_table(path)
    pq.write_table(table.append_column("more", table["content"]), path)
    with pytest.raises(ShardError, match="it doesn't have the columns of a score store"):
        Shard(path)
