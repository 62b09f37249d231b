"""A labeler whose model sleeps. In a module of its own because it imports torch, which the driver does without."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from block.labeling.labeler import ExactLabeler
from block.model.classifier import Logits
from block.recording import Waveform, Window
from block.settings import EXACT


@dataclass(frozen=True)
class Asleep(ExactLabeler):
    """As `ExactLabeler`, with a model that sleeps `SLEEP_S_A_WINDOW` seconds and hears nothing."""

    def compute_logits(self, items: Sequence[tuple[Waveform, Window]], path: str = EXACT) -> Logits:
        time.sleep(float(os.environ["SLEEP_S_A_WINDOW"]) * len(items))
        return np.full((len(items), len(self.classifier.checkpoint.class_names)), -4, np.float32)
