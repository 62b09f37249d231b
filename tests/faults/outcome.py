"""The outcome of a run, and checks that compare it with a row of the fault table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tests.faults.layer import Layer
from tests.faults.row import Row
from tests.faults.stage import State

FAILED = re.compile(r"(\d+)(?: \S.*?)? failed: ")
LABELED = re.compile(r"(\d+) \S.* \([\d.]+ s\): ")
COUNTS = re.compile(r"(\d+) recordings? in .*: (\d+) labeled, (\d+) failed(?:, \d+ skipped)?(?:, (\d+) not reached)?")


@dataclass(frozen=True)
class Outcome:
    """The exit code, the output, and the ids in the failed-ids file (None: the file was not written)."""

    code: int
    output: str
    unlabeled: tuple[int, ...] | None

    @property
    def labeled(self) -> set[int]:
        return self._ids_in(LABELED)

    @property
    def failed(self) -> set[int]:
        return self._ids_in(FAILED)

    def _ids_in(self, pattern: re.Pattern[str]) -> set[int]:
        found = (pattern.match(line) for line in self.output.splitlines())
        return {int(one.group(1)) for one in found if one}


def problems(
    row: Row, outcome: Outcome, layer: Layer, key: str, before: Mapping[int, State], undisturbed: Mapping[int, State],
    after: Mapping[int, State],
) -> list[str]:  # fmt: skip
    """Return a description of each difference between the outcome and the row. An empty list means the run passed.

    The states by sample id are those `before` the run, `after` it, and after an `undisturbed` run without faults.
    """
    return [
        *_check_output(row, outcome, key, set(before)),
        *_check_states(row, outcome, before, undisturbed, after),
        *_check_calls(row, layer),
    ]


def _check_output(row: Row, outcome: Outcome, key: str, ids: set[int]) -> list[str]:
    """Check the exit code, the output, and the failed-ids file."""
    found = []
    if outcome.code != row.code:
        found.append(f"exit code {outcome.code}, expected {row.code}")
    lines = outcome.output.splitlines()
    if row.reports and not any(row.pattern().search(line) for line in lines):
        found.append(f"no line like {row.reports!r}")
    if not row.reports and (outcome.failed or "early" in outcome.output or "error" in outcome.output):
        found.append("trouble is reported, expected none")
    if key in outcome.output:
        found.append("the key is in the output")
    if "Traceback" in outcome.output or "unexpected" in outcome.output:
        found.append("an unexpected error")
    if not row.starts and not row.ends:
        return found
    counts = [match for match in map(COUNTS.search, lines[-1:]) if match]
    if not counts:
        return [*found, "the last line does not count the recordings"]
    total, labeled, failed, not_reached = (int(one or 0) for one in counts[0].groups())
    left = ids - outcome.labeled - outcome.failed - set(row.keeps)
    if (total, labeled, failed, not_reached) != (len(ids), len(outcome.labeled), len(outcome.failed), len(left)):
        found.append(f"the last line counts {counts[0].group()!r}, the lines before it say otherwise")
    unlabeled = outcome.failed | left
    if outcome.unlabeled is None or set(outcome.unlabeled) != unlabeled:
        found.append(f"the ids file of failures holds {outcome.unlabeled}, expected {unlabeled}")
    if not row.ends and outcome.failed != set(row.failed):
        found.append(f"failed: {outcome.failed}, expected {set(row.failed)}")
    if not row.ends and left:
        found.append(f"neither labeled nor failed: {left}")
    return found


def _check_states(
    row: Row, outcome: Outcome, before: Mapping[int, State], undisturbed: Mapping[int, State],
    after: Mapping[int, State],
) -> list[str]:  # fmt: skip
    """Check that Studio has the labels that the run reported, and left all others as the row expects."""
    found = []
    for sample_id, state in after.items():
        first, last = before[sample_id], undisturbed[sample_id]
        if sample_id in row.keeps:
            if state.labels == last.labels or not state.labels:
                found.append(f"sample {sample_id} lost the labels that someone else gave it: {state}")
            continue
        labels_only = State(last.labels, first.metadata)
        if sample_id in outcome.labeled:
            allowed = [last]
        elif sample_id not in outcome.failed:
            allowed = [first]
        elif row.ends:
            allowed = [first, labels_only, last]
        else:
            allowed = [{"nothing": first, "labels": labels_only, "all": last}[row.leaves]]
        if state not in allowed:
            found.append(f"sample {sample_id} is left as {state}, expected {' or '.join(map(str, allowed))}")
        if row.job is None and state.labels != first.labels and not state.is_announced:
            found.append(f"sample {sample_id} has labels that were not announced")
    return found


def _check_calls(row: Row, layer: Layer) -> list[str]:
    """Check how often each call was made, and that no other host was contacted."""
    found = []
    for asked in row.asked:
        count = layer.count(asked.call, asked.sample)
        if not asked.least <= count <= asked.most:
            found.append(f"{asked.call} was asked {count} times, expected {asked.least}…{asked.most}")
    if layer.elsewhere.heard:
        found.append(f"another host was asked: {layer.elsewhere.heard}")
    return found
