"""Which recordings a person should listen to first: those of whose labels a block was not sure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from block.local_studio.sample import Sample, StructuredLabel

CLOSE = 0.1  # to another label, of a score


def is_uncertain(said: Mapping[str, object], sample: Sample, *, has_proposal: bool) -> bool:
    """Was a block unsure of a segment that the sample has, or, with `has_proposal`, of one that it proposes?

    `said` are details as the README describes them; those of a proposal that was rejected, or of labels that were
    replaced since, no longer count.
    """
    entries = said.get("segments")
    if not isinstance(entries, list):
        return False
    unsure = [one for one in entries if isinstance(one, dict) and is_unsure(one)]
    return any(has_proposal or _stands(one, sample.structured_labels or ()) for one in unsure)


def is_unsure(entry: Mapping[str, Any]) -> bool:
    """Did one of a segment's windows not agree, or was another label close?

    How close, a block says as `margin`; of one that does not, the runner-up's score is compared.
    """
    windows, agreeing = entry.get("windows"), entry.get("agreeing")
    if isinstance(windows, int) and isinstance(agreeing, int) and agreeing < windows:
        return True
    if isinstance(margin := entry.get("margin"), int | float):
        return margin < CLOSE
    score, pairs = entry.get("score"), entry.get("runnersUp")
    if not isinstance(score, int | float) or not isinstance(pairs, list):
        return False
    rivals = [one[1] for one in pairs if isinstance(one, list) and len(one) == 2 and isinstance(one[1], int | float)]
    return bool(rivals) and score - max(rivals) < CLOSE


def _stands(entry: Mapping[str, Any], labels: Sequence[StructuredLabel]) -> bool:
    """Is what the block said the sample's label now? Neighbours with one label may have been merged since."""
    start, end = entry.get("startIndex"), entry.get("endIndex")
    if not isinstance(start, int) or not isinstance(end, int):
        return False
    return any(one.start_index <= start and end <= one.end_index and one.label == entry.get("label") for one in labels)
