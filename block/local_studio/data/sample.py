"""The data types of the local Studio: a sample, its labels, and the changes proposed for it.

Indices count values (readings per axis). `end_index` is inclusive, as in all of Edge Impulse's API.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

UNNAMED_S = 0.1  # shorter ends aren't worth a segment of their own
CATEGORIES = ("training", "testing", "validation", "post-processing", "anomaly")


@dataclass(frozen=True)
class StructuredLabel:
    """The label of the values `start_index` … `end_index`, both inclusive."""

    start_index: int
    end_index: int
    label: str

    def to_json(self) -> dict[str, object]:
        return {"startIndex": self.start_index, "endIndex": self.end_index, "label": self.label}


@dataclass(frozen=True)
class LocalSample:
    """One recording of the project, without its audio.

    `values_count` is the number of readings per axis, and `frequency_hz` their rate (0 if unknown). `structured_labels`
    is None until labels are first set. `processing_error` says why the audio couldn't be read, and is None if it could.
    The three times are ISO 8601 in UTC. `path` is relative to the project's folder, in the file system's bytes.
    `revision` counts the changes to the sample in the database.
    """

    id: int
    name: str
    category: str
    label: str
    frequency_hz: float
    values_count: int
    is_disabled: bool
    processing_error: str | None
    metadata: Mapping[str, str]
    structured_labels: tuple[StructuredLabel, ...] | None
    sha256: str
    created: str
    modified: str
    added: str
    path: bytes
    revision: int = 0

    @property
    def length_ms(self) -> float:
        """The length in milliseconds; 0 if the rate is unknown."""
        return 1000 * self.values_count / self.frequency_hz if self.frequency_hz else 0.0


@dataclass(frozen=True)
class ProposedChanges:
    """Changes that a job proposes for a sample. None means no change; `metadata` replaces all of the metadata."""

    label: str | None = None
    is_disabled: bool | None = None
    metadata: Mapping[str, str] | None = None
    structured_labels: tuple[StructuredLabel, ...] | None = None

    def apply_to(self, sample: LocalSample) -> LocalSample:
        """Return the sample with these changes applied."""
        proposed = {name: value for name, value in vars(self).items() if value is not None}
        return replace(sample, **proposed)

    def to_json(self) -> dict[str, object]:
        """Return the API's `SampleProposedChanges`, without the fields that don't change."""
        labels = self.structured_labels
        fields = {
            "label": self.label,
            "isDisabled": self.is_disabled,
            "metadata": self.metadata,
            "structuredLabels": None if labels is None else [item.to_json() for item in labels],
        }
        return {name: value for name, value in fields.items() if value is not None}


@dataclass(frozen=True)
class Proposal:
    """The changes that one job proposes for one sample."""

    job_id: int
    sample_id: int
    changes: ProposedChanges


def fit_labels(
    labels: Sequence[StructuredLabel], rate_hz: float, new_rate_hz: float, values: int
) -> list[StructuredLabel]:
    """Fit labels at `rate_hz` to a file that was read again and now has `values` values at `new_rate_hz`.

    Labels keep their times. A rest after the last one gets an empty label; if the rest is shorter than 0.1 s, the last
    label is extended instead.
    """
    ratio = Fraction(new_rate_hz) / Fraction(rate_hz) if rate_hz else Fraction(1)
    fitted = []
    for label in labels:
        start, end = round(label.start_index * ratio), min(values, round((label.end_index + 1) * ratio))
        if start < end:
            fitted.append(StructuredLabel(start, end - 1, label.label))
    if fitted:
        end = fitted[-1].end_index + 1
        if values - end > UNNAMED_S * new_rate_hz:
            fitted.append(StructuredLabel(end, values - 1, ""))
        else:
            fitted[-1] = replace(fitted[-1], end_index=values - 1)
    return fitted
