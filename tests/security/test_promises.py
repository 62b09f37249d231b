"""SECURITY.md and the tests in this folder, held to each other."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.conftest import ROOT

HERE = Path(__file__).parent


def found_here() -> set[str]:
    """The names of all tests in this folder."""
    trees = [ast.parse(path.read_text()) for path in HERE.glob("test_*.py")]
    return {
        node.name
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def promises() -> dict[str, set[str]]:
    """The tests that each promise names, by its id."""
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8").partition("## What is not promised")[0]
    parts = re.split(r"^\*\*([A-Z]\d+)\. ", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], (set(re.findall(r"`(test_\w+)`", part)) for part in parts[2::2]), strict=True))


def test_every_promise_names_tests_that_exist_and_every_test_stands_behind_a_promise() -> None:
    named = set().union(*promises().values())
    assert named - found_here() == set(), "named, and not there"
    assert found_here() - named == set(), "there, and not named"


def test_every_promise_has_an_id_of_its_own_and_a_test() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8").partition("## What is not promised")[0]
    ids = re.findall(r"^\*\*([A-Z]\d+)\. ", text, flags=re.MULTILINE)
    assert len(ids) == len(set(ids)) == len(re.findall(r"^\*\*", text, flags=re.MULTILINE)) > 15
    assert [one for one, tests in promises().items() if not tests] == []
