from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
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
from block.edge_impulse.label_policy import LabelPolicy
from block.edge_impulse.project import Project, ProjectSettings, list_projects
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
from block.runtime.memory_file import MemoryFile
from block.settings import FILL_GAPS, KEEP, REPLACE, ExistingLabels

METADATA = {"labeled_by": LABELED_BY, "ast_labels": "speech", "ast_job": "4f0c"}


def make_wav(values: int = 16000, rate: int = 16000) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(values), rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def make_sample(**changes: Any) -> dict[str, Any]:
    fields = {
        "id": 7, "filename": "idle01.d8Ae", "valuesCount": 16000, "frequency": 16000.0, "label": "idle",
        "sensors": [{"name": "audio", "units": "wav"}], "chartType": "chart", "isDisabled": False,
        "isProcessing": False, "processingError": False,
    }  # fmt: skip
    return {**fields, **changes}


@dataclass
class FakeClient:
    """Keep one sample, record every call, and raise `errors` for paths that contain their keys.

    Before each call, `interfere` gets the fields of the sample, the method and the path, and may change the sample.
    """

    fields: dict[str, Any] = field(default_factory=make_sample)
    audio: bytes = field(default_factory=make_wav)
    errors: dict[str, StudioError] = field(default_factory=dict)
    calls: list[tuple[str, str, Any]] = field(default_factory=list)
    interfere: Callable[[dict[str, Any], str, str], None] = lambda fields, method, path: None
    stop: Any = field(default_factory=lambda: SimpleNamespace(wait=lambda seconds: None))

    def _record(self, method: str, path: str, content: Any) -> None:
        self.interfere(self.fields, method, path.rsplit("/", 1)[-1])
        self.calls.append((method, path, content))
        for part, error in self.errors.items():
            if part in path:
                raise error

    def get_json(self, path: str, **query: Any) -> dict[str, Any]:
        self._record("GET", path, query)
        return {"success": True, "sample": self.fields}

    def get_audio(self, path: str, limit_bytes: int, **query: Any) -> MemoryFile:
        self._record("GET", path, query)
        assert len(self.audio) <= limit_bytes
        return MemoryFile(self.audio)

    def post_json(self, path: str, body: Any) -> dict[str, Any]:
        self._record("POST", path, body)
        if "proposedChanges" not in body:
            self.fields.update(body)
        return {"success": True}


def make_project(
    client: FakeClient,
    job: int | None = None,
    dry_run: bool = False,
    show_calls: bool = False,
    existing: ExistingLabels = REPLACE,
    overwrites: bool = False,
) -> Project:
    messages: list[str] = []
    policy = LabelPolicy(METADATA["ast_job"], "other", existing, overwrites, is_preview=job is not None)
    settings = ProjectSettings(1, METADATA, policy, job, dry_run, show_calls, run_id="run 2")
    project = Project(client, settings, messages.append, messages.append)  # type: ignore[arg-type]
    project.messages = messages  # type: ignore[attr-defined]
    return project


LABELED = LabeledRecording(
    7, "idle01", 16000, 1.0, (Segment(0, 8000, "speech", 0.9), Segment(8000, 16000, "other", 0.1)), 2, "fast merged"
)
LABELS = [
    {"startIndex": 0, "endIndex": 7999, "label": "speech"},
    {"startIndex": 8000, "endIndex": 15999, "label": "other"},
]

ANNOUNCEMENT = f"ast_write_{fingerprint(LABELS)}"
WRITTEN = {**METADATA, "ast_mode": LABELED.mode, "ast_segments": fingerprint(LABELS)}


def find_posts(client: FakeClient) -> list[tuple[str, Any]]:
    return [(path, body) for method, path, body in client.calls if method == "POST"]


def test_labels_are_announced_written_and_described_and_other_metadata_is_kept() -> None:
    metadata = {"site": "north", "labeled_by": "another block"}
    client = FakeClient(make_sample(metadata=metadata))
    project = make_project(client)
    project.fetch(7, print)
    project.write(LABELED)
    path = "/api/1/raw-data/7"
    assert [(method, path) for method, path, _ in client.calls[2:]] == [
        ("GET", path), ("POST", f"{path}/metadata"), ("POST", f"{path}/structured-labels"),
        ("GET", path), ("POST", f"{path}/metadata"), ("GET", path),
    ]  # fmt: skip
    assert [body for _, body in find_posts(client)] == [
        {"metadata": {**metadata, ANNOUNCEMENT: "run 2"}},
        {"structuredLabels": LABELS},
        {"metadata": {"site": "north", **WRITTEN, ANNOUNCEMENT: "run 2 done"}},
    ]


