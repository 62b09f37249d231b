"""The options of `evaluate`: those of `label` that labels depend on, and its own; and the configurations they make."""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from block.commands.label_options import LABEL
from block.commands.options import CommandParser, Option, add_options, fill_in, read_job
from block.evaluation.annotations import Annotations
from block.evaluation.ground_truth import LabelResolver, list_annotated_classes
from block.evaluation.segment_based import SEGMENT_S
from block.evaluation.thresholds import Goal, read_goal
from block.formatting import make_printable
from block.labeling.job import Job
from block.labels import ClassNames, parse_labels
from block.model.checkpoint import find_checkpoint
from block.settings import SettingsError

OUT = "build/evaluation"
# What two ways to label may differ in; the rest would compare other things than the labels.
COMPARABLE = (
    "model", "score-function", "fill", "mode", "dtype", "win-size-ms", "win-stride-ms", "min-confidence",
)  # fmt: skip
WINDOW_MS = 2000  # where strong labels need windows and none are given: as the AI Action has them


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
        raise argparse.ArgumentTypeError(f"got {text!r}, expected at least 100: an interval needs that many")
    return value


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.001 <= value < 1e6:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected seconds, 0.001 or more")
    return value


def _goal(text: str) -> Goal:
    try:
        return read_goal(text)
    except SettingsError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _default(option: Option) -> Option:
    """Return an option of `label` as evaluate has it: what the annotations decide is not filled in."""
    if option.name == "audioset-labels":
        return replace(
            option,
            default=None,
            help=f"{option.help} (default: all classes that are annotated; without annotations, those of label)",
        )
    if option.name == "win-size-ms":
        return replace(option, default=None, help="length of a window in ms, whose highest score a clip gets; 0: the "
                       f"whole clip (default: 0; with strong labels or without annotations {WINDOW_MS})")  # fmt: skip
    if option.name == "win-stride-ms":
        return replace(option, default=None, help=f"{option.help} (default: the window's length)")
    return option


SHARED = tuple(_default(option) for option in LABEL)
OWN = (
    Option("annotations", "string", None, "CSV with file,label or file,start_s,end_s,label; without it, the topmost "
           "folders in DIR are the labels, or, if none of them names a label of interest, --compare reports only how "
           "far A and B agree", metavar="FILE"),
    Option("exhaustive", "flag", False, "the annotations name everything: labels of interest that never occur in them "
           "are absent"),
    Option("out", "string", OUT, "folder for report.html, evaluation.json and the scores", metavar="OUT"),
    Option("fit-thresholds", "string", None, "choose a threshold for each label: f1, or precision=0.9", _goal,
           "GOAL"),
    Option("translate-thresholds", "flag", False,
           "find the thresholds that keep the same labels under the other score function"),
    Option("segment-s", "float", SEGMENT_S, "length of a segment for strong labels, in seconds", _seconds, "S"),
    Option("bootstrap", "int", 1000, "draws that the intervals come from", _draws, "N"),
    Option("seed", "int", 0, "other draws and folds with another number", _count, "N"),
)  # fmt: skip


def read(argv: Sequence[str]) -> argparse.Namespace:
    """Return the options of `evaluate`, defaults filled in. Raises SettingsError; `--help` prints and exits."""
    parser = CommandParser(
        prog="python -m block evaluate", allow_abbrev=False,
        description="How good the labels of a folder of recordings are, by annotations of your own: figures with "
        "intervals, thresholds, comparisons, and a report to read in a browser.",
    )  # fmt: skip
    parser.add_argument("folder", metavar="DIR", help="folder of recordings, with folders in it")
    add_options(parser, (*OWN, *SHARED))
    parser.add_argument(
        "--compare", nargs=2, metavar=("A", "B"), help="two ways to label side by side, for example score-function="
        f"softmax score-function=sigmoid; several settings with commas between: {', '.join(COMPARABLE)}",
    )  # fmt: skip
    options = parser.parse_args(list(argv))
    fill_in(options, (*OWN, *SHARED))
    if options.annotations == "":
        raise SettingsError("--annotations is empty; name a CSV, or leave it out for a folder per class")
    return options


@dataclass(frozen=True)
class Configuration:
    """One way to label, checked, and the options that it comes from. `name` is empty where there is no other."""

    name: str
    options: argparse.Namespace
    job: Job
    resolver: LabelResolver


def configure(options: argparse.Namespace, annotations: Annotations | None) -> list[Configuration]:
    """Return the configurations to evaluate, one or two. Raises SettingsError, LabelError or CheckpointError."""
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
    """Return the options of each way to label, one or two, with its name. Raises SettingsError."""
    if not options.compare:
        return [("", options)]
    texts = [" ".join(text.split()) for text in options.compare]
    if texts[0] == texts[1]:
        raise SettingsError(f"--compare is given {make_printable(texts[0])} twice; there is nothing to compare")
    return [(text, change(options, text)) for text in texts]


def change(options: argparse.Namespace, text: str) -> argparse.Namespace:
    """Return `options` with the settings in `text`, `name=value` with commas between. Raises SettingsError."""
    by_name = {option.name: option for option in SHARED}
    found = copy.copy(options)
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if name not in COMPARABLE or not equals or not value:
            raise SettingsError(
                f"--compare: {make_printable(part)!r}; expected name=value with one of {', '.join(COMPARABLE)}"
            )
        try:
            setattr(found, by_name[name].field, by_name[name].read(value))
        except argparse.ArgumentTypeError as error:
            raise SettingsError(f"--compare: {name}: {error}") from None
    return found


def set_windows(options: argparse.Namespace, strong: bool) -> argparse.Namespace:
    """Return the options with the windows that the annotations call for, where none are given."""
    found = copy.copy(options)
    if found.win_size_ms is None:
        given = found.win_stride_ms is not None
        found.win_size_ms = WINDOW_MS if strong or given else 0
    if found.win_stride_ms is None:
        found.win_stride_ms = found.win_size_ms
    return found


def name_labels(options: argparse.Namespace, folders: Iterable[str]) -> bool:
    """Return True if any folder is named for a label of interest, or for any class where no labels are given."""
    class_names = find_checkpoint(list_variants(options)[0][1].model).class_names
    if options.audioset_labels is None:
        known = ClassNames(class_names)
        return any(folder in known for folder in folders)
    labels = parse_labels(options.audioset_labels, class_names, options.min_confidence)
    return LabelResolver(labels, class_names, options.other_label).knows_any(folders)


def check_labels(configurations: Sequence[Configuration]) -> None:
    """Raise SettingsError unless the labels have the same names; checkpoints may have other classes for them."""
    first, last = ([target.name for target in configurations[at].resolver.targets] for at in (0, -1))
    if first != last:
        raise SettingsError(
            f"--compare: the ways have other labels, {', '.join(first)} and {', '.join(last)}; name the same ones "
            "with --audioset-labels"
        )
