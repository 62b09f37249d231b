"""The options of the AI Action in one table, for the parser and for checking parameters.json.

Edge Impulse may add options of its own, so unknown options are ignored with a warning unless they look like a typo. A
form may pass an option without a value, so an empty value means that the option isn't set.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from block.cluster.settings import ANY_CLUSTER
from block.commands.option_values import read_choice, read_confidence, read_hours, read_number, read_whole_number
from block.commands.preview_job import read_preview_job
from block.commands.unknown_options import drop_unknown
from block.commands.writable_file import check_writable
from block.formatting import print_warning
from block.labeling.job import Job
from block.labels import describe_unreachable_labels, parse_labels
from block.model.checkpoint import DEFAULT, EMBEDDED, find_checkpoint
from block.settings import (
    BACKENDS,
    BOUNDARIES,
    DTYPES,
    EXACT,
    EXISTING_LABELS,
    FILL_GAPS,
    FILLS,
    GRID,
    KEEP,
    MODES,
    PAD,
    REPLACE,
    SCORE_FUNCTIONS,
    TORCH,
    AuditSettings,
    ComputeSettings,
    DecisionSettings,
    SettingsError,
    WindowSettings,
)


class _Unset:
    """Marks an option that was given an empty value."""


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
        """Convert `text` to a value. Empty text means that the option isn't set."""
        return _Unset if text == "" and self.name != "propose-actions" else self.read(text)


