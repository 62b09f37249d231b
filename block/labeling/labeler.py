"""Label recordings exactly: the only place where windows, features, model and decisions come together."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import torch

from block.boundaries import AROUND_S, add_quieter, find_boundaries
from block.decisions import is_silent, label_recording, score_labels
from block.explanation import explain
from block.labeling.partial_logits import PartialLogits
from block.model.classifier import Classifier, Outputs, is_out_of_memory
from block.model.features import Features, repeat
from block.recording import LabeledRecording, Recording, RecordingError, Waveform, Window
from block.resampling import RATIO_TOLERANCE
from block.settings import EXACT, PAD, REPEAT, SOUND, DecisionSettings, Fill, WindowSettings
from block.windows import (
    Layout,
    PreparedRecording,
    add_context,
    divide_stretches,
    lay_out_stretches,
    lay_out_windows_ms,
    round_half_up,
    slice_at_model_rate,
    split_into_chunks,
)

SQUARED_VALUES = 1 << 20
PASS_FRAMES = 80  # on a fast path, windows that lie between changes of the sound share a pass if they round up to it


@dataclass(frozen=True)
class ExactLabeler:
    """Label recordings with one classifier and one set of settings.

    `prepare` may run in several threads, and `label` in `batches_at_once`. `warn` receives warnings for the user.
    `fill` says how to fill the model's input after a shorter chunk: with zeros, or by repeating the chunk. The model
    hears up to `context_ms` on both sides of a window that is shorter than its input. With `explain`, labels come with
    evidence.
    """

    classifier: Classifier
    filter_banks: Features
    windows: WindowSettings
    decisions: DecisionSettings
    warn: Callable[[str], None]
    fill: Fill = field(default=PAD, kw_only=True)
    context_ms: int = field(default=0, kw_only=True)
    explain: bool = field(default=False, kw_only=True)

    _starting: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)
    mode: ClassVar[str] = EXACT
    startup_s: ClassVar[float] = 0.0
    fast_ids: ClassVar[tuple[int, ...]] = ()
    has_fallen_back: ClassVar[bool] = False

    @property
    def batch_windows(self) -> int:
        """The target number of chunks in a batch of several recordings."""
        return self.classifier.batch_windows

    @property
    def batches_at_once(self) -> int:
        """How many batches may be labeled at once: with two, a GPU computes one while the CPU decides another."""
        return 1 if self.classifier.device.device.type == "cpu" else 2

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.classifier.checkpoint.class_names

    @property
    def embedding_size(self) -> int:
        """The number of values in a chunk's embedding; 0 if embeddings aren't kept."""
        return self.classifier.embedding_size

    @property
    def paths(self) -> tuple[str, ...]:
        """The classifier's ways to compute logits, the exact one first, except those that save nothing here."""
        if self.fill != REPEAT:
            return self.classifier.paths
        # Without padding, merging padding changes nothing.
        twins = self.classifier.find_twins([self.filter_banks.front_end.max_frames])
        return tuple(path for path, twin in twins.items() if path == twin)

    def find_twins(self, chunks: Sequence[Window]) -> dict[str, str]:
        """Map each of the classifier's paths to the first one that computes the same for all `chunks`."""
        return self.classifier.find_twins(self._count_frames(chunk) for chunk in chunks)

    def describe_audit(self) -> list[str]:
        """Return nothing: exact labels need no audit."""
        return []

    def prepare(self, recording: Recording) -> PreparedRecording:
        """Lay out windows over `recording`, and split them into chunks. Raise RecordingError if that's not possible."""
        front_end = self.filter_banks.front_end
        rate_hz = recording.rate_hz * recording.ratio
        if abs(rate_hz / front_end.rate_hz - 1) > RATIO_TOLERANCE:
            raise ValueError(f"the waveform is at {float(rate_hz):g} Hz; the model expects {front_end.rate_hz} Hz")
        waveform, ratio = recording.waveform, recording.ratio * recording.stretch
        layout = self._lay_out(recording)
        spans = [slice_at_model_rate(one, ratio, len(waveform), front_end.frame_values) for one in layout.windows]
        if (shortest := min(span.length for span in spans)) < front_end.frame_values:
            raise RecordingError(
                f"a window has {shortest} values at {front_end.rate_hz} Hz; expected at least {front_end.frame_values}"
            )
        levels = [measure_level_dbfs(waveform[span.start : span.end]) for span in spans]
        heard = [
            () if is_silent(level, self.decisions) else self._choose_chunks(spans, levels, at, len(waveform))
            for at, level in enumerate(levels)
        ]
        return PreparedRecording(
            recording.id, recording.name, recording.seconds, recording.value_rate_hz,
            layout, waveform, tuple(itertools.chain.from_iterable(heard)), tuple(len(chunks) for chunks in heard),
            np.array(levels, np.float32), recording.content,
        )  # fmt: skip

    def _choose_chunks(
        self, spans: Sequence[Window], levels_dbfs: Sequence[float], at: int, positions: int
    ) -> tuple[Window, ...]:
        """Return the chunks of a window, span number `at` of those in a waveform of so many `positions`."""
        front_end, span = self.filter_banks.front_end, spans[at]
        parts = tuple(split_into_chunks(span.length, front_end.limit_values))
        if len(parts) > 1:
            return tuple(Window(span.start + part.start, span.start + part.end) for part in parts)
        context = self.context_ms * front_end.rate_hz // 1000
        chunk = add_context(span, context, positions, front_end.limit_values)
        if self.windows.boundaries != SOUND:
            return (chunk,)
        around = min(round(AROUND_S * front_end.rate_hz), front_end.limit_values)
        wider = add_quieter(spans, levels_dbfs, at, around)
        return (chunk, wider) if wider.length > chunk.length else (chunk,)

    def _lay_out(self, recording: Recording) -> Layout:
        windows, front_end = self.windows, self.filter_banks.front_end
        layout = lay_out_windows_ms(recording.values, recording.value_rate_hz, windows.size_ms, windows.stride_ms)
        if windows.boundaries != SOUND:
            return layout
        # One frame less than the model's input, because positions are rounded.
        longest = (front_end.limit_values - front_end.hop_values) / (recording.ratio * recording.stretch)
        cuts = divide_stretches(recording.values, self.find_cuts(recording), longest)
        return lay_out_stretches(recording.values, cuts)

    def find_cuts(self, recording: Recording) -> list[int]:
        """Return where the sound of `recording` changes, in its values."""
        ratio = recording.ratio * recording.stretch
        rate_hz = self.filter_banks.front_end.rate_hz
        return [round_half_up(at / ratio) for at in find_boundaries(recording.waveform, rate_hz)]

    def label(self, batch: Sequence[PreparedRecording]) -> list[LabeledRecording]:
        """Label recordings whose chunks share forward passes. Raise RecordingError if one can't be labeled."""
        return self.complete([PartialLogits(one, len(self.class_names), None, self.embedding_size) for one in batch])

    def complete(self, batch: Sequence[PartialLogits]) -> list[LabeledRecording]:
        """Compute the missing logits of all recordings together, and label the recordings."""
        items = [(one.prepared.waveform, one.prepared.chunks[at]) for one in batch for at in one.missing]
        if items:
            outputs = self.compute_outputs(items)
            ends = np.cumsum([len(one.missing) for one in batch])
            for one, part in zip(batch, np.split(outputs, ends[:-1]), strict=True):
                one.fill(part)
        return [self.decide(one) for one in batch]

    def compute_outputs(self, items: Sequence[tuple[Waveform, Window]], path: str = EXACT) -> Outputs:
        """Return the logits of spans of waveforms, and their embeddings if these are kept.

        Shape: `(len(items), classes + embedding_size)`, float32.

        Use one forward pass if `Classifier.capacity` allows, otherwise passes of equal size. Paths other than the exact
        one need spans of equal length in a pass. If memory runs out, halve the size for the rest of the run. Raise
        RecordingError if a single span doesn't fit, or the logits aren't finite.
        """
        order = range(len(items)) if path == EXACT else sorted(range(len(items)), key=lambda at: items[at][1].length)
        outputs = np.empty((len(items), len(self.class_names) + self.embedding_size), np.float32)
        for _, group in itertools.groupby(
            order, key=lambda at: None if path == EXACT else self._count_frames(items[at][1])
        ):
            places = list(group)
            outputs[places] = self._compute_in_passes([items[at] for at in places], path)
        if not np.isfinite(outputs).all():
            raise RecordingError("the model returned scores that aren't finite numbers")
        return outputs

    def _compute_in_passes(self, items: Sequence[tuple[Waveform, Window]], path: str) -> Outputs:
        passes: list[torch.Tensor] = []
        position = 0
        while position < len(items):
            remaining = len(items) - position
            size = math.ceil(remaining / math.ceil(remaining / self.classifier.capacity))
            try:
                passes.append(self._start_pass(items[position : position + size], path))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            else:
                position += size
                continue
            # Outside the except clause, where the traceback no longer keeps the tensors alive.
            self.classifier.free_memory()
            problem = f"out of memory on {self.classifier.device.device}"
            if size == 1:
                raise RecordingError(f"{problem}, and the batch size is already 1")
            # Another batch may have lowered it further.
            self.classifier.capacity = min(self.classifier.capacity, size // 2)
            self.warn(f"{problem} with a batch of {size} windows; continuing with {size // 2}")
        return self.classifier.collect(passes)

    def _start_pass(self, items: Sequence[tuple[Waveform, Window]], path: str) -> torch.Tensor:
        # Pinned memory, so that the copy to a GPU overlaps the pass before.
        stacks = list(_stack_equal_lengths(items, pin=self.classifier.device.device.type == "cuda"))
        if self.fill == REPEAT:
            stacks = [repeat(stack, self.filter_banks.front_end.limit_values) for stack in stacks]
        # One pass at a time: two would need twice the memory.
        with self._starting:
            parts = [self.filter_banks(stack) for stack in stacks]
            inputs = parts[0] if len(parts) == 1 else torch.cat(parts)
            del parts
            return self.classifier.begin(inputs, self._count_frames(items[0][1]), path)

    def _count_frames(self, chunk: Window) -> int:
        """Return how many frames of the model's input aren't padding, or count as recorded."""
        front_end = self.filter_banks.front_end
        frames = front_end.count_frames(chunk.length)
        if self.windows.boundaries == SOUND:
            # Counting some padding as recorded is exact. Otherwise, each window would need a pass of its own.
            frames = -(-frames // PASS_FRAMES) * PASS_FRAMES
        return front_end.max_frames if self.fill == REPEAT else min(frames, front_end.max_frames)

    def decide(self, known: PartialLogits) -> LabeledRecording:
        """Return the labels of a recording. None of its logits may be missing."""
        prepared, logits = known.prepared, known.logits
        scores = score_labels(logits, prepared.chunk_counts, self.decisions)
        labeled = label_recording(
            prepared.recording_id, prepared.name, prepared.value_rate_hz, prepared.layout, prepared.chunk_counts,
            scores, self.decisions, known.mode,
        )  # fmt: skip
        labeled = replace(labeled, content=prepared.content)
        if not self.explain:
            return labeled
        return replace(labeled, evidence=explain(labeled.segments, prepared, logits, self.decisions, self.class_names))


def measure_level_dbfs(waveform: Waveform) -> float:
    """Return the RMS level in dBFS, 20·log10(RMS) for full scale 1.0, as a float32; −infinity for digital silence."""
    # Block by block: the squares, in float64, would take twice the memory of the waveform.
    blocks = (waveform[start : start + SQUARED_VALUES] for start in range(0, len(waveform), SQUARED_VALUES))
    mean = sum(float(np.square(block, dtype=np.float64).sum()) for block in blocks) / len(waveform)
    return float(np.float32(10 * math.log10(mean))) if mean > 0 else -math.inf


def _stack_equal_lengths(items: Sequence[tuple[Waveform, Window]], pin: bool) -> Iterator[torch.Tensor]:
    """Yield stacks of the spans of consecutive items of equal length. Shape of each: `(count, values)`.

    With `pin`, they are in pinned memory, which a GPU copies from by itself.
    """
    for length, group in itertools.groupby(items, key=lambda item: item[1].length):
        spans = [waveform[span.start : span.end] for waveform, span in group]
        stack = torch.empty((len(spans), length), dtype=torch.float32, pin_memory=pin)
        np.stack(spans, out=stack.numpy())
        yield stack
