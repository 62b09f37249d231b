from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import soundfile

from block.edge_impulse.errors import (
    BadAnswer,
    ConnectionFailed,
    Forbidden,
    NotFound,
    Redirected,
    Refused,
    StudioError,
    Unauthorized,
    Unreachable,
)
from block.edge_impulse.label_owner import fingerprint
from block.edge_impulse.project import Project, list_projects
from block.labeling.job import LABELED_BY
from block.recording import (
    LabeledRecording,
    RecordingDone,
    RecordingError,
    RecordingForbidden,
    RecordingLost,
    RecordingSkipped,
    RunEnded,
    Segment,
    find_recording_name,
)

METADATA = {"labeled_by": LABELED_BY, "ast_labels": "speech", "ast_job": "4f0c"}


def wav(values: int = 16000, rate: int = 16000) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(values), rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def sample(**changes: Any) -> dict[str, Any]:
    fields = {
        "id": 7, "filename": "idle01.d8Ae", "valuesCount": 16000, "frequency": 16000.0, "label": "idle",
        "sensors": [{"name": "audio", "units": "wav"}], "chartType": "chart", "isDisabled": False,
        "isProcessing": False, "processingError": False,
    }  # fmt: skip
    return {**fields, **changes}


@dataclass
class FakeClient:
    """Answer from a table, record every call, and raise the errors it is given."""

    fields: dict[str, Any] = field(default_factory=sample)
    audio: bytes = field(default_factory=wav)
    trouble: dict[str, StudioError] = field(default_factory=dict)
    calls: list[tuple[str, str, Any]] = field(default_factory=list)

    def _note(self, method: str, path: str, content: Any) -> None:
        self.calls.append((method, path, content))
        for part, error in self.trouble.items():
            if part in path:
                raise error

    def get_json(self, path: str, **query: Any) -> dict[str, Any]:
        self._note("GET", path, query)
        return {"success": True, "sample": self.fields}

    def get_bytes(self, path: str, limit_bytes: int, **query: Any) -> bytes:
        self._note("GET", path, query)
        assert len(self.audio) <= limit_bytes
        return self.audio

    def post_json(self, path: str, body: Any) -> dict[str, Any]:
        self._note("POST", path, body)
        return {"success": True}


def project(client: FakeClient, job: int | None = None, dry_run: bool = False, show_calls: bool = False) -> Project:
    said: list[str] = []
    made = Project(
        client, 1, METADATA, job, dry_run, said.append, said.append, show_calls=show_calls,  # type: ignore[arg-type]
    )  # fmt: skip
    made.said = said  # type: ignore[attr-defined]
    return made


LABELED = LabeledRecording(
    7, "idle01", 16000, 1.0, (Segment(0, 8000, "speech", 0.9), Segment(8000, 16000, "other", 0.1)), 2, "fast merged"
)
LABELS = [
    {"startIndex": 0, "endIndex": 7999, "label": "speech"},
    {"startIndex": 8000, "endIndex": 15999, "label": "other"},
]

WRITTEN = {**METADATA, "ast_mode": LABELED.mode, "ast_segments": fingerprint(LABELS)}


def posts(client: FakeClient) -> list[tuple[str, Any]]:
    return [(path, body) for method, path, body in client.calls if method == "POST"]


def test_labels_are_written_before_metadata_and_metadata_keeps_the_keys_that_were_there() -> None:
    client = FakeClient(sample(metadata={"site": "north", "labeled_by": "another block"}))
    made = project(client)
    made.fetch(7, print)
    made.write(LABELED)
    assert posts(client) == [
        ("/api/1/raw-data/7/structured-labels", {"structuredLabels": LABELS}),
        ("/api/1/raw-data/7/metadata", {"metadata": {"site": "north", **WRITTEN}}),
    ]


def test_a_preview_reads_what_earlier_steps_proposed_and_proposes_once_and_writes_nothing() -> None:
    client = FakeClient(sample(metadata={"site": "north"}))
    made = project(client, job=12)
    made.fetch(7, print)
    made.write(LABELED)
    assert client.calls[0] == ("GET", "/api/1/raw-data/7", {"limitPayloadValues": 1, "proposedActionsJobId": 12})
    changes = {"structuredLabels": LABELS, "metadata": {"site": "north", **WRITTEN}}
    assert posts(client) == [("/api/1/raw-data/7/propose-changes", {"jobId": 12, "proposedChanges": changes})]


