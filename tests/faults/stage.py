"""A served project of short recordings that get different labels, and what Studio has stored for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from block.edge_impulse.label_owner import ANNOUNCED, fingerprint
from block.local_studio.address import Address
from block.local_studio.data.project import LocalProject
from block.local_studio.server import running

RATE_HZ = 16000
LENGTHS_S = (1.2, 1.7, 0.8, 2.1, 1.4)
Labels = tuple[tuple[int, int, str], ...]


@dataclass(frozen=True)
class State:
    """What Studio has stored for a sample. `labels` is None until they are first set.

    `metadata` leaves out announcements of labels; `is_announced` is whether one is for these labels.
    """

    labels: Labels | None
    metadata: tuple[tuple[str, str], ...]
    is_announced: bool = field(default=True, compare=False)


@dataclass
class Stage:
    """A project that the local Studio serves. Its sample ids are 1, 2, 3 and so on."""

    project: LocalProject
    address: Address

    @property
    def ids(self) -> list[int]:
        return [sample.id for sample in self.project.store.samples()]

    def states(self, job: int | None = None) -> dict[int, State]:
        """Return the state of each sample by id, deleted ones included.

        With `job`, apply the proposals of that preview job.
        """
        return {sample_id: self._state(sample_id, job) for sample_id in self.ids}

    def delete(self, sample_id: int) -> None:
        """Delete a sample's audio file."""
        sample = self.project.store.sample(sample_id)
        assert sample is not None
        assert sample.path is not None
        (self.project.root / sample.path.decode()).unlink()

    def _state(self, sample_id: int, job: int | None) -> State:
        sample = self.project.store.sample(sample_id)
        assert sample is not None
        if job is not None:
            sample = self.project.store.changes(job, sample_id).apply_to(sample)
        labels = sample.structured_labels
        return State(
            None if labels is None else tuple((one.start_index, one.end_index, one.label) for one in labels),
            tuple(sorted((name, text) for name, text in sample.metadata.items() if not name.startswith(ANNOUNCED))),
            ANNOUNCED + fingerprint([one.to_json() for one in labels or ()]) in sample.metadata,
        )


def sound(number: int, seconds: float) -> npt.NDArray[np.float64]:
    """Return a tone whose loudness changes four times a second. Each `number` gives a different, reproducible tone."""
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    loudness = 0.1 + 0.1 * np.floor(time * 4 + number) % 3
    return np.asarray(loudness * np.sin(2 * np.pi * (150 + 37 * (number % 50)) * time))


@contextmanager
def staged(folder: Path, lengths_s: Sequence[float] = LENGTHS_S) -> Iterator[Stage]:
    """Serve a project of recordings with these lengths for the duration of the context."""
    folder.mkdir(parents=True)
    for index, seconds in enumerate(lengths_s, start=1):
        soundfile.write(folder / f"recording {index:03}.wav", sound(index, seconds), RATE_HZ, "PCM_16")
    project = LocalProject(folder)
    try:
        project.scan()
        with running(project) as address:
            yield Stage(project, address)
    finally:
        project.close()
