"""The options of the AI Action, as one table: what the parser accepts and what parameters.json must say.

Edge Impulse may add options of its own, and a form may pass an option without a value. So unknown options are named
and ignored unless they look like a typo, and an empty value means that the option was not given.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from block.cluster.settings import ANY_CLUSTER
from block.commands.unknown_options import drop_unknown
from block.labeling.job import Job
from block.labels import describe_unreachable_labels, parse_labels
from block.model.checkpoint import DEFAULT, EMBEDDED, find_checkpoint
from block.settings import (
    DTYPES,
    EXACT,
    FILLS,
    MODES,
    PAD,
    SCORE_FUNCTIONS,
    AuditSettings,
    ComputeSettings,
    DecisionSettings,
    SettingsError,
    WindowSettings,
)

# Options that Edge Impulse passes itself, or that only make sense when the block is run by hand.
HOST_ONLY = (
    "data-ids-file", "propose-actions", "failed-ids-file", "dry-run", "verbose",
    "device", "dtype", "batch-size", "audit-seed", "fast-ids-file", "score-store", "journal",
    "details", "ray", "ray-workers", "ray-worker-cpus", "ray-worker-gpus", "ray-requests",
)  # fmt: skip


def _whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a whole number") from None


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number")
    return value


def _confidence(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number from 0 to 1")
    return value


def _hours(text: str) -> float:
    value = _number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number of hours above 0")
    return value


def _one_of(choices: Sequence[str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in choices:
            raise argparse.ArgumentTypeError(f"got {text!r}, expected {' or '.join(choices)}")
        return text

    return read


def _preview_job(text: str) -> int:
    # Ignoring an empty value, as for other options, would write for real where a preview was asked for.
    if not text.strip().isdecimal():
        raise argparse.ArgumentTypeError(
            f"got {text!r}, expected the number of a preview job; without one, leave it out"
        )
    return int(text)


class _Unset:
    """Stands for an option given with an empty value."""


@dataclass(frozen=True)
class Option:
    """One option: `--name`, its `kind` in parameters.json, its `default`, and how to `read` its text."""

    name: str
    kind: str
    default: Any
    help: str
    read: Callable[[str], Any] = str
    metavar: str = ""
    required: bool = False

    @property
    def field(self) -> str:
        return self.name.replace("-", "_")

    def convert(self, text: str) -> Any:
        """Return the value of `text`. An empty text means that the option was not given."""
        return _Unset if text == "" and self.name != "propose-actions" else self.read(text)


OPTIONS = (
    Option("audioset-labels", "string", "speech\nmusic",
           "classes to look for, one a line or separated by commas: Name, Name (new name), Name (0.4) or "
           "Name (new name, 0.4) with a minimum confidence of its own; Name* means all below it too", metavar="LABELS"),
    Option("other-label", "string", "other", "label where none of these is heard", metavar="LABEL"),
    Option("win-size-ms", "int", 2000, "length of a window in ms, at least 25; 0: the whole recording",
           _whole_number, "MS"),
    Option("win-stride-ms", "int", 2000, "from window to window in ms, at most the window's length",
           _whole_number, "MS"),
    Option("min-confidence", "float", 0.2, "score from which a class counts as heard, 0 to 1", _confidence, "SCORE"),
    Option("model", "string", DEFAULT, f"checkpoint: a name in models/ ({EMBEDDED} is embedded) or a folder",
           metavar="NAME|DIR"),
    Option("score-function", "select", "softmax",
           "softmax: the classes compete, as on the hosted block; sigmoid: each stands alone",
           _one_of(SCORE_FUNCTIONS), "|".join(SCORE_FUNCTIONS)),
    Option("no-merge", "flag", False, "keep neighboring cells with the same label apart"),
    Option("min-segment-ms", "int", 0, "give segments shorter than this to their longer neighbor", _whole_number,
           "MS"),
    Option("silence-dbfs", "float", None, "windows quieter than this RMS level get the other label (default: off)",
           _number, "DBFS"),
    Option("fill", "select", PAD,
           "what fills the model's 10.24 s behind a shorter window; pad: zeros; repeat: the window again and again",
           _one_of(FILLS), "|".join(FILLS)),
    Option("mode", "select", EXACT,
           "exact: every window in full; fast: less arithmetic on padding, held to exact on some of the windows",
           _one_of(MODES), "|".join(MODES)),
    Option("min-agreement", "float", 0.99,
           "fast mode goes on exactly once it surely gives fewer windows than this share their exact label, 0 to 1",
           _confidence, "SHARE"),
    Option("max-hours", "float", None, "say so early if the run will take longer than this (default: off)", _hours,
           "HOURS"),
    Option("data-ids-file", "string", None, "JSON file with the ids of the samples to label", metavar="FILE",
           required=True),
    Option("propose-actions", "int", None, "only propose the labels, under this preview job", _preview_job, "JOB"),
    Option("device", "string", "auto", "auto, cpu, cuda or cuda:N", metavar="DEVICE"),
    Option("dtype", "select", "auto", "auto: float32 on a CPU, bfloat16 on CUDA", _one_of(DTYPES), "|".join(DTYPES)),
    Option("batch-size", "int", 0, "windows in one forward pass; 0: as many as fit", _whole_number, "N"),
    Option("audit-seed", "int", 0, "fast mode draws other windows for its audit with another number", _whole_number,
           "N"),
    Option("fast-ids-file", "string", "fast-ids.json",
           "where fast mode, if it had to fall back, writes the ids that it had labeled before", metavar="FILE"),
    Option("score-store", "string", None,
           "keep the model's scores in this folder, and do not compute again what is there already", metavar="DIR"),
    Option("journal", "string", None,
           "note in this file what is labeled, so that a run that was cut off goes on from there (default: in "
           "--score-store, if that is given)", metavar="FILE"),
    Option("details", "string", None,
           "write to this file why each segment has its label: runners-up, loudness, windows that agreed; JSON lines",
           metavar="FILE"),
    Option("skip-labeled", "flag", False, "leave samples alone that have labels, whoever set them"),
    Option("overwrite-hand-labels", "flag", False,
           "label samples too whose labels were set by hand, or changed by hand since this block wrote them"),
    Option("failed-ids-file", "string", None, "where to write the ids left without labels, to run again",
           metavar="FILE"),
    Option("dry-run", "flag", False, "read and label, write nothing, print what would be written"),
    Option("ray", "optional", None,
           "label on the Ray cluster at ADDRESS, such as 10.0.0.1:6379; without one on that of RAY_ADDRESS, or on this "
           "machine", metavar="ADDRESS"),
    Option("ray-workers", "string", None,
           "how many workers, each with a model of its own: N, or MIN-MAX for Ray to choose from (default: from 1 to "
           "as many as there is room for)", metavar="N|MIN-MAX"),
    Option("ray-worker-cpus", "int", 1, "processor cores for each worker", _whole_number, "N"),
    Option("ray-worker-gpus", "float", None,
           "GPUs for each worker; below 1 to share one (default: 1 where there are GPUs)", _number, "X"),
    Option("ray-requests", "int", 16, "requests to Edge Impulse under way at once, of all workers together",
           _whole_number, "N"),
    Option("verbose", "flag", False, "a line for every recording, however many there are"),
)  # fmt: skip


class CommandParser(argparse.ArgumentParser):
    """A parser that raises SettingsError where argparse would end the process."""

    def error(self, message: str) -> NoReturn:
        raise SettingsError(message)


def parse(argv: Sequence[str], warn: Callable[[str], None]) -> argparse.Namespace:
    """Read the options of the AI Action; `--help` prints and exits. Call `warn` once with the unknown options.

    Raise SettingsError, with one line, for what cannot be used.
    """
    parser = CommandParser(
        prog="transform.py",
        description="Label the audio of an Edge Impulse project with an Audio Spectrogram Transformer that runs on "
        "this machine. The environment gives EI_PROJECT_API_KEY and, where needed, EI_PROJECT_ID and EI_API_ENDPOINT.",
        allow_abbrev=False,
    )
    add_options(parser, OPTIONS)
    options = parser.parse_args(drop_unknown(argv, {option.name: option.kind for option in OPTIONS}, warn))
    fill_in(options, OPTIONS)
    if options.failed_ids_file is not None:
        _check_writable(options.failed_ids_file)
    return options


def add_options(parser: argparse.ArgumentParser, options: Sequence[Option]) -> None:
    """Make `parser` accept `options`; call `fill_in` afterwards for the defaults."""
    for option in options:
        help_text = option.help.replace("%", "%%")
        if option.kind == "flag":
            parser.add_argument(f"--{option.name}", action="store_true", help=help_text)
            continue
        if option.default is not None:
            default = str(option.default).replace("\n", ", ")
            help_text += f" (default: {default})"
        # Options without `required` get None if they are not given, too, so that `fill_in` alone knows the defaults.
        may_be_bare: dict[str, Any] = {"nargs": "?", "const": ANY_CLUSTER} if option.kind == "optional" else {}
        parser.add_argument(
            f"--{option.name}", type=option.convert, metavar=option.metavar, help=help_text, **may_be_bare
        )


def fill_in(parsed: argparse.Namespace, options: Sequence[Option]) -> None:
    """Set each option that is not given, or empty, to its default. Raise SettingsError for required ones."""
    for option in options:
        value = getattr(parsed, option.field)
        if value == []:  # what argparse makes of the value "--", up to Python 3.12
            raise SettingsError(f"--{option.name}: expected one argument, got '--'")
        if value in (None, _Unset):
            if option.required:
                raise SettingsError(f"--{option.name} is required: {option.help}")
            setattr(parsed, option.field, option.default)


def read_job(options: argparse.Namespace) -> Job:
    """Return the job that parsed options describe. Raise SettingsError, LabelError or CheckpointError."""
    windows = WindowSettings(options.win_size_ms, options.win_stride_ms)
    compute = ComputeSettings(options.device, options.dtype, options.batch_size, options.mode, options.fill)
    audit = AuditSettings(options.min_agreement, options.audit_seed)
    checkpoint = find_checkpoint(options.model)
    return Job(checkpoint, windows, read_decisions(options, checkpoint.class_names), compute, audit)


def read_decisions(options: argparse.Namespace, class_names: Sequence[str]) -> DecisionSettings:
    """Return how to turn scores of these classes into labels. Raise SettingsError or LabelError.

    Warn on standard output of labels that can never be given.
    """
    labels = parse_labels(options.audioset_labels, class_names, options.min_confidence)
    for line in describe_unreachable_labels(labels):
        print(f"warning: {line}", flush=True)
    return DecisionSettings(
        labels, options.other_label, options.score_function, not options.no_merge,
        options.min_segment_ms, options.silence_dbfs,
    )  # fmt: skip


def _check_writable(path: str) -> None:
    """Raise SettingsError if no file can be written at `path`: better now than after hours."""
    is_new = not os.path.lexists(path)
    try:
        # Without waiting for the reader of a pipe.
        os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666))
        if is_new:
            os.unlink(path)  # an empty file is no list of ids, should nothing be able to start
    except OSError as error:
        raise SettingsError(f"--failed-ids-file {path} cannot be written: {error.strerror or error}") from None
