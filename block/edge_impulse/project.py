"""An Edge Impulse project as a source of recordings and a sink for their labels.

Labels are either written directly, step by step (`block.edge_impulse.write_protocol`), or, in a preview job, proposed:
one proposal per recording and nothing else. Existing metadata is sent along, because a proposal drops missing keys.
Which labels of a sample stay depends on who set them (`block.edge_impulse.label_policy`).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from block import audio
from block.edge_impulse.access import Access
from block.edge_impulse.client import StudioClient
from block.edge_impulse.errors import (
    BadAnswer,
    ConnectionFailed,
    Forbidden,
    Redirected,
    Refused,
    StudioError,
    Unauthorized,
    Unreachable,
)
from block.edge_impulse.label_owner import MODE, SEGMENTS
from block.edge_impulse.label_policy import LabelPlan, LabelPolicy, plan_for_unread
from block.edge_impulse.sample import Sample
from block.edge_impulse.write_protocol import (
    NewLabels,
    Pause,
    Read,
    Step,
    WriteLabels,
    WriteMetadata,
    create_run_id,
    write_labels,
)
from block.formatting import count, make_printable
from block.recording import (
    LabeledRecording,
    Recording,
    RecordingError,
    RecordingForbidden,
    RecordingLost,
    RunEnded,
    name_errors,
)
from block.settings import SettingsError

Answer = TypeVar("Answer")


def list_projects(client: StudioClient) -> list[int]:
    """Return the ids of the projects that the key gives access to. A project key of Edge Impulse belongs to one."""
    projects = client.get_json("/api/projects").get("projects")
    entries = projects if isinstance(projects, list) else [None]
    ids: list[Any] = [one.get("id") if isinstance(one, dict) else None for one in entries]
    if not all(type(one) is int for one in ids):
        raise BadAnswer("GET /api/projects: expected a list of projects with their ids, got something else")
    return ids


def find_project(client: StudioClient, access: Access) -> int:
    """Return the project to label. Call the API even if the environment names it, so that a bad key ends the run."""
    projects = list_projects(client)
    found = f"project {projects[0]}" if len(projects) == 1 else count(len(projects), "project")
    if access.project_id is None:
        if len(projects) != 1:
            raise SettingsError(f"the API key gives access to {found}; expected one: set EI_PROJECT_ID")
        return projects[0]
    if access.project_id not in projects:
        raise SettingsError(
            f"EI_PROJECT_ID is {access.project_id}, but the API key belongs to {found}; use the key of that project"
        )
    return access.project_id


@dataclass(frozen=True)
class ProjectSettings:
    """How to label the project `id`. `metadata` describes the labels that this run writes.

    `policy` says what to do about labels that samples already have. `job` is the preview job to propose to; with None,
    labels are written directly. With `dry_run`, nothing that changes the project is sent; with `show_calls`, the calls
    are shown instead. `run_id` is the same in all workers of a run.
    """

    id: int
    metadata: Mapping[str, str]
    policy: LabelPolicy
    job: int | None = None
    dry_run: bool = False
    show_calls: bool = False
    model_rate_hz: int = 16000
    run_id: str = field(default_factory=create_run_id)


@dataclass
class Project:
    """A project as a source of recordings and a sink of labels.

    `say` gets lines for the user, in a dry run a summary of each sample, and `warn` gets warnings.
    """

    client: StudioClient
    settings: ProjectSettings
    say: Callable[[str], None]
    warn: Callable[[str], None]
    _samples: dict[int, Sample] = field(default_factory=dict)  # fetched, not written yet
    _has_warned: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fetch(self, recording_id: int, expect: Callable[[int], None]) -> Recording:
        """Read the sample, then its audio. Raise RecordingError, RecordingSkipped or RunEnded."""
        sample = self._samples[recording_id] = self._read(recording_id)
        with name_errors(sample.name):
            sample.check_usable()
            self.settings.policy.plan(sample)
            sample.check_memory()
            expect(sample.values)
            return self._read_audio(sample)

    def _read(self, recording_id: int) -> Sample:
        # In a preview, read what earlier steps of the same action proposed.
        query = {"proposedActionsJobId": self.settings.job} if self.settings.job is not None else {}
        path = f"/api/{self.settings.id}/raw-data/{recording_id}"
        answer = self._call(lambda: self.client.get_json(path, limitPayloadValues=1, **query))
        return Sample.from_answer(answer, recording_id)

    def _read_audio(self, sample: Sample) -> Recording:
        path = f"/api/{self.settings.id}/raw-data/{sample.id}"
        limit = sample.longest_wav_bytes
        try:
            wav = self._call(lambda: self.client.get_audio(f"{path}/wav", limit_bytes=limit, axisIx=sample.audio_axis))
        except _RefusedRecording as error:
            raise RecordingError(f"Studio refused to send its audio: {error}") from None
        content = wav.compute_sha256()
        sound = audio.decode_wav(wav, self.settings.model_rate_hz)
        for note in sound.notes:
            self.warn(f"{sample.id} {make_printable(sample.name)}: {note}")
        if sound.rate_hz < self.settings.model_rate_hz:
            self._warn_of_low_rate(sound.rate_hz)
        stretch = audio.compute_stretch(sound.positions, sound.rate_hz, sample.values, sample.frequency_hz)
        return Recording(
            sample.id, sample.name, sound.rate_hz, sample.values, sound.waveform, stretch, sound.ratio,
            content,
        )  # fmt: skip

    def write(self, labeled: LabeledRecording) -> LabeledRecording:
        """Write or propose the labels of a fetched recording, together with those that stay. Return the new ones.

        Raise RecordingError, RecordingSkipped or RunEnded.
        """
        sample = self._samples.pop(labeled.id, None)
        plan = self.settings.policy.plan(sample) if sample else plan_for_unread(labeled.values)
        if self.settings.dry_run:
            self._say_dry_run(labeled.id, labeled.name, _describe_labels(plan, plan.select_new(labeled)))
        if self.settings.job is None:
            return self._write_directly(labeled, sample)
        try:
            self._propose(labeled.id, build_proposal(plan, labeled, sample, self.settings.metadata))
        except RecordingError:
            self._propose(labeled.id, sample.as_proposal() if sample else {})
            raise
        return plan.select_new(labeled)

    def _write_directly(self, labeled: LabeledRecording, sample: Sample | None) -> LabeledRecording:
        """Carry out the steps of the write protocol. A dry run continues with the `sample` that was fetched."""
        written = labeled

        def compose(found: Sample) -> NewLabels:
            nonlocal written
            found.check_usable()
            if found.values != labeled.values:
                raise RecordingError(f"its audio changed: it had {labeled.values} values, now it has {found.values}")
            plan = self.settings.policy.plan(found)
            written = plan.select_new(labeled)
            return build_labels(plan, labeled, self.settings.metadata)

        path = f"/api/{self.settings.id}/raw-data/{labeled.id}"
        steps = write_labels(self.settings.run_id, compose)
        step: Step | None = next(steps)
        while step is not None:
            match step:
                case Read():
                    sample = sample if self.settings.dry_run and sample else self._read(labeled.id)
                case WriteMetadata(metadata):
                    self._post(f"{path}/metadata", {"metadata": metadata})
                    sample = replace(sample, metadata=metadata) if sample else None
                case WriteLabels(labels):
                    self._post(f"{path}/structured-labels", {"structuredLabels": labels})
                    sample = replace(sample, structured_labels=labels) if sample else None
                case Pause(seconds):
                    self.client.stop.wait(seconds)
            try:
                step = steps.send(sample)
            except StopIteration:
                step = None
        return written

    def give_up(self, recording_id: int) -> None:
        """Leave a recording without labels. In a preview, propose it unchanged, so that the preview still shows it."""
        sample = self._samples.pop(recording_id, None)
        if self.settings.job is not None:
            if self.settings.dry_run:
                self._say_dry_run(recording_id, sample.name if sample else "", "unchanged")
            self._propose(recording_id, sample.as_proposal() if sample else {})

    def _warn_of_low_rate(self, rate_hz: int) -> None:
        with self._lock:
            if self._has_warned:
                return
            self._has_warned = True
        model_rate_hz = self.settings.model_rate_hz
        self.warn(
            f"some recordings have sample rates below the model's {model_rate_hz} Hz (the first: {rate_hz} Hz); the "
            "model hears no high frequencies in them and may miss sounds"
        )

    def _propose(self, recording_id: int, changes: dict[str, Any]) -> None:
        body = {"jobId": self.settings.job, "proposedChanges": changes}
        self._post(f"/api/{self.settings.id}/raw-data/{recording_id}/propose-changes", body)

    def _say_dry_run(self, recording_id: int, name: str, labels: str) -> None:
        self.say(f"dry run, nothing was sent: {recording_id} {make_printable(name)}: {labels}")

    def _post(self, path: str, body: dict[str, Any]) -> None:
        if self.settings.dry_run:
            if self.settings.show_calls:
                # ASCII-only JSON, so that names and labels can't send control codes to a terminal.
                self.say(f"dry run, not sent: POST {path} {json.dumps(body)}")
            return
        self._call(lambda: self.client.post_json(path, body))

    def _call(self, send: Callable[[], Answer]) -> Answer:
        """Call `send`. Turn its errors into a failure of the recording or the end of the run."""
        try:
            return send()
        except Unauthorized as error:
            raise RunEnded(f"the API key was refused: {error}") from None
        except Forbidden as error:
            raise RecordingForbidden(str(error)) from None
        except Refused as error:
            raise _RefusedRecording(str(error)) from None
        except Unreachable as error:
            raise RunEnded(str(error)) from None
        except (ConnectionFailed, Redirected) as error:
            raise RecordingLost(str(error)) from None
        except StudioError as error:
            raise RecordingError(str(error)) from None


def build_labels(plan: LabelPlan, labeled: LabeledRecording, description: Mapping[str, str]) -> NewLabels:
    """Return the labels of a sample after a run, with metadata, of which `description` is the same for all samples."""
    metadata = {**description, **plan.build_metadata(), MODE: labeled.mode}
    return NewLabels(plan.build_labels(labeled), metadata, plan.build_announcement())


def build_proposal(
    plan: LabelPlan, labeled: LabeledRecording, sample: Sample | None, description: Mapping[str, str]
) -> dict[str, Any]:
    """Return what a preview proposes for `sample`, in the API's format; see `build_labels`."""
    new = build_labels(plan, labeled, description)
    metadata = {**(sample.metadata if sample else {}), **new.metadata, SEGMENTS: new.digest}
    return {"structuredLabels": new.labels, "metadata": metadata}


class _RefusedRecording(RecordingError):
    """The API refused a call about one recording."""


def _describe_labels(plan: LabelPlan, new: LabeledRecording) -> str:
    period_s = new.seconds / new.values
    parts = [(one.start, one.end, one.label, "kept") for one in plan.kept]
    parts += [(one.start, one.end, one.label, f"{one.score:.2f}") for one in new.segments]
    return ", ".join(
        f"{start * period_s:.2f}–{end * period_s:.2f} s {make_printable(label)} ({note})"
        for start, end, label, note in sorted(parts)
    )
