"""An Edge Impulse project as a source of recordings and a sink for their labels.

There are two ways to write: directly (structured labels, then metadata), or, in a preview job, one proposal per
recording and nothing else. Metadata is sent as the union with what was there, because a proposal drops missing keys.
Whose labels a sample holds (`block.edge_impulse.label_owner`) decides whether it is labeled at all.
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
from block.edge_impulse.label_owner import JOB, REPLACING, SEGMENTS, LabelOwner, find_owner, fingerprint
from block.edge_impulse.sample import Sample
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
)
from block.runtime.hashing import compute_sha256
from block.settings import SettingsError

Answer = TypeVar("Answer")
# A WAV has at most eight bytes per value and axis; a sample of several axes may come with all of them.
BYTES_PER_VALUE, BYTES_BESIDE = 64, 1 << 20


def list_projects(client: StudioClient) -> list[int]:
    """Return the ids of the projects that the key gives access to; the platform's project keys belong to one each."""
    projects = client.get_json("/api/projects").get("projects")
    entries = projects if isinstance(projects, list) else [None]
    ids: list[Any] = [one.get("id") if isinstance(one, dict) else None for one in entries]
    if not all(type(one) is int for one in ids):
        raise BadAnswer("GET /api/projects: got no list of projects with their ids")
    return ids


def find_project(client: StudioClient, access: Access) -> int:
    """Return the project to label. Ask the API even if the environment names it: a refused key ends the run here."""
    projects = list_projects(client)
    count = f"project {projects[0]}" if len(projects) == 1 else f"{len(projects)} projects"
    if access.project_id is None:
        if len(projects) != 1:
            raise SettingsError(f"the key gives access to {count}; say which one: set EI_PROJECT_ID")
        return projects[0]
    if access.project_id not in projects:
        raise SettingsError(f"EI_PROJECT_ID is {access.project_id}, but the key belongs to {count}")
    return access.project_id


@dataclass
class Project:
    """The project `id`, whose labels `metadata` describes.

    `job` is the preview job to propose to; None writes directly. With `dry_run` nothing is sent that changes anything,
    and `say` gets the calls instead. `warn` gets what a user should know. `skip_labeled` leaves out samples that have
    labels, whoever set them; people's labels are replaced only with `overwrite_hand_labels`.
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
    _samples: dict[int, Sample] = field(default_factory=dict)  # that were fetched, and not written yet
    _has_warned: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fetch(self, recording_id: int, expect: Callable[[int], None]) -> Recording:
        """Read the sample, then its audio. Raise RecordingError, RecordingSkipped or RunEnded."""
        # In a preview, read what earlier steps of the same action have proposed.
        query = {"proposedActionsJobId": self.job} if self.job is not None else {}
        path = f"/api/{self.id}/raw-data/{recording_id}"
        answer = self._call(lambda: self.client.get_json(path, limitPayloadValues=1, **query))
        sample = self._samples[recording_id] = Sample.from_answer(answer, recording_id)
        sample.check_usable()
        self._check_owner(sample)
        expect(sample.values)
        limit = BYTES_BESIDE + BYTES_PER_VALUE * sample.values
        try:
            wav = self._call(lambda: self.client.get_bytes(f"{path}/wav", limit_bytes=limit, axisIx=sample.audio_axis))
        except _RefusedRecording as error:
            raise RecordingError(f"it has no audio that Studio gives out: {error}") from None
        sound = audio.decode(wav, self.model_rate_hz)
        if sound.rate_hz < self.model_rate_hz:
            self._warn_of_low_rate(sound.rate_hz)
        stretch = audio.compute_stretch(sound.positions, sound.rate_hz, sample.values, sample.frequency_hz)
        return Recording(
            recording_id, sample.name, sound.rate_hz, sample.values, sound.waveform, stretch, sound.ratio,
            compute_sha256(wav),
        )  # fmt: skip

    def write(self, labeled: LabeledRecording) -> None:
        """Set, or propose, the labels of a recording that was fetched."""
        sample = self._samples.pop(labeled.id, None)
        labels = build_structured_labels(labeled.segments)
        digest = fingerprint(labels)
        old = sample.metadata if sample else {}
        new = {**old, **self.metadata, "ast_mode": labeled.mode, SEGMENTS: digest}
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
        """Leave a recording without labels. In a preview, propose it as it is, so that it is shown all the same."""
        sample = self._samples.pop(recording_id, None)
        if self.job is not None:
            self._propose(recording_id, sample.as_proposal() if sample else {})

    def _check_owner(self, sample: Sample) -> None:
        """Raise RecordingDone or RecordingSkipped if the labels of `sample` are to stay."""
        owner = find_owner(sample, self.metadata.get(JOB, ""))
        # A preview is there to be looked at, so it shows what is done, too.
        if owner is LabelOwner.THIS_JOB and self.job is None:
            raise RecordingDone("labeled before, with the same settings")
        if self.skip_labeled and owner not in (LabelOwner.NONE, LabelOwner.UNFINISHED):
            raise RecordingSkipped("it is labeled already (--skip-labeled)")
        if owner is LabelOwner.PERSON and not self.overwrite_hand_labels:
            raise RecordingSkipped("its labels were set or changed by hand; --overwrite-hand-labels replaces them")

    def _warn_of_low_rate(self, rate_hz: int) -> None:
        with self._lock:
            if self._has_warned:
                return
            self._has_warned = True
        self.warn(
            f"some recordings are sampled at less than {self.model_rate_hz} Hz (the first at {rate_hz} Hz): the "
            f"model's upper mel bands are empty for them, and it may hear less than it could"
        )

    def _propose(self, recording_id: int, changes: dict[str, Any]) -> None:
        body = {"jobId": self.job, "proposedChanges": changes}
        self._post(f"/api/{self.id}/raw-data/{recording_id}/propose-changes", body)

    def _post(self, path: str, body: dict[str, Any]) -> None:
        if self.dry_run:
            # JSON in ASCII, so that other people's names and labels cannot send commands to a terminal.
            self.say(f"dry run, not sent: POST {path} {json.dumps(body)}")
            return
        self._call(lambda: self.client.post_json(path, body))

    def _call(self, send: Callable[[], Answer]) -> Answer:
        """Call `send`, and turn its errors into this recording's failure or the end of the run."""
        try:
            return send()
        except Unauthorized as error:
            raise RunEnded(f"the key is not accepted: {error}") from None
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
