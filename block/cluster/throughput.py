"""How fast each stage of a run goes, in lines for a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable

from block.cluster.report import StageTimes

SAY_EVERY_S = 30.0
SHOWN_SHARE = 0.001  # of the run: a stage that takes less is none, such as writing where the driver writes


class Throughput:
    """Counts what workers report, and what the driver takes to keep it. Times come from `clock`, in seconds."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._started = self._said_at = clock()
        self._all, self._since = StageTimes(), StageTimes()
        self._kept_s = 0.0
        self.workers: dict[str, float] = {}  # when each was last heard of

    def add(self, worker: str, stages: StageTimes, kept_s: float) -> None:
        """A report of `worker` came, and was kept in `kept_s` seconds."""
        now = self._clock()
        self.workers[worker] = now
        self._all.add(stages)
        self._since.add(stages)
        self._kept_s += kept_s
        if now - self._said_at >= SAY_EVERY_S:
            self._say(self._line(now))
            self._said_at, self._since = now, StageTimes()

    def _line(self, now: float) -> str:
        """The last half minute or so."""
        took, since = now - self._said_at, self._since
        heard = sum(now - at < 4 * SAY_EVERY_S for at in self.workers.values())
        return (
            f"{heard} worker{'s' * (heard != 1)}: {since.recordings / took:.1f} recordings/s, "
            f"{since.windows / took:.1f} windows/s, {since.audio_s / took:.0f} times real time; "
            f"busy: {_shares(since)}"
        )

    def report(self) -> list[str]:
        """The whole run, a line a stage: how much, how fast while at it, and how many were at it on average."""
        whole, took = self._all, max(1e-9, self._clock() - self._started)
        lines = []
        for name, seconds, amount, unit in (
            ("read", whole.read_s, whole.recordings, "recordings"),
            ("prepare", whole.prepare_s, whole.recordings, "recordings"),
            ("model", whole.model_s, whole.windows, "windows"),
            ("write", whole.write_s, whole.recordings, "recordings"),
            ("keep (here)", self._kept_s, whole.recordings, "recordings"),
        ):
            if amount and seconds >= SHOWN_SHARE * took:
                lines.append(
                    f"stage {name}: {amount} {unit}, {amount / seconds:.1f}/s while at it; "
                    f"{seconds / took:.2f} at it on average"
                )
        return lines


def _shares(stages: StageTimes) -> str:
    """Where the workers' time went."""
    parts = {"read": stages.read_s, "prepare": stages.prepare_s, "model": stages.model_s, "write": stages.write_s}
    whole = sum(parts.values()) or 1.0
    return ", ".join(f"{name} {seconds / whole * 100:.0f} %" for name, seconds in parts.items() if seconds)
