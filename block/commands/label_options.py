"""The options of `label` and `relabel`: the AI Action's, except those about Studio, and a few of their own."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from block.commands.options import OPTIONS, CommandParser, Option, add_options, fill_in, read_decisions
from block.folder.label_files import CLIPS
from block.runtime.places import name_program
from block.settings import DecisionSettings, SettingsError

FORMATS = ("csv", "info.labels", "audacity", "label-studio")
ALL_FORMATS = (*FORMATS, CLIPS)
MAX_CLIP_PAD_MS = 60_000
STUDIO = (
    "data-ids-file", "propose-actions", "failed-ids-file", "fast-ids-file", "dry-run", "score-store", "journal",
    "details", "existing-labels", "skip-labeled", "overwrite-hand-labels", "ray-requests",
)  # fmt: skip
DECIDING = (
    "audioset-labels", "other-label", "min-confidence", "score-function", "no-merge", "min-segment-ms", "min-event-ms",
    "min-gap-ms", "hysteresis", "median-ms", "silence-dbfs",
)  # fmt: skip
# Labels don't depend on these as long as the score store's key is the same.
SURROUNDING = (
    "device", "dtype", "backend", "batch-size", "keep-embeddings", "max-hours", "verbose", "ray", "ray-workers",
    "ray-worker-cpus", "ray-worker-gpus",
)  # fmt: skip


def _formats(text: str) -> tuple[str, ...]:
    chosen = [name.strip() for name in text.split(",")]
    for name in chosen:
        if name not in ALL_FORMATS:
            raise argparse.ArgumentTypeError(f"got {name!r}, expected one or more of {','.join(ALL_FORMATS)}")
    return tuple(name for name in ALL_FORMATS if name in chosen)


def _clip_pad(text: str) -> int:
    if not text.isdecimal() or int(text) > MAX_CLIP_PAD_MS:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a whole number from 0 to {MAX_CLIP_PAD_MS}")
    return int(text)


LABEL = tuple(option for option in OPTIONS if option.name not in STUDIO)
DECISION_OPTIONS = tuple(option for option in LABEL if option.name in DECIDING)
TRUNCATED_OPTION = Option(
    "allow-truncated", "flag", False, "label what there is of recordings that are cut off; without it, they fail"
)
FORMATS_OPTION = Option(
    "formats",
    "string",
    None,
    f"label files to write, separated by commas: {', '.join(ALL_FORMATS)}; clips: a WAV for each "
    f"segment, in a folder for each label (default: all but {CLIPS})",
    _formats,
    "NAMES",
)
CLIP_PAD_OPTION = Option(
    "clip-pad-ms",
    "int",
    0,
    "add this much of the recording before and after each clip",
    _clip_pad,
    "MS",
)
OUTPUT_OPTIONS = (FORMATS_OPTION, CLIP_PAD_OPTION)
FOLDER_OPTIONS = (
    Option("out", "string", "labels", "folder for the label files and the scores", metavar="OUT"),
    Option("no-score-store", "flag", False,
           "don't store scores: an interrupted run starts over, and relabel can't be used"),
    TRUNCATED_OPTION,
    *OUTPUT_OPTIONS,
)  # fmt: skip
RELABEL = (*DECISION_OPTIONS, *OUTPUT_OPTIONS)
MERGE = Option("merge", "flag", False, "undo --no-merge: merge neighboring segments with the same label again")


def read_label(argv: Sequence[str]) -> argparse.Namespace:
    """Return the options of `label`, with defaults. Raise SettingsError if one is wrong."""
    parser = CommandParser(
        prog=f"{name_program()} label", allow_abbrev=False,
        description="Label a folder of audio (WAV, FLAC, MP3, M4A, OGG, Opus, WebM, WMA, AIFF and more) without Edge "
        "Impulse. Run the same command again to continue an interrupted run.",
    )  # fmt: skip
    parser.add_argument("folder", metavar="SOURCE", help="folder of recordings with its subfolders, or an object store "
                        "such as s3://bucket/recordings")  # fmt: skip
    add_options(parser, (*LABEL, *FOLDER_OPTIONS))
    options = parser.parse_args(list(argv))
    fill_in(options, (*LABEL, *FOLDER_OPTIONS))
    options.formats = options.formats or FORMATS
    return options


def read_relabel(argv: Sequence[str], before: Mapping[str, Any] | None = None) -> argparse.Namespace:
    """Return the options of `relabel`. An option that isn't given keeps its value in `before`, a run's options by name.

    An empty value means the default. Raise SettingsError, with its name, for an option that can't change; `--help`
    prints and exits.
    """
    parser = CommandParser(
        prog=f"{name_program()} relabel", allow_abbrev=False,
        description="Decide labels again from the scores in OUT, without the audio or the model. Options that you "
        "leave out keep their values from the last run; the defaults below apply only if you give an empty value.",
    )  # fmt: skip
    parser.add_argument("out", metavar="OUT", help="the folder that label --out wrote")
    add_options(parser, (*DECISION_OPTIONS, MERGE, *OUTPUT_OPTIONS))
    _refuse_others(argv)
    options = parser.parse_args(list(argv))
    if before is None:
        return options
    for option in RELABEL:
        given = getattr(options, option.field)
        if given is None or (option.kind == "flag" and not given):
            # An earlier version of the block didn't have all options.
            setattr(options, option.field, before.get(option.name, option.default))
    if options.merge:
        options.no_merge = False
    fill_in(options, RELABEL)
    options.formats = tuple(options.formats or FORMATS)
    return options


def read_last_decisions(options: Mapping[str, Any], class_names: tuple[str, ...]) -> DecisionSettings:
    """Return the decisions of a run with `options`, as in run.json."""
    return read_decisions(read_relabel(["."], options), class_names)


def collect_run_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return the values of the options that label files depend on, by name."""
    chosen = [option for option in (*LABEL, *OUTPUT_OPTIONS) if option.name not in SURROUNDING]
    return {option.name: getattr(options, option.field) for option in chosen}


def _refuse_others(argv: Sequence[str]) -> None:
    fixed = [f"--{option.name}" for option in (*LABEL, *FOLDER_OPTIONS) if option not in RELABEL]
    for argument in argv:
        name = argument.partition("=")[0]
        if name in fixed:
            raise SettingsError(
                f"{name} can't change in relabel, which computes no scores; give it to `{name_program()} label` instead"
            )
