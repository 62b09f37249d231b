"""`python -m bench.pages`: how long the local Studio takes to answer with each page of a project of 1,000 recordings.

A job has just proposed five segments for every recording, with what a block reports about each, and kept its scores.
The first answer comes after a change: for the first pages of the table, that is the job. The others find nothing
changed. CPU time is that of the server and of this client together: on a busy machine, it says more than the time on
the clock.
"""

from __future__ import annotations

import argparse
import io
import statistics
import sys
import tempfile
import time
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import requests

from block.cli import exit_with
from block.edge_impulse.run_record import RunRecord
from block.labels import parse_labels
from block.local_studio.data.project import LocalProject
from block.local_studio.data.sample import Proposal, ProposedChanges, StructuredLabel
from block.local_studio.jobs.files import JobFiles
from block.local_studio.jobs.store import FINISHED, PREVIEW, JobStore, StudioJob
from block.local_studio.server import running
from block.score_store import Key, Scored, ScoreStore
from block.settings import REPLACE, AuditSettings, DecisionSettings, WindowSettings

RECORDINGS, SEGMENTS, TIMES = 1000, 5, 5
RATE_HZ, SECONDS = 8000, 2
LABELS = ("speech", "music", "dog", "siren", "other")
CLASSES = 527  # of the checkpoint
RUNNERS_UP = [["Speech", 0.3], ["Whistle", 0.2], ["Hum", 0.1]]
GOAL_MS = 200


@dataclass(frozen=True)
class PageTime:
    """How long a page takes, in ms, and its CPU time: the first answer after a change, and the median of the others."""

    path: str
    first_ms: float
    first_cpu_ms: float
    median_ms: float
    cpu_ms: float


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's options."""
    parser = argparse.ArgumentParser(prog="python -m bench.pages", allow_abbrev=False, description=__doc__)
    parser.add_argument("--recordings", type=int, default=RECORDINGS, metavar="N", help="default: %(default)s")
    return parser


def main(argv: Sequence[str]) -> int:
    """Measure all pages and print a table. Return the exit code."""
    count = parser().parse_args(argv).recordings
    with tempfile.TemporaryDirectory(prefix="block-bench-pages-") as folder:
        print(format_times(measure(Path(folder), count), count), flush=True)
    return 0


def measure(folder: Path, count: int) -> list[PageTime]:
    """Return the times of all pages of a new project of `count` recordings in `folder`."""
    project = LocalProject(folder)
    try:
        add_recordings(project, count)
        with running(project) as address, requests.Session() as session:
            session.trust_env = False  # no proxy for the loopback
            for path in list_paths(0, count):
                session.get(address.url + path, timeout=60)  # compiles the templates
            job_id = propose(project)
            return [_measure_page(project, session, address.url, path) for path in list_paths(job_id, count)]
    finally:
        project.close()


def list_paths(job_id: int, count: int) -> list[str]:
    """Return the addresses to measure in a project of `count` recordings."""
    one = f"/recordings/{1 + count // 2}"
    return [
        *("/", "/?state=proposed", "/?label=dog", "/review", "/review?apart=1", f"/review?job={job_id}"),
        f"/review?job={job_id}&label=dog&order=range",
        *(f"/jobs/{job_id}/thresholds", f"/jobs/{job_id}/overviews.json", f"/jobs/{job_id}", f"/jobs/{job_id}/bulk"),
        *("/jobs", "/actions", one, f"{one}?job={job_id}"),
        *("/models", "/about", "/labels/export", "/labels/export?format=csv"),
    ]