OPTIONS = (
    Option("audioset-labels", "string", "speech\nmusic",
           "sounds to look for: AudioSet classes, separated by commas or newlines: Dog, Dog (my dog), Dog (0.4) or Dog "
           "(my dog, 0.4) to set a label and a minimum confidence; Animal* includes all below it", metavar="LABELS"),
    Option("other-label", "string", "other", "label for everything else", metavar="LABEL"),
    Option("win-size-ms", "int", 2000, "window size in ms, at least 25; 0: score each recording as a whole",
           read_whole_number, "MS"),
    Option("win-stride-ms", "int", 2000, "time between the starts of two windows in ms, at most the window size",
           read_whole_number, "MS"),
    Option("boundaries", "select", GRID, "where labels begin and end: where windows do, or where the sound changes",
           read_choice(BOUNDARIES), "|".join(BOUNDARIES)),
    Option("min-confidence", "float", 0.2, "score that a sound needs to get its label, 0 to 1", read_confidence,
           "SCORE"),
    Option("model", "string", DEFAULT, f"checkpoint: a name in models/ ({EMBEDDED} is always available) or a folder",
           metavar="NAME|DIR"),
    Option("score-function", "select", "softmax",
           "softmax: classes compete, as in the hosted block; sigmoid: classes are independent",
           read_choice(SCORE_FUNCTIONS), "|".join(SCORE_FUNCTIONS)),
    Option("no-merge", "flag", False, "don't merge neighboring segments with the same label"),
    Option("min-segment-ms", "int", 0, "add segments shorter than this to their longer neighbor", read_whole_number,
           "MS"),
    Option("min-event-ms", "int", 0,
           "give the other label to segments of a sound that are shorter than this", read_whole_number, "MS"),
    Option("min-gap-ms", "int", 0,
           "close gaps shorter than this: segments of the other label between two with the same label",
           read_whole_number, "MS"),
    Option("hysteresis", "float", 1.0,
           "let a label begin and end where its score falls below this share of its threshold, if it reaches the "
           "threshold in between; above 0 to 1, which is off", read_number, "SHARE"),
    Option("median-ms", "int", 0, "smooth scores with a median filter over this time; 0: off", read_whole_number, "MS"),
    Option("silence-dbfs", "float", None, "give windows quieter than this RMS level the other label (default: off)",
           read_number, "DBFS"),
    Option("fill", "select", PAD,
           "how to fill the model's 10.24 s if a window is shorter; pad: silence; repeat: copies of the window",
           read_choice(FILLS), "|".join(FILLS)),
    Option("context-ms", "int", 0,
           "let the model hear this much before and after each window, too; can help with windows of about 1 s where "
           "sounds last for seconds, but hurts where short ones alternate; 0: off", read_whole_number, "MS"),
    Option("mode", "select", EXACT,
           "exact: compute every window in full; fast: skip work on padding, and audit some windows against exact mode",
           read_choice(MODES), "|".join(MODES)),
    Option("min-agreement", "float", 0.99,
           "share of windows, 0 to 1, that must get the same label in fast mode as in exact mode; if audits show that "
           "it is lower, the rest is labeled in exact mode",
           read_confidence, "SHARE"),
    Option("max-hours", "float", None,
           "time budget: warn early if the run will take longer, but don't stop it (default: off)", read_hours,
           "HOURS"),
    Option("data-ids-file", "string", None, "JSON file with the ids of the samples to label", metavar="FILE",
           required=True),
    Option("propose-actions", "int", None, "propose labels in this preview job instead of writing them",
           read_preview_job, "JOB"),
    Option("device", "string", "auto", "where to run the model: auto, cpu, cuda or cuda:N", metavar="DEVICE"),
    Option("dtype", "select", "auto", "auto: float32 on a CPU, bfloat16 on CUDA (float16 on GPUs without it)",
           read_choice(DTYPES), "|".join(DTYPES)),
    Option("backend", "select", TORCH,
           "what computes the model's layers: torch, or openvino, which needs a CPU and the package openvino",
           read_choice(BACKENDS), "|".join(BACKENDS)),
    Option("batch-size", "int", 0,
           "most windows per forward pass; 0: as many as fit in a GPU's memory; on a CPU 8, or 1 if scores are stored",
           read_whole_number, "N"),
    Option("audit-seed", "int", 0, "random seed for choosing the windows that fast mode audits", read_whole_number,
           "N"),
    Option("fast-ids-file", "string", "fast-ids.json",
           "if fast mode falls back to exact mode, write the ids of all samples that this job labeled in fast mode to "
           "FILE, including earlier runs, so that you can label them again", metavar="FILE"),
    Option("score-store", "string", None,
           "store scores in this folder, and reuse the scores that it already has", metavar="DIR"),
    Option("keep-embeddings", "flag", False,
           "store the model's embedding of each window with its scores, to find similar sounds; scores that were "
           "stored without it are computed again"),
    Option("journal", "string", None,
           "record labeled samples in this file, so that an interrupted run can be resumed (default: a file in "
           "--score-store, if given)", metavar="FILE"),
    Option("details", "string", None,
           "write the reasons for each label to this file, as JSON lines: runners-up, loudness, agreeing windows",
           metavar="FILE"),
    Option("existing-labels", "select", REPLACE,
           "replace: set new labels everywhere; fill-gaps: only where there is the other label or none, keep the rest, "
           "no matter who set it; keep: only in samples that have no labels",
           read_choice(EXISTING_LABELS), "|".join(EXISTING_LABELS)),
    Option("skip-labeled", "flag", False, "the same as --existing-labels keep"),
    Option("overwrite-hand-labels", "flag", False,
           "replace labels that were set by hand, changed by hand after this block wrote them, or kept by fill-gaps"),
    Option("failed-ids-file", "string", None,
           "write the ids of samples that got no labels to FILE; to retry them, pass it as --data-ids-file",
           metavar="FILE"),
    Option("dry-run", "flag", False, "print labels without writing them; with --verbose, also print the calls"),
    Option("ray", "optional", None,
           "label on the Ray cluster at ADDRESS, such as 10.0.0.1:6379; without ADDRESS, use RAY_ADDRESS or this "
           "machine", metavar="ADDRESS"),
    Option("ray-workers", "string", None,
           "number of workers, each with its own model: N, or MIN-MAX to let Ray choose (default: 1 to as many as "
           "fit)", metavar="N|MIN-MAX"),
    Option("ray-worker-cpus", "int", 1, "CPU cores per worker", read_whole_number, "N"),
    Option("ray-worker-gpus", "float", None,
           "GPUs per worker; less than 1 to share a GPU (default: 1 if there are GPUs)", read_number, "X"),
    Option("ray-requests", "int", 16, "maximum number of simultaneous requests to Edge Impulse, across all workers",
           read_whole_number, "N"),
    Option("verbose", "flag", False, "print a line for every recording, even in long runs"),
)  # fmt: skip


