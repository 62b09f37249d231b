"""A made-up million recordings: their lengths, and the portions they are split into."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from block.cluster.driver import split_into_portions

WINDOW_S = 2.0
BYTES_A_SECOND = 2 * 16000  # one channel of 16 bits at 16 kHz
HEADER_BYTES = 44
MINUTES, CLIPS = 0.70, 0.298  # the rest last an hour
CLIP_S = (1.0, 10.0)

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Recordings:
    """Recordings, as their lengths in seconds."""

    seconds: Floats

    @property
    def count(self) -> int:
        return len(self.seconds)

    @property
    def hours(self) -> float:
        return float(self.seconds.sum() / 3600)

    @property
    def windows(self) -> Counts:
        """The number of windows of each, of 2 s every 2 s; the last ends with the recording."""
        counts: Counts = np.maximum(1, np.ceil(self.seconds / WINDOW_S - 1e-9)).astype(np.int64)
        return counts

    @property
    def sizes(self) -> Counts:
        """The size of each in bytes."""
        sizes: Counts = (self.seconds * BYTES_A_SECOND).astype(np.int64) + HEADER_BYTES
        return sizes


def make_field_recordings(count: int, seed: int) -> Recordings:
    """Return recordings like those of field recorders.

    Most last a minute, three in ten are clips of 1 to 10 s, and two in a thousand last an hour. They are in random
    order, as if every folder had some of each.
    """
    chance = np.random.default_rng(seed)
    kind = chance.random(count)
    clips = np.exp(chance.uniform(np.log(CLIP_S[0]), np.log(CLIP_S[1]), count))
    return Recordings(np.where(kind < MINUTES, 60.0, np.where(kind < MINUTES + CLIPS, clips, 3600.0)))


@dataclass(frozen=True, eq=False)
class Portions:
    """Portions in the order in which they are handed out; each array has an entry per portion."""

    recordings: Counts
    windows: Counts
    bytes: Counts
    seconds: Floats

    @property
    def count(self) -> int:
        return len(self.recordings)


def split(recordings: Recordings, workers: int, kind: str) -> Portions:
    """Return the portions that a driver makes of `recordings` for `workers` workers of a `kind`, cpu or cuda."""
    spans = list(split_into_portions(recordings.sizes.tolist(), workers, kind))
    starts = np.array([span.start for span in spans])
    return Portions(
        np.array([len(span) for span in spans]),
        np.add.reduceat(recordings.windows, starts),
        np.add.reduceat(recordings.sizes, starts),
        np.add.reduceat(recordings.seconds, starts),
    )