def add_recordings(project: LocalProject, count: int) -> None:
    """Add recordings to an empty project."""
    audio = io.BytesIO()
    with wave.open(audio, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(bytes(2 * RATE_HZ * SECONDS))
    for number in range(count):
        (project.root / f"recording {number}.wav").write_bytes(audio.getvalue())
    project.scan()


def propose(project: LocalProject) -> int:
    """Add a job that proposes labels for each recording. Return the job's id."""
    ids = [sample.id for sample in project.samples()]
    jobs = JobStore(project.store)
    job = jobs.create(PREVIEW, "block", {"other-label": "other"}, ids)
    length = RATE_HZ * SECONDS // SEGMENTS
    details = {}
    for sample_id in ids:
        segments = tuple(
            StructuredLabel(at * length, (at + 1) * length - 1, LABELS[(sample_id + at) % len(LABELS)])
            for at in range(SEGMENTS)
        )
        project.store.propose(Proposal(job.id, sample_id, ProposedChanges(structured_labels=segments)))
        why = {"score": 0.5 + sample_id % 50 / 100, "margin": 0.2, "runnersUp": RUNNERS_UP, "windows": 2, "agreeing": 2}
        entries = [{**one.to_json(), **why, "loudnessDbfs": -30.0} for one in segments]
        details[sample_id] = {"content": format_content(sample_id), "segments": entries}
    jobs.add_details(job.id, details)
    keep_scores(project, job, SEGMENTS)
    jobs.end(job.id, FINISHED, 0)
    return job.id


def keep_scores(project: LocalProject, job: StudioJob, windows: int) -> None:
    """Keep random scores of a job: `windows` of each recording."""
    class_names = [*LABELS[:-1], *(f"class {at}" for at in range(len(LABELS) - 1, CLASSES))]
    decisions = DecisionSettings(parse_labels("\n".join(LABELS[:-1]), class_names, 0.5), score_function="sigmoid")
    size_ms = 1000 * SECONDS // windows
    key = Key("0" * 64, WindowSettings(size_ms, size_ms), "pad", "exact", "float32")
    record = RunRecord(key, decisions, AuditSettings(), "random", REPLACE, overwrites_hand_labels=False)
    JobStore(project.store).set_record(job.id, record)
    rng, chunks = np.random.default_rng(0), (1,) * -(-SECONDS * 1000 // size_ms)
    levels = np.full(len(chunks), -20, np.float32)
    with ScoreStore(JobFiles(project.root).find_scores(), key, class_names) as store:
        for sample_id in job.sample_ids:
            logits = rng.normal(0, 2, (len(chunks), CLASSES)).astype(np.float32)
            content = format_content(sample_id)
            store.add(Scored(content, RATE_HZ * SECONDS, Fraction(RATE_HZ), chunks, levels, logits))


def format_content(sample_id: int) -> str:
    """Return what stands for the SHA-256 of a recording."""
    return f"{sample_id:064x}"


def format_times(times: Sequence[PageTime], count: int) -> str:
    """Return the times as a Markdown table."""
    lines = [
        f"| page, {count} recordings | first (ms) | CPU (ms) | then (ms) | CPU (ms) |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {one.path} | {one.first_ms:.0f} | {one.first_cpu_ms:.0f} | {one.median_ms:.0f} | {one.cpu_ms:.0f} |"
            for one in times
        ),
    ]
    slow = [one.path for one in times if max(one.first_ms, one.median_ms) > GOAL_MS]
    return "\n".join([*lines, "", f"over {GOAL_MS} ms: {', '.join(slow) or 'none'}"])


def _measure_page(project: LocalProject, session: requests.Session, url: str, path: str) -> PageTime:
    (sample, *_) = project.samples()
    project.store.set_label(sample.id, sample.label)  # a new version of the database, with the same content
    spent, cpu = [], []
    for _ in range(1 + TIMES):
        start, start_cpu = time.perf_counter(), time.process_time()
        session.get(url + path, timeout=60).raise_for_status()
        spent.append(1000 * (time.perf_counter() - start))
        cpu.append(1000 * (time.process_time() - start_cpu))
    return PageTime(path, spent[0], cpu[0], statistics.median(spent[1:]), statistics.median(cpu[1:]))


if __name__ == "__main__":
    exit_with(main, sys.argv[1:], "python -m bench.pages")
