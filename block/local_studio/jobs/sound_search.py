"""Find windows that sound like a span of a recording, and ask a person about some."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from block.local_studio.data.examples import Example, SoundSpan
from block.local_studio.data.similarity import (
    Bools,
    Interval,
    Scores,
    Vectors,
    choose_best,
    estimate_likeness,
    estimate_precision,
    mix_uncertain,
    score_windows,
)
from block.local_studio.data.validation import RequestError
from block.local_studio.jobs.sound_index import SoundIndex

DOUBTFUL_EVERY = 3  # once there are verdicts of both kinds, every third one is on a window that they say little about
NOT_SEARCHABLE = (
    "This part has no embedding, which is what sounds are compared by. Preview an AI action of this block on the "
    "recording: it keeps them."
)
NO_COUNTEREXAMPLE = (
    "Say no to at least 1 window first. Without a counterexample, every window of the project would get the label."
)


@dataclass(frozen=True)
class Candidate:
    """A window to ask about. `similarity`, -1…1, is that to the closest window that is like the sound."""

    span: SoundSpan
    similarity: float


@dataclass(frozen=True)
class LikeWindow:
    """A window that is like the sound. `likeness`, 0…1, is 1 if a person said so, and above 0.5 otherwise."""

    span: SoundSpan
    likeness: float


@dataclass(frozen=True, eq=False)
class SoundSearch:
    """The search for what is like `sound` in `index`, with a person's verdicts. Examples outside the index don't count.

    Raise RequestError if `sound` is not in the index.
    """

    index: SoundIndex
    sound: SoundSpan
    examples: Sequence[Example]

    def __post_init__(self) -> None:
        if self.index.embed(self.sound) is None:
            raise RequestError(NOT_SEARCHABLE, 409)

    def _embed(self, is_like: bool) -> Vectors:
        known = [Example(self.sound, True), *self.examples]
        vectors = [self.index.embed(one.span) for one in known if one.is_like == is_like]
        found = [vector for vector in vectors if vector is not None]
        return np.array(found, np.float32).reshape(len(found), self.index.vectors.shape[1])

    @cached_property
    def _like(self) -> Vectors:
        return self._embed(is_like=True)

    @cached_property
    def _unlike(self) -> Vectors:
        return self._embed(is_like=False)

    @cached_property
    def _scores(self) -> Scores:
        return score_windows(self.index.vectors, self._like, self._unlike)

    @cached_property
    def precision(self) -> Interval | None:
        """The share of windows that the label would be right for, from verdicts that are each held out once."""
        return estimate_precision(self._like[:1], self._like[1:], self._unlike)

    def find_candidates(self, count: int) -> list[Candidate]:
        """Return windows to ask about: the best of each recording without those that the person has heard.

        With verdicts of both kinds, some are those that the verdicts say least about.
        """
        ranked = self._rank()
        chosen = ranked[:count]
        if len(self._unlike):
            chosen = mix_uncertain(ranked, self._scores, count, DOUBTFUL_EVERY, len(self.examples))
        closest = (self.index.vectors[chosen] @ self._like.T).max(axis=1) if chosen else ()
        return [Candidate(self.index.span(at), float(one)) for at, one in zip(chosen, closest, strict=True)]

    def rank_recordings(self) -> list[int]:
        """Return the samples with windows that the person hasn't heard, the most similar first."""
        return [int(self.index.sample_ids[at]) for at in self._rank()]

    def _rank(self) -> list[int]:
        is_known = self._find_known([self.sound, *self._spans()])
        return choose_best(self.index.sample_ids, self._scores, ~is_known)

    def find_like(self) -> list[LikeWindow]:
        """Return the windows that are more likely like the sound than not, and those that a person says are.

        They are sorted by sample and start. Raise RequestError without a verdict of each kind.
        """
        if not len(self._unlike):
            raise RequestError(NO_COUNTEREXAMPLE)
        likeness = estimate_likeness(self._scores)
        likeness[self._find_known(self._spans(is_like=False))] = 0
        likeness[self._find_known([self.sound, *self._spans(is_like=True)])] = 1
        return [LikeWindow(self.index.span(int(at)), float(likeness[at])) for at in np.flatnonzero(likeness > 0.5)]

    def _spans(self, is_like: bool | None = None) -> Iterator[SoundSpan]:
        return (one.span for one in self.examples if is_like in (None, one.is_like))

    def _find_known(self, spans: Iterator[SoundSpan] | Sequence[SoundSpan]) -> Bools:
        known = np.zeros(len(self.index), bool)
        for span in spans:
            known |= self.index.find_overlaps(span) > 0
        return known
