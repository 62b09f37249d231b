"""What a long run in fast mode takes with its audit, computed from measured seconds a window."""

from __future__ import annotations

import math
from dataclasses import dataclass

from block.labeling.agreement import OPENING_WINDOWS, SHARE

WINDOWS = 5000
RECOMPUTED_SHARES = (0.0, 0.01, 0.02)
FORMULA = (
    f"n·f + {OPENING_WINDOWS}·g + (a + m·(n − a))·e seconds: n windows; f and e seconds a window of the fast path and "
    "of exact, as measured; g those of the other fast paths, which the opening audit tries too; a audited, "
    f"{OPENING_WINDOWS} and {SHARE:.0%} of the rest; m recomputed for margins"
)


@dataclass(frozen=True)
class LongRun:
    """A run of `windows` windows on fast path `path`, of which `recomputed_share` were computed again for margins.

    `ratio` is how many times longer transformers' pipeline takes for these windows.
    """

    path: str
    windows: int
    audited: int
    recomputed_share: float
    seconds: float
    ratio: float


def audited_windows(windows: int) -> int:
    """How many of so many windows the audit computes exactly: the first 64, then 1 % of the rest."""
    opening = min(windows, OPENING_WINDOWS)
    return opening + math.ceil(SHARE * (windows - opening))


def long_run(
    path: str, fast_s: float, exact_s: float, transformers_s: float, others_s: float = 0.0,
    recomputed_share: float = 0.0, windows: int = WINDOWS,
) -> LongRun:  # fmt: skip
    """The run by `FORMULA`. All `_s` are seconds a window; `others_s` adds up those of other fast paths tried."""
    audited = audited_windows(windows)
    opening = min(windows, OPENING_WINDOWS)
    exact = audited + recomputed_share * (windows - audited)
    seconds = windows * fast_s + opening * others_s + exact * exact_s
    return LongRun(path, windows, audited, recomputed_share, seconds, windows * transformers_s / seconds)
