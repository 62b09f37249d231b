"""A project: a folder of audio and its database.

The audio is never changed. Everything else is in ``.local-studio.sqlite3`` in the folder.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from block.local_studio.data import folder, wav
from block.local_studio.data.rows import now
from block.local_studio.data.sample import LocalSample, ProposedChanges
from block.local_studio.data.store import ProjectError, SampleStore, SyncReport
from block.local_studio.data.validation import RequestError

DATABASE = ".local-studio.sqlite3"
PROJECT_ID = 1


class LocalProject:
    """The project in the folder `root`. Creates the database if there is none. Raise ProjectError.

    Only `scan` reads the folder itself.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise ProjectError(f"{root} is not a directory" if root.exists() else f"{root} does not exist")
        self.root = root.resolve()
        self.store = SampleStore(self.root / DATABASE)
        self.id = PROJECT_ID
        self.name = self.root.name.encode("utf-8", "replace").decode() or "root"
        self.created = self.store.setting("created", now())
        self.key = self.store.setting("key", f"ei_local_{secrets.token_hex(24)}")

    def close(self) -> None:
        """Close the database."""
        self.store.close()

    def scan(self) -> SyncReport:
        """Rescan the folder: new files get new ids, known files keep theirs, and missing files are marked.

        A file is opened only if its size or modification time has changed, or if it couldn't be read last time.
        """
        stamps = self.store.stamps()
        files = folder.find(self.root)
        inspected = [folder.inspect(self.root, file) for file in files if stamps.get(file.path) != file.stamp]
        return self.store.sync([file.path for file in files], inspected)

    def sample(self, sample_id: int, job_id: int | None = None) -> LocalSample:
        """Return a sample, with the changes that the job `job_id` proposes if it's given. Raise RequestError (404)."""
        sample = self.store.sample(sample_id)
        if sample is None or folder.locate(self.root, sample.path) is None:
            raise RequestError(f"there is no sample {sample_id}", 404)
        return sample if job_id is None else self.store.changes(job_id, sample_id).apply_to(sample)

    def samples(self, job_id: int | None = None) -> list[LocalSample]:
        """Return all samples, sorted by id, with the changes that the job `job_id` proposes if it's given."""
        samples = self.store.samples()
        if job_id is None:
            return samples
        changes = {item.sample_id: item.changes for item in self.store.proposals(job_id)}
        return [changes.get(sample.id, ProposedChanges()).apply_to(sample) for sample in samples]

    def audio(self, sample: LocalSample, part: slice = slice(None)) -> Path | bytes:
        """Return the sample's audio, or a part of it, as a WAV file or its bytes. Raise RequestError (400, 404)."""
        if sample.processing_error is not None:
            raise RequestError(f"sample {sample.id} has no audio: {sample.processing_error}")
        try:
            return wav.read_wav(self._file_of(sample), part)
        except wav.UnreadableAudio as error:
            raise RequestError(f"sample {sample.id} {error}") from None

    def values(self, sample: LocalSample, limit: int) -> list[list[int]]:
        """Return the first `limit` values as 16-bit integers, or an empty list if the audio can't be read."""
        try:
            return wav.read_first_values(self._file_of(sample), limit)
        except wav.UnreadableAudio:
            return []

    def _file_of(self, sample: LocalSample) -> Path:
        real = folder.locate(self.root, sample.path)
        if real is None:
            raise RequestError(f"the file of sample {sample.id} no longer exists", 404)
        return real
