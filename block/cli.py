"""The commands, and how each ends: with an exit code, and one line if nothing could start."""

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

# Each is a module of `block.commands`, imported when it runs: some take seconds.
COMMANDS = {
    "evaluate": "hold labels to annotations of your own",
    "label": "label a folder of audio, without Studio",
    "labels": "print or search the class names of a checkpoint",
    "models": "list, fetch, verify and pack checkpoints",
    "relabel": "decide labels again from the scores that label kept",
    "studio": "serve a folder of audio as a local Studio",
}


def main() -> NoReturn:
    """Run `python transform.py …`, the AI Action, and exit."""
    exit_with(run_action, sys.argv[1:], "transform.py")


def main_command() -> NoReturn:
    """Run `python -m block COMMAND …` and exit."""
    exit_with(run_command, sys.argv[1:], "python -m block")


def exit_with(action: Callable[[Sequence[str]], int], argv: Sequence[str], program: str) -> NoReturn:
    """Run `action` on `argv` and exit with its code. If nothing could start, say why in one line of `program`."""
    prepare_process()
    try:
        code = action(argv)
    except (SettingsError, LabelError, CheckpointError, StudioError) as error:
        code = _refuse(program, str(error))
    except BrokenPipeError:
        code = SOME_FAILED  # the reader of the output has gone (`… | head`)
    except KeyboardInterrupt:
        print(f"{program}: canceled", file=sys.stderr)
        code = CANCELED
    except Exception as error:  # a bug; the log of a job should still end in one readable line
        if "--verbose" in argv:
            raise
        code = _refuse(program, f"unexpected {type(error).__name__}: {error} (--verbose shows where)")
    # Threads may still wait for an answer, or output for a reader; a run that is over waits for neither.
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        os._exit(code)
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        os._exit(code)
    raise SystemExit(code)


def prepare_process() -> None:
    """Keep secrets out of the output and of cores, write lines as they come, and let signals cancel the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Names may hold characters that the log's encoding lacks, and a log is read while it grows.
            stream.reconfigure(errors="backslashreplace", line_buffering=True)
    redact_output(os.environ)
    disable_core_dumps()
    cancel.install()


def run_command(argv: Sequence[str]) -> int:
    """Run the command that `argv` begins with. Return the exit code.

    Raise SettingsError, LabelError, CheckpointError or StudioError if nothing could start.
    """
    parser = argparse.ArgumentParser(prog="python -m block", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=__version__)
    purposes = "; ".join(f"{name}: {purpose}" for name, purpose in COMMANDS.items())
    parser.add_argument("command", choices=COMMANDS, help=purposes)
    name = parser.parse_args(argv[:1]).command
    code: int = importlib.import_module(f"block.commands.{name}").main(list(argv[1:]))
    return code


def _refuse(program: str, reason: str) -> int:
    print(f"{program}: error: {make_printable(reason, 1000)}", file=sys.stderr)
    return NOTHING_STARTED
