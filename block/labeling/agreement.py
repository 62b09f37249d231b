"""Does a faster path give the same labels? Which windows are asked both ways, and what can be said from these."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

OPENING_WINDOWS = 64
SHARE = 0.01  # of the windows after the opening
BLOCK_WINDOWS = 500
CONFIDENCE = 0.95
BISECTIONS = 50


def draw_number(recording_id: int, window: int, seed: int) -> float:
    """A number in 0…1, exclusive of 1, that depends on nothing else: a window is audited in every run or in none."""
    digest = hashlib.blake2b(f"{seed}:{recording_id}:{window}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53  # as many bits as a float holds


@dataclass(frozen=True)
class Tally:
    """What audited windows say of one path against the exact one.

    `agreed` of `windows` got the same label; of those where either way found a label of interest, `heard_agreed` of
    `heard`. `largest_error` is the largest difference of any score of a label of interest, in 0…1.
    """

    windows: int = 0
    agreed: int = 0
    heard: int = 0
    heard_agreed: int = 0
    largest_error: float = 0.0

    def and_window(self, exact: str, fast: str, other: str, error: float) -> Tally:
        """With one more window, labelled `exact` and `fast` by the two ways, `error` apart; `other`: nothing found."""
        same, heard = exact == fast, exact != other or fast != other
        return replace(
            self, windows=self.windows + 1, agreed=self.agreed + same, heard=self.heard + heard,
            heard_agreed=self.heard_agreed + (same and heard), largest_error=max(self.largest_error, error),
        )  # fmt: skip

    @property
    def lower_bound(self) -> float:
        """The share of windows that agree is at least this, with 95 % confidence."""
        return compute_lower_bound(self.agreed, self.windows)

    @property
    def upper_bound(self) -> float:
        """The share of windows that agree is at most this, with 95 % confidence."""
        return 1 - compute_lower_bound(self.windows - self.agreed, self.windows)

    def __str__(self) -> str:
        return (
            f"{self.agreed} of {self.windows} audited windows got the same label ({self.heard_agreed} of {self.heard} "
            f"of those where either way found a label of interest), so at least {self.lower_bound * 100:.1f} % of all "
            f"do with 95 % confidence; largest score difference {self.largest_error:.4f}"
        )


def compute_lower_bound(successes: int, trials: int) -> float:
    """The exact one-sided 95 % lower confidence bound on a share, in 0…1, of which `successes` of `trials` were seen.

    The p for which as many successes or more have a probability of 5 % (Clopper and Pearson 1934,
    https://doi.org/10.1093/biomet/26.4.404); 0 without successes.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes in {trials} trials")
    if successes == 0:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        p = (low + high) / 2
        low, high = (p, high) if _at_least(successes, trials, p) < 1 - CONFIDENCE else (low, p)
    return low


def _at_least(successes: int, trials: int, p: float) -> float:
    """The probability of `successes` or more in `trials` independent trials that succeed with probability `p`."""
    if p in (0.0, 1.0):
        return p
    logs = (
        math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
        + k * math.log(p) + (trials - k) * math.log1p(-p)
        for k in range(successes, trials + 1)
    )  # fmt: skip
    return math.fsum(map(math.exp, logs))


@dataclass(frozen=True)
class Trial:
    """How one path did in the opening audit: `seconds` a window, and the share `near` of windows to ask again."""

    path: str
    tally: Tally
    seconds: float
    near: float

    def cost(self, exact_seconds: float) -> float:
        """Seconds a window with this path, its continued audit and its windows near a threshold, computed exactly."""
        return self.seconds + (SHARE + self.near) * exact_seconds


def choose_fastest(trials: Sequence[Trial], exact_seconds: float, min_agreement: float) -> Trial | None:
    """The cheapest of the paths that may well agree as asked for; None where none is cheaper than the exact one."""
    passed = [trial for trial in trials if trial.tally.upper_bound >= min_agreement]
    best = min(passed, key=lambda trial: trial.cost(exact_seconds), default=None)
    return best if best is not None and best.cost(exact_seconds) < exact_seconds else None