class CommandParser(argparse.ArgumentParser):
    """A parser that raises SettingsError instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        raise SettingsError(message)


def parse(argv: Sequence[str], warn: Callable[[str], None]) -> argparse.Namespace:
    """Parse the options of the AI Action. `--help` prints and exits. Call `warn` once about unknown options.

    Raise SettingsError, with a one-line message, for options that can't be used.
    """
    parser = CommandParser(
        prog="transform.py",
        description="Label the audio of an Edge Impulse project with an Audio Spectrogram Transformer that runs on "
        "this machine. Set EI_PROJECT_API_KEY and, if needed, EI_PROJECT_ID and EI_API_ENDPOINT in the environment.",
        allow_abbrev=False,
    )
    add_options(parser, OPTIONS)
    options = parser.parse_args(drop_unknown(argv, {option.name: option.kind for option in OPTIONS}, warn))
    _join_skip_labeled(options)
    fill_in(options, OPTIONS)
    if options.overwrite_hand_labels and options.existing_labels != REPLACE:
        warn(f"--overwrite-hand-labels has no effect with --existing-labels {options.existing_labels}")
    if options.failed_ids_file is not None:
        check_writable("--failed-ids-file", options.failed_ids_file)
    return options


def add_options(parser: argparse.ArgumentParser, options: Sequence[Option]) -> None:
    """Add `options` to `parser`. Call `fill_in` after parsing to set defaults."""
    for option in options:
        help_text = option.help.replace("%", "%%") + (" (required)" if option.required else "")
        if option.kind == "flag":
            parser.add_argument(f"--{option.name}", action="store_true", help=help_text)
            continue
        if option.default is not None:
            default = str(option.default).replace("\n", ", ")
            help_text += f" (default: {default})"
        # Options that aren't given are None, so that only `fill_in` needs to know the defaults.
        may_be_bare: dict[str, Any] = {"nargs": "?", "const": ANY_CLUSTER} if option.kind == "optional" else {}
        parser.add_argument(
            f"--{option.name}", type=option.convert, metavar=option.metavar, help=help_text, **may_be_bare
        )


def fill_in(parsed: argparse.Namespace, options: Sequence[Option]) -> None:
    """Set options that are missing or empty to their defaults. Raise SettingsError if a required one is missing."""
    for option in options:
        value = getattr(parsed, option.field)
        if value == []:  # argparse turns the value "--" into this, up to Python 3.12
            raise SettingsError(f"--{option.name}: expected one argument, got '--'")
        if value in (None, _Unset):
            if option.required:
                raise SettingsError(f"--{option.name} is required: {option.help}")
            setattr(parsed, option.field, option.default)


def read_job(options: argparse.Namespace) -> Job:
    """Return the job that parsed options describe. Raise SettingsError, LabelError or CheckpointError."""
    windows = WindowSettings(options.win_size_ms, options.win_stride_ms, options.boundaries)
    compute = ComputeSettings(
        options.device, options.dtype, options.batch_size, options.mode, options.fill, options.context_ms,
        options.keep_embeddings, options.backend,
    )  # fmt: skip
    audit = AuditSettings(options.min_agreement, options.audit_seed)
    checkpoint = find_checkpoint(options.model)
    return Job(checkpoint, windows, read_decisions(options, checkpoint.class_names), compute, audit)


def read_decisions(options: argparse.Namespace, class_names: Sequence[str]) -> DecisionSettings:
    """Return how to turn scores of these classes into labels. Raise SettingsError or LabelError.

    Print a warning for each label that can never be assigned.
    """
    labels = parse_labels(options.audioset_labels, class_names, options.min_confidence)
    for line in describe_unreachable_labels(labels):
        print_warning(line)
    return DecisionSettings(
        labels, options.other_label, options.score_function, not options.no_merge,
        options.min_segment_ms, options.silence_dbfs, options.hysteresis, options.median_ms, options.min_event_ms,
        options.min_gap_ms,
    )  # fmt: skip


def _join_skip_labeled(options: argparse.Namespace) -> None:
    """Turn `--skip-labeled` into the choice that it stands for. Raise SettingsError if `fill-gaps` is given.

    `replace` may be given: a form sends its default, and arguments added to it may say `--skip-labeled`.
    """
    other = options.existing_labels
    if options.skip_labeled and other == FILL_GAPS:
        raise SettingsError(f"--skip-labeled means --existing-labels {KEEP}, but that is {other}; use only one of them")
    options.existing_labels = KEEP if options.skip_labeled else other
