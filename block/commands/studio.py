"""`python -m block studio`: serve a folder of audio as a local Studio."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from block.commands import ALL_LABELED, NOTHING_STARTED
from block.formatting import make_printable
from block.local_studio.address import LOOPBACK
from block.local_studio.server import DEFAULT_PORT, ServeError, serve
from block.runtime.places import find_action, name_program


def main(argv: list[str]) -> int:
    """Serve until Ctrl-C. Return the exit code. If nothing can start, print one line with the reason to stderr."""
    parser = argparse.ArgumentParser(
        prog=f"{name_program()} studio",
        description="Serve a folder of audio as a local Studio: an Edge Impulse project on this machine.",
        allow_abbrev=False,
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="folder of audio files; subfolders are included")
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help=f"port to listen on; 0: any free port (default: {DEFAULT_PORT})"
    )
    parser.add_argument(
        "--host",
        default=LOOPBACK,
        metavar="ADDRESS",
        help=f"address to listen on; unless it is loopback, pages require the API key (default: {LOOPBACK})",
    )
    parser.add_argument(
        "--block",
        metavar="DIR",
        type=Path,
        default=find_action(),
        help="AI Action to run: a folder with parameters.json and a Dockerfile or transform.py (default: this one)",
    )
    parser.add_argument(
        "--allow-truncated",
        action="store_true",
        help="serve what there is of recordings that are cut off; without it, they fail",
    )
    parser.add_argument("--key", help="API key to require (default: a new random one at every start)")
    parser.add_argument(
        "--ids-file", metavar="FILE", type=Path, help="write the ids of all samples to FILE, for --data-ids-file"
    )
    try:
        serve(parser.parse_args(argv))
    except ServeError as error:
        print(f"error: {make_printable(error, 1000)}", file=sys.stderr)
        return NOTHING_STARTED
    except KeyboardInterrupt:  # uvicorn raises the signal again after shutting down
        print("stopped")
    return ALL_LABELED
