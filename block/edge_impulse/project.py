"""An Edge Impulse project as a source of recordings and a sink for their labels.

Labels are either written directly (structured labels, then metadata) or, in a preview job, proposed: one proposal per
recording and nothing else. Existing metadata is sent along, because a proposal drops missing keys. Whether a sample is
labeled at all depends on who set its labels (`block.edge_impulse.label_owner`).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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
from block.edge_impulse.label_owner import JOB, MODE, REPLACING, SEGMENTS, LabelOwner, find_owner, fingerprint
from block.edge_impulse.sample import Sample
from block.formatting import count, make_printable
from block.recording import (
    LabeledRecording,
    Recording,
    RecordingDone,
    RecordingError,
    RecordingForbidden,
    RecordingLost,
    RecordingSkipped,
    RunEnded,
    build_structured_labels,
    name_errors,
)
from block.settings import EXACT, SettingsError

Answer = TypeVar("Answer")
# A WAV has at most eight bytes per value and axis, and the WAV of a sample with several axes may contain all of them.
BYTES_PER_VALUE, BYTES_BESIDE = 64, 1 << 20


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


@dataclass
class Project:
    """The project `id`. `metadata` describes the labels that this run writes.

    `job` is the preview job to propose to; with None, labels are written directly. With `dry_run`, nothing that changes
    the project is sent: `say` gets a summary of each sample instead, and with `show_calls` the calls too. `warn` gets
    warnings for the user. `skip_labeled` skips samples that have labels, no matter who set them. Labels set by hand are
    replaced only with `overwrite_hand_labels`.
    """

    client: StudioClient
    id: int
    metadata: Mapping[str, str]
    job: int | None
    dry_run: bool
    say: Callable[[str], None]
    warn: Callable[[str], None]
    model_rate_hz: int = 16000
    skip_labeled: bool = False
    overwrite_hand_labels: bool = False
    show_calls: bool = False
    _samples: dict[int, Sample] = field(default_factory=dict)  # fetched, not written yet
    _has_warned: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fetch(self, recording_id: int, expect: Callable[[int], None]) -> Recording:
        """Read the sample, then its audio. Raise RecordingError, RecordingSkipped or RunEnded."""
        # In a preview, read what earlier steps of the same action proposed.
        query = {"proposedActionsJobId": self.job} if self.job is not None else {}
        path = f"/api/{self.id}/raw-data/{recording_id}"
        answer = self._call(lambda: self.client.get_json(path, limitPayloadValues=1, **query))
        sample = self._samples[recording_id] = Sample.from_answer(answer, recording_id)
        with name_errors(sample.name):
            sample.check_usable()
            self._check_owner(sample)
            expect(sample.values)
            return self._read_audio(sample, path)

    def _read_audio(self, sample: Sample, path: str) -> Recording:
        limit = BYTES_BESIDE + BYTES_PER_VALUE * sample.values
        try:
            wav = self._call(lambda: self.client.get_audio(f"{path}/wav", limit_bytes=limit, axisIx=sample.audio_axis))
        except _RefusedRecording as error:
            raise RecordingError(f"Studio refused to send its audio: {error}") from None
        content = wav.compute_sha256()
        sound = audio.decode_wav(wav, self.model_rate_hz)
        for note in sound.notes:
            self.warn(f"{sample.id} {make_printable(sample.name)}: {note}")
        if sound.rate_hz < self.model_rate_hz:
            self._warn_of_low_rate(sound.rate_hz)
        stretch = audio.compute_stretch(sound.positions, sound.rate_hz, sample.values, sample.frequency_hz)
        return Recording(
            sample.id, sample.name, sound.rate_hz, sample.values, sound.waveform, stretch, sound.ratio,
            content,
        )  # fmt: skip

    def write(self, labeled: LabeledRecording) -> None:
        """Write or propose the labels of a fetched recording."""
        sample = self._samples.pop(labeled.id, None)
        labels = build_structured_labels(labeled.segments)
        digest = fingerprint(labels)
        old = sample.metadata if sample else {}
        new = {**old, **self.metadata, MODE: labeled.mode, SEGMENTS: digest}
        if self.dry_run:
            self._say_dry_run(labeled.id, labeled.name, _describe_segments(labeled))
        if self.job is not None:
            try:
                self._propose(labeled.id, {"structuredLabels": labels, "metadata": new})
            except RecordingError:
                self._propose(labeled.id, sample.as_proposal() if sample else {})
                raise
            return
        path = f"/api/{self.id}/raw-data/{labeled.id}"
        if SEGMENTS in old or self.skip_labeled:
            self._post(f"{path}/metadata", {"metadata": {**old, REPLACING: digest}})
            new[REPLACING] = digest
        self._post(f"{path}/structured-labels", {"structuredLabels": labels})
        self._post(f"{path}/metadata", {"metadata": new})

    def give_up(self, recording_id: int) -> None:
        """Leave a recording without labels. In a preview, propose it unchanged, so that the preview still shows it."""
        sample = self._samples.pop(recording_id, None)
        if self.job is not None:
            if self.dry_run:
                self._say_dry_run(recording_id, sample.name if sample else "", "unchanged")
            self._propose(recording_id, sample.as_proposal() if sample else {})

    def _check_owner(self, sample: Sample) -> None:
        """Raise RecordingDone or RecordingSkipped if the labels of `sample` must not be replaced."""
        owner = find_owner(sample, self.metadata.get(JOB, ""))
        # A preview is for looking at labels, so it includes samples that are already done.
        if owner is LabelOwner.THIS_JOB and self.job is None:
            raise RecordingDone("already labeled with the same settings", sample.metadata.get(MODE, EXACT))
        if self.skip_labeled and owner not in (LabelOwner.NONE, LabelOwner.UNFINISHED):
            raise RecordingSkipped("it already has labels (--skip-labeled)")
        if owner is LabelOwner.PERSON and not self.overwrite_hand_labels:
            raise RecordingSkipped(
                "its labels were set or changed by hand; to replace them, use --overwrite-hand-labels"
            )

    def _warn_of_low_rate(self, rate_hz: int) -> None:
        with self._lock:
            if self._has_warned:
                return
            self._has_warned = True
        self.warn(
            f"some recordings have sample rates below the model's {self.model_rate_hz} Hz (the first: {rate_hz} Hz); "
            f"the model hears no high frequencies in them and may miss sounds"
        )

    def _propose(self, recording_id: int, changes: dict[str, Any]) -> None:
        body = {"jobId": self.job, "proposedChanges": changes}
        self._post(f"/api/{self.id}/raw-data/{recording_id}/propose-changes", body)

    def _say_dry_run(self, recording_id: int, name: str, labels: str) -> None:
        self.say(f"dry run, nothing was sent: {recording_id} {make_printable(name)}: {labels}")

    def _post(self, path: str, body: dict[str, Any]) -> None:
        if self.dry_run:
            if self.show_calls:
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


class _RefusedRecording(RecordingError):
    """The API refused a call about one recording."""


def _describe_segments(labeled: LabeledRecording) -> str:
    seconds = labeled.seconds / labeled.values
    return ", ".join(
        f"{one.start * seconds:.2f}–{one.end * seconds:.2f} s {make_printable(one.label)} ({one.score:.2f})"
        for one in labeled.segments
    )
