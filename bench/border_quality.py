"""Measure labels on a grid, where the sound changes, and between the true borders: the tables of docs/boundaries.md.

    python -m bench.border_quality TABLE --model NAME|DIR [--folds 4] [--ambience FILE …] [--count N] [--seed N]

TABLE and the other options are as in `bench.scenes`, whose scenes are labeled with softmax and a threshold of 0.2.
Prints how often the model hears a window for each scene, and how good the labels are. Then it scores the clips
themselves: a clip is right if the highest score of all its windows is that of its own label.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench.scenes import RATE_HZ, SCENES, Clip, Scene, make_scenes, read_clips, read_mono
from block.decisions import score_labels
from block.evaluation.bootstrap import Resamples
from block.evaluation.event_based import count_events
from block.evaluation.event_metrics import compute_event_metrics
from block.evaluation.segment_based import Event
from block.labeling.labeler import ExactLabeler
from block.labels import parse_labels
from block.model.checkpoint import EMBEDDED, find_checkpoint
from block.model.classifier import Classifier
from block.model.device import choose_device
from block.model.features import FilterBanks
from block.recording import Recording, Waveform
from block.settings import BOUNDARIES, SOUND, ComputeSettings, DecisionSettings, WindowSettings

THRESHOLD = 0.2


@dataclass(frozen=True)
class TrueBorderLabeler(ExactLabeler):
    """Cut each recording at its `borders`, given in values by its name, instead of where its sound changes."""

    borders: Mapping[str, Sequence[int]] = field(default_factory=dict, kw_only=True)

    def find_cuts(self, recording: Recording) -> list[int]:
        """Return the borders of `recording`."""
        return list(self.borders[recording.name])


@dataclass(frozen=True)
class SceneQuality:
    """Windows for each scene, event F1 (mean over labels), share of time right, and median onset error in seconds."""

    windows: float
    event_f1: float
    time_right: float
    onset_s: float

    def __str__(self) -> str:
        return f"{self.windows:7.1f} {self.event_f1:9.3f} {self.time_right:11.3f} {self.onset_s:10.3f} s"


@dataclass(frozen=True)
class ClipQuality:
    """The number of clips, how many of them are right, and the windows of all of them."""

    clips: int
    right: int
    windows: int

    def __str__(self) -> str:
        return f"{self.right} of {self.clips} right, in {self.windows} windows"


def as_recording(name: str, waveform: Waveform) -> Recording:
    """Return a recording at 16 kHz."""
    return Recording(1, name, RATE_HZ, len(waveform), waveform)


def label_scenes(labeler: ExactLabeler, scenes: Sequence[Scene]) -> SceneQuality:
    """Label scenes, named by their numbers, and compare the labels with the scenes' events."""
    columns = {label.name: at for at, label in enumerate(labeler.decisions.labels)}
    found: list[list[Event]] = []
    windows = 0
    for number, scene in enumerate(scenes):
        prepared = labeler.prepare(as_recording(str(number), scene.waveform))
        windows += len(prepared.chunks)
        [labeled] = labeler.label([prepared])
        found.append(
            [
                Event(columns[one.label], one.start / RATE_HZ, one.end / RATE_HZ)
                for one in labeled.segments
                if one.label in columns
            ]
        )
    truth = [[Event(columns[one.label], one.start_s, one.end_s) for one in scene.events] for scene in scenes]
    lengths_s = [len(scene.waveform) / RATE_HZ for scene in scenes]
    counts = count_events(truth, found, lengths_s, np.ones(len(columns), bool))
    metrics = compute_event_metrics(counts, np.arange(len(columns)), Resamples(len(scenes), 0))
    return SceneQuality(
        windows / len(scenes),
        metrics.rates.f1.mean.value,
        metrics.time_right.pooled.value,
        metrics.onset.median.pooled.value,
    )


def score_clips(labeler: ExactLabeler, clips: Iterable[Clip]) -> ClipQuality:
    """Count the clips of which the highest score is that of their own label."""
    names = [label.name for label in labeler.decisions.labels]
    total = right = windows = 0
    for clip in clips:
        prepared = labeler.prepare(as_recording(clip.path.name, read_mono(clip.path)))
        logits = labeler.compute_outputs([(prepared.waveform, chunk) for chunk in prepared.chunks])
        scores = score_labels(logits, prepared.chunk_counts, labeler.decisions).max(axis=0)
        total, windows = total + 1, windows + len(prepared.chunks)
        right += names[int(scores.argmax())] == clip.label
    return ClipQuality(total, right, windows)


def make_labelers(model: str, labels: Sequence[str], scenes: Sequence[Scene]) -> dict[str, ExactLabeler]:
    """Return a labeler for each kind of boundaries, and one between the true borders, by name."""
    checkpoint, device = find_checkpoint(model), choose_device(ComputeSettings("cpu", "float32"))
    decisions = DecisionSettings(parse_labels("\n".join(labels), checkpoint.class_names, THRESHOLD))
    classifier, banks = Classifier(checkpoint, device, 0), FilterBanks(checkpoint.front_end, device.device)
    borders = {
        str(number): [round(at * RATE_HZ) for one in scene.events for at in (one.start_s, one.end_s)]
        for number, scene in enumerate(scenes)
    }
    labelers: dict[str, ExactLabeler] = {
        name: ExactLabeler(classifier, banks, WindowSettings(boundaries=name), decisions, print) for name in BOUNDARIES
    }
    sound = WindowSettings(boundaries=SOUND)
    labelers["true"] = TrueBorderLabeler(classifier, banks, sound, decisions, print, borders=borders)
    return labelers


def main(argv: Sequence[str] | None = None) -> int:
    """Print how good the labels of scenes and clips are. Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.border_quality", description="Measure labels' borders.")
    parser.add_argument("table", type=Path, metavar="TABLE", help="CSV file with the columns file, fold and label")
    parser.add_argument("--model", default=EMBEDDED, metavar="NAME|DIR", help="default: %(default)s")
    parser.add_argument("--folds", default="4", help="folds whose clips to use (default: %(default)s)")
    parser.add_argument("--ambience", type=Path, nargs="*", default=[], metavar="FILE", help="sounds to put below")
    parser.add_argument("--count", type=int, default=SCENES, help="number of scenes (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    options = parser.parse_args(argv)
    clips = read_clips(options.table, [int(fold) for fold in options.folds.split(",")])
    ambience = [read_mono(path) for path in options.ambience]
    scenes = list(make_scenes(clips, ambience, options.count, options.seed))
    labelers = make_labelers(options.model, sorted({clip.label for clip in clips}), scenes)
    print(f"{'scenes':<8} {'windows':>7} {'event F1':>9} {'time right':>11} {'onset error':>12}")
    for name, labeler in labelers.items():
        print(f"{name:<8} {label_scenes(labeler, scenes)}", flush=True)
    for name in BOUNDARIES:
        print(f"clips, {name}: {score_clips(labelers[name], clips)}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
