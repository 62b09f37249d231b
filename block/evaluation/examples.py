"""Find the moments worth listening to: the most confident mistakes, and the least certain labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from block import decisions
from block.evaluation.evaluation import LabelingResult
from block.evaluation.excerpts import Excerpt
from block.evaluation.ground_truth import GroundTruth
from block.evaluation.predictions import reduce_to_targets

MAX_MOMENTS = 10


@dataclass(frozen=True)
class Moment:
    """A span of a clip, in seconds, that was given `label` with `score`; `annotated` has the names annotated there.

    `margin` comes from `decisions.compute_margins`. `excerpt` is None if the recording couldn't be read for it.
    """

    clip: int
    start_s: float
    end_s: float
    label: str
    score: float
    annotated: tuple[str, ...]
    margin: float
    excerpt: Excerpt | None = None


def find_mistakes(result: LabelingResult, ground_truth: GroundTruth) -> list[Moment]:
    """Return the ten most confident mistakes, at most one per clip.

    First, labels that were given but aren't annotated, highest score first. Then, clips with a missed label and no
    wrong one, lowest score of the missed label first.
    """
    judged = {target.name for target in ground_truth.targets} - set(ground_truth.unjudged_names)
    wrong: list[Moment] = []
    missed: list[tuple[float, Moment]] = []
    for clip, moments in enumerate(_list_moments(result, ground_truth)):
        false = [one for one in moments if one.label in judged and one.label not in one.annotated]
        if false:
            wrong.append(max(false, key=lambda moment: moment.score))
            continue
        lost = set(_list_annotated(ground_truth, clip)) - {moment.label for moment in moments}
        if not lost:
            continue
        scores = reduce_to_targets(result.predictions[clip].scores, ground_truth.targets).max(axis=0)
        lowest = min(score for target, score in zip(ground_truth.targets, scores, strict=True) if target.name in lost)
        candidates = [moment for moment in moments if lost & set(moment.annotated)] or moments
        missed.append((float(lowest), max(candidates, key=lambda moment: moment.margin)))
    wrong.sort(key=lambda moment: -moment.score)
    missed.sort(key=lambda pair: pair[0])
    return [*wrong, *(moment for _, moment in missed)][:MAX_MOMENTS]


def find_least_certain(result: LabelingResult, ground_truth: GroundTruth) -> list[Moment]:
    """Return the ten moments, at most one per clip, whose label would change with the smallest change of a score."""
    found = [
        min(moments, key=lambda moment: moment.margin) for moments in _list_moments(result, ground_truth) if moments
    ]
    return sorted(found, key=lambda moment: moment.margin)[:MAX_MOMENTS]


def _list_annotated(ground_truth: GroundTruth, clip: int) -> list[str]:
    return [target.name for target, on in zip(ground_truth.targets, ground_truth.present[clip], strict=True) if on]


def _list_moments(result: LabelingResult, ground_truth: GroundTruth) -> Iterator[list[Moment]]:
    """Yield a list for each clip: its cells that aren't silent, as decided before segments are built."""
    settings = result.settings
    for clip, prediction in enumerate(result.predictions):
        cells, to_seconds = prediction.clip.layout.cells, prediction.clip.seconds_at
        heard = decisions.find_heard_cells(prediction.is_heard, cells)
        median = decisions.count_values(settings.median_ms, prediction.clip.value_rate_hz)
        scores = decisions.smooth_cells(prediction.scores, heard, cells, median)
        decided = decisions.decide_cells(scores, heard, settings.labels, settings.other_label, settings.hysteresis)
        names = [one.label for one in decided]
        margins = decisions.compute_margins(scores, names, settings.labels, settings.hysteresis)
        moments = []
        for cell, decision, margin, is_heard in zip(cells, decided, margins, heard, strict=True):
            if not is_heard:
                continue
            start_s, end_s = to_seconds(cell.start), to_seconds(cell.end)
            annotated = _list_annotated(ground_truth, clip)
            if events := ground_truth.events[clip]:
                active = {event.label for event in events if event.start_s < end_s and event.end_s > start_s}
                annotated = [ground_truth.targets[target].name for target in sorted(active)]
            moments.append(
                Moment(clip, start_s, end_s, decision.label, decision.score, tuple(annotated), float(margin))
            )
        yield moments
