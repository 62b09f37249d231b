"""The block as a process: how it is canceled, and what it doesn't open."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.conftest import ROOT
from tests.edge_impulse.scripted import Answer, Server, envelope, scripted


def environment(**changes: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("EI_", "HF_", "TRANSFORMERS_"))}
    return {**clean, **changes}


def started(server: Server, ids: Path, checkpoint: Path, failed: Path, requests: int) -> subprocess.Popen[str]:
    """Start the block as a process, and return once it has made that many requests."""
    running = subprocess.Popen(
        [sys.executable, "transform.py", "--data-ids-file", str(ids), "--model", str(checkpoint),
         "--failed-ids-file", str(failed)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment(EI_PROJECT_API_KEY="ei_k", EI_API_ENDPOINT=server.url),
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # even if these tests run under nohup
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while len(server.asked) < requests and time.monotonic() < deadline:
        time.sleep(0.05)
    return running


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_canceled_run_says_what_it_did_and_exits_130(
    tmp_path: Path, checkpoint_folder: Path, number: signal.Signals
) -> None:
    ids, failed = tmp_path / "ids.json", tmp_path / "failed.json"
    ids.write_text("[1, 2, 3]")
    with scripted(Answer(body=envelope(projects=[{"id": 1}])), Answer(wait=True)) as server:
        running = started(server, ids, checkpoint_folder, failed, requests=2)
        running.send_signal(number)
        sent = time.monotonic()
        out, err = running.communicate(timeout=30)
        took = time.monotonic() - sent
    assert running.returncode == 130, err
    assert "Traceback" not in err
    assert out.splitlines()[-1].endswith("0 labeled, 0 failed, 3 not reached")
    assert json.loads(failed.read_text()) == {"ids": [1, 2, 3]}
    assert took < 5


@pytest.mark.slow
def test_a_run_canceled_while_a_write_is_tried_again_still_leaves_its_summary(
    tmp_path: Path, checkpoint_folder: Path
) -> None:
    ids, failed = tmp_path / "ids.json", tmp_path / "failed.json"
    ids.write_text("[1]")
    sound = io.BytesIO()
    soundfile.write(sound, np.zeros(16000), 16000, format="WAV", subtype="PCM_16")
    sample = {"filename": "a", "valuesCount": 16000, "frequency": 16000, "sensors": [{"name": "a", "units": "wav"}]}
    answers = [
        Answer(body=envelope(projects=[{"id": 1}])),
        Answer(body=envelope(sample=sample)),
        Answer(body=sound.getvalue()),
        Answer(503, headers={"Retry-After": "200"}),
    ]
    with scripted(*answers) as server:
        running = started(server, ids, checkpoint_folder, failed, requests=4)
        time.sleep(0.3)
        running.send_signal(signal.SIGTERM)
        sent = time.monotonic()
        out, err = running.communicate(timeout=60)
        took = time.monotonic() - sent
    assert running.returncode == 130, err
    assert "Traceback" not in err
    assert "not retried, because the run is over" in out
    assert out.splitlines()[-1].endswith("0 labeled, 1 failed")
    assert json.loads(failed.read_text()) == {"ids": [1]}
    assert took < 10


def take_terminal() -> None:
    """Make standard input the controlling terminal of this process, which leads its session."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def test_a_terminal_that_closes_ends_the_run_like_sigterm(tmp_path: Path, checkpoint_folder: Path) -> None:
    ids, failed = tmp_path / "ids.json", tmp_path / "failed.json"
    ids.write_text("[1, 2, 3]")
    here, there = pty.openpty()
    with scripted(Answer(body=envelope(projects=[{"id": 1}])), Answer(wait=True)) as server:
        running = subprocess.Popen(
            [sys.executable, "-m", "tests.stub.action", "--data-ids-file", str(ids), "--model", str(checkpoint_folder),
             "--failed-ids-file", str(failed)],
            cwd=ROOT, stdin=there, stdout=there, stderr=there, start_new_session=True, preexec_fn=take_terminal,
            env=environment(EI_PROJECT_API_KEY="ei_k", EI_API_ENDPOINT=server.url),
        )  # fmt: skip
        os.close(there)
        while len(server.asked) < 2 and running.poll() is None:
            time.sleep(0.05)
        os.close(here)
        assert running.wait(30) == 130
    assert json.loads(failed.read_text()) == {"ids": [1, 2, 3]}


@pytest.mark.slow
def test_a_refused_key_ends_a_run_although_other_requests_still_wait(tmp_path: Path, checkpoint_folder: Path) -> None:
    ids = tmp_path / "ids.json"
    ids.write_text("[1, 2]")
    answers = [Answer(body=envelope(projects=[{"id": 1}])), Answer(401), Answer(503, headers={"Retry-After": "200"})]
    with scripted(*answers) as server:
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "transform.py", "--data-ids-file", str(ids), "--model", str(checkpoint_folder)],
            cwd=ROOT, capture_output=True, text=True, timeout=120,
            env=environment(EI_PROJECT_API_KEY="ei_k", EI_API_ENDPOINT=server.url),
        )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "the API key was refused" in done.stdout
    assert time.monotonic() - began < 60


OFFLINE = """
import socket, sys

def refuse(*args, **kwargs):
    raise AssertionError("a connection was tried")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
from block.model import checkpoint
from block.model.classifier import Classifier
from block.model.device import choose_device
from block.settings import ComputeSettings

Classifier(checkpoint.find_checkpoint(sys.argv[1]), choose_device(ComputeSettings("cpu")))
import huggingface_hub.constants

print("offline", huggingface_hub.constants.HF_HUB_OFFLINE)
print("telemetry off", huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY)
"""


def test_loading_a_checkpoint_opens_no_connection_even_where_the_environment_says_online(
    checkpoint_folder: Path,
) -> None:
    online = dict.fromkeys(("HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "DISABLE_TELEMETRY", "DO_NOT_TRACK"), "0")
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, str(checkpoint_folder)],
        cwd=ROOT, env=environment(**online), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["offline True", "telemetry off True"], done.stderr


def test_output_that_no_one_reads_is_not_an_error(checkpoint_folder: Path) -> None:
    command = f"{sys.executable} -m block labels --model {checkpoint_folder} | head -n 1"
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "Speech\n"
    assert done.stderr == ""
