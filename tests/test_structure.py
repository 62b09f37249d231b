"""The package is easy to navigate: class names are unique, and no module is too long."""

import ast
from collections import defaultdict

from tests.conftest import ROOT

MODULES = sorted((ROOT / "block").rglob("*.py"))


def test_no_class_name_stands_for_two_things() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(str(module.relative_to(ROOT)))
    assert "Recording" in places
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_no_module_is_longer_than_300_lines() -> None:
    lengths = {str(module.relative_to(ROOT)): len(module.read_text().splitlines()) for module in MODULES}
    assert lengths
    assert {name: length for name, length in lengths.items() if length > 300} == {}
