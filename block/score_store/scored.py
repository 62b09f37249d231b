"""One recording's logits, and what else its labels can be decided from without its audio."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

HEX_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, eq=False)
class Scored:
    """One recording's logits.

    `content` is the SHA-256 of the file's bytes in hexadecimal. The recording has `values` values at `value_rate_hz`.
    `piece_counts` has an entry a window, 0 for one that was left out as silent; `levels_dbfs`, float32 of shape
    `(windows,)`, is each window's RMS level, full scale 0. `logits`, float32 of shape `(pieces, classes)`: the pieces
    of one window stand together. `mode` is as in `LabeledRecording`. Raises ValueError where these do not fit.
    """

    content: str
    values: int
    value_rate_hz: Fraction
    piece_counts: tuple[int, ...]
    levels_dbfs: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float32]
    mode: str = "exact"

    def __post_init__(self) -> None:
        if not HEX_SHA256.fullmatch(self.content):
            raise ValueError(f"the content is {self.content!r}; expected a SHA-256 in hexadecimal")
        if self.logits.ndim != 2 or len(self.logits) != sum(self.piece_counts):
            raise ValueError(f"logits of shape {self.logits.shape} for {sum(self.piece_counts)} pieces")
        if self.levels_dbfs.shape != (len(self.piece_counts),):
            raise ValueError(f"levels of shape {self.levels_dbfs.shape} for {len(self.piece_counts)} windows")
        for name, array in (("logits", self.logits), ("levels", self.levels_dbfs)):
            _check_float32(name, array)

    @property
    def windows(self) -> int:
        return len(self.piece_counts)

    @property
    def pieces(self) -> int:
        return len(self.logits)


def _check_float32(name: str, array: npt.NDArray[Any]) -> None:
    if array.dtype != np.float32:
        raise ValueError(f"{name} are {array.dtype}; expected float32")
