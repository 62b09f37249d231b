"""Estimate how well a faster path agrees with the exact one, from windows computed both ways."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

OPENING_WINDOWS = 64
SHARE = 0.01  # of the windows after the opening audit
BLOCK_WINDOWS = 500
CONFIDENCE = 0.95
BISECTIONS = 50


def draw_number(recording_id: int, window: int, seed: int) -> float:
    """Return a number in [0, 1) that depends only on the arguments, so that every run audits the same windows."""
    digest = hashlib.blake2b(f"{seed}:{recording_id}:{window}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53  # as many bits as a float has


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
            f"{self.agreed} of {self.windows} audited windows got the same label ({self.heard_agreed} of {self.heard} "
            f"with a label of interest), so at least {self.lower_bound * 100:.1f} % of all windows do with 95 % "
            f"confidence; largest score difference {self.largest_error:.4f}"
        )


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


@dataclass(frozen=True)
class Trial:
    """How one path did in the opening audit: `seconds` per window, and the share `near` of windows to recompute."""

    path: str
    tally: Tally
    seconds: float
    near: float

    def cost(self, exact_seconds: float) -> float:
        """Return the seconds per window by this path, including audits and recomputed windows."""
        return self.seconds + (SHARE + self.near) * exact_seconds


def choose_fastest(trials: Sequence[Trial], exact_seconds: float, min_agreement: float) -> Trial | None:
    """Return the cheapest path that may reach `min_agreement`, or None if none is cheaper than the exact one."""
    passed = [trial for trial in trials if trial.tally.upper_bound >= min_agreement]
    best = min(passed, key=lambda trial: trial.cost(exact_seconds), default=None)
    return best if best is not None and best.cost(exact_seconds) < exact_seconds else None
