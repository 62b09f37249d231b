"""A recording ready for the model: what passes from the threads that prepare to the one that labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from block.recording import Waveform, Window
from block.windows import Layout


@dataclass(frozen=True, eq=False)
class Prepared:
    """A recording ready for the model.

    `waveform` is at the model's rate; `pieces` are its spans to be heard, those of one window standing together;
    `piece_counts` has an entry a window, 0 for a window left out as silent; `levels_dbfs`, float32, is each window's
    RMS level. `content` is that of the recording.
    """

    recording_id: int
    name: str
    seconds: float
    value_rate_hz: Fraction
    layout: Layout
    waveform: Waveform
    pieces: tuple[Window, ...]
    piece_counts: tuple[int, ...]
    levels_dbfs: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    content: str = ""

    @property
    def size_bytes(self) -> int:
        return int(self.waveform.nbytes)
