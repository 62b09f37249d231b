"""Measure where the time goes, end to end: the block's own run over sound files, with a stopwatch on each stage."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import soundfile
from torch import Tensor

from bench.counter import Counter
from bench.plan import MODEL_WINDOW_MS, BenchError
from block import audio
from block.labeling.audit import BLOCK_WINDOWS
from block.labeling.labeler import ExactLabeler
from block.labeling.run import Run
from block.labels import parse_labels
from block.model.classifier import Classifier, Logits
from block.model.features import FilterBanks
from block.recording import LabeledRecording, Recording, Waveform, Window
from block.settings import EXACT, DecisionSettings, WindowSettings
from block.windows import PreparedRecording

DECODE, FEATURES, FORWARD, DECIDE, WRITE = "decode, resample", "features", "forward", "windows, decisions", "writes"
STAGES = (DECODE, FEATURES, FORWARD, DECIDE, WRITE)
LABELS_OF_INTEREST = 3
MIN_CONFIDENCE = 0.2


class Stopwatch:
    """Seconds spent in each stage, added up over threads that may run in parallel.

    On a GPU, the forward pass includes the wait for the features, which are only started before it.
    """

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self._lock = threading.Lock()

    @contextmanager
    def on(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - start)

    def add(self, stage: str, seconds: float) -> None:
        with self._lock:
            self.seconds[stage] += seconds


@dataclass(frozen=True)
class EndToEnd:
    """A run over files on one of the block's paths. `stages_s` are added up over threads."""

    path: str
    window_ms: int
    recordings: int
    windows: int
    audio_s: float
    wall_s: float
    stages_s: dict[str, float]

    @property
    def windows_s(self) -> float:
        """Windows per second."""
        return self.windows / self.wall_s

    @property
    def outside_share(self) -> float:
        """The share of wall time in which the model was not computing."""
        return 1 - self.stages_s[FORWARD] / self.wall_s


class Files:
    """Sound files as a source. Recording `i` is file `i` of `paths`, starting over at the end."""

    def __init__(self, paths: Sequence[Path], rate_hz: int, watch: Stopwatch) -> None:
        self._paths = paths
        self._rate_hz = rate_hz
        self._watch = watch

    def fetch(self, recording_id: int, expect: Callable[[int], None]) -> Recording:
        path = self._paths[recording_id % len(self._paths)]
        with self._watch.on(DECODE):
            frames = soundfile.info(path).frames
        expect(frames)
        with self._watch.on(DECODE):
            sound = audio.decode(path, self._rate_hz)
        return Recording(
            recording_id, path.name, sound.rate_hz, sound.positions, sound.waveform, ratio=sound.ratio
        )  # fmt: skip


class JsonLines:
    """A sink that immediately writes one line of JSON per recording."""

    def __init__(self, file: TextIO, watch: Stopwatch) -> None:
        self._file = file
        self._watch = watch
        self._lock = threading.Lock()

    def write(self, labeled: LabeledRecording) -> LabeledRecording:
        with self._watch.on(WRITE):
            segments = [[one.start, one.end, one.label, one.score] for one in labeled.segments]
            line = json.dumps({"id": labeled.id, "name": labeled.name, "segments": segments})
            with self._lock:
                self._file.write(line + "\n")
                self._file.flush()
        return labeled

    def give_up(self, recording_id: int) -> None:
        pass


class TimedFilterBanks(FilterBanks):
    """Filter banks with a stopwatch."""

    watch: Stopwatch

    def __call__(self, waveforms: Tensor) -> Tensor:
        with self.watch.on(FEATURES):
            return super().__call__(waveforms)


class TimedClassifier:
    """A classifier with a stopwatch on both ends of a pass, because on a GPU the time is spent waiting for it."""

    def __init__(self, classifier: Classifier, watch: Stopwatch) -> None:
        self._classifier = classifier
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._classifier, name)

    def begin(self, inputs: Tensor, recorded: int | None = None, path: str = EXACT) -> Tensor:
        with self._watch.on(FORWARD):
            return self._classifier.begin(inputs, recorded, path)

    def collect(self, begun: Sequence[Tensor]) -> Logits:
        with self._watch.on(FORWARD):
            return self._classifier.collect(begun)


@dataclass(frozen=True)
class TimedLabeler(ExactLabeler):
    """A labeler with a stopwatch that uses one path for all windows, without an audit."""

    watch: Stopwatch
    path: str

    @property
    def batch_windows(self) -> int:
        return super().batch_windows if self.path == EXACT else BLOCK_WINDOWS

    def prepare(self, recording: Recording) -> PreparedRecording:
        with self.watch.on(DECIDE):
            return super().prepare(recording)

    def label(self, batch: Sequence[PreparedRecording]) -> list[LabeledRecording]:
        before = self._model_s()
        start = time.perf_counter()
        labeled = super().label(batch)
        # The part of labeling that isn't the model.
        self.watch.add(DECIDE, time.perf_counter() - start - (self._model_s() - before))
        return labeled

    def compute_outputs(self, items: Sequence[tuple[Waveform, Window]], path: str = EXACT) -> Logits:
        return super().compute_outputs(items, self.path)

    def _model_s(self) -> float:
        return self.watch.seconds[FEATURES] + self.watch.seconds[FORWARD]


def count_for(paths: Sequence[Path], windows: int, window_ms: int = MODEL_WINDOW_MS) -> int:
    """Return how many recordings it takes to get at least `windows` windows."""
    lengths = [max(1, round(soundfile.info(path).duration * 1000 / window_ms)) for path in paths]
    count = whole = 0
    if windows > sum(lengths):
        rounds = windows // sum(lengths)
        count, whole = rounds * len(paths), rounds * sum(lengths)
    while whole < windows:
        whole += lengths[count % len(paths)]
        count += 1
    return count


def measure(
    classifier: Classifier,
    paths: Sequence[Path],
    recordings: int,
    write_to: Path,
    window_ms: int = MODEL_WINDOW_MS,
    path: str = EXACT,
) -> EndToEnd:
    """Label `recordings` recordings on path `path`. Raise BenchError if one of them fails."""
    watch, counter = Stopwatch(), Counter()
    filter_banks = TimedFilterBanks(classifier.checkpoint.front_end, classifier.device.device)
    filter_banks.watch = watch
    names = classifier.checkpoint.class_names[:LABELS_OF_INTEREST]
    labels = parse_labels("\n".join(names), classifier.checkpoint.class_names, MIN_CONFIDENCE)
    labeler = TimedLabeler(
        TimedClassifier(classifier, watch),  # type: ignore[arg-type]
        filter_banks, WindowSettings(window_ms, window_ms), DecisionSettings(labels), lambda text: None, watch, path,
    )  # fmt: skip
    source = Files(paths, classifier.checkpoint.front_end.rate_hz, watch)
    with write_to.open("w", encoding="utf-8") as file:
        start = time.perf_counter()
        summary = Run(source, JsonLines(file, watch), labeler, counter).label(range(recordings))
        wall_s = time.perf_counter() - start
    if summary.canceled:
        raise KeyboardInterrupt
    if summary.unlabeled or summary.end_reason:
        raise BenchError(f"a recording wasn't labeled: {counter.failure or summary.end_reason}")
    if not watch.seconds[FORWARD]:
        raise BenchError("the labeler didn't use the timed classifier")
    return EndToEnd(path, window_ms, recordings, counter.windows, counter.audio_s, wall_s, watch.seconds)
