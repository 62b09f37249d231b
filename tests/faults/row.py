"""A row of the fault table: a fault and the expected outcome. Tests, the soak and the documentation share it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from tests.faults.layer import Closed, Effect, Fault
from tests.faults.stage import LENGTHS_S

TRIES = 5  # of a call, as shipped
VICTIM = 3  # the sample that is in trouble, where only one is
MANY_S = (0.5,) * 40  # lengths of recordings, for rows in which a run ends before it has reached them all
SOME = 6  # pieces of metadata sent, of which four at most wait for their answers: by then there are recordings done


@dataclass(frozen=True)
class Times:
    """The time limits of a run, in seconds: those shipped, or shorter ones in tests.

    `read_s` is how long an answer may keep silent (and, in tests, how long a connection may take), `outage_s` how long
    Studio may be out of reach, `asked_s` what a Retry-After asks for, `gap_s` how long an outage lasts that is
    survived.
    """

    read_s: float
    first_wait_s: float
    outage_s: float
    asked_s: int
    gap_s: float


SHIPPED = Times(read_s=60, first_wait_s=1, outage_s=600, asked_s=3, gap_s=30)


@dataclass(frozen=True)
class Asked:
    """How often a call about one sample (None: all together) is to be made, at least and at most."""

    call: str
    least: int
    most: int
    sample: int | None = VICTIM


@dataclass(frozen=True)
class Row:
    """`happens`, `does` and `reports` stand in the documentation word for word.

    `reports` is a line of the output, in which … stands for anything; empty: no line but those of any run.
    `failed` end without labels, all others with those of an undisturbed run; `leaves` is what Studio then holds of
    them: nothing, the labels without their metadata, or all (the answers were lost). Where the run `ends` early, which
    recordings fail and which are not reached is a matter of timing. `job` is a preview job. `read_s` is the time limit
    in tests. Rows that are `patient` wait longer before they try again than an outage may last on a busy machine.
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
    ends: bool = False
    lengths_s: tuple[float, ...] = LENGTHS_S
    job: int | None = None
    read_s: float = 10.0
    patient: bool = False

    @property
    def slug(self) -> str:
        return re.sub(r"\W+", "-", self.happens.lower()).strip("-")

    @property
    def starts(self) -> bool:
        """Does any recording get its turn?"""
        return self.code != 2

    def pattern(self) -> re.Pattern[str]:
        """What the line that is reported looks like."""
        return re.compile(".*".join(re.escape(part) for part in self.reports.split("…")))

    def short(self) -> Times:
        """Times for a test."""
        return Times(
            self.read_s, first_wait_s=0.2 if self.patient else 0.005, outage_s=0.6 if self.ends else 20.0,
            asked_s=1, gap_s=0.3,
        )  # fmt: skip


def once(effect: Effect, call: str, times: int = 1, sample: int | None = VICTIM) -> Callable[[Times], list[Fault]]:
    """The first calls meet `effect`, `times` of them."""
    return lambda _: [Fault(effect, (call,), sample, times)]


def always(effect: Effect, call: str, sample: int | None = VICTIM) -> Callable[[Times], list[Fault]]:
    """Every such call meets `effect`."""
    return lambda _: [Fault(effect, (call,), sample)]
