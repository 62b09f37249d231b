"""docs/input.md says what the block does with odd input. This tests each of its rows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.fuzz.odd_input import TABLES, Place, copied_checkpoint

TEXT = (ROOT / "docs" / "input.md").read_text(encoding="utf-8")
CASES = [(table, name) for table, cases in TABLES.items() for name in cases]


def rows(table: str) -> dict[str, str]:
    """Return the rows of the documentation's table under that heading, by the first column."""
    section = re.split(r"^## ", TEXT, flags=re.MULTILINE)
    (text,) = [part for part in section if part.startswith(f"{table}\n")]
    cells = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    assert all(len(row) == 2 for row in cells[2:])
    return {row[0]: row[1] for row in cells[2:]}


@pytest.mark.parametrize("table", TABLES)
def test_the_documentation_has_a_row_for_every_case_and_no_other(table: str) -> None:
    assert list(rows(table)) == list(TABLES[table])


@pytest.mark.parametrize(("table", "name"), CASES, ids=[name for _, name in CASES])
def test_odd_input_ends_as_the_documentation_says(table: str, name: str, tmp_path: Path) -> None:
    said = Place(tmp_path, copied_checkpoint(tmp_path)).outcome(TABLES[table][name])
    # Messages are in backticks; `…` replaces words that depend on the version of Python or a library.
    documented = rows(table)[name].strip("`")
    assert re.fullmatch(".*".join(re.escape(part) for part in documented.split("…")), said), said
