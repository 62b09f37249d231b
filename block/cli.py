"""Run the commands. Each ends with an exit code, and with one line if nothing could start, or lines to copy."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

from block import __version__
from block.class_names import LabelError
from block.commands import ALL_LABELED, NOTHING_STARTED, SOME_FAILED
from block.commands.transform import run_action
from block.edge_impulse.errors import StudioError
from block.formatting import make_printable
from block.model.checkpoint import CheckpointError
from block.runtime import cancel
from block.runtime.cancel import CANCELED
from block.runtime.places import name_program
from block.runtime.redact import disable_core_dumps, redact_output
from block.runtime.streams import keep_output_from_failing, open_closed_streams
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
PRINTING_OPTIONS = {"-h", "--help", "--version"}


def main() -> NoReturn:
    """Run `python transform.py …`, the AI Action, and exit."""
    exit_with(run_action, sys.argv[1:], "transform.py")


def main_command() -> NoReturn:
    """Run `python -m block COMMAND …` or `ast-label COMMAND …` and exit."""
    exit_with(run_command, sys.argv[1:], name_program())


def exit_with(action: Callable[[Sequence[str]], int], argv: Sequence[str], program: str) -> NoReturn:
    """Run `action` on `argv` and exit with its code. If nothing can start, print one line with the reason."""

    def report_lost_output(error: OSError) -> None:
        # The reader of a result may want only its first lines (`… | head`).
        if not (prints_result(argv) and isinstance(error, BrokenPipeError)):
            rest = "" if prints_result(argv) else "; continuing without it"
            print(f"{program}: standard output can't be written: {error.strerror or error}{rest}", file=sys.stderr)

    prepare_process(report_lost_output)
    try:
        code = action(argv)
    except (SettingsError, LabelError, CheckpointError, StudioError) as error:
        code = _refuse(program, str(error), getattr(error, "__notes__", ()))
    except SystemExit as error:  # from argparse, which has printed what there is to say
        code = error.code if isinstance(error.code, int) else NOTHING_STARTED
    except KeyboardInterrupt:
        print(f"{program}: canceled", file=sys.stderr)
        code = CANCELED
    except Exception as error:  # a bug; the log of a job should still end with one readable line
        hint = "; for a traceback, use --verbose"
        if "--verbose" in argv:
            traceback.print_exc()
            hint = ""
        code = _refuse(program, f"unexpected {type(error).__name__}: {error}{hint}")
    sys.stdout.flush()
    sys.stderr.flush()
    has_lost = getattr(sys.stdout, "has_lost", False)
    if has_lost and prints_result(argv) and code == ALL_LABELED:
        code = SOME_FAILED
    # Threads may still wait for an answer, and output for a reader. Don't wait for either. Arrow's threads run on while
    # Python takes itself apart: finished jobs have ended with SIGABRT.
    others = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    is_waiting = any(not thread.daemon for thread in others) or (others and "pyarrow" in sys.modules)
    if has_lost or getattr(sys.stderr, "has_lost", False) or is_waiting:
        os._exit(code)
    raise SystemExit(code)


def prints_result(argv: Sequence[str]) -> bool:
    """Return True if the result of a command is what it prints. If False, that is only a log."""
    words = list(argv)
    return words[:1] == ["labels"] or words[:2] == ["models", "list"] or not PRINTING_OPTIONS.isdisjoint(words)


def prepare_process(report_lost_output: Callable[[OSError], None]) -> None:
    """Let nothing in standard streams stop this process, keep secrets out of them, and let signals cancel it."""
    open_closed_streams()
    keep_output_from_failing(report_lost_output)
    redact_output(os.environ)
    disable_core_dumps()
    cancel.install()


def run_command(argv: Sequence[str]) -> int:
    """Run the command that `argv` starts with. Return the exit code.

    Raise SettingsError, LabelError, CheckpointError or StudioError if nothing can start.
    """
    purposes = "\n".join(f"  {name:<10}{purpose}" for name, purpose in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog=name_program(), usage="%(prog)s [-h] [--version] COMMAND ...", allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=f"Label audio with an Audio Spectrogram Transformer.\n\ncommands:\n{purposes}",
        epilog=f"For the options of a command: {name_program()} COMMAND --help",
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=__version__, help="print the version and exit")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help=argparse.SUPPRESS)
    name = parser.parse_args(argv[:1]).command
    code: int = importlib.import_module(f"block.commands.{name}").main(list(argv[1:]))
    return code


def _refuse(program: str, reason: str, remedies: Sequence[str] = ()) -> int:
    print(f"{program}: error: {make_printable(reason, 1000)}", file=sys.stderr)
    for line in remedies:
        print(f"  {make_printable(line, 1000)}", file=sys.stderr)
    return NOTHING_STARTED
