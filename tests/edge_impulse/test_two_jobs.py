"""Two real processes label the same 200 samples at the same time, with different settings, over a slow local Studio."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from block.edge_impulse.label_owner import ANNOUNCED, JOB, SEGMENTS, LabelOwner, find_owner, fingerprint
from block.edge_impulse.sample import Sample
from block.local_studio.data.project import LocalProject
from tests.soak.kills import serve_project, start

SAMPLES, RATE_HZ = 200, 8000
JOBS = ("one", "two")


def make_project(folder: Path) -> list[int]:
    """Make a folder of 200 different recordings of 0.1 s; return the ids of its samples."""
    noise = np.random.default_rng(0)
    folder.mkdir()
    for number in range(SAMPLES):
        soundfile.write(folder / f"{number:03d}.wav", noise.normal(0, 0.1, RATE_HZ // 10), RATE_HZ)
    project = LocalProject(folder)
    project.scan()
    ids = [sample.id for sample in project.store.samples()]
    project.close()
    return ids


def read(project: LocalProject, sample_id: int) -> Sample:
    found = project.store.sample(sample_id)
    assert found is not None
    labels = [label.to_json() for label in found.structured_labels or ()]
    return Sample.from_answer({"sample": {"structuredLabels": labels, "metadata": found.metadata}}, sample_id)


def read_failed(path: Path) -> set[int]:
    content = json.loads(path.read_text()) if path.exists() else []
    return set(content if isinstance(content, list) else content["ids"])


@pytest.mark.slow
@pytest.mark.parametrize("latency_s", [0.0, 0.02, 0.15])
def test_two_jobs_that_overlap_leave_every_sample_whole(latency_s: float, tmp_path: Path) -> None:
    ids = make_project(tmp_path / "audio")
    wait = random.Random(0)
    lock = threading.Lock()

    def delay(ended: bool) -> None:
        with lock:
            seconds = wait.uniform(0, latency_s / 2)
        time.sleep(seconds)

    with serve_project(tmp_path / "audio", delay) as (project, _, environment):
        runs = {}
        for name in JOBS:
            (tmp_path / name).mkdir()
            (tmp_path / name / "ids.json").write_text(json.dumps(ids))
            arguments = ("--other-label", name, "--failed-ids-file", "failed.json")
            runs[name] = start(tmp_path / name, environment, *arguments)
        outputs = {name: run.communicate(timeout=240)[0] for name, run in runs.items()}
        failed = {name: read_failed(tmp_path / name / "failed.json") for name in JOBS}
        met, ends = 0, Counter[str]()
        for sample_id in ids:
            sample = read(project, sample_id)
            digest = fingerprint(sample.structured_labels)
            owner = find_owner(sample, "")
            met += sum(name.startswith(ANNOUNCED) for name in sample.metadata) == len(JOBS)
            is_whole = sample.metadata.get(SEGMENTS) == digest and JOB in sample.metadata
            assert owner is not LabelOwner.PERSON, (sample, outputs)
            assert is_whole or sample_id in failed["one"] | failed["two"], (sample, outputs)
            assert not is_whole or ANNOUNCED + digest in sample.metadata
            ends["whole" if is_whole else "unfinished"] += 1
        for name, output in outputs.items():
            reasons = [line for line in output.splitlines() if " failed: " in line]
            assert all("another job is labeling this sample" in line for line in reasons), output
            assert len(reasons) == len(failed[name])
            assert runs[name].returncode == (1 if failed[name] else 0), output
        assert met > 0, "the jobs never met"
        assert ends["whole"] >= SAMPLES - len(failed["one"] | failed["two"])

        (tmp_path / "ids.json").write_text(json.dumps(ids))
        after = start(tmp_path, environment, "--other-label", "three")
        output = after.communicate(timeout=240)[0]
        assert f"{SAMPLES} recordings in" in output
        assert after.returncode == 0, output
        assert {find_owner(read(project, sample_id), "") for sample_id in ids} == {LabelOwner.ANOTHER_JOB}
