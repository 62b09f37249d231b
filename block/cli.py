"""The commands, and how each ends: in an exit code, and in one line where nothing could start."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from block import __version__
from block.action import ALL_LABELED, NOTHING_STARTED, SOME_FAILED, run_action
from block.edge_impulse.errors import StudioError
from block.labels import LabelError
from block.model import checkpoint
from block.model.checkpoint import CheckpointError
from block.ontology import audioset, tree
from block.recording import printable
from block.runtime import cancel
from block.runtime.cancel import CANCELLED
from block.runtime.redact import leave_no_core, redact_output
from block.settings import SettingsError


def main() -> NoReturn:
    """`python transform.py …`: run as an AI Action, then exit."""
    exit_with(run_action, sys.argv[1:], "transform.py")


def command() -> NoReturn:
    """`python -m block COMMAND …`, then exit."""
    exit_with(_command, sys.argv[1:], "python -m block")


def exit_with(action: Callable[[Sequence[str]], int], argv: Sequence[str], program: str) -> NoReturn:
    """Run `action` on `argv` and exit with its code; say in one line of `program` why nothing could start."""
    for stream in (sys.stdout, sys.stderr):
        # Names may hold characters that the log's encoding does not have, and a log is read while it grows.
        _reconfigure(stream, errors="backslashreplace", line_buffering=True)
    redact_output(os.environ)
    leave_no_core()
    cancel.install()
    try:
        code = action(argv)
    except (SettingsError, LabelError, CheckpointError, StudioError) as error:
        code = _refuse(program, str(error))
    except BrokenPipeError:
        code = SOME_FAILED  # whoever read the output has gone (`… | head`): there is nobody to tell
    except KeyboardInterrupt:
        print(f"{program}: cancelled", file=sys.stderr)
        code = CANCELLED
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


def _command(argv: Sequence[str]) -> int:
    commands: dict[str, tuple[str, Callable[[Sequence[str]], int]]] = {
        "evaluate": ("hold labels to annotations of your own", _evaluate),
        "label": ("label a folder of audio, without Studio", _label),
        "labels": ("print the class names of a checkpoint", _labels),
        "models": ("list, fetch, verify and pack checkpoints", _models),
        "relabel": ("decide labels again from the scores that label kept", _relabel),
        "studio": ("serve a folder of audio as a local Studio", _studio),
    }
    parser = argparse.ArgumentParser(prog="python -m block", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("command", choices=commands, help="; ".join(f"{name}: {what}" for name, (what, _) in
                                                                     commands.items()))  # fmt: skip
    chosen = parser.parse_args(argv[:1]).command
    return commands[chosen][1](list(argv[1:]))


def _evaluate(argv: Sequence[str]) -> int:
    from block.evaluation import command

    return command.main(list(argv))


def _label(argv: Sequence[str]) -> int:
    from block.folder import label

    return label.main(list(argv))


def _labels(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m block labels", allow_abbrev=False,
                                     description="Print the class names of a checkpoint, one a line.")  # fmt: skip
    parser.add_argument("--model", default=checkpoint.DEFAULT, metavar="NAME|DIR", help="default: %(default)s")
    parser.add_argument("--tree", action="store_true", help="in AudioSet's hierarchy, two spaces a level; a name with "
                        "a * is no class itself and stands for those below it")  # fmt: skip
    options = parser.parse_args(argv)
    names = checkpoint.find(options.model).class_names
    for line in tree(names, audioset()) if options.tree else names:
        print(printable(line, 1000))
    return ALL_LABELED


def _models(argv: Sequence[str]) -> int:
    from block.model_store import command

    return command.main(list(argv))


def _relabel(argv: Sequence[str]) -> int:
    from block.folder import again

    return again.main(list(argv))


def _studio(argv: Sequence[str]) -> int:
    from block.local_studio import server

    return server.main(list(argv))


def _refuse(program: str, reason: str) -> int:
    print(f"{program}: error: {printable(reason, 1000)}", file=sys.stderr)
    return NOTHING_STARTED


def _reconfigure(stream: Any, **how: Any) -> None:
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(**how)
