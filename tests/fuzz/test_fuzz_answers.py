"""Any answer of the API about a sample gives a recording, or an error that a run reports."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import example, given
from hypothesis import strategies as st

from block.edge_impulse.errors import StudioError
from block.edge_impulse.label_policy import LabelPolicy
from block.edge_impulse.project import Project, ProjectSettings, list_projects
from block.recording import LabeledRecording, Recording, RecordingError, RecordingSkipped, RunEnded, Segment
from block.runtime.memory_file import MemoryFile
from block.settings import EXISTING_LABELS, FILL_GAPS, REPLACE, ExistingLabels
from tests.fuzz.drawn import any_text, examples, flipped, json_values, nested, odd_numbers

POLICY = LabelPolicy("4f0c", "other")
FOUND = {
    "id": 7, "filename": "a", "valuesCount": 1600, "frequency": 16000, "sensors": [{"name": "audio", "units": "wav"}],
    "chartType": "chart", "isDisabled": False, "isProcessing": False, "processingError": False, "label": "x",
    "processingErrorString": "", "metadata": {"a": "b"}, "structuredLabels": [],
}  # fmt: skip


def wav(values: int = 1600) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(values), 16000, format="WAV", subtype="PCM_16")
    return file.getvalue()


@dataclass
class Client:
    """A client that gives every call the same answer and audio. Posted bodies must be JSON; `posted` has the last."""

    answer: dict[str, Any]
    audio: bytes
    posted: Any = None

    def get_json(self, path: str, **query: Any) -> dict[str, Any]:
        return self.answer

    def get_audio(self, path: str, **query: Any) -> MemoryFile:
        return MemoryFile(self.audio)

    def post_json(self, path: str, body: Any) -> dict[str, Any]:
        self.posted = json.loads(json.dumps(body).encode("ascii"))
        return {"success": True}


def fetch(answer: dict[str, Any], audio: bytes, existing: ExistingLabels = REPLACE) -> Recording | None:
    """Fetch a sample with this answer and write labels back; return None for an error that runs report."""
    said: list[str] = []
    policy = LabelPolicy("4f0c", "other", existing, is_preview=True)
    client = Client(answer, audio)
    project = Project(client, ProjectSettings(1, {"labeled_by": "x"}, policy, 5), said.append, said.append)  # type: ignore[arg-type]
    reserved: list[int] = []
    recording = None
    try:
        recording = project.fetch(7, reserved.append)
        segments = (Segment(0, recording.values, "speech", 0.5),)
        project.write(LabeledRecording(7, recording.name, recording.values, recording.seconds, segments, 1))
        labels = client.posted["proposedChanges"]["structuredLabels"]
        ends = [-1, *(one["endIndex"] for one in labels)]
        assert [one["startIndex"] for one in labels] == [end + 1 for end in ends[:-1]]
        assert ends[-1] == recording.values - 1
    except (RecordingError, RecordingSkipped, RunEnded):
        project.give_up(7)
    assert all(type(values) is int and values > 0 for values in reserved)
    return recording


kept = st.sampled_from(["none", "0-9", "5-3", "0-1599", "7-99999,0-3", "0-" + "9" * 5000])
odd_labels = st.fixed_dictionaries(
    {"startIndex": st.integers(-1, 1700) | odd_numbers, "endIndex": st.integers(0, 1700) | odd_numbers,
     "label": any_text | st.sampled_from(["a", "other", ""]) | json_values},
    optional={"labelMap": json_values},
)  # fmt: skip
odd_fields = dict.fromkeys(FOUND, json_values | odd_numbers | any_text) | {
    "valuesCount": st.integers(1590, 1610) | st.just(3200) | odd_numbers | json_values,
    "frequency": st.sampled_from([16000, 16000.0, 8000, 15990]) | odd_numbers | json_values,
    "sensors": st.lists(json_values | st.fixed_dictionaries({"units": json_values | st.just("WAV")}), max_size=3),
    "metadata": st.dictionaries(any_text | st.just("ast_kept"), json_values | kept, max_size=4) | json_values,
    "structuredLabels": st.lists(st.dictionaries(any_text, json_values, max_size=3) | odd_labels, max_size=3)
    | json_values,
}  # fmt: skip


@st.composite
def samples(draw: Any) -> dict[str, Any]:
    names = draw(st.sets(st.sampled_from(sorted(FOUND)), max_size=3))
    fields = {**FOUND, **{name: draw(odd_fields[name]) for name in names}}
    for name in draw(st.sets(st.sampled_from(sorted(FOUND)), max_size=2)):
        fields.pop(name)
    return fields


@st.composite
def audios(draw: Any) -> bytes:
    return draw(st.just(wav()) | st.just(wav(3200))) if draw(st.booleans()) else flipped(draw, wav(200))


@examples(300)
@given(samples(), audios(), st.sampled_from(EXISTING_LABELS))
@example({**FOUND, "valuesCount": 10**15}, wav(), REPLACE)
@example({**FOUND, "valuesCount": 10**400}, wav(), REPLACE)
@example({**FOUND, "frequency": 10**400}, wav(), REPLACE)
@example({**FOUND, "filename": "x" * (1 << 20)}, wav(), REPLACE)
@example({**FOUND, "metadata": {"\ud800": "\udfff"}}, wav(), REPLACE)
@example({**FOUND, "structuredLabels": [{"startIndex": 0, "endIndex": 10**400, "label": "a"}]}, wav(), FILL_GAPS)
@example({**FOUND, "structuredLabels": [{"startIndex": 5, "endIndex": 5, "label": ""}]}, wav(), FILL_GAPS)
def test_any_sample_is_a_recording_or_fails_with_a_message(
    fields: dict[str, Any], audio: bytes, existing: ExistingLabels
) -> None:
    recording = fetch({"success": True, "sample": fields}, audio, existing)
    if recording is not None:
        assert abs(recording.seconds * 16000 - len(recording.waveform)) <= 200


@pytest.mark.parametrize("field", FOUND)
@pytest.mark.parametrize("depth", [500, 50_000])
def test_nested_lists_in_any_field_cause_no_endless_recursion(field: str, depth: int) -> None:
    for value in (nested(depth), {"a": nested(depth)}, [{"units": nested(depth)}]):
        fetch({"sample": {**FOUND, field: value}}, wav())


@examples(100)
@given(st.dictionaries(st.sampled_from(["sample", "success"]), json_values), st.binary(max_size=50))
def test_any_answer_is_a_recording_or_fails_with_a_message(answer: dict[str, Any], audio: bytes) -> None:
    fetch(answer, audio)


@examples(100)
@given(
    st.fixed_dictionaries({}, optional={"projects": json_values | st.lists(st.fixed_dictionaries({"id": json_values}))})
)
def test_any_list_of_projects_gives_ids_or_is_a_bad_answer(answer: dict[str, Any]) -> None:
    try:
        ids = list_projects(Client(answer, b""))  # type: ignore[arg-type]
    except StudioError:
        return
    assert all(type(one) is int for one in ids)


@pytest.mark.parametrize("values", [10**15, 2**31, 15_000, 0, -1])
def test_a_sample_whose_length_differs_from_its_audio_is_refused_naming_both(values: int) -> None:
    client = Client({"sample": {**FOUND, "valuesCount": values}}, wav())
    project = Project(client, ProjectSettings(1, {}, POLICY), print, print)  # type: ignore[arg-type]
    with pytest.raises(RecordingError, match=f"{values} values|valuesCount is not"):
        project.fetch(7, lambda values: None)
