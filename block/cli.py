"""From arguments and environment to a run; what is wrong with them is refused here, before torch is imported.

Exit codes: 0 every recording labelled, 1 some failed, 2 nothing could start, 130 cancelled.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from block import __version__, checkpoints
from block.checkpoints import Checkpoint, CheckpointError
from block.labels import LabelError, LabelOfInterest, parse_labels
from block.options import parse
from block.recording import printable
from block.settings import ComputeSettings, DecisionSettings, SettingsError, WindowSettings
from block.studio.access import Access, read_access, read_ids, write_ids
from block.studio.client import StudioClient
from block.studio.errors import StudioError
from block.studio.project import Project, projects_of

ALL_LABELED, SOME_FAILED, NOTHING_STARTED, CANCELLED = 0, 1, 2, 130
LABELED_BY = "audio-spectrogram-transformer"


def main() -> NoReturn:
    """`python transform.py …`: run as an AI Action, then exit."""
    _leave(run_action, sys.argv[1:], "transform.py")


def command() -> NoReturn:
    """`python -m block COMMAND …`, then exit."""
    _leave(_command, sys.argv[1:], "python -m block")


def run_action(argv: Sequence[str]) -> int:
    """Label the samples of an Edge Impulse project. Returns the exit code.

    Raises SettingsError, LabelError, CheckpointError or StudioError where nothing could start.
    """
    options = parse(argv, warn=lambda text: print(f"warning: {text}", flush=True))
    access = read_access(os.environ)
    ids = read_ids(options.data_ids_file)
    windows = WindowSettings(options.win_size_ms, options.win_stride_ms)
    compute = ComputeSettings(options.device, options.dtype, options.batch_size, options.mode)
    checkpoint = checkpoints.find(options.model)
    labels = parse_labels(options.audioset_labels, checkpoint.class_names, options.min_confidence)
    decisions = DecisionSettings(
        labels, options.other_label, options.score_function, not options.no_merge,
        options.min_segment_ms, options.silence_dbfs,
    )  # fmt: skip
    if not ids:
        print(f"nothing to do: {options.data_ids_file} names no samples")
        if options.failed_ids_file:
            _write_failed(options.failed_ids_file, [])
        return ALL_LABELED
    stop = threading.Event()
    client = StudioClient(access.endpoint, access.key, stop=stop)
    project_id = _project_id(client, access)
    return _label(options, ids, client, project_id, checkpoint, windows, decisions, compute, stop)


def _project_id(client: StudioClient, access: Access) -> int:
    """Which project to label. Asks the API even where the environment says it: a refused key ends the run here."""
    projects = projects_of(client)
    if access.project_id is not None and access.project_id not in projects:
        raise SettingsError(f"EI_PROJECT_ID is {access.project_id}, but the key belongs to {_told(projects)}")
    if access.project_id is None and len(projects) != 1:
        raise SettingsError(f"the key gives access to {_told(projects)}; say which one: set EI_PROJECT_ID")
    return projects[0] if access.project_id is None else access.project_id


def _told(projects: Sequence[int]) -> str:
    return f"project {projects[0]}" if len(projects) == 1 else f"{len(projects)} projects"


def _label(
    options: argparse.Namespace,
    ids: list[int],
    client: StudioClient,
    project_id: int,
    checkpoint: Checkpoint,
    windows: WindowSettings,
    decisions: DecisionSettings,
    compute: ComputeSettings,
    stop: threading.Event,
) -> int:
    # From here on torch is needed, which takes seconds to import.
    try:
        from block.classifier import Classifier, choose_device
        from block.features import FilterBanks
        from block.labeler import Labeler
        from block.progress import Progress
        from block.run import Run
    except (ImportError, OSError) as error:
        raise SettingsError(f"PyTorch cannot be used ({error}); install what requirements.txt names") from None

    device = choose_device(compute)
    digest = checkpoint.sha256()
    _warn_of_other_weights(checkpoint, digest)
    classifier = Classifier(checkpoint, device, compute.batch_size)
    print(f"device: {device.device} ({device.reason}), {device.dtype_name}, mode {compute.mode}")
    print(f"checkpoint: {checkpoint.name}, {len(checkpoint.class_names)} classes, sha256 {digest[:12]}")
    print(f"labels: {describe(decisions.labels)}; otherwise {decisions.other_label}; windows: {windows}", flush=True)
    progress = Progress(len(ids), options.verbose)
    labeler = Labeler(
        classifier, FilterBanks(checkpoint.front_end, device.device), windows, decisions, progress.warn_once
    )
    metadata = {
        "labeled_by": LABELED_BY,
        "ast_labels": describe(decisions.labels),
        "ast_model": f"{checkpoint.name} sha256:{digest[:12]}",
        "ast_score_function": decisions.score_function,
        "ast_windows": str(windows),
        "ast_mode": compute.mode,
        "ast_dtype": device.dtype_name,
        "ast_version": __version__,
    }
    project = Project(
        client, project_id, metadata, options.propose_actions, options.dry_run,
        progress.say_some, progress.warn_once, checkpoint.front_end.rate_hz,
    )  # fmt: skip
    summary = Run(project, project, labeler, progress, stop).label(ids)
    # Before the last words: these may go to somebody who no longer listens.
    written = bool(options.failed_ids_file) and _write_failed(options.failed_ids_file, summary.unlabeled)
    progress.finish(summary, options.failed_ids_file if written else None)
    if summary.cancelled:
        return CANCELLED
    if summary.ended and not summary.labeled:
        return NOTHING_STARTED
    return SOME_FAILED if summary.unlabeled else ALL_LABELED


def _warn_of_other_weights(checkpoint: Checkpoint, digest: str) -> None:
    """Say so where a checkpoint of the store is not the one that is known, or was recorded, under its name."""
    from block.model_store.known import WEIGHTS
    from block.model_store.store import Store

    if checkpoint.folder.parent != checkpoints.STORE:
        return
    expected = Store().expected(checkpoint.name).get(WEIGHTS)
    if expected is not None and expected.sha256 != digest:
        print(
            f"warning: {checkpoint.name} has other weights than those known by this name: sha256 {digest[:12]}, "
            f"expected {expected.sha256[:12]}; `python -m block models verify {checkpoint.name}` says more"
        )


def _write_failed(path: str, ids: list[int]) -> bool:
    """Write the ids left without labels; False, and a line on standard error, where that cannot be done."""
    try:
        write_ids(path, ids)
    except OSError as error:
        print(f"--failed-ids-file {path} cannot be written: {error.strerror or error}", file=sys.stderr)
        return False
    return True


def describe(labels: Sequence[LabelOfInterest]) -> str:
    """The labels of interest as the user typed them, on one line that can be given to `--audioset-labels` again."""
    return ", ".join(label.entry for label in labels)


def _command(argv: Sequence[str]) -> int:
    commands: dict[str, tuple[str, Callable[[Sequence[str]], int]]] = {
        "labels": ("print the class names of a checkpoint", _labels),
        "models": ("list, fetch, verify and pack checkpoints", _models),
        "studio": ("serve a folder of audio as a local Studio", _studio),
    }
    parser = argparse.ArgumentParser(prog="python -m block", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("command", choices=commands, help="; ".join(f"{name}: {what}" for name, (what, _) in
                                                                     commands.items()))  # fmt: skip
    chosen = parser.parse_args(argv[:1]).command
    return commands[chosen][1](list(argv[1:]))


def _labels(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m block labels", allow_abbrev=False,
                                     description="Print the class names of a checkpoint, one a line.")  # fmt: skip
    parser.add_argument("--model", default=checkpoints.DEFAULT, metavar="NAME|DIR", help="default: %(default)s")
    for name in checkpoints.find(parser.parse_args(argv).model).class_names:
        print(name)
    return ALL_LABELED


def _models(argv: Sequence[str]) -> int:
    from block.model_store import command

    return command.main(list(argv))


def _studio(argv: Sequence[str]) -> int:
    from block.local_studio import server

    return server.main(list(argv))


def _leave(action: Callable[[Sequence[str]], int], argv: Sequence[str], program: str) -> NoReturn:
    """Run `action`, say in one line why nothing could start, and exit."""
    for stream in (sys.stdout, sys.stderr):
        # Names may hold characters that the log's encoding does not have, and a log is read while it grows.
        _reconfigure(stream, errors="backslashreplace", line_buffering=True)
    signal.signal(signal.SIGTERM, _interrupt)
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


def _refuse(program: str, reason: str) -> int:
    print(f"{program}: error: {printable(reason, 1000)}", file=sys.stderr)
    return NOTHING_STARTED


def _reconfigure(stream: Any, **how: Any) -> None:
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(**how)


def _interrupt(signal_number: int, frame: Any) -> NoReturn:
    raise KeyboardInterrupt
