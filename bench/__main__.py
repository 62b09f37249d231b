"""`python -m bench` runs the benchmark, `… scaling` simulates a cluster, and `… gpu` proves the block on a GPU."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from block.cli import exit_with


def main(argv: Sequence[str]) -> int:
    """Run what `argv` starts with, else the benchmark. Return the exit code."""
    # Imported here: each needs packages that the others don't.
    if argv and argv[0] == "gpu":
        from bench.gpu import command as gpu

        return gpu.main(list(argv[1:]))
    if argv and argv[0] == "scaling":
        from bench.scaling import command as scaling

        return scaling.main(list(argv[1:]))
    from bench import command

    return command.main(list(argv))


if __name__ == "__main__":
    exit_with(main, sys.argv[1:], "python -m bench")
