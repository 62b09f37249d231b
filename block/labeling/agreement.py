"""Estimate how well a faster path agrees with the exact one, from windows computed both ways."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

CONFIDENCE = 0.95
BISECTIONS = 50


@dataclass(frozen=True)
class Tally:
    """How well a path agrees with the exact one on audited windows.

    `agreed` of `windows` got the same label. In `heard` of them, either path found a label of interest; `heard_agreed`
    of these got the same label. `largest_error` is the largest difference between scores of a label of interest, in
    0…1.
    """

    windows: int = 0
    agreed: int = 0
    heard: int = 0
    heard_agreed: int = 0
    largest_error: float = 0.0

    def add_window(self, exact: str, fast: str, other: str, error: float) -> Tally:
        """Add a window with labels `exact` and `fast` and scores that differ by `error`; `other` means none found."""
        same, heard = exact == fast, exact != other or fast != other
        return replace(
            self,
            windows=self.windows + 1,
            agreed=self.agreed + same,
            heard=self.heard + heard,
            heard_agreed=self.heard_agreed + (same and heard),
            largest_error=max(self.largest_error, error),
        )

    @property
    def lower_bound(self) -> float:
        """The share of windows that agree, at least, with 95 % confidence."""
        return compute_lower_bound(self.agreed, self.windows)

    @property
    def upper_bound(self) -> float:
        """The share of windows that agree, at most, with 95 % confidence."""
        return 1 - compute_lower_bound(self.windows - self.agreed, self.windows)

    def __str__(self) -> str:
        return (
            f"{self.agreed} of {self.windows} windows got the same label ({self.heard_agreed} of {self.heard} with a "
            f"label of interest); largest score difference {self.largest_error:.4f}"
        )


@functools.cache
def compute_lower_bound(successes: int, trials: int) -> float:
    """Return the exact one-sided 95 % lower confidence bound on a share, in 0…1, from `successes` in `trials`.

    This is the p for which at least as many successes have a probability of 5 % (Clopper and Pearson 1934,
    https://doi.org/10.1093/biomet/26.4.404), or 0 without successes.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes in {trials} trials")
    if successes == 0:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        p = (low + high) / 2
        low, high = (p, high) if _tail_probability(successes, trials, p) < 1 - CONFIDENCE else (low, p)
    return low


def _tail_probability(successes: int, trials: int, p: float) -> float:
    """Return the probability of at least `successes` in `trials` independent trials, each with probability `p`."""

    def log_probability(k: int) -> float:
        choices = math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
        return choices + k * math.log(p) + (trials - k) * math.log1p(-p)

    return math.fsum(math.exp(log_probability(k)) for k in range(successes, trials + 1))
