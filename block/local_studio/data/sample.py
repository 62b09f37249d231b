"""What the rooms of the local Studio pass around: a sample, its labels, and changes proposed for it.

Indices count values (readings per axis). `end_index` is inclusive, as everywhere in Edge Impulse's API.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

CATEGORIES = ("training", "testing", "validation", "post-processing", "anomaly")


@dataclass(frozen=True)
class StructuredLabel:
    """`label` holds for the values `start_index` … `end_index`, both included."""

    start_index: int
    end_index: int
    label: str

    def to_json(self) -> dict[str, object]:
        return {"startIndex": self.start_index, "endIndex": self.end_index, "label": self.label}


@dataclass(frozen=True)
class LocalSample:
    """One recording of the project, without its audio.

    `values_count` is the number of readings per axis, `frequency_hz` their rate (0 when unknown).
    `structured_labels` is None until they are first set; `processing_error` is the reason why the
    audio could not be read, None when it could. The three times are ISO 8601 in UTC.
    `path` is the file below the project's folder, in the file system's own bytes. `revision` counts
    the changes of what the database holds of it.
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
        """Length in milliseconds; 0 when the rate is unknown."""
        return 1000 * self.values_count / self.frequency_hz if self.frequency_hz else 0.0


@dataclass(frozen=True)
class ProposedChanges:
    """Changes that a job proposes for a sample; None means "leave as it is".

    `metadata`, when given, replaces the sample's whole map.
    """

    label: str | None = None
    is_disabled: bool | None = None
    metadata: Mapping[str, str] | None = None
    structured_labels: tuple[StructuredLabel, ...] | None = None

    def apply_to(self, sample: LocalSample) -> LocalSample:
        """Return the sample as it would be if these changes were accepted."""
        proposed = {name: value for name, value in vars(self).items() if value is not None}
        return replace(sample, **proposed)

    def to_json(self) -> dict[str, object]:
        """Return the API's `SampleProposedChanges`, only with what is proposed."""
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
    """What one job proposes for one sample."""

    job_id: int
    sample_id: int
    changes: ProposedChanges