def test_what_changed_while_the_model_was_busy_is_kept() -> None:
    client = FakeClient(make_sample(metadata={"site": "north"}))
    project = make_project(client)
    project.fetch(7, print)
    client.fields["metadata"] = {"site": "south", "owner": "a person"}
    project.write(LABELED)
    assert client.fields["metadata"] == {"site": "south", "owner": "a person", **WRITTEN, ANNOUNCEMENT: "run 2 done"}


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"metadata": {"labeled_by": "human"}}, RecordingSkipped, "by hand"),
        ({"isDisabled": True}, RecordingSkipped, "disabled"),
        ({"valuesCount": 8000}, RecordingError, "its audio changed: it had 16000 values, now it has 8000"),
        ({"structuredLabels": LABELS, "metadata": WRITTEN}, RecordingDone, "same settings"),
    ],
)
def test_a_sample_that_must_not_be_labeled_any_longer_is_left_alone(
    changes: dict[str, Any], kind: type[Exception], message: str
) -> None:
    client = FakeClient()
    project = make_project(client)
    project.fetch(7, print)
    client.fields.update(changes)
    with pytest.raises(kind, match=message):
        project.write(LABELED)
    assert find_posts(client) == []


def test_a_sample_that_a_later_run_has_labeled_meanwhile_fails() -> None:
    theirs = [{"startIndex": 0, "endIndex": 15999, "label": "dog"}]
    digest = fingerprint(theirs)

    def label_as_run_3(fields: dict[str, Any], method: str, path: str) -> None:
        if ANNOUNCEMENT in fields.get("metadata", {}) and (method, path) == ("GET", "7"):
            metadata = {**METADATA, "ast_segments": digest, "ast_job": "0123", f"ast_write_{digest}": "run 3 done"}
            fields.update(structuredLabels=theirs, metadata={**fields["metadata"], **metadata})

    client = FakeClient(interfere=label_as_run_3)
    project = make_project(client)
    project.fetch(7, print)
    with pytest.raises(RecordingError, match="another job is labeling this sample"):
        project.write(LABELED)
    assert client.fields["structuredLabels"] == theirs


@pytest.mark.parametrize("lost", ["metadata", "structuredLabels"])
def test_a_sample_that_does_not_keep_what_was_written_fails_after_a_few_tries(lost: str) -> None:
    def forget(fields: dict[str, Any], method: str, path: str) -> None:
        fields.pop(lost, None)

    client = FakeClient(interfere=forget)
    project = make_project(client)
    project.fetch(7, print)
    with pytest.raises(RecordingError, match="another job is labeling this sample"):
        project.write(LABELED)
    assert len(find_posts(client)) < 20


def test_a_sample_whose_labels_a_person_changes_right_after_they_were_written_is_skipped() -> None:
    theirs = [{"startIndex": 0, "endIndex": 15999, "label": "dog"}]

    def edit(fields: dict[str, Any], method: str, path: str) -> None:
        if fields.get("metadata", {}).get("ast_segments"):
            fields["structuredLabels"] = theirs

    client = FakeClient(interfere=edit)
    project = make_project(client)
    project.fetch(7, print)
    with pytest.raises(RecordingSkipped, match="by hand"):
        project.write(LABELED)
    assert client.fields["structuredLabels"] == theirs


def test_a_preview_reads_earlier_proposals_and_only_sends_one_proposal() -> None:
    client = FakeClient(make_sample(metadata={"site": "north"}))
    project = make_project(client, job=12)
    project.fetch(7, print)
    project.write(LABELED)
    assert client.calls[0] == ("GET", "/api/1/raw-data/7", {"limitPayloadValues": 1, "proposedActionsJobId": 12})
    changes = {"structuredLabels": LABELS, "metadata": {"site": "north", **WRITTEN}}
    assert find_posts(client) == [("/api/1/raw-data/7/propose-changes", {"jobId": 12, "proposedChanges": changes})]


