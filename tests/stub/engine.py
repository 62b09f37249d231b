"""A stub for `block.labeling.engine`: its labeler runs no model and always gives the same labels.

A recording's cells get the first label of interest and the other label in turn; which of them comes first depends on
the recording's content. `STUB_SECONDS_PER_WINDOW` makes the labeler as slow as a model.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from block.labeling.job import Job
from block.labeling.progress import Progress
from block.recording import LabeledRecording, Recording, Segment
from block.windows import PreparedRecording, lay_out_windows_ms


@dataclass
class StubLabeler:
    """Label in batches, as `block.labeling.labeler.ExactLabeler` does. `hear` is called with each batch."""

    job: Job
    hear: Callable[[Sequence[PreparedRecording]], None] = lambda batch: None
    batch_windows: int = 8
    batches_at_once: int = 1
    startup_s: float = 0.0
    fast_ids: tuple[int, ...] = ()
    has_fallen_back: bool = False

    def describe_audit(self) -> list[str]:
        return []

    def prepare(self, recording: Recording) -> PreparedRecording:
        windows = self.job.windows
        layout = lay_out_windows_ms(recording.values, recording.value_rate_hz, windows.size_ms, windows.stride_ms)
        return PreparedRecording(
            recording.id, recording.name, recording.seconds, recording.value_rate_hz, layout, recording.waveform,
            tuple(layout.windows), (1,) * len(layout.windows), content=recording.content,
        )  # fmt: skip

    def label(self, batch: Sequence[PreparedRecording]) -> list[LabeledRecording]:
        time.sleep(float(os.environ.get("STUB_SECONDS_PER_WINDOW", "0")) * sum(len(one.chunks) for one in batch))
        self.hear(batch)
        return [self._labeled(one) for one in batch]

    def _labeled(self, one: PreparedRecording) -> LabeledRecording:
        decisions = self.job.decisions
        names = (decisions.labels[0].name, decisions.other_label)
        first = zlib.crc32(one.waveform.tobytes())
        segments = tuple(
            Segment(cell.start, cell.end, names[(first + at) % 2], 0.5) for at, cell in enumerate(one.layout.cells)
        )
        return LabeledRecording(
            one.recording_id, one.name, one.layout.values, one.seconds, segments, len(one.layout.windows)
        )  # fmt: skip


@dataclass
class StubEngine:
    """The parts of `block.labeling.engine.Engine` that exact runs without a score store need."""

    job: Job
    device: Any
    digest: str

    def load_labeler(
        self, progress: Progress, stored: bool = False, explain: bool = False, exact_only: bool = False
    ) -> StubLabeler:
        return StubLabeler(self.job)


def start(job: Job) -> StubEngine:
    print("device: none (a stub)")
    device = SimpleNamespace(dtype_name="float32", device=SimpleNamespace(type="cpu"))
    return StubEngine(job, device, job.checkpoint.sha256())
