"""Check a faster path against the exact one, block by block: which windows to compute both ways, and when to stop.

Every block of about 500 windows has a sample of its own, and its labels are posted only after the sample is checked:

- A uniform share: each window is drawn with the same probability, by a hash of its recording, its number and a seed.
  So the same windows are drawn in any order and by any worker, and what they show holds for all windows, however alike
  the windows of a recording are.
- Strata: more windows where the path is likelier to be wrong. Half are those closest to another label, half those that
  sound like the labels with the fewest audited windows so far.
- A larger draw, if any of these disagree. It continues until the test below has decided.

The test is a CUSUM: the sum of log likelihood ratios, never below 0, of a path that disagrees far too often against one
that agrees well enough (Page 1954, https://doi.org/10.2307/2333009). It forgets a long good past at once.

Pure functions on arrays: no torch and no I/O.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

OPENING_WINDOWS = 40
BLOCK_WINDOWS = 500
UNIFORM_SHARE = 0.02
SHARE = 0.027  # with the strata
LARGER_DRAW = 28
# As odds, relative to the odds of disagreement that `min_agreement` allows: 0.75 % and 10 % for 0.99.
GOOD_ODDS, BAD_ODDS = 0.75, 11.0
LIMIT = 4.5  # of the CUSUM

Windows = npt.NDArray[np.intp]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
NONE: Windows = np.zeros(0, dtype=np.intp)


def draw_number(recording_id: int, window: int, seed: int) -> float:
    """Return a number in [0, 1) that depends only on the arguments, so that every run audits the same windows."""
    digest = hashlib.blake2b(f"{seed}:{recording_id}:{window}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53  # as many bits as a float has


@dataclass(frozen=True, eq=False)
class AuditBlock:
    """The windows of a block that only the faster path has computed, in order. Shape of each array: `(windows,)`.

    `numbers` are those of `draw_number`. `margins` are the smallest score changes that would change the label. `heard`
    is the index of the label of interest that won or almost won, -1 for none. `is_settled` is True for windows
    whose label could change within the errors that are allowed for: these are computed exactly in any case.
    """

    numbers: Floats
    margins: Floats
    heard: npt.NDArray[np.intp]
    is_settled: Bools


@dataclass(frozen=True, eq=False)
class BlockSample:
    """The windows of a block that were checked, and whether each agreed. The first `uniform` are the uniform share."""

    windows: Windows
    agrees: Bools
    uniform: int

    @property
    def uniform_agreed(self) -> int:
        return int(self.agrees[: self.uniform].sum())


Check = Callable[[Windows], Bools]


@dataclass
class Audit:
    """The state of an audit over blocks. `has_failed` is True once the path must not be used any longer.

    `level` is the CUSUM. `windows` is the number of windows so far, `drawn` that of the draws, without the opening's;
    `drawn_by_label` counts those of strata by label. Shares are of all windows so far: what a block lacks, because it
    is small, or has too much, because of a larger draw, the strata of the next blocks even out.
    """

    min_agreement: float
    level: float = 0.0
    windows: int = 0
    drawn: int = 0
    drawn_by_label: Counter[int] = field(default_factory=Counter)

    @property
    def has_failed(self) -> bool:
        return self.level >= LIMIT

    def hold(self, block: AuditBlock, check: Check, opening: Windows = NONE) -> BlockSample:
        """Check a block: draw windows, and more of them if any disagree.

        `check` computes windows, given as indices into the block, exactly, and returns True for those that agree.
        `opening` are those of the opening audit; they count, and strata add only what is left of the share.
        """
        uniform = np.flatnonzero(block.numbers < UNIFORM_SHARE)
        self.windows += len(block.numbers)
        quota = round(SHARE * self.windows) - self.drawn
        opening = np.setdiff1d(opening, uniform)
        regular = np.concatenate([uniform, opening])
        windows = np.concatenate([regular, self._draw_strata(block, regular, quota - len(regular))])
        agrees = check(windows)
        self.count(agrees)
        order = np.argsort(block.numbers, kind="stable")
        left = order[~np.isin(order, windows)]
        while 0 < self.level < LIMIT and len(left):
            more, left = left[:LARGER_DRAW], left[LARGER_DRAW:]
            found = check(more)
            self.count(found)
            windows, agrees = np.concatenate([windows, more]), np.concatenate([agrees, found])
        self.drawn += len(windows) - max(0, min(len(opening), len(regular) - quota))
        return BlockSample(windows, agrees, len(uniform))

    def count(self, agrees: Bools) -> None:
        """Add windows, in order, to the CUSUM."""
        right, wrong = weigh(self.min_agreement)
        for one in agrees:
            self.level = max(0.0, self.level + (right if one else wrong))

    def _draw_strata(self, block: AuditBlock, taken: Windows, quota: int) -> Windows:
        """Draw up to `quota` windows: by turns the least audited label's, and the one closest to another label."""
        is_free = ~block.is_settled
        is_free[taken] = False
        left = [int(at) for at in np.argsort(block.margins, kind="stable") if is_free[at]]
        chosen: list[int] = []
        while left and len(chosen) < quota:
            at = left[0]
            if len(chosen) % 2 == 0:
                sounding = [one for one in left if block.heard[one] >= 0] or left
                at = min(sounding, key=lambda one: self.drawn_by_label[int(block.heard[one])])
                self.drawn_by_label[int(block.heard[at])] += 1
            left.remove(at)
            chosen.append(at)
        return np.array(chosen, dtype=np.intp)


def weigh(min_agreement: float) -> tuple[float, float]:
    """Return what a window that agrees adds to the CUSUM, 0 or less, and what one that doesn't adds, above 0."""
    if min_agreement <= 0:
        return 0.0, 0.0
    if min_agreement >= 1:
        return 0.0, math.inf
    odds = (1 - min_agreement) / min_agreement
    good, bad = (ratio * odds / (1 + ratio * odds) for ratio in (GOOD_ODDS, BAD_ODDS))
    return math.log((1 - bad) / (1 - good)), math.log(bad / good)
