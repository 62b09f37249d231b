"""Kill runs with SIGKILL, run them again, and compare the result with that of an undisturbed run.

Each point starts with a copy of the project. A run with the stub engine is killed at a random call of the API (just
before it is served, just after, or some milliseconds later), and the same command runs again. Three checks follow:
every sample must be as after the undisturbed run, no finished sample may be written again, and no more samples may be
written twice than can have been in flight at the kill.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from block.edge_impulse.label_owner import ANNOUNCED
from block.labeling.run import WRITES_AT_ONCE
from block.local_studio.data.project import LocalProject
from block.local_studio.server import running

ROOT = Path(__file__).resolve().parents[2]
RECORDINGS, RATE_HZ = 24, 16000
JOB = 12
QUIET_S = 0.3
WATCHED = ("sample", "changes", "set_structured_labels", "add_metadata", "propose")
SETTINGS = ("--audioset-labels", "Speech", "--model", "ast-tiny-audioset")


@dataclass(frozen=True)
class Scenario:
    """How to start the block: additional arguments, and whether the project has an earlier job's labels."""

    name: str
    arguments: tuple[str, ...] = ()
    is_labeled: bool = False

    @property
    def is_preview(self) -> bool:
        return "--propose-actions" in self.arguments


SCENARIOS = (
    Scenario("no journal"),
    Scenario("a journal", ("--journal", "journal.jsonl")),
    Scenario("earlier labels", is_labeled=True),
    Scenario("earlier labels and a journal", ("--journal", "journal.jsonl"), is_labeled=True),
    Scenario("--skip-labeled", ("--skip-labeled",)),
    Scenario("a preview with a journal", ("--journal", "journal.jsonl", "--propose-actions", str(JOB))),
)


@dataclass
class WatchedStore:
    """A store that calls `tell` before (False) and after (True) it carries out a call of the API.

    `labeled` has the samples whose labels were written or proposed, in order; `finished` those whose metadata was
    written after that.
    """

    store: Any
    tell: Callable[[bool], None]
    labeled: list[int] = field(default_factory=list)
    finished: list[int] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.store, name)
        if name not in WATCHED:
            return call

        def watched(*arguments: Any) -> Any:
            self.tell(False)
            result = call(*arguments)
            if name == "set_structured_labels":
                self.labeled.append(arguments[0])
            elif name == "add_metadata" and arguments[0] in self.labeled:
                self.finished.append(arguments[0])
            elif name == "propose":
                self.labeled.append(arguments[0].sample_id)
            self.tell(True)
            return result

        return watched


@dataclass
class Kill:
    """When to kill the process: at the start or the end of a call of the API, or `later_s` after that."""

    call: int
    at_end: bool
    later_s: float
    process: subprocess.Popen[str] | None = None
    calls: int = 0
    last_call_at: float = 0.0

    def wait_for_quiet(self) -> None:
        """Wait until the server has carried out the last calls of the killed process."""
        self.last_call_at = time.monotonic()
        while time.monotonic() - self.last_call_at < QUIET_S:
            time.sleep(QUIET_S / 10)

    def __call__(self, ended: bool) -> None:
        self.last_call_at = time.monotonic()
        self.calls += not ended
        if self.calls == self.call and ended == self.at_end and self.process is not None:
            if self.later_s:
                threading.Timer(self.later_s, self.process.kill).start()
            else:
                self.process.kill()


