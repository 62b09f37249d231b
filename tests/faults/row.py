"""A row of the fault table: a fault and the expected outcome. Tests, the soak and the documentation share it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from tests.faults.layer import Closed, Effect, Fault
from tests.faults.stage import LENGTHS_S

TRIES = 5  # how often the block tries a call, by default
VICTIM = 3  # the sample that a fault affects, in rows where it affects only one
HUNDRED_S = (0.5,) * 100
MANY_S = (0.5,) * 40  # enough recordings that a run can end before it reaches them all
# A value for `Fault.after`: at most eight of the metadata calls are still open then, so some recordings are labeled.
SOME = 10


@dataclass(frozen=True)
class Times:
    """The time limits of a run and the durations of faults, in seconds: the defaults, or shorter ones for tests.

    `read_s` is how long to wait for the next bytes of an answer (in tests, also for a connection), `first_wait_s` the
    wait before the first retry, and `outage_s` how long Studio may be unreachable before the run ends. `asked_s` is
    the wait that a Retry-After header asks for, and `gap_s` the length of an outage that a run survives.
    """

    read_s: float
    first_wait_s: float
    outage_s: float
    asked_s: int
    gap_s: float


SHIPPED = Times(read_s=60, first_wait_s=1, outage_s=600, asked_s=3, gap_s=30)


@dataclass(frozen=True)
class Asked:
    """The expected number of calls about one sample (None: about all samples), at least and at most."""

    call: str
    least: int
    most: int
    sample: int | None = VICTIM


@dataclass(frozen=True)
class Row:
    """One fault, and what the block is expected to do about it.

    docs/faults.md quotes `happens`, `does` and `reports` word for word. `reports` is a line of the output, in which …
    stands for any text. If it is empty, the run must report no trouble.

    The recordings in `failed` must fail, and all others must get the labels of a run without faults. `leaves` is what
    Studio has for the failed ones afterward: nothing, the labels without their metadata, or all (only the answers were
    lost). Those in `keeps` have the labels that someone else gave them, and are skipped unless they fail. If the run
    `ends` early, timing decides which recordings fail and which the run never reaches.

    `job` is a preview job. `read_s` is the read timeout in tests. `patient` rows use a longer first retry wait in
    tests, so that even on a busy machine the outage is over before the retry.
    """

    group: str
    happens: str
    does: str
    reports: str
    faults: Callable[[Times], Sequence[Fault | Closed]]
    asked: tuple[Asked, ...] = ()
    code: int = 0
    failed: tuple[int, ...] = ()
    leaves: Literal["nothing", "labels", "all"] = "nothing"
    keeps: tuple[int, ...] = ()
    ends: bool = False
    lengths_s: tuple[float, ...] = LENGTHS_S
    job: int | None = None
    read_s: float = 10.0
    patient: bool = False
    or_reports: str = ""

    @property
    def slug(self) -> str:
        return re.sub(r"\W+", "-", self.happens.lower()).strip("-")

    @property
    def starts(self) -> bool:
        """Return True if the run gets as far as processing recordings."""
        return self.code != 2

    def pattern(self) -> re.Pattern[str]:
        """Return the pattern of the reported line."""
        lines = [self.reports, *([self.or_reports] if self.or_reports else [])]
        return re.compile("|".join(".*".join(map(re.escape, line.split("…"))) for line in lines))

    def short(self) -> Times:
        """Return the shorter times for tests."""
        return Times(
            self.read_s, first_wait_s=0.2 if self.patient else 0.005, outage_s=0.6 if self.ends else 20.0,
            asked_s=1, gap_s=0.3,
        )  # fmt: skip


def once(effect: Effect, call: str, times: int = 1, sample: int | None = VICTIM) -> Callable[[Times], list[Fault]]:
    """Apply `effect` to the first `times` calls."""
    return lambda _: [Fault(effect, (call,), sample, times)]


def always(effect: Effect, call: str, sample: int | None = VICTIM) -> Callable[[Times], list[Fault]]:
    """Apply `effect` to every call."""
    return lambda _: [Fault(effect, (call,), sample)]
