"""`python -m bench agreement`: how far the fast paths stay from the exact one, on recordings of one's own.

For some lengths of windows: every fast path at several numbers of groups, beside the exact path on the same windows.
This is the audit of a run drawn larger, for choosing what a run may choose from.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bench.table import columns
from block import audio, decisions
from block.labels import parse_labels
from block.model import checkpoint as checkpoints
from block.recording import RecordingError
from block.settings import EXACT, SCORE_FUNCTIONS, ComputeSettings, DecisionSettings, SettingsError

if TYPE_CHECKING:
    from block.labeling.labeler import Labeler

GROUPS = (16, 32, 64, 128, 256)
LABELS = "Speech, Music, Dog, Chicken, rooster, Rain, Waves, surf, Fire, Baby cry, infant cry, Sneeze, Tick-tock, "
LABELS += "Helicopter, Chainsaw"
HEAD = ("path", "groups", "tokens", "speed", "same top-1", "same label", "… heard", "largest error", "99 %", "near")


@dataclass(frozen=True)
class Row:
    """One path at one number of groups against the exact path, on the same windows of `window_s` seconds.

    `speed`: times as fast as the exact path. `same_top1`, `same_label`, `same_label_heard` (of windows where either
    way found a label of interest) and `near` (windows that a run would compute again exactly, given `largest_error`)
    are shares, 0…1. Errors are differences of scores of the labels of interest.
    """

    window_s: float
    windows: int
    path: str
    groups: int
    tokens: int
    speed: float
    same_top1: float
    same_label: float
    same_label_heard: float
    largest_error: float
    error_99: float
    near: float

    def cells(self) -> list[str]:
        shares = [f"{share * 100:.1f} %" for share in (self.same_top1, self.same_label, self.same_label_heard)]
        errors = [f"{self.largest_error:.4f}", f"{self.error_99:.4f}", f"{self.near * 100:.1f} %"]
        return [self.path, str(self.groups), str(self.tokens), f"{self.speed:.1f}", *shares, *errors]


def main(argv: Sequence[str]) -> int:
    """Print the tables. Returns the exit code; raises SettingsError, CheckpointError or LabelError."""
    options = _parser().parse_args(argv)
    checkpoint = checkpoints.find(options.model)
    labels = parse_labels(options.audioset_labels, checkpoint.class_names, options.min_confidence)
    if not options.audio.is_dir():
        raise SettingsError(f"--audio is {options.audio}; expected a folder of recordings")
    import torch

    from block.labeling.labeler import Labeler
    from block.model.classifier import Classifier
    from block.model.device import choose_device
    from block.model.features import FilterBanks
    from block.settings import WindowSettings

    device = choose_device(ComputeSettings(options.device))
    labeler = Labeler(
        Classifier(checkpoint, device, fast=True), FilterBanks(checkpoint.front_end, device.device), WindowSettings(),
        DecisionSettings(labels, score_function=options.score_function), print,
    )  # fmt: skip
    print(f"{checkpoint.name} on {device.device}, {torch.get_num_threads()} threads, {options.score_function}")
    rows: list[Row] = []
    for seconds in options.seconds:
        windows = windows_of(options.audio, seconds, options.windows, options.seed)
        if not windows:
            raise SettingsError(f"{options.audio} holds no recording of {seconds:g} s or more")
        found = list(compared(labeler, windows, seconds, options.groups))
        print(f"\n{len(windows)} windows of {seconds:g} s")
        print("\n".join(columns([HEAD, *(row.cells() for row in found)])), flush=True)
        rows += found
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench agreement", allow_abbrev=False,
        description="The fast paths against the exact one, on a window of each of your recordings.",
    )  # fmt: skip
    parser.add_argument(
        "--audio", type=Path, required=True, metavar="DIR", help="a folder of recordings, nested or not"
    )
    parser.add_argument("--model", default=checkpoints.DEFAULT, metavar="NAME|DIR", help="default: %(default)s")
    parser.add_argument("--windows", type=int, default=300, metavar="N", help="of each length; default: %(default)s")
    parser.add_argument("--seconds", type=float, nargs="+", default=[1.0, 2.0], metavar="S", help="lengths of windows")
    parser.add_argument("--groups", type=int, nargs="+", default=list(GROUPS), metavar="N")
    parser.add_argument("--audioset-labels", default=LABELS, metavar="LABELS", help="as for transform.py")
    parser.add_argument("--min-confidence", type=float, default=0.2, metavar="SCORE", help="default: %(default)s")
    parser.add_argument("--score-function", choices=SCORE_FUNCTIONS, default="softmax", help="default: %(default)s")
    parser.add_argument("--device", default="auto", help="as for transform.py; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="other recordings and places; default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there, too")
    return parser


def windows_of(folder: Path, seconds: float, count: int, seed: int) -> list[npt.NDArray[np.float32]]:
    """At most `count` windows at 16 kHz, one a recording, drawn with `seed`; recordings that are shorter give none."""
    chance = random.Random(seed)
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in audio.ENDINGS)
    chance.shuffle(files)
    length = round(seconds * checkpoints.RATE_HZ)
    windows: list[npt.NDArray[np.float32]] = []
    for file in files:
        try:
            waveform = audio.decode(file).waveform
        except RecordingError:
            continue
        if len(waveform) >= length and len(windows) < count:
            start = chance.randrange(len(waveform) - length + 1)
            windows.append(waveform[start : start + length].copy())
    return windows


def compared(
    labeler: Labeler, windows: Sequence[npt.NDArray[np.float32]], seconds: float, groups: Sequence[int]
) -> Iterator[Row]:
    """Every fast path at every number of groups against the exact path."""
    from block.recording import Window

    items = [(waveform, Window(0, len(waveform))) for waveform in windows]
    settings = labeler.decisions
    heard = np.ones(len(items), dtype=bool)

    def decided(logits: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.str_]]:
        scores = labeler.scores(logits, [1] * len(items))
        found = decisions.decide(scores, heard, settings.labels, settings.other_label)
        return scores, np.array([one.label for one in found])

    def timed(path: str) -> tuple[npt.NDArray[np.float32], float]:
        started = time.perf_counter()
        return labeler.logits_of(items, path), time.perf_counter() - started

    timed(EXACT)
    exact, exact_s = timed(EXACT)
    exact_scores, exact_labels = decided(exact)
    recorded = labeler.filter_banks.front_end.frames(len(windows[0]))
    for path in labeler.classifier.paths[1:]:
        for count in groups:
            labeler.classifier.groups[path] = count
            tokens = labeler.classifier.tokens(recorded, path)
            logits, seconds_taken = timed(path)
            scores, labels = decided(logits)
            errors = np.abs(scores - exact_scores).max(axis=1)
            either = (labels != settings.other_label) | (exact_labels != settings.other_label)
            same = labels == exact_labels
            near = decisions.unsettled(scores, heard, settings.labels, np.full(len(items), errors.max()))
            yield Row(
                seconds, len(items), path, count, tokens, exact_s / seconds_taken,
                float((logits.argmax(axis=1) == exact.argmax(axis=1)).mean()), float(same.mean()),
                float(same[either].mean()) if either.any() else 1.0, float(errors.max()),
                float(np.quantile(errors, 0.99)), float(near.mean()),
            )  # fmt: skip
