"""One recording in, its segments out: the only place that composes windows, features, model and decisions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import torch

from block.decisions import Scores, is_silent, label_recording, score_labels
from block.explanation import evidence
from block.labeling.partial_logits import PartialLogits
from block.model.classifier import MERGED, Classifier, Logits, is_out_of_memory
from block.model.features import FilterBanks, repeat
from block.recording import LabeledRecording, Recording, RecordingError, Waveform, Window
from block.resampling import RATIO_TOLERANCE
from block.settings import EXACT, PAD, REPEAT, DecisionSettings, Fill, WindowSettings
from block.windows import Prepared, lay_out_ms, pieces, slice_at_model_rate

SQUARED_VALUES = 1 << 20


@dataclass(frozen=True, eq=False)
class Decided:
    """A recording's labels and the logits of its pieces that they were decided by, shape `(pieces, classes)`."""

    labeled: LabeledRecording
    logits: Logits


@dataclass(frozen=True)
class ExactLabeler:
    """Labels recordings with one classifier and one set of settings.

    `prepare` may run in other threads; `label` may not. `warn` is told of what a user should know, in words.
    `filling` is what the model hears behind a piece that is shorter than its input: nothing, or the piece again. With
    `explain`, labels come with what speaks for them.
    """

    classifier: Classifier
    filter_banks: FilterBanks
    windows: WindowSettings
    decisions: DecisionSettings
    warn: Callable[[str], None]
    filling: Fill = field(default=PAD, kw_only=True)
    explain: bool = field(default=False, kw_only=True)

    mode: ClassVar[str] = EXACT
    startup_s: ClassVar[float] = 0.0
    fast_ids: ClassVar[tuple[int, ...]] = ()
    fell_back: ClassVar[bool] = False

    @property
    def batch_windows(self) -> int:
        """How many pieces a batch that several recordings share aims for."""
        return self.classifier.batch_windows

    @property
    def paths(self) -> tuple[str, ...]:
        """The classifier's ways to the logits, the exact one first, without those that save nothing here."""
        # Merging padding where there is none is the exact path by another name.
        return tuple(path for path in self.classifier.paths if not (path == MERGED and self.filling == REPEAT))

    def report(self) -> list[str]:
        """Return nothing: there is no audit."""
        return []

    def prepare(self, recording: Recording) -> Prepared:
        """Lay out the windows of `recording`. Raises RecordingError if it cannot be labelled."""
        front_end = self.filter_banks.front_end
        layout = lay_out_ms(recording.values, recording.value_rate_hz, self.windows.size_ms, self.windows.stride_ms)
        rate_hz = recording.rate_hz * recording.ratio
        if abs(rate_hz / front_end.rate_hz - 1) > RATIO_TOLERANCE:
            raise ValueError(f"a waveform at {float(rate_hz):g} Hz; the model hears {front_end.rate_hz} Hz")
        waveform, ratio = recording.waveform, recording.ratio * recording.stretch
        spans: list[Window] = []
        counts: list[int] = []
        levels: list[float] = []
        for window in layout.windows:
            heard = slice_at_model_rate(window, ratio, len(waveform), front_end.frame_values)
            if heard.length < front_end.frame_values:
                raise RecordingError(
                    f"a window of {heard.length} values at {front_end.rate_hz} Hz; at least "
                    f"{front_end.frame_values} are needed"
                )
            levels.append(level_dbfs(waveform[heard.start : heard.end]))
            if is_silent(levels[-1], self.decisions):
                counts.append(0)
                continue
            parts = list(pieces(heard.length, front_end.limit_values))
            spans += [Window(heard.start + part.start, heard.start + part.end) for part in parts]
            counts.append(len(parts))
        return Prepared(
            recording.id, recording.name, recording.seconds, recording.value_rate_hz,
            layout, waveform, tuple(spans), tuple(counts), np.array(levels, np.float32), recording.content,
        )  # fmt: skip

    def label(self, batch: Sequence[Prepared]) -> list[LabeledRecording]:
        """Label recordings whose windows share forward passes. Raises RecordingError if one cannot be labelled."""
        return [judged.labeled for judged in self.judge(batch)]

    def judge(self, batch: Sequence[Prepared]) -> list[Decided]:
        """As `label`, with the logits."""
        logits = self.logits(batch)
        ends = np.cumsum([len(prepared.pieces) for prepared in batch])
        parts = np.split(logits, ends[:-1])
        return [
            Decided(self.decide(prepared, self.scores(part, prepared.piece_counts), logits=part), part)
            for prepared, part in zip(batch, parts, strict=True)
        ]

    def complete(self, batch: Sequence[PartialLogits]) -> list[LabeledRecording]:
        """Compute the pieces that are missing, of all recordings together, and label."""
        items = [(one.prepared.waveform, one.prepared.pieces[at]) for one in batch for at in one.missing]
        ends = np.cumsum([len(one.missing) for one in batch])
        if items:
            for one, logits in zip(batch, np.split(self.logits_of(items), ends[:-1]), strict=True):
                one.complete(logits)
        return [self.decide_known(one) for one in batch]

    def logits(self, batch: Sequence[Prepared], path: str = EXACT) -> Logits:
        """Logits of all pieces of the batch, in order. Shape: `(pieces, classes)`, float32."""
        return self.logits_of([(prepared.waveform, piece) for prepared in batch for piece in prepared.pieces], path)

    def logits_of(self, items: Sequence[tuple[Waveform, Window]], path: str = EXACT) -> Logits:
        """Logits of spans of waveforms. Shape: `(len(items), classes)`, float32.

        One forward pass if the memory budget allows, else passes of equal size; a path other than the exact one
        takes spans of equal length together. After running out of memory the size is halved for the rest of the run;
        RecordingError if not even one span fits.
        """
        order = range(len(items)) if path == EXACT else sorted(range(len(items)), key=lambda at: items[at][1].length)
        logits = np.empty((len(items), len(self.classifier.checkpoint.class_names)), np.float32)
        for _, group in itertools.groupby(
            order, key=lambda at: None if path == EXACT else self._recorded(items[at][1])
        ):
            places = list(group)
            logits[places] = self._logits_in_passes([items[at] for at in places], path)
        if not np.isfinite(logits).all():
            raise RecordingError("the model gave scores that are not finite numbers")
        return logits

    def _logits_in_passes(self, items: Sequence[tuple[Waveform, Window]], path: str) -> Logits:
        begun: list[torch.Tensor] = []
        position = 0
        while position < len(items):
            left = len(items) - position
            size = math.ceil(left / math.ceil(left / self.classifier.capacity))
            try:
                begun.append(self._begin(items[position : position + size], path))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            else:
                position += size
                continue
            # Out of the except clause, so that the traceback no longer holds on to the tensors.
            self.classifier.free_memory()
            problem = f"out of memory on {self.classifier.device.device} with a batch of {size} windows"
            if size == 1:
                raise RecordingError(f"{problem}, and a smaller one there is not")
            self.classifier.capacity = size // 2
            self.warn(f"{problem}; going on with {size // 2}")
        return self.classifier.collect(begun)

    def _begin(self, items: Sequence[tuple[Waveform, Window]], path: str) -> torch.Tensor:
        stacks = _equal_lengths(items)
        if self.filling == REPEAT:
            stacks = (repeat(stack, self.filter_banks.front_end.limit_values) for stack in stacks)
        inputs = torch.cat([self.filter_banks(stack) for stack in stacks])
        return self.classifier.begin(inputs, self._recorded(items[0][1]), path)

    def _recorded(self, piece: Window) -> int:
        """How many frames of the model's input are not padding."""
        front_end = self.filter_banks.front_end
        return front_end.max_frames if self.filling == REPEAT else front_end.count_frames(piece.length)

    def scores(self, logits: Logits, piece_counts: Sequence[int]) -> Scores:
        """Scores of windows, shape `(windows, labels of interest)`, from logits of their pieces; 0 for silent ones."""
        return score_labels(logits, piece_counts, self.decisions)

    def decide_known(self, known: PartialLogits) -> LabeledRecording:
        """Return the recording's segments from logits of which none is missing."""
        prepared, logits = known.prepared, known.heard
        return self.decide(prepared, self.scores(logits, prepared.piece_counts), known.mode, logits)

    def decide(
        self, prepared: Prepared, scores: Scores, mode: str = EXACT, logits: Logits | None = None
    ) -> LabeledRecording:
        """The recording's segments from the scores of its windows, shape `(windows, labels)`, 0 for silent ones.

        `logits` are those of its pieces, from which these scores come; without them nothing is explained.
        """
        labeled = label_recording(
            prepared.recording_id, prepared.name, prepared.value_rate_hz, prepared.layout, prepared.piece_counts,
            scores, self.decisions, mode,
        )  # fmt: skip
        if not self.explain or logits is None:
            return labeled
        spoke = evidence(
            labeled.segments, prepared.layout, prepared.piece_counts, logits, prepared.levels_dbfs, self.decisions,
            self.classifier.checkpoint.class_names,
        )  # fmt: skip
        return replace(labeled, evidence=spoke)


def level_dbfs(waveform: Waveform) -> float:
    """The RMS level in dBFS, 20·log10(RMS) with full scale 1.0, rounded to float32; −infinity for digital silence."""
    # In parts: the squares of an hour would take twice the room of the hour.
    parts = (waveform[start : start + SQUARED_VALUES] for start in range(0, len(waveform), SQUARED_VALUES))
    mean = sum(float(np.square(part, dtype=np.float64).sum()) for part in parts) / len(waveform)
    return float(np.float32(10 * math.log10(mean))) if mean > 0 else -math.inf


def _equal_lengths(items: Sequence[tuple[Waveform, Window]]) -> Iterator[torch.Tensor]:
    """The items' spans of waveform, neighbours of one length stacked. Shape of each: `(count, values)`."""
    start = 0
    for end in range(1, len(items) + 1):
        if end == len(items) or items[end][1].length != items[start][1].length:
            yield torch.from_numpy(np.stack([waveform[span.start : span.end] for waveform, span in items[start:end]]))
            start = end
