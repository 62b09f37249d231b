"""What the rooms of the local Studio pass around: a sample, its labels, and changes proposed for it.

Indices count values (readings per axis). `end_index` is inclusive, as everywhere in Edge Impulse's API.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

CATEGORIES = ("training", "testing", "validation", "post-processing", "anomaly")
CHART_TYPES = ("chart", "image", "video", "table")


@dataclass(frozen=True)
class Sensor:
    """One axis of a sample. Audio has the units ``wav``."""

    name: str
    units: str


AUDIO_SENSOR = Sensor("audio", "wav")


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
    `path` is the file below the project's folder, in the file system's own bytes; None for a sample
    that was added by a program. `revision` counts the changes of what the database holds of it.
    """

    id: int
    name: str
    category: str
    label: str
    frequency_hz: float
    values_count: int
    sensors: tuple[Sensor, ...]
    chart_type: str
    is_disabled: bool
    is_processing: bool
    processing_error: str | None
    metadata: Mapping[str, str]
    structured_labels: tuple[StructuredLabel, ...] | None
    sha256: str
    created: str
    modified: str
    added: str
    path: bytes | None
    has_wav: bool
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

    def applied_to(self, sample: LocalSample) -> LocalSample:
        """The sample as it would be once these changes were accepted."""
        if self.label is not None:
            sample = replace(sample, label=self.label)
        if self.is_disabled is not None:
            sample = replace(sample, is_disabled=self.is_disabled)
        if self.metadata is not None:
            sample = replace(sample, metadata=self.metadata)
        if self.structured_labels is not None:
            sample = replace(sample, structured_labels=self.structured_labels)
        return sample

    def to_json(self) -> dict[str, object]:
        """The API's `SampleProposedChanges`, only with what is proposed."""
        answer: dict[str, object] = {}
        if self.label is not None:
            answer["label"] = self.label
        if self.is_disabled is not None:
            answer["isDisabled"] = self.is_disabled
        if self.metadata is not None:
            answer["metadata"] = dict(self.metadata)
        if self.structured_labels is not None:
            answer["structuredLabels"] = [item.to_json() for item in self.structured_labels]
        return answer


@dataclass(frozen=True)
class Proposal:
    """What one job proposes for one sample."""

    job_id: int
    sample_id: int
    changes: ProposedChanges = field(default_factory=ProposedChanges)


def is_audio(sample: LocalSample) -> bool:
    """Whether the sample has an axis of audio."""
    return any(sensor.units == "wav" for sensor in sample.sensors)