def test_without_a_preview_no_job_is_named() -> None:
    client = FakeClient()
    project(client).fetch(7, print)
    assert client.calls[0][2] == {"limitPayloadValues": 1}
    assert client.calls[1] == ("GET", "/api/1/raw-data/7/wav", {"axisIx": 0})


@pytest.mark.parametrize(
    ("fields", "changes"),
    [
        (sample(valuesCount=0, metadata={"a": "b"}), {"metadata": {"a": "b"}, "label": "idle"}),
        (sample(valuesCount=0, structuredLabels=LABELS), {"metadata": {}, "structuredLabels": LABELS}),
    ],
)
def test_a_failed_recording_that_could_be_read_is_proposed_as_it_was(fields: Any, changes: Any) -> None:
    client = FakeClient(fields)
    made = project(client, job=12)
    with pytest.raises(RecordingError, match="empty"):
        made.fetch(7, print)
    made.give_up(7)
    assert posts(client) == [("/api/1/raw-data/7/propose-changes", {"jobId": 12, "proposedChanges": changes})]


def test_a_failed_recording_that_could_not_be_read_gets_an_empty_proposal() -> None:
    client = FakeClient(trouble={"raw-data/7": NotFound("no such sample")})
    made = project(client, job=12)
    with pytest.raises(RecordingError, match="no such sample"):
        made.fetch(7, print)
    client.trouble = {}
    made.give_up(7)
    assert posts(client) == [("/api/1/raw-data/7/propose-changes", {"jobId": 12, "proposedChanges": {}})]


def test_outside_a_preview_a_failed_recording_is_left_untouched() -> None:
    client = FakeClient(sample(valuesCount=0))
    made = project(client)
    with pytest.raises(RecordingError):
        made.fetch(7, print)
    made.give_up(7)
    assert posts(client) == []


@pytest.mark.parametrize("job", [None, 12])
def test_a_verbose_dry_run_prints_the_calls_and_sends_nothing(job: int | None) -> None:
    client = FakeClient()
    made = project(client, job, dry_run=True, show_calls=True)
    made.fetch(7, print)
    made.write(LABELED)
    made.give_up(8)
    assert posts(client) == []
    calls = [line for line in made.said if "POST" in line]  # type: ignore[attr-defined]
    expected = ["structured-labels", "metadata"] if job is None else ["propose-changes", "propose-changes"]
    assert [line.split("{")[0].rsplit("/", 1)[1].strip() for line in calls] == expected
    assert '"startIndex": 0, "endIndex": 7999, "label": "speech"' in calls[0]


@pytest.mark.parametrize("job", [None, 12])
def test_a_dry_run_prints_the_segments_of_each_sample_and_sends_nothing(job: int | None) -> None:
    client = FakeClient()
    made = project(client, job, dry_run=True)
    made.fetch(7, print)
    made.write(LABELED)
    made.fetch(7, print)
    made.give_up(7)
    assert posts(client) == []
    summary = "dry run, nothing was sent: 7 idle01: 0.00–0.50 s speech (0.90), 0.50–1.00 s other (0.10)"
    unchanged = ["dry run, nothing was sent: 7 idle01.d8Ae: unchanged"]
    assert made.said == [summary, *(unchanged if job else [])]  # type: ignore[attr-defined]


def test_an_error_after_the_sample_was_read_has_its_name() -> None:
    for client, name in (
        (FakeClient(audio=b"RIFFoops"), "idle01.d8Ae"),
        (FakeClient(trouble={"raw-data": NotFound("HTTP 404")}), ""),
    ):
        with pytest.raises(RecordingError) as caught:
            project(client).fetch(7, print)
        assert find_recording_name(caught.value) == name


@pytest.mark.parametrize(
    ("fields", "kind", "said"),
    [
        (sample(isDisabled=True), RecordingSkipped, "disabled"),
        (sample(isProcessing=True), RecordingError, "still processing"),
        (sample(processingError=True, processingErrorString="no header"), RecordingError, "process it: no header"),
        (sample(chartType="image"), RecordingError, "not audio: its chart type is 'image'"),
        (sample(valuesCount=0), RecordingError, "empty: it has 0 values"),
        (sample(valuesCount=None), RecordingError, "valuesCount is not a whole number"),
        (sample(valuesCount=8000), RecordingError, "has 16000 values at 16000 Hz; the sample should have 8000"),
    ],
)
def test_samples_without_usable_audio_are_left_out_with_the_reason(fields: Any, kind: type, said: str) -> None:
    with pytest.raises(kind, match=said):
        project(FakeClient(fields)).fetch(7, print)


