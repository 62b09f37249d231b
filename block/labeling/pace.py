"""How fast a run gets through audio, how much audio it has left, and so how long the rest takes.

The terminal and the pages of the local Studio both estimate with `Pace`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

OBSERVATIONS = 20  # that the pace is measured over, so that it follows changes


class Pace:
    """The pace of a run over its last observations, each a time and the seconds of audio that were done by then.

    It is measured from the first observation on. What came before, such as loading the model, doesn't happen again.
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque(maxlen=OBSERVATIONS)

    def observe(self, now: float, done_s: float) -> None:
        """Note that `done_s` seconds of audio are done at the time `now`."""
        if done_s > (self._seen[-1][1] if self._seen else 0.0):
            self._seen.append((now, done_s))

    def estimate(self, now: float, left_s: float) -> float | None:
        """Return how long `left_s` seconds of audio take, which were left at the last observation.

        Return None before there are two observations.
        """
        if len(self._seen) < 2:
            return None
        (start, earlier_s), (end, done_s) = self._seen[0], self._seen[-1]
        return max(0.0, left_s * (end - start) / (done_s - earlier_s) - (now - end))


class AudioLeft:
    """How many seconds of audio a run over so many recordings has left.

    Only reading a recording shows how long it is. Until then, its size in `sizes`, in bytes by id, stands for it, and
    the mean size if it has none there; if none has, all count the same.
    """

    def __init__(self, recordings: int, sizes: Mapping[int, int]) -> None:
        self._sizes = {one: size for one, size in sizes.items() if size > 0}
        self._mean = sum(self._sizes.values()) / len(self._sizes) if self._sizes else 1.0
        self._total = self._left = sum(self._sizes.values()) + (recordings - len(self._sizes)) * self._mean
        self._settled = self._labeled = 0.0
        self._waiting: set[int] = set()  # labeled, but not reported yet
        self.labeled_s = 0.0

    def add(self, recordings: int) -> None:
        """Add recordings to the run, or, if negative, take some out."""
        self._total += recordings * self._mean
        self._left += recordings * self._mean

    def label(self, ids: Sequence[int], seconds: float) -> None:
        """Note that these recordings are labeled, and how many seconds they have."""
        size = sum(self._size(one) for one in ids)
        self._left -= size
        self._labeled += size
        self.labeled_s += seconds
        self._waiting.update(ids)

    def settle(self, recording_id: int) -> None:
        """Note that a recording is done, with labels or without."""
        self._settled += self._size(recording_id)
        if recording_id in self._waiting:
            self._waiting.remove(recording_id)
        else:
            self._left -= self._size(recording_id)

    @property
    def percent(self) -> int:
        """How much of the audio is settled, in percent."""
        return int(100 * self._settled / self._total) if self._total > 0 else 100

    @property
    def seconds(self) -> float:
        """How many seconds are left; 0 if nothing was labeled."""
        return max(0.0, self._left) * self.labeled_s / self._labeled if self._labeled else 0.0

    def _size(self, recording_id: int) -> float:
        return self._sizes.get(recording_id, self._mean)
