"""A project: a folder of audio, its database, and the rules between them.

The audio is never changed; everything else is kept in ``.local-studio.sqlite3`` inside the folder.
"""

from __future__ import annotations

import hashlib
import io
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from block.local_studio.data import folder, validation, wav
from block.local_studio.data.rows import now
from block.local_studio.data.sample import (
    AUDIO_SENSOR,
    CATEGORIES,
    CHART_TYPES,
    LocalSample,
    ProposedChanges,
    Sensor,
    StructuredLabel,
    is_audio,
)
from block.local_studio.data.store import SampleStore, Stamp, StoreError, SyncReport
from block.local_studio.data.validation import RequestError

DATABASE = ".local-studio.sqlite3"
PROJECT_ID = 1


class ProjectError(Exception):
    """A folder that cannot be a project; the text says which and why."""


class LocalProject:
    """The project in the folder `root`; opening it makes the database when there is none.

    The folder itself is read only by `scan`. Raises ProjectError.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise ProjectError(f"{root} is not a directory" if root.exists() else f"{root} does not exist")
        self.root = root.resolve()
        try:
            self.store = SampleStore(self.root / DATABASE)
        except StoreError as error:
            raise ProjectError(str(error)) from None
        self.id = PROJECT_ID
        self.name = self.root.name.encode("utf-8", "replace").decode() or "root"
        self.created = self.store.setting("created", now())
        self.key = self.store.setting("key", f"ei_local_{secrets.token_hex(24)}")

    def close(self) -> None:
        """Close the database."""
        self.store.close()

    def scan(self) -> SyncReport:
        """Read the folder again: new files get new ids, known ones keep theirs, missing ones are marked.

        A file is opened only when its size or time of change is not what it was, or when it could not be
        read the last time.
        """
        stamps = self.store.stamps()
        files = folder.find(self.root)
        fresh = [file for file in files if stamps.get(file.path) != Stamp(file.size, file.mtime_ns)]
        inspected = [folder.inspect(self.root, file) for file in fresh]
        return self.store.sync([file.path for file in files], inspected)

    def add_sample(
        self,
        *,
        name: str,
        frequency: float,
        values_count: int,
        sensors: Sequence[Sensor] = (AUDIO_SENSOR,),
        wav: bytes | None = None,
        chart_type: str = "chart",
        category: str = "training",
        is_disabled: bool = False,
        is_processing: bool = False,
        metadata: Mapping[str, str] | None = None,
        label: str = "",
        structured_labels: Sequence[StructuredLabel] | None = None,
    ) -> int:
        """Add a sample that has no file, for tests and demonstrations; returns its id.

        `frequency` in Hz, `values_count` in values per axis. `wav` is served as it is, even when it is
        damaged or does not agree with the two; None makes a sample without audio. Raises ValueError.
        """
        if category not in CATEGORIES or chart_type not in CHART_TYPES or frequency < 0 or values_count < 0:
            raise ValueError(f"not a sample: {category=} {chart_type=} {frequency=} {values_count=}")
        labels = None
        if structured_labels is not None:
            entries = [item.to_json() for item in structured_labels]
            labels = validation.structured_labels(entries, values_count, "structured_labels")
        moment = now()
        sample = LocalSample(
            id=0,
            name=name,
            category=category,
            label=label,
            frequency_hz=float(frequency),
            values_count=values_count,
            sensors=tuple(sensors),
            chart_type=chart_type,
            is_disabled=is_disabled,
            is_processing=is_processing,
            processing_error=None,
            metadata=dict(metadata or {}),
            structured_labels=labels,
            sha256=hashlib.sha256(wav or b"").hexdigest(),
            created=moment,
            modified=moment,
            added=moment,
            path=None,
            has_wav=wav is not None,
        )
        return self.store.add(sample, wav)

    def sample(self, sample_id: int, job_id: int | None = None) -> LocalSample:
        """A sample, as the job `job_id` proposes it when one is given. Raises Refused (404)."""
        sample = self.store.sample(sample_id)
        if sample is None or (sample.path is not None and folder.locate(self.root, sample.path) is None):
            raise RequestError(f"there is no sample {sample_id}", 404)
        return sample if job_id is None else self.store.changes(job_id, sample_id).applied_to(sample)

    def samples(self, job_id: int | None = None) -> list[LocalSample]:
        """All samples by id, as the job `job_id` proposes them when one is given."""
        samples = self.store.samples()
        if job_id is None:
            return samples
        changes = {item.sample_id: item.changes for item in self.store.proposals(job_id)}
        return [changes.get(sample.id, ProposedChanges()).applied_to(sample) for sample in samples]

    def audio(self, sample: LocalSample, part: wav.Slice | None = None) -> wav.Bytes:
        """The sample's audio as WAV bytes, or those of a part of it. Raises Refused (400, 404)."""
        if not is_audio(sample) or not (sample.has_wav or sample.path is not None):
            raise RequestError(f"sample {sample.id} has no audio")
        if sample.is_processing:
            raise RequestError(f"sample {sample.id} is still being processed")
        if sample.processing_error is not None:
            raise RequestError(f"sample {sample.id} has no audio: {sample.processing_error}")
        try:
            if sample.path is None:
                return wav.of_bytes(self.store.wav(sample.id), part)
            return wav.of_file(self._file(sample, sample.path), part)
        except wav.UnreadableAudio as error:
            raise RequestError(f"sample {sample.id} {error}") from None

    def values(self, sample: LocalSample, limit: int) -> list[list[int]]:
        """The first `limit` values as 16-bit integers; none where there is no readable audio."""
        try:
            if sample.path is None:
                return wav.first_values(io.BytesIO(self.store.wav(sample.id)), limit) if sample.has_wav else []
            with self._file(sample, sample.path).open("rb") as file:
                return wav.first_values(file, limit)
        except (wav.UnreadableAudio, OSError):
            return []

    def _file(self, sample: LocalSample, path: bytes) -> Path:
        real = folder.locate(self.root, path)
        if real is None:
            raise RequestError(f"the file of sample {sample.id} has gone", 404)
        return real
