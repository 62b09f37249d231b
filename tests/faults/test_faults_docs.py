"""docs/faults.md has exactly the rows of the tested fault table, in the same words."""

from __future__ import annotations

import re

from tests.conftest import ROOT
from tests.faults.rows import ROWS
from tests.soak.tables import Line, fault_tables, marked, read_fault_tables, took, with_marked

DOCS = (ROOT / "docs" / "faults.md").read_text()
TAKES = re.compile(r"under 1 s|\d+ s|\d+ min|\d+ h \d+ min")


def words(line: Line) -> tuple[object, ...]:
    return line.group, line.happens, line.does, line.reports, line.code


def test_the_docs_have_exactly_the_tested_rows_in_the_same_words() -> None:
    documented = [words(line) for line in read_fault_tables(marked(DOCS, "faults"))]
    assert documented == [words(Line.of(row, 0.0)) for row in ROWS]


def test_the_docs_give_the_time_each_fault_takes() -> None:
    lines = read_fault_tables(marked(DOCS, "faults"))
    assert lines
    assert [line.happens for line in lines if not TAKES.fullmatch(line.takes)] == []


def test_written_tables_can_be_read_back_and_the_text_around_them_is_unchanged() -> None:
    timed = [(row, 0.7 * index) for index, row in enumerate(ROWS)]
    text = with_marked(
        "before\n<!-- soak:faults -->\nold\n<!-- /soak:faults -->\nafter\n", "faults", fault_tables(timed)
    )
    assert text.startswith("before\n<!-- soak:faults -->\n###")
    assert text.endswith("|\n<!-- /soak:faults -->\nafter\n")
    assert read_fault_tables(marked(text, "faults")) == [Line.of(row, seconds) for row, seconds in timed]


def test_times_are_rounded() -> None:
    assert [took(seconds) for seconds in (0.2, 1.2, 90.4, 317.0, 640.0)] == [
        "under 1 s", "1 s", "90 s", "5 min", "11 min",
    ]  # fmt: skip