def test_without_a_preview_requests_have_no_job_id() -> None:
    client = FakeClient()
    make_project(client).fetch(7, print)
    assert client.calls[0][2] == {"limitPayloadValues": 1}
    assert client.calls[1] == ("GET", "/api/1/raw-data/7/wav", {"axisIx": 0})


@pytest.mark.parametrize(
    ("fields", "changes"),
    [
        (make_sample(valuesCount=0, metadata={"a": "b"}), {"metadata": {"a": "b"}, "label": "idle"}),
        (make_sample(valuesCount=0, structuredLabels=LABELS), {"metadata": {}, "structuredLabels": LABELS}),
    ],
)
def test_a_failed_recording_is_proposed_unchanged(fields: Any, changes: Any) -> None:
    client = FakeClient(fields)
    project = make_project(client, job=12)
    with pytest.raises(RecordingError, match="empty"):
        project.fetch(7, print)
    project.give_up(7)
    assert find_posts(client) == [("/api/1/raw-data/7/propose-changes", {"jobId": 12, "proposedChanges": changes})]


def test_a_failed_recording_whose_sample_could_not_be_read_gets_an_empty_proposal() -> None:
    client = FakeClient(errors={"raw-data/7": NotFound("no such sample")})
    project = make_project(client, job=12)
    with pytest.raises(RecordingError, match="no such sample"):
        project.fetch(7, print)
    client.errors = {}
    project.give_up(7)
    assert find_posts(client) == [("/api/1/raw-data/7/propose-changes", {"jobId": 12, "proposedChanges": {}})]


def test_outside_a_preview_a_failed_recording_is_left_untouched() -> None:
    client = FakeClient(make_sample(valuesCount=0))
    project = make_project(client)
    with pytest.raises(RecordingError):
        project.fetch(7, print)
    project.give_up(7)
    assert find_posts(client) == []


@pytest.mark.parametrize("job", [None, 12])
def test_a_verbose_dry_run_prints_the_calls_and_sends_nothing(job: int | None) -> None:
    client = FakeClient()
    project = make_project(client, job, dry_run=True, show_calls=True)
    project.fetch(7, print)
    project.write(LABELED)
    project.give_up(8)
    assert find_posts(client) == []
    calls = [line for line in project.messages if "POST" in line]  # type: ignore[attr-defined]
    expected = ["metadata", "structured-labels", "metadata"] if job is None else ["propose-changes", "propose-changes"]
    assert [line.split("{")[0].rsplit("/", 1)[1].strip() for line in calls] == expected
    assert any('"startIndex": 0, "endIndex": 7999, "label": "speech"' in call for call in calls)


@pytest.mark.parametrize("job", [None, 12])
def test_a_dry_run_prints_the_segments_of_each_sample_and_sends_nothing(job: int | None) -> None:
    client = FakeClient()
    project = make_project(client, job, dry_run=True)
    project.fetch(7, print)
    project.write(LABELED)
    project.fetch(7, print)
    project.give_up(7)
    assert find_posts(client) == []
    summary = "dry run, nothing was sent: 7 idle01: 0.00–0.50 s speech (0.90), 0.50–1.00 s other (0.10)"
    unchanged = ["dry run, nothing was sent: 7 idle01.d8Ae: unchanged"]
    assert project.messages == [summary, *(unchanged if job else [])]  # type: ignore[attr-defined]


def test_an_error_after_the_sample_was_read_includes_its_name() -> None:
    for client, name in (
        (FakeClient(audio=b"RIFFoops"), "idle01.d8Ae"),
        (FakeClient(errors={"raw-data": NotFound("HTTP 404")}), ""),
    ):
        with pytest.raises(RecordingError) as caught:
            make_project(client).fetch(7, print)
        assert find_recording_name(caught.value) == name