def test_audio_that_studio_does_not_give_out_and_audio_that_is_damaged_fail() -> None:
    refused = FakeClient(trouble={"/wav": Refused("HTTP 400: no audio axis")})
    with pytest.raises(RecordingError, match="Studio refused to send its audio: HTTP 400: no audio axis"):
        project(refused).fetch(7, print)
    with pytest.raises(RecordingError, match="cannot be decoded"):
        project(FakeClient(audio=b"RIFFoops")).fetch(7, print)
    unreachable = FakeClient(trouble={"/wav": ConnectionFailed("GET /wav: the answer broke off; tried 5 times")})
    with pytest.raises(RecordingError, match="^GET /wav: the answer broke off"):
        project(unreachable).fetch(7, print)


def test_the_first_axis_that_measures_audio_is_asked_for() -> None:
    client = FakeClient(sample(sensors=[{"name": "x", "units": "m/s2"}, {"name": "mic", "units": "wav"}]))
    project(client).fetch(7, print)
    assert client.calls[1][2] == {"axisIx": 1}


def test_a_refused_key_ends_the_run() -> None:
    with pytest.raises(RunEnded, match="API key was refused"):
        project(FakeClient(trouble={"raw-data": Unauthorized("HTTP 401")})).fetch(7, print)


def test_what_the_key_may_not_do_is_told_apart_from_other_trouble() -> None:
    client = FakeClient(trouble={"/metadata": Forbidden("HTTP 403")})
    made = project(client)
    made.fetch(7, print)
    with pytest.raises(RecordingForbidden, match="HTTP 403"):
        made.write(LABELED)


def test_a_proposal_that_is_refused_is_replaced_by_what_was_read() -> None:
    class Picky(FakeClient):
        def post_json(self, path: str, body: Any) -> dict[str, Any]:
            super().post_json(path, body)
            if any(one["label"] == "speech" for one in body["proposedChanges"].get("structuredLabels", ())):
                raise Refused("HTTP 400: no such label")
            return {"success": True}

    client = Picky(sample(metadata={"site": "north"}))
    made = project(client, job=12)
    made.fetch(7, print)
    with pytest.raises(RecordingError, match="no such label"):
        made.write(LABELED)
    assert posts(client)[-1][1]["proposedChanges"] == {"metadata": {"site": "north"}, "label": "idle"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (sample(metadata=["x"]), {"metadata": {}, "label": "idle"}),
        (sample(metadata={"a": None, "b": 5, "c": "d"}), {"metadata": {"b": "5", "c": "d"}, "label": "idle"}),
        (sample(structuredLabels=5), {"metadata": {}, "label": "idle"}),
        (sample(structuredLabels="abc"), {"metadata": {}, "label": "idle"}),
        (sample(frequency=10**400), {"metadata": {}, "label": "idle"}),
        (sample(valuesCount="many"), {"metadata": {}, "label": "idle"}),
        (sample(sensors=3, filename=None), {"metadata": {}, "label": "idle"}),
    ],
)
def test_a_sample_described_oddly_is_read_as_far_as_it_goes(fields: Any, expected: Any) -> None:
    client = FakeClient(fields, audio=b"no sound")
    made = project(client, job=12)
    with pytest.raises(RecordingError):
        made.fetch(7, print)
    made.give_up(7)
    assert posts(client)[-1][1]["proposedChanges"] == expected


def test_the_number_of_values_is_passed_on_before_the_audio_is_requested() -> None:
    client = FakeClient()
    calls_by_then: list[tuple[int, int]] = []
    project(client).fetch(7, lambda values: calls_by_then.append((values, len(client.calls))))
    assert calls_by_then == [(16000, 1)]


def test_a_recording_is_known_by_the_bytes_that_were_fetched() -> None:
    client = FakeClient()
    recording = project(client).fetch(7, lambda values: None)
    assert recording.content == hashlib.sha256(client.audio).hexdigest()


def test_rates_under_the_models_are_warned_of_once() -> None:
    client = FakeClient(sample(valuesCount=8000, frequency=8000.0), wav(8000, 8000))
    made = project(client)
    for _ in range(3):
        made.fetch(7, print)
    client.audio, client.fields = wav(11025, 11025), sample(valuesCount=11025, frequency=11025.0)
    made.fetch(7, print)
    assert len(made.said) == 1  # type: ignore[attr-defined]
    assert "the first: 8000 Hz" in made.said[0]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("answer", "found"),
    [([{"id": 5}], [5]), ([], []), ([{"id": 5}, {"id": 6}], [5, 6]), (None, None), ([{}], None), ([5], None),
     ([None], None), ([{"id": True}], None), ({"id": 5}, None)],
)  # fmt: skip
def test_the_keys_projects_are_found(answer: Any, found: list[int] | None) -> None:
    class Projects:
        def get_json(self, path: str) -> dict[str, Any]:
            return {"projects": answer}

    if found is None:
        with pytest.raises(BadAnswer, match="expected a list of projects"):
            list_projects(Projects())  # type: ignore[arg-type]
    else:
        assert list_projects(Projects()) == found  # type: ignore[arg-type]


