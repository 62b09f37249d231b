"""A machine short of memory, disk space or write permission, and a clock that jumps."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from block.local_studio.address import Address
from block.local_studio.data.project import LocalProject
from block.local_studio.server import running
from tests.conftest import EMBEDDED, ROOT
from tests.local_studio.conftest import add_recording

STUB = "from tests.stub import engine; sys.modules['block.labeling.engine'] = engine; "
RUN = "from block import cli; cli.main()"


def wav(seconds: float, rate: int = 16000, seed: int = 0) -> bytes:
    file = io.BytesIO()
    values = np.random.default_rng(seed).normal(0, 0.1, round(seconds * rate)).astype(np.float32)
    soundfile.write(file, values, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


@dataclass
class Studio:
    project: LocalProject
    address: Address
    folder: Path

    def run(self, setting: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run the block on all recordings, in a process that first runs `setting`."""
        ids = self.folder / "ids.json"
        ids.write_text(json.dumps([sample.id for sample in self.project.samples()]))
        kept = {name: value for name, value in os.environ.items() if not name.startswith("EI_")}
        return subprocess.run(
            [sys.executable, "-c", f"import os, sys; {setting}", "--data-ids-file", str(ids), "--model", str(EMBEDDED),
             "--device", "cpu", "--audioset-labels", "Speech", *arguments],
            cwd=cwd or self.folder, capture_output=True, text=True, timeout=240, check=False,
            env={**kept, "EI_PROJECT_API_KEY": self.address.key, "EI_API_ENDPOINT": self.address.endpoint,
                 "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    def add(self, name: str, audio: bytes) -> int:
        return add_recording(self.project, audio=audio, name=name)

    def labeled(self) -> list[str]:
        return [sample.name for sample in self.project.samples() if sample.structured_labels]


@contextmanager
def serving(folder: Path) -> Iterator[Studio]:
    audio = folder / "audio"
    audio.mkdir()
    project = LocalProject(audio)
    with running(project) as address:
        yield Studio(project, address, folder)
    project.close()


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    with serving(tmp_path) as served:
        for number in range(6):
            served.add(f"r{number}", wav(1.0, seed=number))
        yield served


def short_of_files(limit_bytes: int) -> str:
    """Limit the size of files, so that writing fails midway as on a full disk."""
    return (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit_bytes}, {limit_bytes})); "
    )


@pytest.mark.slow
def test_only_the_recording_that_does_not_fit_into_memory_fails(studio: Studio) -> None:
    # 160 MB of audio and twice that for its waveform; the process starts with about 100 MB.
    seconds = 160e6 / 2 / 16000
    big = studio.add("big", _long(seconds))
    studio.add("last", wav(1.0, seed=9))
    limit = "import resource; resource.setrlimit(resource.RLIMIT_DATA, (450 << 20, 450 << 20)); "
    done = studio.run(STUB + limit + RUN)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert any(line.startswith(f"{big} big") and " failed: " in line for line in done.stdout.splitlines()), done.stdout
    assert "memory" in done.stdout.lower()
    assert studio.labeled() == [f"r{number}" for number in range(6)] + ["last"]


def _long(seconds: float) -> bytes:
    """Return a WAV of zeros, which is quick to write."""
    header = wav(0.0)[:44]
    size = round(seconds * 16000) * 2
    return header[:4] + (size + 36).to_bytes(4, "little") + header[8:40] + size.to_bytes(4, "little") + bytes(size)


def test_a_journal_on_a_full_disk_is_reported_and_everything_is_labeled(studio: Studio) -> None:
    done = studio.run(STUB + short_of_files(150) + RUN, "--journal", "journal.jsonl")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("can't write the journal journal.jsonl any longer: ") == 1
    assert len(studio.labeled()) == 6
    again = studio.run(STUB + RUN, "--journal", "journal.jsonl")
    assert again.returncode == 0, again.stdout
    assert "0 labeled, 0 failed, 6 already labeled" in again.stdout


def test_a_journal_that_cannot_be_created_on_a_full_disk_is_refused_before_anything_is_labeled(studio: Studio) -> None:
    done = studio.run(STUB + short_of_files(10) + RUN, "--journal", "journal.jsonl")
    assert done.returncode == 2
    assert "error: can't write the journal journal.jsonl: " in done.stderr
    assert not studio.labeled()


@pytest.mark.slow
def test_a_score_store_on_a_full_disk_is_reported_and_everything_is_labeled(studio: Studio) -> None:
    setting = "import torch; from block import score_store; " + short_of_files(2000) + RUN
    done = studio.run(setting, "--score-store", "scores")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("can't be written anymore") == 1
    assert "continuing without storing scores" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert len(studio.labeled()) == 6


# Refuse all writes except to /dev, like a read-only file system.
READ_ONLY = """
import errno
writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
changes = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "shutil.rmtree"}
def refuse(event, args):
    if event == "open" and isinstance(args[0], (str, bytes, os.PathLike)):
        mode, flags = args[1], args[2]
        path = os.fsdecode(args[0])
        if (flags & writing or (mode and set(mode) & set("wax+"))) and not path.startswith("/dev/"):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
    elif event in changes:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(args[0]))
sys.addaudithook(refuse)
"""


@pytest.mark.slow
def test_with_a_file_system_that_is_read_only_everything_is_labeled(studio: Studio) -> None:
    setting = f"exec({READ_ONLY!r}); {RUN}"
    done = studio.run(setting)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(studio.labeled()) == 6
    refused = studio.run(setting, "--failed-ids-file", "failed.json")
    assert refused.returncode == 2
    assert "can't write --failed-ids-file failed.json: Read-only file system" in refused.stderr


@pytest.mark.slow
def test_without_a_home_a_users_name_and_a_folder_for_temporary_files_everything_is_labeled(studio: Studio) -> None:
    nameless = "import getpass; getpass.getuser = lambda: {}['unknown']; os.environ.pop('HOME', None); "
    done = studio.run(f"{nameless}exec({READ_ONLY!r}); {RUN}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(studio.labeled()) == 6


def test_the_working_folder_is_left_as_it_was(studio: Studio, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    assert studio.run(STUB + RUN, cwd=work).returncode == 0
    assert not list(work.iterdir())


def test_a_clock_that_jumps_back_and_forth_changes_nothing(studio: Studio) -> None:
    jumping = (
        "import itertools, time; real = time.time; jumps = itertools.cycle((0, 3e8, -3e8, 86400, -7)); "
        "time.time = lambda: real() + next(jumps); "
    )
    done = studio.run(STUB + jumping + RUN, "--journal", "journal.jsonl")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 labeled, 0 failed" in done.stdout
    assert len(studio.labeled()) == 6
