"""Report how fast each stage of a run is, in lines for a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable

from block.cluster.report import StageTimes
from block.formatting import count

SAY_EVERY_S = 30.0
MIN_SHARE = 0.001  # of the run: shorter stages are left out, such as writing in a run whose driver writes


class Throughput:
    """Totals of the workers' reports, and of the time the driver takes to keep results. `clock` is in seconds."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._started = self._said_at = clock()
        self._total, self._recent = StageTimes(), StageTimes()
        self._keep_s = 0.0
        self._last_seen: dict[str, float] = {}

    def add(self, worker: str, stages: StageTimes, keep_s: float) -> None:
        """Add a report of `worker` that took `keep_s` seconds to keep. Print the current speed every half minute."""
        now = self._clock()
        self._last_seen[worker] = now
        self._total.add(stages)
        self._recent.add(stages)
        self._keep_s += keep_s
        if now - self._said_at >= SAY_EVERY_S:
            self._say(self._describe_recent(now))
            self._said_at, self._recent = now, StageTimes()

    def _describe_recent(self, now: float) -> str:
        seconds, recent = now - self._said_at, self._recent
        workers = sum(now - at < 4 * SAY_EVERY_S for at in self._last_seen.values())
        stages = _seconds_by_stage(recent)
        total = sum(stages.values()) or 1.0
        shares = ", ".join(f"{name} {spent / total * 100:.0f} %" for name, spent in stages.items() if spent)
        return (
            f"{count(workers, 'worker')}: {recent.recordings / seconds:.1f} recordings/s, "
            f"{recent.windows / seconds:.1f} windows/s, {recent.audio_s / seconds:.0f} times real time; "
            f"busy: {shares}"
        )

    def report(self) -> list[str]:
        """Return a line for each stage of the run: how much, how fast, and how many were active on average."""
        total, run_s = self._total, max(1e-9, self._clock() - self._started)
        lines = []
        for name, seconds in {**_seconds_by_stage(total), "store (driver)": self._keep_s}.items():
            unit = "window" if name == "model" else "recording"
            amount = getattr(total, f"{unit}s")
            if amount and seconds >= MIN_SHARE * run_s:
                speed, active = f"{amount / seconds:.1f}/s while active", f"{seconds / run_s:.2f} active on average"
                lines.append(f"stage {name}: {count(amount, unit)}, {speed}; {active}")
        return lines


def _seconds_by_stage(stages: StageTimes) -> dict[str, float]:
    return {"read": stages.read_s, "prepare": stages.prepare_s, "model": stages.model_s, "write": stages.write_s}