def labeled(**metadata: str) -> dict[str, Any]:
    """A sample as a run with METADATA leaves it, but for `metadata`."""
    return sample(structuredLabels=LABELS, metadata={"site": "north", **WRITTEN, **metadata})


def test_a_sample_that_the_same_job_has_labeled_is_done_and_its_audio_not_asked_for() -> None:
    client = FakeClient(labeled())
    with pytest.raises(RecordingDone):
        project(client).fetch(7, print)
    assert [path for _, path, _ in client.calls] == ["/api/1/raw-data/7"]


def test_a_preview_shows_what_is_done_all_the_same() -> None:
    client = FakeClient(labeled())
    made = project(client, job=12)
    made.fetch(7, print)
    made.write(LABELED)
    assert len(posts(client)) == 1


def test_labels_of_another_job_are_replaced_and_that_is_announced_first() -> None:
    client = FakeClient(labeled(ast_job="0123", ast_segments=fingerprint(LABELS)))
    made = project(client)
    made.fetch(7, print)
    made.write(LABELED)
    (path, announced), (labels_path, _), (_, last) = posts(client)
    assert path.endswith("/metadata")
    assert labels_path.endswith("/structured-labels")
    assert announced["metadata"]["ast_job"] == "0123"
    assert announced["metadata"]["ast_replacing"] == last["metadata"]["ast_segments"] == fingerprint(LABELS)
    assert last["metadata"]["ast_job"] == "4f0c"


@pytest.mark.parametrize(
    "fields",
    [
        labeled(ast_segments="changed since"),
        labeled(ast_job="0123", ast_segments="changed since"),
        labeled(labeled_by="Human"),
        sample(metadata={"labeled_by": "human"}),
    ],
)
def test_labels_set_or_changed_by_hand_stay_unless_the_option_replaces_them(fields: Any) -> None:
    with pytest.raises(RecordingSkipped, match="by hand"):
        project(FakeClient(fields)).fetch(7, print)
    asked = project(FakeClient(fields))
    asked.overwrite_hand_labels = True
    assert asked.fetch(7, print).id == 7


@pytest.mark.parametrize(
    ("fields", "is_labeled"),
    [
        (labeled(), True),
        (labeled(ast_job="0123"), True),
        (sample(structuredLabels=LABELS), True),
        (sample(label="idle"), True),
        (sample(label=""), False),
        (sample(label="", structuredLabels=[], metadata={"site": "north"}), False),
        # Interrupted between labels and metadata: this job's own labels, not finished.
        (labeled(ast_job="0123", ast_segments="before", ast_replacing=fingerprint(LABELS)), False),
        (sample(structuredLabels=LABELS, metadata={"ast_replacing": fingerprint(LABELS)}), False),
    ],
)
def test_samples_with_labels_are_skipped_on_demand(fields: Any, is_labeled: bool) -> None:
    made = project(FakeClient(fields))
    made.skip_labeled = True
    if is_labeled:
        with pytest.raises(RecordingSkipped):
            made.fetch(7, print)
    else:
        made.fetch(7, print)


def test_where_labeled_samples_are_skipped_a_first_labeling_is_announced_too() -> None:
    client = FakeClient(sample(label=""))
    made = project(client)
    made.skip_labeled = True
    made.fetch(7, print)
    made.write(LABELED)
    assert [path.rsplit("/")[-1] for path, _ in posts(client)] == ["metadata", "structured-labels", "metadata"]


def test_a_recording_lost_to_the_network_is_told_apart_from_one_with_trouble_of_its_own() -> None:
    for error in (ConnectionFailed("gone"), Redirected("elsewhere")):
        with pytest.raises(RecordingLost):
            project(FakeClient(trouble={"raw-data": error})).fetch(7, print)
    with pytest.raises(RecordingError) as caught:
        project(FakeClient(trouble={"raw-data": BadAnswer("odd")})).fetch(7, print)
    assert not isinstance(caught.value, RecordingLost)
    with pytest.raises(RunEnded):
        project(FakeClient(trouble={"raw-data": Unreachable("gone for long")})).fetch(7, print)
