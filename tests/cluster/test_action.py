"""The AI Action on a cluster, with a local Studio on a loopback address."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from block.edge_impulse.label_owner import ANNOUNCED
from block.local_studio.address import Address
from block.local_studio.data.project import LocalProject
from block.local_studio.server import running
from tests.cluster.conftest import Machines
from tests.conftest import ROOT
from tests.folder.conftest import tones
from tests.local_studio.conftest import add_recording

# Ray leaves the files of its machines to the garbage collector.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]


def wav(values: np.ndarray, rate: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, values, rate, format="WAV")
    return file.getvalue()


@contextmanager
def project(folder: Path) -> Iterator[tuple[LocalProject, Address, list[int]]]:
    """Serve a project of twelve recordings and a damaged one on a loopback address."""
    folder.mkdir()
    made = LocalProject(folder)
    for number in range(12):
        rate = (16000, 44100, 8000)[number % 3]
        values = tones(2.5 + number % 4, rate, number)
        add_recording(made, audio=wav(values, rate))
    add_recording(made, audio=b"not a sound")
    ids = [sample.id for sample in made.samples()]
    with running(made) as address:
        yield made, address, ids
    made.close()


def transform(
    address: Address, ids: list[int], folder: Path, checkpoint: Path, *options: str
) -> subprocess.CompletedProcess[str]:
    (folder / "ids.json").write_text(json.dumps(ids))
    environment = {**os.environ, "EI_PROJECT_API_KEY": address.key, "EI_API_ENDPOINT": address.endpoint}
    return subprocess.run(
        [sys.executable, "transform.py", "--data-ids-file", str(folder / "ids.json"), "--model", str(checkpoint),
         "--device", "cpu", "--audioset-labels", "speech, music (tune), dog", *options],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200,
    )  # fmt: skip


def read_labels(made: LocalProject, ids: list[int], job: int | None = None) -> list[Any]:
    """Return the labels and metadata of samples, without the ids of runs, or what `job` proposes for them."""
    samples = [made.sample(sample_id, job) for sample_id in ids]
    return [
        (
            sample.structured_labels,
            {name: text for name, text in sample.metadata.items() if not name.startswith(ANNOUNCED)},
        )
        for sample in samples
    ]


def test_samples_get_the_same_labels_and_metadata_as_on_a_single_machine(
    two: Machines, checkpoint_folder: Path, tmp_path: Path
) -> None:
    for name in ("alone", "cluster"):
        (tmp_path / name).mkdir()
    with project(tmp_path / "alone" / "audio") as (made, address, ids):
        alone = transform(address, ids, tmp_path / "alone", checkpoint_folder)
        assert alone.returncode == 1, alone.stdout + alone.stderr
        expected = read_labels(made, ids)
    with project(tmp_path / "cluster" / "audio") as (made, address, ids):
        folder, ray = tmp_path / "cluster", ("--ray", two.address, "--ray-workers", "2", "--ray-requests", "3")
        more = ("--score-store", str(folder / "scores"), "--details", str(folder / "details.jsonl"))

        preview = transform(address, ids, folder, checkpoint_folder, *ray, "--propose-actions", "7")
        assert preview.returncode == 1, preview.stdout + preview.stderr
        assert [labels for labels, _ in read_labels(made, ids[:-1], 7)] == [labels for labels, _ in expected[:-1]]
        assert all(labels is None for labels, _ in read_labels(made, ids))

        done = transform(address, ids, folder, checkpoint_folder, *ray, *more)
        assert done.returncode == 1, done.stdout + done.stderr
        assert read_labels(made, ids) == expected
        assert "12 labeled, 1 failed" in done.stdout
        assert address.key not in done.stdout + done.stderr
        details = [json.loads(line) for line in (folder / "details.jsonl").read_text().splitlines()]
        assert sorted(one["sample"] for one in details) == sorted(ids)
        journal = [json.loads(line) for line in (folder / "scores" / "journal.jsonl").read_text().splitlines()]
        assert sorted(one["labeled"] for one in journal if "labeled" in one) == sorted(ids[:-1])

        again = transform(address, ids, folder, checkpoint_folder, *ray)
        assert "0 labeled, 1 failed, 12 already labeled" in again.stdout, again.stdout + again.stderr
        assert read_labels(made, ids) == expected


def test_a_rejected_key_ends_the_run_before_it_joins_a_cluster(
    two: Machines, checkpoint_folder: Path, tmp_path: Path
) -> None:
    with project(tmp_path / "audio") as (_, address, ids):
        wrong = replace(address, key="ei_" + "0" * 64)
        done = transform(wrong, ids, tmp_path, checkpoint_folder, "--ray", two.address)
    assert done.returncode == 2
    assert "Ray cluster" not in done.stdout
