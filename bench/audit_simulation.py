"""Simulate fast mode's audit: python -m bench.audit_simulation

This runs the audit itself, `block.labeling.audit`, on made-up windows, many times for each scenario: on some of the
windows the faster path gives another label than exact mode. The table says how often the audit falls back to exact
mode, how soon, what was posted until then, whether what it says at the end is true, and what it costs.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from block.labeling.agreement import Tally, compute_lower_bound
from block.labeling.audit import BLOCK_WINDOWS, OPENING_WINDOWS, Audit, AuditBlock, Bools, Windows

WINDOWS = 5000
RUNS = 2000
MIN_AGREEMENT = 0.99
LABELS = 12
HEARD_SHARE = 0.3  # of windows that sound like one of them

Random = np.random.Generator


@dataclass(frozen=True)
class Scenario:
    """Runs in which `draw` says which windows are wrong, from random numbers, their count and `change`.

    `has_change` is True if wrong windows become common at the window `change`: at the start of a block, or inside one
    with `is_inside`. A batch of `batch` windows is posted at once.
    """

    name: str
    draw: Callable[[Random, int, int], Bools]
    has_change: bool = False
    is_inside: bool = False
    windows: int = WINDOWS
    batch: int = BLOCK_WINDOWS


@dataclass(frozen=True)
class Outcome:
    """A simulated run. Windows `[0, posted)` were posted on the faster path, `wrong` of them with a wrong label.

    `bound` is the share of these that agree, at least, as the run says, and `audited` the number of all windows that
    the audit computed exactly. `change` is the window of the change.
    """

    has_fallen_back: bool
    posted: int
    wrong: int
    bound: float
    audited: int
    change: int
    windows: int

    @property
    def wrong_share(self) -> float:
        """The share of wrong labels among all labels of the run; after falling back, all are exact."""
        return self.wrong / self.windows

    @property
    def is_bound_true(self) -> bool:
        return self.posted == 0 or 1 - self.wrong / self.posted >= self.bound

    def falls_back_within(self, blocks: int) -> bool:
        """Return True if at most `blocks - 1` blocks were posted after the block of the change began."""
        start = self.change // BLOCK_WINDOWS * BLOCK_WINDOWS
        return self.has_fallen_back and self.posted < start + blocks * BLOCK_WINDOWS


def draw_evenly(share: float) -> Callable[[Random, int, int], Bools]:
    """Return windows of which `share` are wrong, anywhere."""
    return lambda random, windows, change: random.random(windows) < share


def changing(share: float) -> Callable[[Random, int, int], Bools]:
    """Return windows of which `share` are wrong from the change on."""
    return lambda random, windows, change: (random.random(windows) < share) & (np.arange(windows) >= change)


def draw_in_bursts(share: float, length: int, within: float) -> Callable[[Random, int, int], Bools]:
    """Return windows of recordings with `length` windows: in some, `within` are wrong, so that `share` of all are."""

    def draw(random: Random, windows: int, change: int) -> Bools:
        recordings = random.random(windows // length) < share / within
        return np.repeat(recordings, length) & (random.random(windows) < within)

    return draw


def drifting(random: Random, windows: int, change: int) -> Bools:
    """Return windows of which more and more are wrong, up to 10 % at the end."""
    return random.random(windows) < np.linspace(0, 0.1, windows)


SCENARIOS = (
    Scenario("never wrong", draw_evenly(0)),
    Scenario("0.5 % wrong", draw_evenly(0.005)),
    Scenario("1 % wrong", draw_evenly(0.01)),
    Scenario("1 % wrong, batches of 60 windows", draw_evenly(0.01), batch=60),
    Scenario("30 % wrong after 500 of 1,000 windows", changing(0.3), True, windows=1000),
    Scenario("30 % wrong from some block on", changing(0.3), True),
    Scenario("30 % wrong from inside a block on", changing(0.3), True, is_inside=True),
    Scenario("10 % wrong from some block on", changing(0.1), True),
    Scenario("10 % wrong, batches of 60 windows", changing(0.1), True, batch=60),
    Scenario("10 % wrong at the end, slowly rising", drifting),
    Scenario("0.5 % wrong, all in 0.5 % of recordings", draw_in_bursts(0.005, 50, 1.0)),
    Scenario("2 % wrong, a fifth of 10 % of recordings", draw_in_bursts(0.02, 50, 0.2)),
    Scenario("a sound in 0.8 % of windows, always missed", draw_evenly(0.008)),
)


def simulate(scenario: Scenario, random: Random) -> Outcome:
    """Run the audit once."""
    windows = scenario.windows
    change = 0
    if scenario.has_change:
        change = int(random.integers(1, windows // BLOCK_WINDOWS)) * BLOCK_WINDOWS
        change += int(random.integers(BLOCK_WINDOWS)) if scenario.is_inside else 0
    is_wrong = scenario.draw(random, windows, change)
    numbers, margins = random.random(windows), random.random(windows)
    heard = np.where(random.random(windows) < HEARD_SHARE, random.integers(LABELS, size=windows), -1)
    audit = Audit(MIN_AGREEMENT)
    sampled = agreed = audited = posted = left = 0
    # The opening computes the first windows with the lowest numbers.
    first = min(max(scenario.batch, OPENING_WINDOWS), windows)
    opening = np.sort(np.argsort(numbers[:first])[:OPENING_WINDOWS])
    if Tally(len(opening), int((~is_wrong[opening]).sum())).upper_bound < MIN_AGREEMENT:
        return Outcome(True, 0, 0, 0.0, len(opening), change, windows)
    while posted < windows and not audit.has_failed:
        size = first if posted == 0 else scenario.batch
        at = np.arange(posted, min(posted + size, windows))
        done = opening - posted if posted == 0 else np.zeros(0, dtype=np.intp)
        block = AuditBlock(numbers[at], margins[at], heard[at], np.zeros(len(at), dtype=bool))

        def check(drawn: Windows, at: Windows = at) -> Bools:
            return ~is_wrong[at[drawn]]

        sample = audit.hold(block, check, done)
        audited += len(sample.windows)
        if audit.has_failed:
            break
        left += int(is_wrong[at].sum()) - int((~sample.agrees).sum())
        agreed += sample.uniform_agreed
        sampled += sample.uniform
        posted = int(at[-1]) + 1
    bound = _bound(agreed, sampled)
    return Outcome(audit.has_failed, posted, left, bound, audited, change, windows)


@functools.cache
def _bound(agreed: int, sampled: int) -> float:
    return compute_lower_bound(agreed, sampled)


@dataclass(frozen=True)
class Characteristics:
    """Shares of the runs of a scenario: that fall back, within one and two blocks, and whose bound is true.

    `wrong` is the mean share of wrong labels in a run, `wrong_95` what 95 % of the runs stay below. `cost` is the mean
    share of windows that the audit computed exactly, in runs that didn't fall back.
    """

    fell_back: float
    within_one: float
    within_two: float
    wrong: float
    wrong_95: float
    bound_true: float
    cost: float


def summarize(outcomes: Sequence[Outcome]) -> Characteristics:
    """Return the characteristics of simulated runs."""
    stayed = [one.audited / one.windows for one in outcomes if not one.has_fallen_back]
    wrong = np.array([one.wrong_share for one in outcomes])
    return Characteristics(
        float(np.mean([one.has_fallen_back for one in outcomes])),
        float(np.mean([one.falls_back_within(1) for one in outcomes])),
        float(np.mean([one.falls_back_within(2) for one in outcomes])),
        float(wrong.mean()),
        float(np.quantile(wrong, 0.95)),
        float(np.mean([one.is_bound_true for one in outcomes])),
        float(np.mean(stayed)) if stayed else float("nan"),
    )


def run(scenario: Scenario, runs: int, seed: int = 0) -> Characteristics:
    """Simulate `runs` runs of a scenario. The same seed gives the same results."""
    random = np.random.default_rng([seed, SCENARIOS.index(scenario)])
    return summarize([simulate(scenario, random) for _ in range(runs)])


def format_row(scenario: Scenario, found: Characteristics) -> str:
    """Return a row of the table in docs/fast-mode.md."""
    one, two = (f"{share:.1%}" if scenario.has_change else "" for share in (found.within_one, found.within_two))
    name = scenario.name.replace(" %", "%")
    cells = (
        name, f"{found.fell_back:.1%}", one, two, f"{found.wrong:.2%}", f"{found.wrong_95:.2%}",
        f"{found.bound_true:.1%}", "" if np.isnan(found.cost) else f"{found.cost:.1%}",
    )  # fmt: skip
    return "| " + " | ".join(cell.replace("%", " %") for cell in cells) + " |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=RUNS, help="runs per scenario (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(
        "| scenario | falls back | within one block | within two | wrong labels | 95 % of runs below | bound true | "
        "cost |\n|---|---|---|---|---|---|---|---|"
    )
    for scenario in SCENARIOS:
        print(format_row(scenario, run(scenario, options.runs, options.seed)), flush=True)


if __name__ == "__main__":
    main()
