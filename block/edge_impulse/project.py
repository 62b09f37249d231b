"""An Edge Impulse project as a source of recordings and a sink for their labels.

Two ways to write: directly (structured labels, then metadata), or, in a preview job, one proposal a recording and
nothing else. Metadata goes out as the union with what was there, since keys left out of a proposal are dropped. What a
sample holds already (`block.edge_impulse.label_owner`) decides whether it is labelled at all.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from block import audio
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
from block.edge_impulse.label_owner import JOB, REPLACING, SEGMENTS, LabelOwner, fingerprint, held_by
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
    structured_labels,
)
from block.runtime.hashing import compute_sha256

Answer = TypeVar("Answer")
# Of audio: eight bytes a value is the most that a WAV has, and a sample of several axes may come with all of them.
BYTES_PER_VALUE, BYTES_BESIDE = 64, 1 << 20


def projects_of(client: StudioClient) -> list[int]:
    """The ids of the projects that the key gives access to; the platform's project keys belong to one each."""
    projects = client.get_json("/api/projects").get("projects")
    ids = [one.get("id") for one in projects if isinstance(one, dict)] if isinstance(projects, list) else []
    whole = [one for one in ids if isinstance(one, int) and not isinstance(one, bool)]
    if not isinstance(projects, list) or len(whole) != len(projects):
        raise BadAnswer("GET /api/projects: got no list of projects with their ids")
    return whole


def as_read(sample: Sample | None) -> dict[str, Any]:
    """The proposal that changes nothing: the labels and metadata that were read; empty where nothing could be."""
    if sample is None:
        return {}
    if sample.structured_labels is not None:
        return {"metadata": sample.metadata, "structuredLabels": sample.structured_labels}
    return {"metadata": sample.metadata, "label": sample.label}


@dataclass
class Project:
    """The project `id`, its labels described by `metadata`.

    `job` is the preview job that proposals go to; None writes directly. With `dry_run` nothing is sent that
    changes anything: `say` is told the calls instead. `warn` is told of what a user should know. `skip_labeled` leaves
    alone what has labels, whoever set them; labels of people are replaced with `overwrite_hand_labels` alone.
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
    _samples: dict[int, Sample] = field(default_factory=dict)
    _low_rate_seen: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fetch(self, recording_id: int, expect: Callable[[int], None]) -> Recording:
        """Read the sample, then its audio. Raises RecordingError, RecordingSkipped or RunEnded."""
        # In a preview the reads show what earlier steps of the same action have proposed.
        seen = {"proposedActionsJobId": self.job} if self.job is not None else {}
        path = f"/api/{self.id}/raw-data/{recording_id}"
        answer = self._call(lambda: self.client.get_json(path, limitPayloadValues=1, **seen))
        sample = Sample.read(answer, recording_id)
        with self._lock:
            self._samples[recording_id] = sample
        sample.check_usable()
        self._check_labels(sample)
        expect(sample.values)
        wav = self._wav(path, sample)
        sound = audio.decode(wav, self.model_rate_hz)
        if sound.rate_hz < self.model_rate_hz:
            self._warn_of_low_rate(sound.rate_hz)
        stretch = audio.stretch(sound.positions, sound.rate_hz, sample.values, sample.frequency_hz)
        return Recording(
            recording_id, sample.name, sound.rate_hz, sample.values, sound.waveform, stretch, sound.ratio,
            compute_sha256(wav),
        )  # fmt: skip

    def write(self, labeled: LabeledRecording) -> None:
        """Set, or propose, the labels of a recording that was fetched."""
        sample = self._take(labeled.id)
        labels = structured_labels(labeled.segments)
        before = sample.metadata if sample else {}
        ours = {**self.metadata, "ast_mode": labeled.mode, SEGMENTS: fingerprint(labels)}
        metadata = {**before, **ours}
        if self.job is not None:
            try:
                self._propose(labeled.id, {"structuredLabels": labels, "metadata": metadata})
            except RecordingError:
                self._propose(labeled.id, as_read(sample))
                raise
            return
        path = f"/api/{self.id}/raw-data/{labeled.id}"
        if SEGMENTS in before or self.skip_labeled:
            self._post(f"{path}/metadata", {"metadata": {**before, REPLACING: ours[SEGMENTS]}})
            metadata[REPLACING] = ours[SEGMENTS]
        self._post(f"{path}/structured-labels", {"structuredLabels": labels})
        self._post(f"{path}/metadata", {"metadata": metadata})

    def give_up(self, recording_id: int) -> None:
        """A recording gets no labels. In a preview it is proposed as it is, so that it is shown all the same."""
        sample = self._take(recording_id)
        if self.job is not None:
            self._propose(recording_id, as_read(sample))

    def _check_labels(self, sample: Sample) -> None:
        """Raises RecordingDone or RecordingSkipped for a sample whose labels are to stay."""
        held = held_by(sample, self.metadata.get(JOB, ""))
        # A preview is there to be looked at: it shows what is done, too.
        if held is LabelOwner.THIS_JOB and self.job is None:
            raise RecordingDone("labelled before, with the same settings")
        if self.skip_labeled and held not in (LabelOwner.NONE, LabelOwner.UNFINISHED):
            raise RecordingSkipped("it is labelled already (--skip-labeled)")
        if held is LabelOwner.PERSON and not self.overwrite_hand_labels:
            raise RecordingSkipped("its labels were set or changed by hand; --overwrite-hand-labels replaces them")

    def _warn_of_low_rate(self, rate_hz: int) -> None:
        with self._lock:
            first, self._low_rate_seen = not self._low_rate_seen, True
        if first:
            self.warn(
                f"some recordings are sampled at less than {self.model_rate_hz} Hz (the first at {rate_hz} Hz): the "
                f"model's upper mel bands are empty for them, and it may hear less than it could"
            )

    def _wav(self, path: str, sample: Sample) -> bytes:
        try:
            limit = BYTES_BESIDE + BYTES_PER_VALUE * sample.values
            return self._call(lambda: self.client.get_bytes(f"{path}/wav", limit_bytes=limit, axisIx=sample.audio_axis))
        except _RefusedRecording as error:
            raise RecordingError(f"it has no audio that Studio gives out: {error}") from None

    def _propose(self, recording_id: int, changes: dict[str, Any]) -> None:
        body = {"jobId": self.job, "proposedChanges": changes}
        self._post(f"/api/{self.id}/raw-data/{recording_id}/propose-changes", body)

    def _post(self, path: str, body: dict[str, Any]) -> None:
        if self.dry_run:
            # In ASCII: names and labels of other people's projects cannot talk to a terminal this way.
            self.say(f"dry run, not sent: POST {path} {json.dumps(body)}")
            return
        self._call(lambda: self.client.post_json(path, body))

    def _call(self, send: Callable[[], Answer]) -> Answer:
        """Send, and sort what went wrong into this recording's trouble and the end of the run."""
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

    def _take(self, recording_id: int) -> Sample | None:
        with self._lock:
            return self._samples.pop(recording_id, None)


class _RefusedRecording(RecordingError):
    """The API refused a call about one recording."""
