"""`python -m bench` runs the benchmark, `python -m bench scaling` simulates a cluster."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from bench import command
from bench.scaling import command as scaling
from block.cli import exit_with


def main(argv: Sequence[str]) -> int:
    """Run the simulation if `argv` starts with `scaling`, else the benchmark. Return the exit code."""
    if argv and argv[0] == "scaling":
        return scaling.main(list(argv[1:]))
    return command.main(list(argv))


if __name__ == "__main__":
    exit_with(main, sys.argv[1:], "python -m bench")
