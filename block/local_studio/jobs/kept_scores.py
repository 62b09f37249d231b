"""The scores that a job's block kept, from which its labels can be decided again without the model.

The block stores them in ``.local-studio/scores`` in the project's folder. The job's record says under which key, and
the details of each sample say which content they belong to.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from block.edge_impulse.run_record import RunRecord
from block.formatting import count
from block.local_studio.data.validation import RequestError
from block.local_studio.jobs.files import JobFiles
from block.local_studio.jobs.store import JobStore, StudioJob
from block.score_store import Key, Scored, ScoreStore
from block.score_store.shard import list_shards, need_pyarrow
from block.settings import GRID, SettingsError, WindowSettings

MOST_STORES = 4  # that stay open, one for each key
MOST_JOBS = 16  # whose contents stay in memory


class ScoresGone(RequestError):
    """A job's scores can't be used. The message says why, and what to do."""

    def __init__(self, why: str) -> None:
        super().__init__(why, 409)


@dataclass(frozen=True)
class JobScores:
    """The scores of a job, which decided labels as `record` says. `contents` are its samples' by id.

    Only samples that the job labeled have a content. `store` has the scores of all jobs with the same key.
    """

    record: RunRecord
    contents: Mapping[int, str]
    store: ScoreStore

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.store.class_names

    def load(self) -> Iterator[tuple[int, Scored]]:
        """Yield the scores of each sample that has any, with its id, in the order that is fastest to read.

        Copy logits that you keep: recordings that are stored together share memory.
        """
        by_content: dict[str, list[int]] = {}
        for sample_id, content in self.contents.items():
            by_content.setdefault(content, []).append(sample_id)
        for scored in self.store.find_all(by_content):
            for sample_id in by_content[scored.content]:
                yield sample_id, scored


class KeptScores:
    """The scores that the jobs of a project keep. Thread-safe."""

    def __init__(self, files: JobFiles, jobs: JobStore) -> None:
        self._files, self._jobs = files, jobs
        self._open: dict[Key, tuple[Sequence[Path], ScoreStore]] = {}
        self._contents: dict[int, Mapping[int, str]] = {}  # by the id of a job
        self._lock = threading.Lock()

    def find(self, job: StudioJob, windows: WindowSettings | None = None) -> JobScores:
        """Return the scores of a job, or those of its samples with other `windows`. Raise ScoresGone."""
        record = read_record(job)
        if windows is not None and windows != record.key.windows:
            record = replace(record, key=_move(record.key, windows))
        found = JobScores(record, self._read_contents(job), self._open_store(record.key))
        classes = len(found.class_names)
        if any(index >= classes for label in record.decisions.labels for index in label.indices):
            raise ScoresGone(
                f"This job has labels of classes that its scores of {classes} classes lack. Preview again."
            )
        if found.contents and not found.store.contents().intersection(found.contents.values()):
            raise ScoresGone(
                f"None of the {count(len(found.contents), 'recording')} of this job have kept scores any more: preview "
                "again to keep them."
            )
        return found

    def list_windows(self, job: StudioJob) -> list[WindowSettings]:
        """Return the windows of which there may be scores that differ from the job's in nothing else, its own first.

        Raise ScoresGone.
        """
        own = read_record(job).key
        found = [key.windows for key in self._list_keys() if key == _move(own, key.windows)]
        return list(dict.fromkeys([own.windows, *found]))

    def _read_contents(self, job: StudioJob) -> Mapping[int, str]:
        """Return the content of each sample that a job labeled. Those of a job that has ended are read once.

        SQLite parses all details to find them: 100 ms for 1,000 recordings of 300 segments.
        """
        with self._lock:
            known = self._contents.get(job.id)
        if known is not None:
            return known
        found = self._jobs.contents(job.id)
        if not job.is_running:
            with self._lock:
                if len(self._contents) >= MOST_JOBS:
                    self._contents.clear()
                self._contents[job.id] = found
        return found

    def _list_keys(self) -> list[Key]:
        try:
            return ScoreStore.list_keys(self._files.find_scores())
        except (SettingsError, OSError):
            return []

    def _open_store(self, key: Key) -> ScoreStore:
        """Return the store of `key`, opened again if files came or went. Raise ScoresGone."""
        try:
            need_pyarrow()
            folder = self._files.find_scores()
            shards = list_shards(folder)
            with self._lock:
                known = self._open.get(key)
                if known is None or known[0] != shards:
                    if len(self._open) >= MOST_STORES:
                        self._open.clear()
                    self._open[key] = known = shards, ScoreStore.open_read_only(folder, key, lambda text: None)
        except SettingsError as error:
            raise ScoresGone(f"The scores of this job can't be read: {error}") from None
        except OSError as error:
            raise ScoresGone(f"The scores of this job can't be read: {error.strerror or error}") from None
        return known[1]


def read_record(job: StudioJob) -> RunRecord:
    """Return how a job decides labels. Raise ScoresGone if it isn't known."""
    try:
        return RunRecord.from_json(json.loads(job.record))
    except (ValueError, RecursionError, OverflowError):
        raise ScoresGone(
            "This job kept no scores: it is of an earlier version or of another block, or nothing was labeled yet. "
            "Preview again to keep them."
        ) from None


def _move(key: Key, windows: WindowSettings) -> Key:
    """Return `key` with other windows, wherever those lie."""
    return replace(key, windows=windows, placement=GRID)
