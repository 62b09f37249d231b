"""Compute how long a long run in fast mode takes, audit included, from measured seconds per window."""

from __future__ import annotations

import math
from dataclasses import dataclass

from block.labeling.audit import BLOCK_WINDOWS, OPENING_WINDOWS, SHARE

WINDOWS = 5000
RECOMPUTED_SHARES = (0.0, 0.01, 0.02)
FORMULA = (
    f"n·f + {OPENING_WINDOWS}·g + (a + m·(n − a))·e seconds for n windows; f and e are the measured seconds per window "
    "of the fast path and of exact, g those of the other fast paths, which the opening audit also tries; a windows are "
    f"audited, {OPENING_WINDOWS} of the first {BLOCK_WINDOWS} and {SHARE:.1%} of the rest; m is the share recomputed"
    " for margins"
)


@dataclass(frozen=True)
class LongRun:
    """A run of `windows` windows on the fast path `path`; `recomputed_share` of them were recomputed for margins.

    `ratio` is how many times as long transformers' pipeline takes for these windows.
    """

    path: str
    windows: int
    audited: int
    recomputed_share: float
    seconds: float
    ratio: float


def count_audited(windows: int) -> int:
    """Return how many of `windows` windows the audit computes exactly, if they agree: the opening, then 2.7 %."""
    return min(windows, OPENING_WINDOWS) + math.ceil(SHARE * max(0, windows - BLOCK_WINDOWS))


def compute_long_run(
    path: str, fast_s: float, exact_s: float, transformers_s: float, others_s: float = 0.0,
    recomputed_share: float = 0.0, windows: int = WINDOWS,
) -> LongRun:  # fmt: skip
    """Return the run by `FORMULA`. All `_s` are seconds per window; `others_s` is the sum of the other fast paths."""
    audited = count_audited(windows)
    opening = min(windows, OPENING_WINDOWS)
    exact = audited + recomputed_share * (windows - audited)
    seconds = windows * fast_s + opening * others_s + exact * exact_s
    return LongRun(path, windows, audited, recomputed_share, seconds, windows * transformers_s / seconds)
