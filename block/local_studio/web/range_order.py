"""The order of a review that spreads verdicts over the scores of each label: the most certain ones say little.

The order comes from all segments that a job reported, with a verdict or without, so verdicts don't change it.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from block.evaluation.strata import sample_range
from block.local_studio.web.segments import BlockLabels, as_number


class RangeOrder:
    """The places of the segments in `details`: what jobs reported as JSON, by job and sample."""

    def __init__(self, details: Mapping[tuple[int, int], str]) -> None:
        found: dict[tuple[int, str], list[tuple[int, int, float]]] = defaultdict(list)
        for (job_id, sample_id), text in details.items():
            for entry in BlockLabels.from_details(job_id, json.loads(text)).entries:
                if (score := as_number(entry.get("score"))) is not None:
                    found[job_id, entry["label"]].append((sample_id, int(entry["startIndex"]), score))
        self._places: dict[tuple[int, int, str], list[tuple[int, int]]] = defaultdict(list)
        for (job_id, label), segments in found.items():
            segments.sort()
            order = sample_range(np.array([score for *_, score in segments]))
            for (sample_id, start, _), place in zip(segments, np.argsort(order).tolist(), strict=True):
                self._places[job_id, sample_id, label].append((start, place))

    def find_place(self, job_id: int, sample_id: int, label: str, middle: float) -> float:
        """Return the place of a segment by the value in its `middle`, from 0; infinity for one without a score.

        Each label of each job has places of its own.
        """
        places = self._places.get((job_id, sample_id, label), [])
        at = bisect_right(places, (middle, math.inf))
        return places[at - 1][1] if at else math.inf
