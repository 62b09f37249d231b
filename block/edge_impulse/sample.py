"""The parts of an Edge Impulse sample that this block uses, checked when they are read."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from block.formatting import make_printable
from block.recording import RecordingError, RecordingSkipped
from block.runtime.limits import THREADS, find_available_bytes

AUDIO_UNITS = "wav"
LEAST_BYTES_PER_VALUE, MOST_BYTES_PER_VALUE = 1, 8  # in a WAV, per axis
HEADER_BYTES = 1 << 20  # of a WAV, with all that isn't audio
SMALL_BYTES = 64 << 20  # audio that is read without asking for free memory
# A WAV may have another rate than its sample.
LARGEST_RATE_HZ, UNKNOWN_RATE_HZ, LARGEST_RATIO = 48000.0, 8000.0, 48.0
NOT_AUDIO_CHARTS = ("image", "video", "table")


@dataclass(frozen=True)
class Sample:
    """A sample as the API describes it, with `axes` axes. `audio_axis` is the one to request as a WAV.

    `values` is -1 and `frequency_hz` is 0 if the answer has no numbers for them. `structured_labels` is None if the
    sample has a single `label` instead.
    """

    id: int
    name: str
    values: int
    frequency_hz: float
    axes: int
    audio_axis: int
    chart_type: str
    is_disabled: bool
    is_processing: bool
    processing_error: str
    label: str
    structured_labels: list[dict[str, Any]] | None
    metadata: dict[str, str]

    @classmethod
    def from_answer(cls, answer: dict[str, Any], sample_id: int) -> Sample:
        """Read the answer to get-sample. Raise RecordingError if it doesn't describe a sample."""
        fields = answer.get("sample")
        if not isinstance(fields, dict):
            raise RecordingError("Studio's answer doesn't describe a sample")
        described = fields.get("id")
        if described is not None and (type(described) is not int or described != sample_id):
            quoted = make_printable(described, 40) if isinstance(described, (int, float, str)) else "without a number"
            raise RecordingError(
                f"Studio's answer describes sample {quoted}; expected {sample_id}; label it in a later run"
            )
        has_failed = fields.get("processingError") is True
        values, labels = fields.get("valuesCount"), fields.get("structuredLabels")
        has_labels = isinstance(labels, list) and labels and all(isinstance(entry, dict) for entry in labels)
        return cls(
            id=sample_id,
            name=_read_text(fields, "filename"),
            values=values if type(values) is int else -1,
            frequency_hz=_read_number(fields.get("frequency")),
            axes=len(sensors) if isinstance(sensors := fields.get("sensors"), list) and sensors else 1,
            audio_axis=_find_audio_axis(fields.get("sensors")),
            chart_type=_read_text(fields, "chartType"),
            is_disabled=fields.get("isDisabled") is True,
            is_processing=fields.get("isProcessing") is True,
            processing_error=(_read_text(fields, "processingErrorString") or "no reason given") if has_failed else "",
            label=_read_text(fields, "label"),
            structured_labels=labels if has_labels else None,
            metadata=_read_metadata(fields.get("metadata")),
        )

    def check_usable(self) -> None:
        """Raise RecordingSkipped or RecordingError, with the reason, if the sample has no audio to label."""
        if self.is_disabled:
            raise RecordingSkipped("it is disabled")
        if self.is_processing:
            raise RecordingError("Studio is still processing it; label it in a later run")
        if self.processing_error:
            raise RecordingError(f"Studio could not process it: {self.processing_error}")
        if self.chart_type in NOT_AUDIO_CHARTS:
            raise RecordingError(f"it is not audio: its chart type is {self.chart_type!r}")
        if self.values < 0:
            raise RecordingError("its valuesCount is not a whole number")
        if self.values < 1:
            raise RecordingError(f"the recording is empty: it has {self.values} values")

    def check_memory(self) -> None:
        """Raise RecordingError if the audio can't fit into this recording's share of the free memory."""
        least_bytes, free_bytes = self.values * LEAST_BYTES_PER_VALUE, find_available_bytes()
        if least_bytes > max(SMALL_BYTES, free_bytes // THREADS):
            raise RecordingError(
                f"the sample should have {self.values} values, which don't fit into memory: {free_bytes / 1e9:.1f} GB "
                f"are free, shared by {THREADS} recordings at a time; free some memory or split the recording"
            )

    @property
    def longest_wav_bytes(self) -> int:
        """The most bytes that a WAV of this sample may have, by its length and by the free memory.

        The WAV may contain all axes, and its rate may be higher than that of the sample.
        """
        hertz = self.frequency_hz if self.frequency_hz > 0 else UNKNOWN_RATE_HZ
        values_per_value = math.ceil(min(max(1.0, LARGEST_RATE_HZ / hertz), LARGEST_RATIO)) * self.axes
        explained = HEADER_BYTES + MOST_BYTES_PER_VALUE * values_per_value * self.values
        return min(explained, max(SMALL_BYTES, find_available_bytes() // THREADS))

    def as_proposal(self) -> dict[str, Any]:
        """Return a proposal that changes nothing: the metadata and labels as they were read."""
        if self.structured_labels is not None:
            return {"metadata": self.metadata, "structuredLabels": self.structured_labels}
        return {"metadata": self.metadata, "label": self.label}


def _find_audio_axis(sensors: Any) -> int:
    """Return the first axis whose units are audio, or 0 if there is none."""
    for index, sensor in enumerate(sensors if isinstance(sensors, list) else ()):
        if isinstance(sensor, dict) and _read_text(sensor, "units").lower() == AUDIO_UNITS:
            return index
    return 0


def _read_text(fields: dict[str, Any], name: str) -> str:
    """Return the field if it is a string, else an empty string."""
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _read_number(value: Any) -> float:
    try:
        return float(value) if isinstance(value, (int, float)) else 0.0
    except OverflowError:
        return 0.0


def _read_metadata(value: Any) -> dict[str, str]:
    """Return metadata as strings, which is how it must be written back, without keys whose value is null."""
    if not isinstance(value, dict):
        return {}
    try:
        return {
            str(key): text if isinstance(text, str) else json.dumps(text)
            for key, text in value.items()
            if text is not None
        }
    except RecursionError:
        raise RecordingError("its metadata is nested too deeply to be written back") from None
