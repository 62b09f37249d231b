"""An Edge Impulse project as a source of recordings and a sink for their labels.

Two ways to write: directly (structured labels, then metadata), or, in a preview job, one proposal a recording and
nothing else. Metadata goes out as the union with what was there, since keys left out of a proposal are dropped.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from block import audio
from block.content import content_of
from block.recording import LabeledRecording, Recording, RecordingError, RecordingForbidden, RunEnded, Segment
from block.studio.client import StudioClient
from block.studio.errors import BadAnswer, Forbidden, Refused, StudioError, Unauthorized
from block.studio.sample import Sample

Answer = TypeVar("Answer")


def projects_of(client: StudioClient) -> list[int]:
    """The ids of the projects that the key gives access to; the platform's project keys belong to one each."""
    projects = client.get_json("/api/projects").get("projects")
    ids = [one.get("id") for one in projects if isinstance(one, dict)] if isinstance(projects, list) else []
    whole = [one for one in ids if isinstance(one, int) and not isinstance(one, bool)]
    if not isinstance(projects, list) or len(whole) != len(projects):
        raise BadAnswer("GET /api/projects: got no list of projects with their ids")
    return whole


def structured_labels(segments: tuple[Segment, ...]) -> list[dict[str, Any]]:
    """Segments as Edge Impulse has them: `endIndex` is the last value that belongs to the label."""
    return [{"startIndex": segment.start, "endIndex": segment.end - 1, "label": segment.label} for segment in segments]


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
    changes anything: `say` is told the calls instead. `warn` is told of what a user should know.
    """

    client: StudioClient
    id: int
    metadata: Mapping[str, str]
    job: int | None
    dry_run: bool
    say: Callable[[str], None]
    warn: Callable[[str], None]
    model_rate_hz: int = 16000
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
        expect(sample.values)
        wav = self._wav(path, sample)
        sound = audio.decode(wav, self.model_rate_hz)
        if sound.rate_hz < self.model_rate_hz:
            self._warn_of_low_rate(sound.rate_hz)
        stretch = audio.stretch(sound.positions, sound.rate_hz, sample.values, sample.frequency_hz)
        return Recording(
            recording_id, sample.name, sound.rate_hz, sample.values, sound.waveform, stretch, sound.ratio,
            content_of(wav),
        )  # fmt: skip

    def write(self, labeled: LabeledRecording) -> None:
        """Set, or propose, the labels of a recording that was fetched."""
        sample = self._take(labeled.id)
        labels = structured_labels(labeled.segments)
        metadata = {**(sample.metadata if sample else {}), **self.metadata, "ast_mode": labeled.mode}
        if self.job is not None:
            try:
                self._propose(labeled.id, {"structuredLabels": labels, "metadata": metadata})
            except RecordingError:
                self._propose(labeled.id, as_read(sample))
                raise
            return
        path = f"/api/{self.id}/raw-data/{labeled.id}"
        self._post(f"{path}/structured-labels", {"structuredLabels": labels})
        self._post(f"{path}/metadata", {"metadata": metadata})

    def give_up(self, recording_id: int) -> None:
        """A recording gets no labels. In a preview it is proposed as it is, so that it is shown all the same."""
        sample = self._take(recording_id)
        if self.job is not None:
            self._propose(recording_id, as_read(sample))

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
            return self._call(lambda: self.client.get_bytes(f"{path}/wav", axisIx=sample.audio_axis))
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
        except StudioError as error:
            raise RecordingError(str(error)) from None

    def _take(self, recording_id: int) -> Sample | None:
        with self._lock:
            return self._samples.pop(recording_id, None)


class _RefusedRecording(RecordingError):
    """The API refused a call about one recording."""
