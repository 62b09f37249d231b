"""The state of a throttle, for tests."""

from __future__ import annotations

from dataclasses import dataclass

from block.cluster.throttle import Throttle


@dataclass(frozen=True)
class ThrottleState:
    """Requests `allowed` at once, `under_way` and `waiting`; seconds until the pause is over."""

    allowed: int
    under_way: int
    waiting: int
    pause_s: float


def state_of(throttle: Throttle) -> ThrottleState:
    """Return the current state of `throttle`."""
    pause_s = max(0.0, throttle._paused_until - throttle._clock())
    return ThrottleState(throttle._allowed, len(throttle._under_way), len(throttle._waiting), pause_s)
