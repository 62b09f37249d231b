"""Measure how close fast paths get to exact scores: the tables of docs/fast-mode.md.

    python -m bench.closeness AUDIO [--model NAME|DIR] [--backend torch|openvino] [--groups 16,32,64,128]
        [--seconds 1,2] [--windows 200]

Draws recordings from the folder AUDIO, and one window at a random position of each. Prints, for each length, path and
number of groups, the share of windows with the same label, the largest error of any class's score, and the share of
windows that a run would recompute. Scores are softmax, with threshold 0.2.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from bench.scenes import RATE_HZ, read_mono
from block import decisions
from block.labeling.path_choice import PathTrial, Trial
from block.labels import parse_labels
from block.model.checkpoint import EMBEDDED, find_checkpoint
from block.model.classifier import FEWER_GROUPS, Classifier, Logits
from block.model.device import choose_device
from block.model.features import FilterBanks
from block.recording import Waveform
from block.settings import BACKENDS, EXACT, SCORE_FUNCTIONS, TORCH, ComputeSettings, DecisionSettings

SOUNDS = {".wav", ".flac", ".ogg"}
LABELS = (
    "Speech, Music, Dog, Chicken, rooster, Rain, Ocean, Crackle, Baby cry, infant cry, Clock, Sneeze, Helicopter, "
    "Chainsaw"
)
THRESHOLD = 0.2
BATCH = 8


def draw_windows(folder: Path, seconds: float, count: int, seed: int) -> list[Waveform]:
    """Return a window from each of up to `count` recordings; those that are too short are left out."""
    chance = random.Random(seed)
    paths = sorted(path for path in folder.rglob("*") if path.suffix in SOUNDS)
    values, windows = round(seconds * RATE_HZ), list[Waveform]()
    for path in chance.sample(paths, len(paths)):
        waveform = read_mono(path)
        if len(waveform) >= values and len(windows) < count:
            start = chance.randint(0, len(waveform) - values)
            windows.append(waveform[start : start + values])
        if len(windows) == count:
            break
    return windows


class Closeness:
    """The windows of one length, with their exact logits."""

    def __init__(self, classifier: Classifier, windows: Sequence[Waveform]) -> None:
        self._classifier = classifier
        banks = FilterBanks(classifier.checkpoint.front_end, classifier.device.device)
        self._inputs = banks(torch.from_numpy(np.stack(windows)))
        self._recorded = classifier.checkpoint.front_end.count_frames(len(windows[0]))
        self._settings = DecisionSettings(parse_labels(LABELS, classifier.checkpoint.class_names, THRESHOLD))
        self._exact = self._compute(EXACT)

    def _compute(self, path: str) -> Logits:
        parts = torch.split(self._inputs, BATCH)
        return np.concatenate([self._classifier.logits(part, self._recorded, path) for part in parts])

    def try_path(self, path: str, groups: int) -> tuple[Trial, float]:
        """Return how well `path` does with that many groups, as in an opening audit, and the share of equal labels.

        The audit doesn't count different labels that margins take care of; this share does.
        """
        self._classifier.groups[path] = groups
        both, ones = (self._exact, self._compute(path)), [1] * len(self._inputs)
        exact, fast = (decisions.score_labels(logits, ones, self._settings) for logits in both)
        errors = np.stack([
            np.abs(np.subtract(*(decisions.score_classes(logits, ones, name) for logits in both))).max(axis=1)
            for name in SCORE_FUNCTIONS
        ], axis=1).astype(np.float32)  # fmt: skip
        function = SCORE_FUNCTIONS.index(self._settings.score_function)
        labels, others = (
            decisions.decide_windows(scores, self._settings.labels, self._settings.other_label)
            for scores in (exact, fast)
        )
        same = sum(one == other for one, other in zip(labels, others, strict=True)) / len(labels)
        return PathTrial(exact, fast, errors).summarize(path, self._settings, function), same

    def count_tokens(self, path: str) -> int:
        """Return the number of tokens with the groups of the last try."""
        return self._classifier.count_tokens(self._recorded, path)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table, in Markdown. Return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.closeness", description="Compare fast paths with exact mode."
    )
    parser.add_argument("audio", type=Path, help="a folder of WAV, FLAC or Ogg files")
    parser.add_argument("--model", default=EMBEDDED, metavar="NAME|DIR", help="default: the embedded checkpoint")
    parser.add_argument("--backend", choices=BACKENDS, default=TORCH, help="default: %(default)s")
    parser.add_argument("--groups", default="16,32,64,128", metavar="N,…", help="default: %(default)s")
    parser.add_argument("--seconds", default="1,2", metavar="S,…", help="default: %(default)s")
    parser.add_argument("--windows", type=int, default=200, metavar="N", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default: %(default)s")
    options = parser.parse_args(argv)
    device = choose_device(ComputeSettings("cpu", backend=options.backend))
    classifier = Classifier(find_checkpoint(options.model), device, fast=True)
    print("| window | path, groups | tokens | same label | largest error | near |\n|---|---|---|---|---|---|")
    for seconds in map(float, options.seconds.split(",")):
        closeness = Closeness(classifier, draw_windows(options.audio, seconds, options.windows, options.seed))
        for path in (one for one in classifier.paths[1:] if one not in FEWER_GROUPS):
            for groups in map(int, options.groups.split(",")):
                trial, same = closeness.try_path(path, groups)
                print(
                    f"| {seconds:g} s | {path}, {groups} | {closeness.count_tokens(path)} "
                    f"| {same:.1%} | {trial.tally.largest_error:.4f} | {trial.near:.1%} |",
                    flush=True,
                )  # fmt: skip
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