def make_project(folder: Path, seed: int = 0) -> None:
    """Make a folder of different recordings of 0.2 to 2.5 s."""
    folder.mkdir(parents=True)
    noise = np.random.default_rng(seed)
    for number in range(RECORDINGS):
        values = noise.normal(0, 0.1, int(noise.integers(RATE_HZ // 5, RATE_HZ * 5 // 2)))
        soundfile.write(folder / f"recording {number:02d}.wav", values, RATE_HZ, subtype="PCM_16")
    project = LocalProject(folder)
    project.scan()
    project.close()


@contextmanager
def serve_project(
    folder: Path, tell: Callable[[bool], None]
) -> Iterator[tuple[LocalProject, WatchedStore, dict[str, str]]]:
    """Serve the project in `folder`; yield it, its watched store, and the environment for a block that labels it."""
    project = LocalProject(folder)
    watched = WatchedStore(project.store, tell)
    project.store = watched  # type: ignore[assignment]
    with running(project) as address:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("EI_")}
        secret = {"EI_PROJECT_API_KEY": address.key, "EI_API_ENDPOINT": address.endpoint}
        yield project, watched, {**kept, **secret, "PYTHONPATH": str(ROOT), "STUB_SECONDS_PER_WINDOW": "0.002"}
    project.close()


def start(folder: Path, environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    """Start the block with the stub engine in `folder`, which has `ids.json`."""
    command = [sys.executable, "-m", "tests.stub.action", "--data-ids-file", "ids.json", *SETTINGS, *arguments]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def state(project: LocalProject, scenario: Scenario) -> dict[int, Any]:
    """Return label, segments and metadata of every sample, as the scenario's run wrote or proposed them.

    Leave out announcements of labels, which differ from run to run.
    """
    samples = project.samples(JOB if scenario.is_preview else None)
    return {
        one.id: [
            one.label,
            [label.to_json() for label in one.structured_labels or ()],
            {name: text for name, text in one.metadata.items() if not name.startswith(ANNOUNCED)},
        ]
        for one in samples
    }


@dataclass
class Point:
    """The outcome of one kill; `problems` is empty if all checks passed."""

    scenario: str
    call: int
    was_killed: bool
    again: int = 0
    problems: list[str] = field(default_factory=list)


class Harness:
    """A scenario and its undisturbed run, in the folder `scratch`."""

    def __init__(self, scenario: Scenario, scratch: Path) -> None:
        self.scenario = scenario
        self.scratch = scratch
        self.template = scratch / "template"
        make_project(self.template)
        if scenario.is_labeled:
            self._run(self.template, "--min-confidence", "0.3")
        self.expected, self.calls = self._undisturbed()

    def _work(self, name: str) -> tuple[Path, Path]:
        """Copy the project, and make a folder to run the block in; return both."""
        project, work = self.scratch / f"{name}-project", self.scratch / name
        shutil.copytree(self.template, project)
        self._make_work(work)
        return project, work

    @staticmethod
    def _make_work(work: Path) -> None:
        work.mkdir()
        (work / "ids.json").write_text(json.dumps({"ids": list(range(1, RECORDINGS + 1))}))

    def _run(self, folder: Path, *arguments: str) -> None:
        work = self.scratch / f"{folder.name}-work"
        self._make_work(work)
        with serve_project(folder, lambda ended: None) as (_, _, environment):
            process = start(work, environment, *arguments)
            out, _ = process.communicate(timeout=120)
            if process.returncode:
                raise RuntimeError(f"an undisturbed run exits with {process.returncode}:\n{out}")

    def _undisturbed(self) -> tuple[dict[int, Any], int]:
        project_folder, work = self._work("undisturbed")
        count = Kill(-1, False, 0.0)
        with serve_project(project_folder, count) as (project, _, environment):
            process = start(work, environment, *self.scenario.arguments)
            out, _ = process.communicate(timeout=120)
            if process.returncode:
                raise RuntimeError(f"an undisturbed run exits with {process.returncode}:\n{out}")
            return state(project, self.scenario), count.calls

    def kill(self, number: int, chance: random.Random) -> Point:
        """Kill a run at a random moment, run it again, and check the result."""
        later_s = chance.choice((0.0, 0.0, chance.uniform(0, 0.03)))
        kill = Kill(chance.randint(1, self.calls), chance.random() < 0.5, later_s)
        project_folder, work = self._work(f"point{number}")
        with serve_project(project_folder, kill) as (project, watched, environment):
            kill.process = start(work, environment, *self.scenario.arguments)
            kill.process.communicate(timeout=120)
            point = Point(self.scenario.name, kill.call, kill.process.returncode == -9)
            kill.process = None
            kill.wait_for_quiet()
            before, finished = set(watched.labeled), set(watched.finished)
            watched.labeled.clear()
            second = start(work, environment, *self.scenario.arguments)
            out, _ = second.communicate(timeout=120)
            again = before & set(watched.labeled)
            point.again = len(again)
            if second.returncode:
                point.problems.append(f"the second run exits with {second.returncode}: {out[-500:]}")
            if state(project, self.scenario) != self.expected:
                point.problems.append("the samples differ from those of an undisturbed run")
            if again & finished:
                point.problems.append(f"finished samples were written again: {sorted(again & finished)}")
            if len(again) > WRITES_AT_ONCE:
                point.problems.append(
                    f"{len(again)} recordings were written again; at most {WRITES_AT_ONCE} can be in flight"
                )
            if len(watched.labeled) != len(set(watched.labeled)):
                point.problems.append("the second run wrote a recording twice")
        shutil.rmtree(project_folder)
        shutil.rmtree(work)
        return point


def main(points: int, out: Path | None = None, seed: int = 7) -> dict[str, Any]:
    """Kill `points` runs while they are running, over all scenarios; return the figures, and write `out/kills.json`."""
    began = time.monotonic()
    chance = random.Random(seed)
    done: list[Point] = []
    with tempfile.TemporaryDirectory() as scratch:
        for number, scenario in enumerate(SCENARIOS):
            folder = Path(scratch) / str(number)
            folder.mkdir()
            harness = Harness(scenario, folder)
            share = points // len(SCENARIOS) + (number < points % len(SCENARIOS))
            # A signal some milliseconds after one of the last calls can come too late; that doesn't count as a kill.
            for at in range(2 * share):
                if sum(one.was_killed for one in done if one.scenario == scenario.name) < share:
                    done.append(harness.kill(at, chance))
    figures = {
        "points": len(done),
        "killed": sum(one.was_killed for one in done),
        "scenarios": {
            one.name: {
                "points": sum(point.scenario == one.name for point in done),
                "most_written_again": max((point.again for point in done if point.scenario == one.name), default=0),
            }
            for one in SCENARIOS
        },
        "problems": [f"{one.scenario}, call {one.call}: {problem}" for one in done for problem in one.problems],
        "seconds": round(time.monotonic() - began, 1),
    }
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "kills.json").write_text(json.dumps(figures, indent=1) + "\n")
    return figures


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20), indent=1))
