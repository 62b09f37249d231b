"""The options of `evaluate`: its own and those of `label` that affect labels; and the configurations to evaluate."""

from __future__ import annotations

import argparse
import copy
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from block.class_names import ClassNames
from block.commands.label_options import LABEL, SURROUNDING, TRUNCATED_OPTION
from block.commands.options import CommandParser, Option, add_options, fill_in, read_job
from block.evaluation.annotations import Annotations
from block.evaluation.event_based import COLLARS
from block.evaluation.ground_truth import LabelResolver, list_annotated_classes
from block.evaluation.segment_based import SEGMENT_S
from block.evaluation.thresholds import Goal, read_goal
from block.formatting import make_printable
from block.labeling.job import Job
from block.labels import parse_labels
from block.model.checkpoint import find_checkpoint
from block.runtime.places import name_program
from block.settings import SettingsError

OUT = "build/evaluation"
# --compare accepts all settings but these: both configurations must have the same labels, on the same machine.
SAME = {"audioset-labels", "other-label", "audit-seed", *SURROUNDING} - {"dtype"}
ON, OFF = "on", "off"
WINDOW_MS = 2000  # the default of the AI Action, for strong labels and for comparisons without annotations


def _count(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = -1
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a whole number, 0 or more")
    return value


def _draws(text: str) -> int:
    value = _count(text)
    if value < 100:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected at least 100; fewer draws don't give an interval")
    return value


def _number(text: str, is_valid: Callable[[float], bool], expected: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not is_valid(value):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected {expected}")
    return value


def _seconds(text: str) -> float:
    return _number(text, lambda value: 0.001 <= value < 1e6, "seconds, 0.001 or more")


def _milliseconds(text: str) -> float:
    return _number(text, lambda value: 0 < value < 1e6, "milliseconds, more than 0")


def _percent(text: str) -> float:
    return _number(text, lambda value: 0 <= value <= 100, "a percentage from 0 to 100")


def _goal(text: str) -> Goal:
    try:
        return read_goal(text)
    except SettingsError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _adapt(option: Option) -> Option:
    """Return an option of `label` for `evaluate`: without a default where the annotations decide it."""
    if option.name == "audioset-labels":
        return replace(
            option,
            default=None,
            help=f"{option.help} (default: all annotated classes; without annotations, those of `label`)",
        )
    if option.name == "win-size-ms":
        return replace(option, default=None, help="window size in ms; 0: score each clip as a whole. A clip's score is "
                       f"the highest of its windows (default: {WINDOW_MS} if the annotations have times, and without "
                       "annotations; otherwise 0)")  # fmt: skip
    if option.name == "win-stride-ms":
        return replace(option, default=None, help=f"{option.help} (default: the window size)")
    return option


SHARED = tuple(_adapt(option) for option in LABEL)
COMPARABLE = {option.name: option for option in LABEL if option.name not in SAME}
OWN = (
    Option("annotations", "string", None, "CSV with the columns file,label or file,start_s,end_s,label; or a Raven "
           "selection table, an Audacity label track, a BirdNET result, or a folder of these; without it, each "
           "top-level folder in DIR is named after the label of its recordings. For --compare, annotations are "
           "optional: without any, the report only says how well A and B agree", metavar="FILE|DIR"),
    Option("exhaustive", "flag", False, "the annotations are complete: labels of interest that never occur in them "
           "count as absent everywhere"),
    TRUNCATED_OPTION,
    Option("out", "string", OUT, "folder for report.html, evaluation.json and the scores", metavar="OUT"),
    Option("fit-thresholds", "string", None, "suggest a threshold for each label: f1 for the best F1, or "
           "precision=0.9 for the best recall at that precision", _goal, "GOAL"),
    Option("translate-thresholds", "flag", False,
           "suggest thresholds for the other score function that change the labels of as few windows as possible"),
    Option("segment-s", "float", SEGMENT_S, "segment length in seconds, if the annotations have times", _seconds, "S"),
    Option("collar-ms", "float", round(COLLARS.seconds * 1000), "how far in ms the start and end of a label may be from"
           " those of an annotated event to count as right, if the annotations have times", _milliseconds, "MS"),
    Option("collar-percent", "float", round(COLLARS.share * 100), "how far the end may be in percent of the annotated "
           "event's length, if that is more than --collar-ms", _percent, "PERCENT"),
    Option("bootstrap", "int", 1000, "bootstrap draws for the intervals, at least 100", _draws, "N"),
    Option("seed", "int", 0, "seed for the bootstrap draws and the cross-validation folds", _count, "N"),
)  # fmt: skip


def read(argv: Sequence[str]) -> argparse.Namespace:
    """Return the options of `evaluate`, with defaults. Raise SettingsError; `--help` prints and exits."""
    parser = CommandParser(
        prog=f"{name_program()} evaluate", allow_abbrev=False,
        description="Compare the labels of a folder of recordings with your annotations. Write a report to open in a "
        "browser: metrics with intervals, suggested thresholds, comparisons, and examples to listen to.",
    )  # fmt: skip
    parser.add_argument("folder", metavar="DIR", help="folder of recordings, searched with its subfolders")
    add_options(parser, (*OWN, *SHARED))
    parser.add_argument(
        "--compare", nargs=2, metavar=("A", "B"), help="compare two configurations, such as score-function=softmax "
        f"score-function=sigmoid; separate several settings with commas. They can differ in {', '.join(COMPARABLE)}",
    )  # fmt: skip
    options = parser.parse_args(list(argv))
    fill_in(options, (*OWN, *SHARED))
    if options.annotations == "":
        raise SettingsError("--annotations is empty; give a CSV file, or omit it if each class has a folder")
    return options


@dataclass(frozen=True)
class Configuration:
    """A checked configuration and its options. `name` is empty unless two are compared."""

    name: str
    options: argparse.Namespace
    job: Job
    resolver: LabelResolver


def configure(options: argparse.Namespace, annotations: Annotations | None) -> list[Configuration]:
    """Return the 1 or 2 configurations to evaluate. Raise SettingsError, LabelError or CheckpointError."""
    return [_configure(name, changed, annotations) for name, changed in list_variants(options)]


def _configure(name: str, options: argparse.Namespace, annotations: Annotations | None) -> Configuration:
    options = set_windows(options, annotations is None or annotations.is_strong)
    class_names = find_checkpoint(options.model).class_names
    if options.audioset_labels is None and annotations is not None:
        labels = list_annotated_classes(annotations, class_names, options.min_confidence, options.other_label)
        options.audioset_labels = "\n".join(label.entry for label in labels)
    elif options.audioset_labels is None:
        options.audioset_labels = next(option.default for option in LABEL if option.name == "audioset-labels")
    job = read_job(options)
    return Configuration(name, options, job, LabelResolver(job.decisions.labels, class_names, options.other_label))


def list_variants(options: argparse.Namespace) -> list[tuple[str, argparse.Namespace]]:
    """Return the name and options of each of the 1 or 2 configurations. Raise SettingsError if they are the same."""
    if not options.compare:
        return [("", options)]
    texts = [" ".join(text.split()) for text in options.compare]
    if texts[0] == texts[1]:
        raise SettingsError(f"--compare got {make_printable(texts[0])} twice; give two different configurations")
    return [(text, apply_settings(options, text)) for text in texts]


def apply_settings(options: argparse.Namespace, text: str) -> argparse.Namespace:
    """Return `options` changed by `text`, `name=value` pairs separated by commas. Raise SettingsError."""
    found = copy.copy(options)
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if name not in COMPARABLE or not equals or not value:
            raise SettingsError(
                f"--compare: got {make_printable(part)!r}, expected name=value with one of {', '.join(COMPARABLE)}"
            )
        try:
            setattr(found, COMPARABLE[name].field, _read_value(COMPARABLE[name], value))
        except argparse.ArgumentTypeError as error:
            raise SettingsError(f"--compare: {name}: {error}") from None
    return found


def _read_value(option: Option, text: str) -> Any:
    """Return the value of a setting in --compare. Flags are on or off; an option that is off by default can be off."""
    if option.kind == "flag":
        if text not in (ON, OFF):
            raise argparse.ArgumentTypeError(f"got {text!r}, expected {ON} or {OFF}")
        return text == ON
    return None if text == OFF and option.default is None else option.read(text)


def set_windows(options: argparse.Namespace, strong: bool) -> argparse.Namespace:
    """Return the options, with default windows for these annotations unless the user gave some."""
    found = copy.copy(options)
    if found.win_size_ms is None:
        given = found.win_stride_ms is not None
        found.win_size_ms = WINDOW_MS if strong or given else 0
    if found.win_stride_ms is None:
        found.win_stride_ms = found.win_size_ms
    return found


def names_any_label(options: argparse.Namespace, folders: Iterable[str]) -> bool:
    """Return True if any folder is named after a label of interest; after any class, if the user gave no labels."""
    class_names = find_checkpoint(list_variants(options)[0][1].model).class_names
    if options.audioset_labels is None:
        known = ClassNames(class_names)
        return any(folder in known for folder in folders)
    labels = parse_labels(options.audioset_labels, class_names, options.min_confidence)
    return LabelResolver(labels, class_names, options.other_label).knows_any(folders)


def check_labels(configurations: Sequence[Configuration]) -> None:
    """Raise SettingsError unless both configurations have the same label names; their checkpoints may differ."""
    first, last = ([target.name for target in configurations[at].resolver.targets] for at in (0, -1))
    if first != last:
        raise SettingsError(
            f"--compare: A has the labels {', '.join(first)}, B has {', '.join(last)}; give both the same labels with "
            "--audioset-labels"
        )
