"""The options of `label` and `relabel`: those of the AI Action without those of Studio, and a few of their own."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from block.commands.options import OPTIONS, CommandParser, Option, add_options, fill_in
from block.settings import SettingsError

FORMATS = ("csv", "info.labels", "audacity", "label-studio")
STUDIO = (
    "data-ids-file", "propose-actions", "failed-ids-file", "fast-ids-file", "dry-run", "score-store", "journal",
    "details", "skip-labeled", "overwrite-hand-labels", "ray-requests",
)  # fmt: skip
DECIDING = (
    "audioset-labels", "other-label", "min-confidence", "score-function", "no-merge", "min-segment-ms", "silence-dbfs",
)  # fmt: skip
# What labels do not depend on, if the key of the score store is the same.
SURROUNDING = (
    "device", "dtype", "batch-size", "max-hours", "verbose", "ray", "ray-workers", "ray-worker-cpus", "ray-worker-gpus",
)  # fmt: skip


def _formats(text: str) -> tuple[str, ...]:
    chosen = [name.strip() for name in text.split(",")]
    for name in chosen:
        if name not in FORMATS:
            raise argparse.ArgumentTypeError(f"got {name!r}, expected some of {','.join(FORMATS)}")
    return tuple(name for name in FORMATS if name in chosen)


LABEL = tuple(option for option in OPTIONS if option.name not in STUDIO)
RELABEL = tuple(option for option in LABEL if option.name in DECIDING)
CHOICE = Option("formats", "string", FORMATS, "which label files to write, separated by commas (default: all)",
                _formats, "NAMES")  # fmt: skip
LABEL_ALONE = (
    Option("out", "string", None, "folder for the label files and the scores", metavar="OUT", required=True),
    CHOICE,
    Option("no-score-store", "flag", False,
           "keep no scores: an interrupted run begins anew, and labels cannot be decided again"),
)  # fmt: skip
MERGE = Option("merge", "flag", False, "take back --no-merge")


def read_label(argv: Sequence[str]) -> argparse.Namespace:
    """The options of `label`, defaults filled in. Raises SettingsError; `--help` prints and exits."""
    parser = CommandParser(
        prog="python -m block label", allow_abbrev=False,
        description="Label a folder of audio (WAV, FLAC, OGG, MP3), without Edge Impulse. The same command again goes "
        "on where it was interrupted.",
    )  # fmt: skip
    parser.add_argument("folder", metavar="SOURCE", help="folder of recordings, with folders in it, or an object store "
                        "such as s3://bucket/recordings")  # fmt: skip
    _add(parser, (*LABEL, *LABEL_ALONE))
    options = parser.parse_args(list(argv))
    fill_in(options, (*LABEL, *LABEL_ALONE))
    return options


def read_relabel(argv: Sequence[str], before: Mapping[str, Any] | None = None) -> argparse.Namespace:
    """The options of `relabel`. What is not given is as `before`, a run's options by name, says.

    Given empty, an option has its default. Raises SettingsError, by name for an option that cannot change;
    `--help` prints and exits.
    """
    parser = CommandParser(
        prog="python -m block relabel", allow_abbrev=False,
        description="Decide again which labels the recordings get, from the scores in OUT: without the audio and "
        "without the model. What is not given stays as it was.",
    )  # fmt: skip
    parser.add_argument("out", metavar="OUT", help="what label --out wrote")
    _add(parser, (*RELABEL, CHOICE, MERGE))
    _refuse_others(argv)
    options = parser.parse_args(list(argv))
    if before is None:
        return options
    for option in (*RELABEL, CHOICE):
        given = getattr(options, option.field)
        if given is None or (option.kind == "flag" and not given):
            setattr(options, option.field, before[option.name])
    if options.merge:
        options.no_merge = False
    options.formats = tuple(options.formats)
    fill_in(options, (*RELABEL, CHOICE))
    return options


def recorded(options: argparse.Namespace) -> dict[str, Any]:
    """The options of `label` that its outputs depend on, by name."""
    return {
        option.name: getattr(options, option.field) for option in (*LABEL, CHOICE) if option.name not in SURROUNDING
    }


def _add(parser: argparse.ArgumentParser, options: Sequence[Option]) -> None:
    # The formats' default is told in their help.
    add_options(parser, [option for option in options if option is not CHOICE])
    if CHOICE in options:
        parser.add_argument(f"--{CHOICE.name}", type=lambda text: _formats(text) if text else FORMATS,
                            metavar=CHOICE.metavar, help=CHOICE.help)  # fmt: skip


def _refuse_others(argv: Sequence[str]) -> None:
    fixed = {f"--{option.name}": option.name for option in (*LABEL, *LABEL_ALONE) if option not in (*RELABEL, CHOICE)}
    for argument in argv:
        name = argument.partition("=")[0]
        if name in fixed:
            raise SettingsError(
                f"{name} cannot change in relabel, which computes no scores: run `python -m block label` with it"
            )
