"""What a run decides labels from, and by which rules, so that labels can be decided again without the run.

The local Studio gets it as JSON in the details file, and decides with it what a run with other thresholds would
propose.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

from block.edge_impulse.label_owner import JOB
from block.edge_impulse.label_policy import LabelPolicy
from block.labeling.job import build_metadata, compute_fingerprint
from block.labels import LabelOfInterest
from block.score_store import Key
from block.settings import FILL_GAPS, AuditSettings, DecisionSettings, ExistingLabels

Record = TypeVar("Record")
PLAIN: Mapping[str, tuple[type, ...]] = {
    "str": (str,), "int": (int,), "bool": (bool,), "float": (int, float), "float | None": (int, float, type(None)),
    "ScoreFunction": (str,), "ExistingLabels": (str,),
}  # fmt: skip


@dataclass(frozen=True)
class RunRecord:
    """A run on a project: the `key` of its scores, its `decisions`, and what it does about labels that are there.

    `model` is the name of the checkpoint.
    """

    key: Key
    decisions: DecisionSettings
    audit: AuditSettings
    model: str
    existing: ExistingLabels
    overwrites_hand_labels: bool

    @property
    def fingerprint(self) -> str:
        """The id of the job: runs with the same one give the same labels."""
        return compute_fingerprint(self.key, self.decisions, self.audit, fills_gaps=self.existing == FILL_GAPS)

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata that all labels of this run come with."""
        key = self.key
        described = build_metadata(self.decisions, key.windows, key.fill, self.model, key.checkpoint, key.dtype)
        return {**described, JOB: self.fingerprint}

    def make_policy(self, is_preview: bool) -> LabelPolicy:
        """Return the rules about labels that samples already have."""
        return LabelPolicy(
            self.fingerprint, self.decisions.other_label, self.existing, self.overwrites_hand_labels, is_preview
        )

    def to_json(self) -> dict[str, object]:
        """Return the record as JSON; `from_json` reads it."""
        return {**asdict(self), "key": json.loads(self.key.to_json())}

    @classmethod
    def from_json(cls, value: object) -> RunRecord:
        """Return the record that `to_json` wrote. Raise ValueError for anything else."""
        try:
            given = dict(value)  # type: ignore[call-overload]
            decisions = dict(given["decisions"])
            labels = tuple(_read_label(dict(one)) for one in decisions["labels"])
            if not labels:
                raise ValueError("not the record of a run: it has no labels")
            return _read(
                cls, given, key=Key.from_json(json.dumps(given["key"])),
                decisions=_read(DecisionSettings, decisions, labels=labels), audit=_read(AuditSettings, given["audit"]),
            )  # fmt: skip
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not the record of a run: {error}") from None


def _read_label(given: Mapping[str, Any]) -> LabelOfInterest:
    """Return a label of interest. Raise TypeError or ValueError, also for classes and thresholds that can't be."""
    indices = tuple(map(int, given["indices"]))
    label = _read(LabelOfInterest, given, indices=indices)
    if not indices or min(indices) < 0 or not 0 <= label.threshold <= 1:
        raise ValueError(f"not the record of a run: its label {label.name[:40]!r} has impossible classes or thresholds")
    return label


def _read(kind: type[Record], given: Mapping[str, Any], **known: object) -> Record:
    """Return a dataclass with the fields `given`, except those that are `known`. Raise TypeError or ValueError."""
    for field in fields(kind):  # type: ignore[arg-type]
        if field.name not in known and type(given[field.name]) not in PLAIN[str(field.type)]:
            raise TypeError(f"{field.name} is {given[field.name]!r}; expected {field.type}")
    return kind(**{**given, **known})