@pytest.mark.parametrize(
    ("fields", "kind", "message"),
    [
        (make_sample(isDisabled=True), RecordingSkipped, "disabled"),
        (make_sample(isProcessing=True), RecordingError, "still processing"),
        (make_sample(processingError=True, processingErrorString="no header"), RecordingError, "process it: no header"),
        (make_sample(chartType="image"), RecordingError, "not audio: its chart type is 'image'"),
        (make_sample(valuesCount=0), RecordingError, "empty: it has 0 values"),
        (make_sample(valuesCount=None), RecordingError, "valuesCount is not a whole number"),
        (make_sample(valuesCount=8000), RecordingError, "has 16000 values at 16000 Hz; the sample should have 8000"),
    ],
)
def test_a_sample_without_usable_audio_gives_an_error_with_the_reason(fields: Any, kind: type, message: str) -> None:
    with pytest.raises(kind, match=message):
        make_project(FakeClient(fields)).fetch(7, print)


def test_audio_that_cannot_be_downloaded_or_decoded_is_an_error() -> None:
    refused = FakeClient(errors={"/wav": Refused("HTTP 400: no audio axis")})
    with pytest.raises(RecordingError, match="Studio refused to send its audio: HTTP 400: no audio axis"):
        make_project(refused).fetch(7, print)
    with pytest.raises(RecordingError, match="can't be decoded"):
        make_project(FakeClient(audio=b"RIFFoops")).fetch(7, print)
    unreachable = FakeClient(errors={"/wav": ConnectionFailed("GET /wav: the answer broke off; tried 5 times")})
    with pytest.raises(RecordingError, match="^GET /wav: the answer broke off"):
        make_project(unreachable).fetch(7, print)


def test_the_first_audio_axis_is_requested() -> None:
    client = FakeClient(make_sample(sensors=[{"name": "x", "units": "m/s2"}, {"name": "mic", "units": "wav"}]))
    make_project(client).fetch(7, print)
    assert client.calls[1][2] == {"axisIx": 1}


def test_a_refused_key_ends_the_run() -> None:
    with pytest.raises(RunEnded, match="API key was refused"):
        make_project(FakeClient(errors={"raw-data": Unauthorized("HTTP 401")})).fetch(7, print)


def test_a_request_that_the_key_may_not_make_has_its_own_error() -> None:
    client = FakeClient(errors={"/metadata": Forbidden("HTTP 403")})
    project = make_project(client)
    project.fetch(7, print)
    with pytest.raises(RecordingForbidden, match="HTTP 403"):
        project.write(LABELED)


def test_a_refused_proposal_is_replaced_by_the_unchanged_sample() -> None:
    class Picky(FakeClient):
        def post_json(self, path: str, body: Any) -> dict[str, Any]:
            super().post_json(path, body)
            if any(segment["label"] == "speech" for segment in body["proposedChanges"].get("structuredLabels", ())):
                raise Refused("HTTP 400: no such label")
            return {"success": True}

    client = Picky(make_sample(metadata={"site": "north"}))
    project = make_project(client, job=12)
    project.fetch(7, print)
    with pytest.raises(RecordingError, match="no such label"):
        project.write(LABELED)
    assert find_posts(client)[-1][1]["proposedChanges"] == {"metadata": {"site": "north"}, "label": "idle"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (make_sample(metadata=["x"]), {"metadata": {}, "label": "idle"}),
        (make_sample(metadata={"a": None, "b": 5, "c": "d"}), {"metadata": {"b": "5", "c": "d"}, "label": "idle"}),
        (make_sample(structuredLabels=5), {"metadata": {}, "label": "idle"}),
        (make_sample(structuredLabels="abc"), {"metadata": {}, "label": "idle"}),
        (make_sample(frequency=10**400), {"metadata": {}, "label": "idle"}),
        (make_sample(valuesCount="many"), {"metadata": {}, "label": "idle"}),
        (make_sample(sensors=3, filename=None), {"metadata": {}, "label": "idle"}),
    ],
)
def test_malformed_fields_of_a_sample_are_left_out_of_the_proposal(fields: Any, expected: Any) -> None:
    client = FakeClient(fields, audio=b"no sound")
    project = make_project(client, job=12)
    with pytest.raises(RecordingError):
        project.fetch(7, print)
    project.give_up(7)
    assert find_posts(client)[-1][1]["proposedChanges"] == expected


def test_the_number_of_values_is_reported_before_the_audio_is_requested() -> None:
    client = FakeClient()
    calls_so_far: list[tuple[int, int]] = []
    make_project(client).fetch(7, lambda values: calls_so_far.append((values, len(client.calls))))
    assert calls_so_far == [(16000, 1)]


