"""Training targets for a window: the teacher's scores, corrected by what is known for certain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .arrays import Bools, Floats
from .labels import Labels

# Weights in the softmax target, before it is scaled to sum to one.
LEAD = 4.0  # speech or music that is certainly present
SURE = 2.0  # any other class that is certainly present
DETAIL = 0.7  # a certain class next to speech or music, such as an instrument
PARENT = 0.3  # an ancestor of a certain class
TAUGHT = 0.6  # the teacher's probability, raised to the power 1.5


@dataclass(frozen=True)
class Target:
    """The target for one window. All arrays have shape (527,), float32."""

    presence: Floats  # probability that each class is heard, for the sigmoid reading
    share: Floats  # a distribution over the classes (or less than one), for the softmax reading
    absent: Floats  # 1 where a class is certainly absent: speech and music only


class TargetMaker:
    """Combine true labels and the teacher's scores into targets."""

    def __init__(self, labels: Labels) -> None:
        self._columns = labels.teacher_columns()
        self._speech, self._music, self._silence = (labels.index(name) for name in ("Speech", "Music", "Silence"))
        self._ancestors = np.stack([labels.vector((name,)) for name in labels.names]) > 0
        self._size = len(labels.names)

    def __call__(self, taught: Floats, sure: Bools, clean: bool, certain: bool) -> Target:
        """Return one window's target.

        taught: the teacher's probabilities, (521,). sure: classes certainly in the window, (527,) bool.
        clean: neither speech nor music is in the recording. certain: no sound was cut so short that `sure` may be
        incomplete.
        """
        presence = np.zeros(self._size, dtype=np.float32)
        presence[self._columns] = taught
        speech, music = sure[self._speech], sure[self._music]
        absent = np.zeros(self._size, dtype=np.float32)
        for index, there, other in ((self._speech, speech, music), (self._music, music, speech)):
            # An outdoor recording may have voices in the background, so a confident teacher wins.
            if not there and certain and (other or clean) and presence[index] < 0.5:
                absent[index] = 1.0
                presence[index] = 0.0
        if sure[self._silence]:
            presence[:] = 0.0
            absent[[self._speech, self._music]] = 1.0
        parents = self._ancestors[sure].any(axis=0) & ~sure if sure.any() else np.zeros(self._size, dtype=bool)
        parents[[self._speech, self._music]] = False
        weight = TAUGHT * presence**1.5
        presence[parents] = np.maximum(presence[parents], 0.6)
        presence[sure] = np.maximum(presence[sure], 0.9)
        weight[parents] = np.maximum(weight[parents], PARENT)
        weight[sure] = np.maximum(weight[sure], DETAIL if speech or music else SURE)
        weight[[self._speech, self._music]] = np.where(
            sure[[self._speech, self._music]], LEAD, weight[[self._speech, self._music]]
        )
        return Target(presence, weight / max(float(weight.sum()), 0.5), absent)
