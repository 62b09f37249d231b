"""A fake hub on loopback with one small real checkpoint, and an empty store."""

from __future__ import annotations

import json
import random
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub.constants
import huggingface_hub.file_download
import huggingface_hub.utils._http
import pytest

from block.model.checkpoint import FILES, WEIGHTS
from block.model_store import web
from block.model_store.catalog import KnownCheckpoint
from block.model_store.store import ModelStore
from tests.model_store.standin import COMMIT, StandIn, served

REPOSITORY = "someone/small-ast"


@pytest.fixture(autouse=True)
def _online_but_only_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the hub's client, offline in all other tests, go online, with a loopback address as its only endpoint."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_TELEMETRY", True)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the waits between attempts, ours and huggingface_hub's, and shorten the timeouts."""
    monkeypatch.setattr(web, "WAIT_S", 0.01)
    monkeypatch.setattr(web, "READ_S", 1.0)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DOWNLOAD_TIMEOUT", 1)
    for module in (huggingface_hub.file_download, huggingface_hub.utils._http):
        monkeypatch.setattr(module, "time", SimpleNamespace(sleep=lambda seconds: None, time=time.time))


@pytest.fixture(scope="session")
def contents(checkpoint_folder: Path) -> dict[str, bytes]:
    return {name: (checkpoint_folder / name).read_bytes() for name in FILES}


@pytest.fixture(scope="session")
def large(contents: dict[str, bytes]) -> dict[str, bytes]:
    """A checkpoint with 1 MB of additional weights that no model uses."""
    return {**contents, WEIGHTS: with_ballast(contents[WEIGHTS], random.Random(3).randbytes(1 << 20))}


def with_ballast(weights: bytes, ballast: bytes) -> bytes:
    """Return `weights`, a safetensors file, with one more tensor: still valid, only larger."""
    (length,) = struct.unpack("<Q", weights[:8])
    tensors, values = json.loads(weights[8 : 8 + length]), weights[8 + length :]
    span = [len(values), len(values) + len(ballast)]
    tensors["ballast"] = {"dtype": "F32", "shape": [len(ballast) // 4], "data_offsets": span}
    header = json.dumps(tensors).encode()
    return struct.pack("<Q", len(header)) + header + values + ballast


@pytest.fixture
def hub(contents: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    standin = StandIn()
    standin.add(contents, f"/{REPOSITORY}")
    with served(standin):
        monkeypatch.setenv("HF_ENDPOINT", standin.url)
        yield standin


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    """An empty store that knows one checkpoint of the hub and an embedded one."""
    folder = tmp_path / "models"
    folder.mkdir()
    return ModelStore(folder, (KnownCheckpoint("small", REPOSITORY, COMMIT), KnownCheckpoint("tiny")))
