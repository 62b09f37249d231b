"""The embeddings of all windows in the project that jobs with the same settings kept, in one matrix."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from block.local_studio.data.examples import SoundSpan
from block.local_studio.data.similarity import Vectors, normalize
from block.local_studio.jobs.kept_scores import JobScores, KeptScores, ScoresGone, read_record
from block.local_studio.jobs.store import JobStore, StudioJob
from block.score_store import Key
from block.score_store.relabel import lay_out_scored

MOST_JOBS = 500  # the newest, whose recordings are searched
NO_EMBEDDINGS = (
    "No job has kept embeddings yet, which is what sounds are compared by. Preview an AI action of this block on the "
    "recordings to search: it keeps them."
)


@dataclass(frozen=True, eq=False)
class SoundIndex:
    """The windows `starts` … `ends` - 1, in values of the samples `sample_ids`, and their embeddings.

    `vectors` are float32 of length 1. All have a row for each window, sorted by sample and start.
    """

    sample_ids: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    vectors: Vectors

    def __len__(self) -> int:
        return len(self.sample_ids)

    def span(self, at: int) -> SoundSpan:
        """Return where window `at` is."""
        return SoundSpan(int(self.sample_ids[at]), int(self.starts[at]), int(self.ends[at]))

    def find_overlaps(self, span: SoundSpan) -> npt.NDArray[np.int64]:
        """Return for each window how many values it has in common with `span`. Shape: `(windows,)`."""
        common = np.minimum(self.ends, span.end) - np.maximum(self.starts, span.start)
        return np.where(self.sample_ids == span.sample_id, np.maximum(common, 0), 0)

    def embed(self, span: SoundSpan) -> Vectors | None:
        """Return the vector of a span, the mean of its windows weighted by overlap; None if none is known."""
        overlaps = self.find_overlaps(span)
        if not overlaps.any():
            return None
        chosen = np.flatnonzero(overlaps)
        return normalize(overlaps[chosen].astype(np.float32) @ self.vectors[chosen])


@dataclass
class SoundIndexes:
    """The index of the project, built again when jobs or kept scores have changed. Thread-safe."""

    jobs: JobStore
    scores: KeptScores
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _built: tuple[object, SoundIndex] | None = None

    def load(self, job: StudioJob | None = None) -> SoundIndex:
        """Return the index of the windows that were scored as in `job`, or as in the newest job with embeddings.

        Raise ScoresGone if there are no embeddings.
        """
        with self._lock:
            found = self._find(job)
            contents = self._find_contents(found.record.key)
            state = (found.record.key, contents, found.store)
            if self._built is None or self._built[0] != state:
                self._built = state, build_index(JobScores(found.record, contents, found.store))
            return self._built[1]

    def _find(self, job: StudioJob | None) -> JobScores:
        for one in (job,) if job is not None else self.jobs.latest(MOST_JOBS):
            try:
                found = self.scores.find(one)
            except ScoresGone:
                if job is not None:
                    raise
                continue
            if found.store.contents_with_embeddings().intersection(found.contents.values()):
                return found
        raise ScoresGone(NO_EMBEDDINGS)

    def _find_contents(self, key: Key) -> Mapping[int, str]:
        """Return the content of each sample that a job scored with `key`, as the newest of them got it."""
        contents: dict[int, str] = {}
        for job in reversed(self.jobs.latest(MOST_JOBS)):
            try:
                is_same = read_record(job).key == key
            except ScoresGone:
                continue
            if is_same:
                contents |= self.jobs.contents(job.id)
        return contents


def build_index(scores: JobScores) -> SoundIndex:
    """Return the index of a job's windows that have embeddings. A window of several chunks has the mean of theirs."""
    embedded = scores.store.contents_with_embeddings()
    known = {sample_id: content for sample_id, content in scores.contents.items() if content in embedded}
    ids, starts, ends, vectors = [], [], [], []
    for sample_id, scored in JobScores(scores.record, known, scores.store).load():
        windows = lay_out_scored(scored, scores.record.key.windows).windows
        chunk_ends = np.cumsum(scored.chunk_counts)
        for window, end, count in zip(windows, chunk_ends, scored.chunk_counts, strict=True):
            embeddings = scored.embeddings[end - count : end].astype(np.float32)
            if count and np.isfinite(embeddings).all():
                ids.append(sample_id)
                starts.append(window.start)
                ends.append(window.end)
                vectors.append(embeddings.mean(axis=0))
    order = np.lexsort((starts, ids))
    size = max((len(one) for one in vectors), default=0)
    matrix = normalize(np.array(vectors, np.float32).reshape(len(vectors), size))[order]
    places = [np.array(one, np.int64)[order] for one in (ids, starts, ends)]
    return SoundIndex(places[0], places[1], places[2], matrix)