def test_a_recording_has_the_sha256_of_the_downloaded_bytes() -> None:
    client = FakeClient()
    recording = make_project(client).fetch(7, lambda values: None)
    assert recording.content == hashlib.sha256(client.audio).hexdigest()


def test_sample_rates_below_the_models_give_only_one_warning() -> None:
    client = FakeClient(make_sample(valuesCount=8000, frequency=8000.0), make_wav(8000, 8000))
    project = make_project(client)
    for _ in range(3):
        project.fetch(7, print)
    client.audio, client.fields = make_wav(11025, 11025), make_sample(valuesCount=11025, frequency=11025.0)
    project.fetch(7, print)
    assert len(project.messages) == 1  # type: ignore[attr-defined]
    assert "the first: 8000 Hz" in project.messages[0]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [([{"id": 5}], [5]), ([], []), ([{"id": 5}, {"id": 6}], [5, 6]), (None, None), ([{}], None), ([5], None),
     ([None], None), ([{"id": True}], None), ({"id": 5}, None)],
)  # fmt: skip
def test_the_projects_of_the_key_are_listed(answer: Any, expected: list[int] | None) -> None:
    class Projects:
        def get_json(self, path: str) -> dict[str, Any]:
            return {"projects": answer}

    if expected is None:
        with pytest.raises(BadAnswer, match="expected a list of projects"):
            list_projects(Projects())  # type: ignore[arg-type]
    else:
        assert list_projects(Projects()) == expected  # type: ignore[arg-type]


def make_labeled_sample(**metadata: str) -> dict[str, Any]:
    """Return a sample as a finished run with METADATA leaves it, with `metadata` changed."""
    return make_sample(structuredLabels=LABELS, metadata={"site": "north", **WRITTEN, **metadata})


def test_a_sample_labeled_by_the_same_job_is_done_and_its_audio_is_not_downloaded() -> None:
    client = FakeClient(make_labeled_sample(ast_mode="fast merged"))
    with pytest.raises(RecordingDone) as done:
        make_project(client).fetch(7, print)
    assert done.value.mode == "fast merged"
    assert [path for _, path, _ in client.calls] == ["/api/1/raw-data/7"]


def test_a_preview_also_proposes_labels_for_samples_that_are_done() -> None:
    client = FakeClient(make_labeled_sample())
    project = make_project(client, job=12)
    project.fetch(7, print)
    project.write(LABELED)
    assert len(find_posts(client)) == 1


def test_labels_of_another_job_are_replaced() -> None:
    client = FakeClient(make_labeled_sample(ast_job="0123"))
    project = make_project(client)
    project.fetch(7, print)
    project.write(LABELED)
    assert client.fields["metadata"]["ast_job"] == "4f0c"


@pytest.mark.parametrize(
    "fields",
    [
        make_labeled_sample(ast_segments="changed since"),
        make_labeled_sample(ast_job="0123", ast_segments="changed since"),
        make_labeled_sample(labeled_by="Human"),
        make_sample(metadata={"labeled_by": "human"}),
    ],
)
def test_hand_made_labels_are_kept_unless_the_option_overwrites_them(fields: Any) -> None:
    with pytest.raises(RecordingSkipped, match="by hand"):
        make_project(FakeClient(fields)).fetch(7, print)
    project = make_project(FakeClient(fields), overwrites=True)
    assert project.fetch(7, print).id == 7


@pytest.mark.parametrize(
    ("fields", "is_labeled"),
    [
        (make_labeled_sample(), True),
        (make_labeled_sample(ast_job="0123"), True),
        (make_sample(structuredLabels=LABELS), True),
        (make_sample(label="idle"), True),
        (make_sample(label=""), False),
        (make_sample(label="", structuredLabels=[], metadata={"site": "north"}), False),
        # The run stopped after the labels and before the final metadata, so this sample is not finished.
        (make_labeled_sample(ast_job="0123", ast_segments="before", ast_replacing=fingerprint(LABELS)), False),
        (make_sample(structuredLabels=LABELS, metadata={"ast_replacing": fingerprint(LABELS)}), False),
        (make_sample(structuredLabels=LABELS, metadata={ANNOUNCEMENT: "run 1"}), False),
        (make_labeled_sample(ast_segments="of another job", **{ANNOUNCEMENT: "run 1 done"}), False),
    ],
)
def test_keep_skips_samples_that_have_labels(fields: Any, is_labeled: bool) -> None:
    project = make_project(FakeClient(fields), existing=KEEP)
    if is_labeled:
        with pytest.raises(RecordingSkipped):
            project.fetch(7, print)
    else:
        project.fetch(7, print)


