"""`python -m bench`: the benchmark. `python -m bench scaling` simulates a cluster, `agreement` compares fast paths."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from bench import agreement, command
from bench.scaling import command as scaling
from block.cli import exit_with

COMMANDS = {"agreement": agreement.main, "scaling": scaling.main}


def main(argv: Sequence[str]) -> int:
    """Run the command that `argv` begins with, else the benchmark; return the exit code."""
    if argv and argv[0] in COMMANDS:
        return COMMANDS[argv[0]](list(argv[1:]))
    return command.main(list(argv))


if __name__ == "__main__":
    exit_with(main, sys.argv[1:], "python -m bench")
