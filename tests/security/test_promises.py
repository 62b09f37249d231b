"""SECURITY.md names the tests of this folder, and only those."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.conftest import ROOT

HERE = Path(__file__).parent


def list_tests() -> set[str]:
    """Return the names of all tests in this folder."""
    trees = [ast.parse(path.read_text()) for path in HERE.glob("test_*.py")]
    return {
        node.name
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def promises() -> dict[str, set[str]]:
    """Return the tests that each promise names, by the id of the promise."""
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8").partition("## What is not promised")[0]
    parts = re.split(r"^\*\*([A-Z]\d+)\. ", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], (set(re.findall(r"`(test_\w+)`", part)) for part in parts[2::2]), strict=True))


def test_every_promise_names_existing_tests_and_every_test_backs_a_promise() -> None:
    named = set().union(*promises().values())
    assert named - list_tests() == set(), "SECURITY.md names tests that don't exist"
    assert list_tests() - named == set(), "SECURITY.md doesn't name these tests"


def test_every_promise_has_its_own_id_and_a_test() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8").partition("## What is not promised")[0]
    ids = re.findall(r"^\*\*([A-Z]\d+)\. ", text, flags=re.MULTILINE)
    assert len(ids) == len(set(ids)) == len(re.findall(r"^\*\*", text, flags=re.MULTILINE)) > 15
    assert [one for one, tests in promises().items() if not tests] == []
