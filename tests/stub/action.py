"""`python -m tests.stub.action …`: transform.py with the stub engine for block.labeling.engine."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the AI Action; says so at the end if torch was imported after all."""
    from tests.stub import engine

    sys.modules["block.labeling.engine"] = engine
    from block import cli

    cli.main()


if __name__ == "__main__":
    main()