def test_a_network_error_is_distinguished_from_a_bad_recording() -> None:
    for error in (ConnectionFailed("gone"), Redirected("elsewhere")):
        with pytest.raises(RecordingLost):
            make_project(FakeClient(errors={"raw-data": error})).fetch(7, print)
    with pytest.raises(RecordingError) as caught:
        make_project(FakeClient(errors={"raw-data": BadAnswer("odd")})).fetch(7, print)
    assert not isinstance(caught.value, RecordingLost)
    with pytest.raises(RunEnded):
        make_project(FakeClient(errors={"raw-data": Unreachable("gone for long")})).fetch(7, print)


COUGH = {"startIndex": 4000, "endIndex": 7999, "label": "cough", "labelMap": {"type": "key-values"}}
PARTLY = [
    {"startIndex": 0, "endIndex": 3999, "label": "other"}, COUGH, {"startIndex": 8000, "endIndex": 15999, "label": ""},
]  # fmt: skip
FILLED = [
    {"startIndex": 0, "endIndex": 3999, "label": "speech"}, COUGH,
    {"startIndex": 8000, "endIndex": 15999, "label": "other"},
]  # fmt: skip


def test_gaps_are_filled_and_the_note_about_kept_labels_is_written_before_the_labels() -> None:
    client = FakeClient(make_sample(structuredLabels=PARTLY, metadata={"site": "north"}))
    project = make_project(client, existing=FILL_GAPS)
    project.fetch(7, print)
    written = project.write(LABELED)
    assert [(one.start, one.end, one.label) for one in written.segments] == [
        (0, 4000, "speech"),
        (8000, 16000, "other"),
    ]
    noted, announcement = {"ast_kept": "4000-7999"}, f"ast_write_{fingerprint(FILLED)}"
    assert find_posts(client) == [
        ("/api/1/raw-data/7/metadata", {"metadata": {"site": "north", **noted, announcement: "run 2"}}),
        ("/api/1/raw-data/7/structured-labels", {"structuredLabels": FILLED}),
        ("/api/1/raw-data/7/metadata",
         {"metadata": {
             "site": "north", **WRITTEN, "ast_segments": fingerprint(FILLED), **noted, announcement: "run 2 done",
         }}),
    ]  # fmt: skip


def test_a_preview_and_a_dry_run_show_what_filling_gaps_would_write() -> None:
    client = FakeClient(make_sample(structuredLabels=PARTLY))
    project = make_project(client, job=12, existing=FILL_GAPS)
    project.fetch(7, print)
    project.write(LABELED)
    metadata = {**WRITTEN, "ast_segments": fingerprint(FILLED), "ast_kept": "4000-7999"}
    assert find_posts(client)[0][1]["proposedChanges"] == {"structuredLabels": FILLED, "metadata": metadata}

    project = make_project(client, dry_run=True, existing=FILL_GAPS)
    project.fetch(7, print)
    project.write(LABELED)
    assert project.messages == [  # type: ignore[attr-defined]
        "dry run, nothing was sent: 7 idle01: 0.00–0.25 s speech (0.90), 0.25–0.50 s cough (kept), "
        "0.50–1.00 s other (0.10)"
    ]


@pytest.mark.parametrize(
    "labels", [{"structuredLabels": [{**COUGH, "startIndex": 0, "endIndex": 15999}]}, {"label": "idle"}]
)
def test_a_sample_without_gaps_is_skipped_before_its_audio_is_fetched(labels: Any) -> None:
    client = FakeClient(make_sample(**labels))
    with pytest.raises(RecordingSkipped, match="nothing to fill"):
        make_project(client, existing=FILL_GAPS).fetch(7, print)
    assert [path for _, path, _ in client.calls] == ["/api/1/raw-data/7"]
