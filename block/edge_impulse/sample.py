"""What this block reads of an Edge Impulse sample, checked at the border."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from block.recording import RecordingError, RecordingSkipped

AUDIO_UNITS = "wav"
NOT_AUDIO_CHARTS = ("image", "video", "table")


@dataclass(frozen=True)
class Sample:
    """A sample as the API describes it. `audio_axis` is the axis to ask a WAV for.

    `values` is -1 and `frequency_hz` 0 where the answer does not give them as numbers. `structured_labels` is None
    where the sample has a single `label` instead.
    """

    id: int
    name: str
    values: int
    frequency_hz: float
    audio_axis: int
    chart_type: str
    is_disabled: bool
    is_processing: bool
    processing_error: str
    label: str
    structured_labels: list[dict[str, Any]] | None
    metadata: dict[str, str]

    @classmethod
    def read(cls, answer: dict[str, Any], sample_id: int) -> Sample:
        """From the answer to get-sample. Raises RecordingError where it describes no sample at all."""
        fields = answer.get("sample")
        if not isinstance(fields, dict):
            raise RecordingError("the answer describes no sample")
        failed = fields.get("processingError") is True
        return cls(
            id=sample_id,
            name=_text(fields.get("filename")),
            values=_whole(fields.get("valuesCount")),
            frequency_hz=_number(fields.get("frequency")),
            audio_axis=_audio_axis(fields.get("sensors")),
            chart_type=_text(fields.get("chartType")),
            is_disabled=fields.get("isDisabled") is True,
            is_processing=fields.get("isProcessing") is True,
            processing_error=(_text(fields.get("processingErrorString")) or "no reason given") if failed else "",
            label=_text(fields.get("label")),
            structured_labels=_structured_labels(fields.get("structuredLabels")),
            metadata=_metadata(fields.get("metadata")),
        )

    def check_usable(self) -> None:
        """Raises RecordingSkipped or RecordingError, with the reason, for a sample that has no audio to label."""
        if self.is_disabled:
            raise RecordingSkipped("it is disabled")
        if self.is_processing:
            raise RecordingError("Studio is still processing it; label it once that is done")
        if self.processing_error:
            raise RecordingError(f"Studio could not process it: {self.processing_error}")
        if self.chart_type in NOT_AUDIO_CHARTS:
            raise RecordingError(f"it holds no audio: its chart type is {self.chart_type!r}")
        if self.values < 0:
            raise RecordingError("the sample has no valuesCount that is a whole number")
        if self.values < 1:
            raise RecordingError(f"the recording is empty: it has {self.values} values")


def _audio_axis(sensors: Any) -> int:
    """The first axis that is measured in units of audio; 0 where none says so."""
    if isinstance(sensors, list):
        for index, sensor in enumerate(sensors):
            if isinstance(sensor, dict) and _text(sensor.get("units")).lower() == AUDIO_UNITS:
                return index
    return 0


def _text(value: Any) -> str:
    """A string as it is; empty for what is none."""
    return value if isinstance(value, str) else ""


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else -1


def _number(value: Any) -> float:
    try:
        return float(value) if isinstance(value, (int, float)) else 0.0
    except OverflowError:
        return 0.0


def _structured_labels(value: Any) -> list[dict[str, Any]] | None:
    if isinstance(value, list) and value and all(isinstance(entry, dict) for entry in value):
        return value
    return None


def _metadata(value: Any) -> dict[str, str]:
    """Metadata as the strings it has to be written back as; a key without a value is left out."""
    if not isinstance(value, dict):
        return {}
    try:
        return {
            str(key): text if isinstance(text, str) else json.dumps(text)
            for key, text in value.items()
            if text is not None
        }
    except RecursionError:
        raise RecordingError("its metadata cannot be kept: it is nested too deeply") from None
