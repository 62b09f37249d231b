"""One local Studio for each test file, and audio made on the spot; nothing leaves the loopback."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import soundfile

from block.local_studio.address import Address
from block.local_studio.data.project import LocalProject
from block.local_studio.server import running

MakeWav = Callable[..., bytes]


def make_audio_bytes(
    frames: int = 1600, rate: int = 16000, channels: int = 1, container: str = "WAV", subtype: str = "PCM_16"
) -> bytes:
    """A tone of 440 Hz, another one an octave higher in each further channel."""
    seconds = np.arange(frames) / rate
    tones = [0.4 * np.sin(2 * np.pi * 440 * 2**channel * seconds) for channel in range(channels)]
    target = io.BytesIO()
    soundfile.write(target, np.stack(tones, axis=1), rate, format=container, subtype=subtype)
    return target.getvalue()


@dataclass(frozen=True)
class Studio:
    """A served project, and requests to it with the right key unless told otherwise."""

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
        """The sample in the answer to get-sample, which must succeed."""
        answer = self.get(self.raw_data(sample_id), params={"limitPayloadValues": 1, **parameters})
        assert answer.status_code == 200, answer.text
        sample: dict[str, Any] = answer.json()["sample"]
        return sample

    def add(self, values_count: int = 100, **options: Any) -> int:
        """A new sample of `values_count` values with matching audio."""
        defaults = {
            "name": "made",
            "frequency": 16000,
            "values_count": values_count,
            "wav": make_audio_bytes(values_count),
        }
        return self.project.add_sample(**{**defaults, **options})


def assert_refused(answer: requests.Response, status: int, *parts: str) -> None:
    """The answer is an envelope with this status whose error names all `parts`."""
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
        session.trust_env = False  # no proxy stands between a test and the loopback
        yield Studio(project, address, session)
    project.close()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[LocalProject]:
    project = LocalProject(tmp_path)
    yield project
    project.close()
