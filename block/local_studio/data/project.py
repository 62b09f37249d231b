"""A project: a folder of audio and its database.

The audio is never changed. Everything else is in ``.local-studio.sqlite3`` in the folder.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from block.folder.listing import FileStamp, show_path
from block.folder.project_colors import DATABASE, STATE
from block.local_studio.data import folder
from block.local_studio.data.rows import now
from block.local_studio.data.sample import LocalSample, ProposedChanges
from block.local_studio.data.store import ProjectError, SampleStore, SyncReport
from block.local_studio.data.validation import RequestError
from block.local_studio.data.wav import AudioContent, WavMaker, read_first_values
from block.recording import RecordingError
from block.runtime.limits import THREADS
from block.runtime.links import find_link_out

PROJECT_ID = 1
Result = TypeVar("Result")


class LocalProject:
    """The project in the folder `root`. Creates the database if there is none. Raise ProjectError.

    Only `scan` reads the folder itself. With `allow_truncated`, recordings that are cut off are served as far as they
    go.
    """

    def __init__(self, root: Path, allow_truncated: bool = False) -> None:
        if not root.is_dir():
            raise ProjectError(f"{root} is not a directory" if root.exists() else f"{root} does not exist")
        self.root = root.resolve()
        if link := find_link_out(self.root, self.root.glob(f"{STATE}*")):
            raise ProjectError(f"{show_path(link)} is a link that leads out of the folder; remove it")
        self.store = SampleStore(self.root / DATABASE)
        self._wavs = WavMaker(allow_truncated)
        self._seen: dict[bytes, FileStamp] = {}  # of all files at the last scan
        self.id = PROJECT_ID
        self.name = self.root.name.encode("utf-8", "replace").decode() or "root"
        self.created = self.store.setting("created", now())
        # Not stored: a folder that someone passes on must neither tell the key nor bring one that they know.
        self.key = f"ei_local_{secrets.token_hex(24)}"
        self.store.forget_setting("key")  # of earlier versions

    def close(self) -> None:
        """Close the database, and remove the WAVs that were made."""
        self.store.close()
        self._wavs.cache.close()

    def scan(
        self,
        warn: Callable[[str], None] = lambda line: None,
        expect: Callable[[int], None] = lambda files: None,
        retry: bool = True,
    ) -> SyncReport:
        """Rescan the folder: new files get new ids, known files keep theirs, and missing files are marked.

        A file is read only if its size or modification time has changed, or, with `retry`, if it couldn't be read last
        time. `warn` gets the warnings about it; `expect` gets the number of files to read, before they are read.
        """
        stamps = self.store.stamps(self._wavs.allow_truncated)
        files = folder.find(self.root)
        if not retry:
            stamps = self._seen | stamps
        changed = [file for file in files if stamps.get(file.path) != file.stamp]
        self._seen = {file.path: file.stamp for file in files}
        expect(len(changed))
        with ThreadPoolExecutor(THREADS) as threads:
            inspected = list(
                threads.map(lambda file: folder.read_file(self.root, file, self._wavs.allow_truncated), changed)
            )
        for one in inspected:
            name = show_path(os.fsdecode(one.file.path), 80)
            for note in (*one.notes, *([f"the audio is cut off: {one.missing}"] if one.missing else [])):
                warn(f"{name}: {note}")
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

    def audio(self, sample: LocalSample, part: slice = slice(None)) -> Path:
        """Return the sample's audio, or a part of it, as a plain WAV. Raise RequestError (400, 404)."""
        if part == slice(None):
            return self._read(sample, self._wavs.get_wav)
        return self._read(sample, lambda content: self._wavs.get_slice(content, part))

    def playable(self, sample: LocalSample, part: slice = slice(None)) -> Path:
        """Return the sample's audio, or a part of it, as a WAV that browsers play. Raise RequestError (400, 404)."""
        return self._read(sample, lambda content: self._wavs.get_playable(content, part))

    def values(self, sample: LocalSample, limit: int) -> list[list[int]]:
        """Return the first `limit` values as 16-bit integers, or an empty list if the audio can't be read."""
        try:
            return self._read(sample, lambda audio: read_first_values(audio.path, limit))
        except RequestError:
            return []

    def _read(self, sample: LocalSample, read: Callable[[AudioContent], Result]) -> Result:
        """Return what `read` makes of the sample's audio. Raise RequestError (400, 404)."""
        if sample.processing_error is not None:
            raise RequestError(f"sample {sample.id}: {sample.processing_error}")
        real = folder.locate(self.root, sample.path)
        if real is None:
            raise RequestError(f"the file of sample {sample.id} no longer exists", 404)
        try:
            return read(AudioContent(real, sample.sha256, sample.values_count))
        except RecordingError as error:
            raise RequestError(f"sample {sample.id}: {error}") from None
