"""`python -m block labels`: print or search the class names of a checkpoint."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from block.class_guide import build_guide, explain, format_tree
from block.commands import ALL_LABELED, SOME_FAILED
from block.formatting import make_printable
from block.label_search import search_classes, suggest_classes
from block.model.checkpoint import DEFAULT, find_checkpoint
from block.runtime.places import name_program


def main(argv: Sequence[str]) -> int:
    """Print the names. Return the exit code, 1 if a search finds nothing. Raise CheckpointError."""
    parser = argparse.ArgumentParser(
        prog=f"{name_program()} labels", allow_abbrev=False,
        description="Print the class names of a checkpoint, one per line, or search them.",
    )  # fmt: skip
    parser.add_argument("words", nargs="*", metavar="WORD", help="print only the classes that match all words, with "
                        "the groups above them, for example: dog, or car horn")  # fmt: skip
    parser.add_argument("--model", default=DEFAULT, metavar="NAME|DIR",
                        help="checkpoint: a name in models/ or a folder (default: %(default)s)")  # fmt: skip
    parser.add_argument("--tree", action="store_true", help="print AudioSet's hierarchy, two spaces per level; "
                        "a name that ends in * isn't a class but stands for the classes below it")  # fmt: skip
    options = parser.parse_args(argv)
    names = find_checkpoint(options.model).class_names
    if options.words:
        return _search(" ".join(options.words), names)
    for line in format_tree(build_guide(tuple(names))) if options.tree else names:
        print(make_printable(line, 1000))
    return ALL_LABELED


def _search(text: str, names: Sequence[str]) -> int:
    guide = build_guide(tuple(names))
    found = search_classes(text, guide)
    if not found:
        near = "; ".join(entry.name for entry in suggest_classes(text, guide))
        hint = f"The nearest are: {near}" if near else f"To see all classes, run: {name_program()} labels --tree"
        print(make_printable(f"No class matches {text!r}. {hint}", 1000), file=sys.stderr)
        return SOME_FAILED
    for line in (line for entry in found for line in entry.lines):
        print(make_printable(line, 1000))
    if holds := explain(found[0]):
        print(f"\n{make_printable(found[0].name, 1000)}: {make_printable(holds, 1000)}")
    first = make_printable(found[0].name, 1000)
    print(f'\nTo use a class, copy its name (after the last ">"): --audioset-labels "{first}"')
    print("To include all classes below it, add a *. Separate several names with commas.")
    return ALL_LABELED
