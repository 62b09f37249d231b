"""One local Studio per test file, and generated audio. All requests stay on the loopback."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import soundfile

from block.local_studio.address import Address
from block.local_studio.data import rows
from block.local_studio.data.project import LocalProject
from block.local_studio.data.sample import StructuredLabel
from block.local_studio.server import running

MakeWav = Callable[..., bytes]
NUMBERS = itertools.count()


def make_audio_bytes(
    frames: int = 1600, rate: int = 16000, channels: int = 1, container: str = "WAV", subtype: str = "PCM_16"
) -> bytes:
    """Return an audio file with a tone of 440 Hz, an octave higher in each further channel."""
    seconds = np.arange(frames) / rate
    tones = [0.4 * np.sin(2 * np.pi * 440 * 2**channel * seconds) for channel in range(channels)]
    target = io.BytesIO()
    soundfile.write(target, np.stack(tones, axis=1), rate, format=container, subtype=subtype)
    return target.getvalue()


def add_recordings(
    project: LocalProject,
    count: int,
    audio: bytes,
    *,
    structured_labels: Sequence[StructuredLabel] | None = None,
    metadata: Mapping[str, str] | None = None,
    **columns: object,
) -> list[int]:
    """Write WAV files into the project's folder, scan it, and set `columns` in the database. Return the new ids."""
    before = {sample.id for sample in project.samples()}
    for _ in range(count):
        (project.root / f"{next(NUMBERS):06}.wav").write_bytes(audio)
    project.scan()
    ids = [sample.id for sample in project.samples() if sample.id not in before]
    columns["metadata"] = rows.dump(metadata or {})
    columns["structured_labels"] = None if structured_labels is None else rows.dump_labels(structured_labels)
    query = f"UPDATE samples SET {', '.join(f'{column} = ?' for column in columns)} WHERE id = ?"
    with project.store.transaction() as db:
        db.executemany(query, [(*columns.values(), sample_id) for sample_id in ids])
    return ids


def add_recording(
    project: LocalProject, frames: int = 100, rate: int = 16000, audio: bytes | None = None, **options: Any
) -> int:
    """Add a recording of `audio`, or of a tone. Return its id."""
    (sample_id,) = add_recordings(project, 1, make_audio_bytes(frames, rate) if audio is None else audio, **options)
    return sample_id


def audio_file_of(project: LocalProject, sample_id: int) -> Path:
    """Return the file of a recording. The project notices changes to it only at the next scan."""
    return project.root / project.sample(sample_id).path.decode()


@dataclass(frozen=True)
class Studio:
    """A served project, and requests to it, by default with the right key."""

    project: LocalProject
    address: Address
    session: requests.Session

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, body: object = None, **options: Any) -> requests.Response:
        return self.request("POST", path, json=body, **options)

    def request(
        self, method: str, path: str, headers: Mapping[str, str | None] | None = None, **options: Any
    ) -> requests.Response:
        sent = {"x-api-key": self.address.key, **(headers or {})}
        return self.session.request(method, f"{self.address.endpoint}/api/{path}", headers=sent, timeout=10, **options)

    def raw_data(self, sample_id: int, call: str = "") -> str:
        return f"{self.project.id}/raw-data/{sample_id}" + (f"/{call}" if call else "")

    def sample(self, sample_id: int, **parameters: object) -> dict[str, Any]:
        """Return the sample from a successful call of get-sample."""
        answer = self.get(self.raw_data(sample_id), params={"limitPayloadValues": 1, **parameters})
        assert answer.status_code == 200, answer.text
        sample: dict[str, Any] = answer.json()["sample"]
        return sample

    def add(self, frames: int = 100, **options: Any) -> int:
        """Add a recording of `frames` frames. Return its id."""
        return add_recording(self.project, frames, **options)


def assert_refused(answer: requests.Response, status: int, *parts: str) -> None:
    """Assert that the answer is an envelope with this status, and that its error contains all `parts`."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["success"] is False
    assert set(body) == {"success", "error"}
    for part in parts:
        assert part in body["error"]


@pytest.fixture(scope="session")
def audio_bytes() -> MakeWav:
    return make_audio_bytes


@pytest.fixture(scope="session")
def refused() -> Callable[..., None]:
    return assert_refused


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    project = LocalProject(tmp_path_factory.mktemp("project"))
    with running(project) as address, requests.Session() as session:
        session.trust_env = False  # no proxy for the loopback
        yield Studio(project, address, session)
    project.close()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[LocalProject]:
    project = LocalProject(tmp_path)
    yield project
    project.close()
