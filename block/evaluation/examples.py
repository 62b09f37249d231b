"""Which places of which clips are worth listening to: where the labels are wrong for sure, and where least certain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from block import decisions
from block.decisions import Scores
from block.evaluation.bootstrap import Bools, Floats
from block.evaluation.ground_truth import GroundTruth
from block.evaluation.predictions import Clip, Prediction, of_targets
from block.labels import LabelOfInterest
from block.settings import DecisionSettings

SHOWN = 10


@dataclass(frozen=True)
class Moment:
    """A span of a clip, in seconds: `label` was given with `score`; `annotated` are the names noted for it.

    `margin` is how far the scores would have to move for another label.
    """

    clip: int
    start_s: float
    end_s: float
    label: str
    score: float
    annotated: tuple[str, ...]
    margin: float


def mistakes(
    clips: Sequence[Clip], predictions: Sequence[Prediction], truth: GroundTruth, settings: DecisionSettings
) -> list[Moment]:
    """The most confident mistakes, one a clip: labels given where they are not noted, the highest score first.

    Where these are fewer than ten, clips follow in which a label was missed, and none given in its place; those with
    the lowest score of the label first.
    """
    wrong: list[Moment] = []
    missed: list[tuple[float, Moment]] = []
    for at, moments in enumerate(_moments(clips, predictions, truth, settings)):
        places = {target.name: place for place, target in enumerate(truth.targets)}
        false = [
            moment for moment in moments
            if moment.label in places and truth.judged[places[moment.label]] and moment.label not in moment.annotated
        ]  # fmt: skip
        if false:
            wrong.append(max(false, key=lambda moment: moment.score))
            continue
        given = {moment.label for moment in moments}
        lost = [name for name in _noted(truth, at) if name not in given]
        if not lost:
            continue
        scores = of_targets(predictions[at].scores, truth.targets).max(axis=0)
        where = [moment for moment in moments if set(lost) & set(moment.annotated)] or moments
        missed.append((min(float(scores[places[name]]) for name in lost), max(where, key=lambda one: one.margin)))
    wrong.sort(key=lambda moment: -moment.score)
    missed.sort(key=lambda pair: pair[0])
    return [*wrong, *(moment for _, moment in missed)][:SHOWN]


def least_certain(
    clips: Sequence[Clip], predictions: Sequence[Prediction], truth: GroundTruth, settings: DecisionSettings
) -> list[Moment]:
    """The places, one a clip, where the smallest change of the scores would give another label."""
    found = [
        min(moments, key=lambda moment: moment.margin)
        for moments in _moments(clips, predictions, truth, settings)
        if moments
    ]
    return sorted(found, key=lambda moment: moment.margin)[:SHOWN]


def _noted(truth: GroundTruth, clip: int) -> list[str]:
    return [target.name for target, there in zip(truth.targets, truth.present[clip], strict=True) if there]


def _moments(
    clips: Sequence[Clip], predictions: Sequence[Prediction], truth: GroundTruth, settings: DecisionSettings
) -> Iterator[list[Moment]]:
    """The cells of each clip that are not silent, each decided by itself."""
    for at, (clip, one) in enumerate(zip(clips, predictions, strict=True)):
        cells, loud = clip.layout.cells, one.audible_cells(clip)
        means = decisions.score_cells(one.scores, cells)
        got = decisions.decide_cells(means, loud, settings.labels, settings.other_label)
        far = margins(means, settings.labels)
        moments = []
        for cell, decision, margin, is_loud in zip(cells, got, far, loud, strict=True):
            if not is_loud:
                continue
            start_s, end_s = clip.at_s(cell.start), clip.at_s(cell.end)
            noted = _noted(truth, at)
            if truth.events[at]:
                over = {event.label for event in truth.events[at] if event.start_s < end_s and event.end_s > start_s}
                noted = [truth.targets[target].name for target in sorted(over)]
            moments.append(Moment(at, start_s, end_s, decision.label, decision.score, tuple(noted), float(margin)))
        yield moments


def margins(scores: Scores, labels: Sequence[LabelOfInterest]) -> Floats:
    """By how much scores must move, each up or down, for the label to be another. Shape: `(cells, labels)` in.

    The winner falls below its threshold; or a rival reaches its own and, moving against the winner, passes it.
    Returns `(cells,)`. Labels of one name count as rivals.
    """
    thresholds = np.array([label.threshold for label in labels])
    short: Floats = thresholds - scores
    reached: Bools = short <= 0
    winners = np.where(reached, scores, -1.0).argmax(axis=1)
    rows = np.arange(len(scores))
    found = reached[rows, winners]
    to_pass = (scores[rows, winners][:, None] - scores) / 2
    needed = np.where(found[:, None], np.maximum(short, to_pass), short)
    needed[rows[found], winners[found]] = -short[rows[found], winners[found]]
    return np.asarray(needed.min(axis=1))
