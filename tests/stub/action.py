"""`python -m tests.stub.action …`: run transform.py with the stub engine instead of block.labeling.engine."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the AI Action with the stub engine."""
    from tests.stub import engine

    sys.modules["block.labeling.engine"] = engine
    from block import cli

    cli.main()


if __name__ == "__main__":
    main()
