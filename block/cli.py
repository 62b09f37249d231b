"""The commands, and how each ends: in an exit code, and in one line where nothing could start."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from block import __version__
from block.commands.exit_codes import NOTHING_STARTED, SOME_FAILED
from block.commands.transform import run_action
from block.edge_impulse.errors import StudioError
from block.labels import LabelError
from block.model.checkpoint import CheckpointError
from block.recording import printable
from block.runtime import cancel
from block.runtime.cancel import CANCELED
from block.runtime.redact import disable_core_dumps, redact_output
from block.settings import SettingsError

# Each is a module of `block.commands`, imported when it is run: some take seconds.
COMMANDS = {
    "evaluate": "hold labels to annotations of your own",
    "label": "label a folder of audio, without Studio",
    "labels": "print the class names of a checkpoint",
    "models": "list, fetch, verify and pack checkpoints",
    "relabel": "decide labels again from the scores that label kept",
    "studio": "serve a folder of audio as a local Studio",
}


def main() -> NoReturn:
    """`python transform.py …`: run as an AI Action, then exit."""
    exit_with(run_action, sys.argv[1:], "transform.py")


def command() -> NoReturn:
    """`python -m block COMMAND …`, then exit."""
    exit_with(run_command, sys.argv[1:], "python -m block")


def exit_with(action: Callable[[Sequence[str]], int], argv: Sequence[str], program: str) -> NoReturn:
    """Run `action` on `argv` and exit with its code; say in one line of `program` why nothing could start."""
    for stream in (sys.stdout, sys.stderr):
        # Names may hold characters that the log's encoding does not have, and a log is read while it grows.
        _reconfigure(stream, errors="backslashreplace", line_buffering=True)
    redact_output(os.environ)
    disable_core_dumps()
    cancel.install()
    try:
        code = action(argv)
    except (SettingsError, LabelError, CheckpointError, StudioError) as error:
        code = _refuse(program, str(error))
    except BrokenPipeError:
        code = SOME_FAILED  # whoever read the output has gone (`… | head`): there is nobody to tell
    except KeyboardInterrupt:
        print(f"{program}: cancelled", file=sys.stderr)
        code = CANCELED
    except Exception as error:  # nobody foresaw this; the log of a job should still end in one line that can be read
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


def run_command(argv: Sequence[str]) -> int:
    """Run the command that `argv` begins with; return the exit code.

    Raises SettingsError, LabelError, CheckpointError or StudioError where nothing could start.
    """
    parser = argparse.ArgumentParser(prog="python -m block", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=__version__)
    described = "; ".join(f"{name}: {purpose}" for name, purpose in COMMANDS.items())
    parser.add_argument("command", choices=COMMANDS, help=described)
    chosen = parser.parse_args(argv[:1]).command
    code: int = importlib.import_module(f"block.commands.{chosen}").main(list(argv[1:]))
    return code


def _refuse(program: str, reason: str) -> int:
    print(f"{program}: error: {printable(reason, 1000)}", file=sys.stderr)
    return NOTHING_STARTED


def _reconfigure(stream: Any, **how: Any) -> None:
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(**how)
