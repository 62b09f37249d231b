"""Run the commands. Each ends with an exit code, and with one line if nothing could start."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import NoReturn

from block import __version__
from block.commands import NOTHING_STARTED, SOME_FAILED
from block.commands.transform import run_action
from block.edge_impulse.errors import StudioError
from block.formatting import make_printable
from block.labels import LabelError
from block.model.checkpoint import CheckpointError
from block.runtime import cancel
from block.runtime.cancel import CANCELED
from block.runtime.redact import disable_core_dumps, redact_output
from block.settings import SettingsError

# Modules of `block.commands`, imported only when they run, because some take seconds to import.
COMMANDS = {
    "evaluate": "measure how well labels match your annotations",
    "label": "label a folder of audio, without Studio",
    "labels": "print or search the class names of a checkpoint",
    "models": "list, fetch, verify and pack checkpoints",
    "relabel": "change labels or thresholds, using stored scores",
    "studio": "serve a folder of audio as a local Studio",
}


def main() -> NoReturn:
    """Run `python transform.py …`, the AI Action, and exit."""
    exit_with(run_action, sys.argv[1:], "transform.py")


def main_command() -> NoReturn:
    """Run `python -m block COMMAND …` and exit."""
    exit_with(run_command, sys.argv[1:], "python -m block")


def exit_with(action: Callable[[Sequence[str]], int], argv: Sequence[str], program: str) -> NoReturn:
    """Run `action` on `argv` and exit with its code. If nothing can start, print one line with the reason."""
    prepare_process()
    try:
        code = action(argv)
    except (SettingsError, LabelError, CheckpointError, StudioError) as error:
        code = _refuse(program, str(error))
    except BrokenPipeError:
        code = SOME_FAILED  # the reader of the output has exited (`… | head`)
    except KeyboardInterrupt:
        print(f"{program}: canceled", file=sys.stderr)
        code = CANCELED
    except Exception as error:  # a bug; the log of a job should still end with one readable line
        if "--verbose" in argv:
            raise
        code = _refuse(program, f"unexpected {type(error).__name__}: {error}; for a traceback, use --verbose")
    # Threads may still wait for an answer, and output for a reader. Don't wait for either.
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        os._exit(code)
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        os._exit(code)
    raise SystemExit(code)


def prepare_process() -> None:
    """Keep secrets out of output and core dumps, write output line by line, and let signals cancel the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Names may have characters that the log's encoding lacks, and people read a log while it grows.
            stream.reconfigure(errors="backslashreplace", line_buffering=True)
    redact_output(os.environ)
    disable_core_dumps()
    cancel.install()


def run_command(argv: Sequence[str]) -> int:
    """Run the command that `argv` starts with. Return the exit code.

    Raise SettingsError, LabelError, CheckpointError or StudioError if nothing can start.
    """
    purposes = "\n".join(f"  {name:<10}{purpose}" for name, purpose in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="python -m block", usage="%(prog)s [-h] [--version] COMMAND ...", allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=f"Label audio with an Audio Spectrogram Transformer.\n\ncommands:\n{purposes}",
        epilog="For the options of a command: python -m block COMMAND --help",
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=__version__, help="print the version and exit")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help=argparse.SUPPRESS)
    name = parser.parse_args(argv[:1]).command
    code: int = importlib.import_module(f"block.commands.{name}").main(list(argv[1:]))
    return code


def _refuse(program: str, reason: str) -> int:
    print(f"{program}: error: {make_printable(reason, 1000)}", file=sys.stderr)
    return NOTHING_STARTED
