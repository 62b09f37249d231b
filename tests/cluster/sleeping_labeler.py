"""A labeler whose model sleeps. It has its own module because it imports torch, which the driver doesn't need."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from block.labeling.labeler import ExactLabeler
from block.model.classifier import Outputs
from block.recording import Waveform, Window
from block.settings import EXACT


@dataclass(frozen=True)
class SleepingLabeler(ExactLabeler):
    """An `ExactLabeler` whose model sleeps `SLEEP_S_A_WINDOW` seconds per window and recognizes nothing."""

    def compute_outputs(self, items: Sequence[tuple[Waveform, Window]], path: str = EXACT) -> Outputs:
        time.sleep(float(os.environ["SLEEP_S_A_WINDOW"]) * len(items))
        return np.full((len(items), len(self.classifier.checkpoint.class_names)), -4, np.float32)
