"""What all parts of the block say about a recording."""

from __future__ import annotations

import pytest

from block.recording import LabeledRecording, Segment, build_structured_labels, find_recording_name, name_errors


def test_an_error_passes_on_with_the_name_of_its_recording() -> None:
    with pytest.raises(ValueError, match="it is empty") as caught, name_errors("dog.wav"):
        raise ValueError("it is empty")
    assert find_recording_name(caught.value) == "dog.wav"
    assert find_recording_name(ValueError("it is empty")) == ""


def test_structured_labels_end_at_their_last_value() -> None:
    segments = (Segment(0, 100, "dog", 0.9), Segment(100, 250, "other", 0.1))
    assert build_structured_labels(segments) == [
        {"startIndex": 0, "endIndex": 99, "label": "dog"},
        {"startIndex": 100, "endIndex": 249, "label": "other"},
    ]


def test_labels_are_exact_unless_they_say_otherwise() -> None:
    assert LabeledRecording(1, "dog.wav", 100, 1.0, (), 0).mode == "exact"
