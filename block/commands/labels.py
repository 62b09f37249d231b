"""`python -m block labels`: print the class names of a checkpoint."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from block.commands import ALL_LABELED
from block.formatting import make_printable
from block.model.checkpoint import DEFAULT, find_checkpoint
from block.ontology import format_tree, load_audioset


def main(argv: Sequence[str]) -> int:
    """Print the names. Return the exit code; raise CheckpointError."""
    parser = argparse.ArgumentParser(prog="python -m block labels", allow_abbrev=False,
                                     description="Print the class names of a checkpoint, one a line.")  # fmt: skip
    parser.add_argument("--model", default=DEFAULT, metavar="NAME|DIR", help="default: %(default)s")
    parser.add_argument("--tree", action="store_true", help="in AudioSet's hierarchy, two spaces a level; a name with "
                        "a * is no class itself and stands for those below it")  # fmt: skip
    options = parser.parse_args(argv)
    names = find_checkpoint(options.model).class_names
    for line in format_tree(names, load_audioset()) if options.tree else names:
        print(make_printable(line, 1000))
    return ALL_LABELED
