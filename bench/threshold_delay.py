"""`python -m bench.threshold_delay`: how long after a slider moves the page shows what changes, in Chromium.

A job has labeled 1,000 recordings and kept their scores, which are random: almost every recording changes if a slider
moves far. Needs Playwright, which is among the packages for tests, and Chromium.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import requests

from bench.pages import LABELS, RATE_HZ, RECORDINGS, SECONDS, add_recordings
from bench.plan import BenchError
from bench.review_delay import open_browser
from block.cli import exit_with
from block.edge_impulse.run_record import RunRecord
from block.labels import parse_labels
from block.local_studio.data.project import LocalProject
from block.local_studio.jobs.files import JobFiles
from block.local_studio.jobs.store import FINISHED, PREVIEW, JobStore
from block.local_studio.server import running
from block.score_store import Key, Scored, ScoreStore
from block.settings import AuditSettings, DecisionSettings, SettingsError, WindowSettings

WINDOWS = 5  # of each recording
CLASSES = 527
MOVES = 30
NEAR, FAR = 0.02, 0.5  # how far a slider moves: as in a drag, and in one click
GOAL_MS = 100
# Moves a slider, and resolves to the ms until the page shows what changes.
MOVE = """([id, value]) => new Promise((resolve) => {
  const form = document.getElementById("thresholds"), start = performance.now();
  const observer = new MutationObserver(() => {
    if (form.getAttribute("aria-busy") === "false") {
      observer.disconnect();
      requestAnimationFrame(() => resolve(performance.now() - start));
    }
  });
  observer.observe(form, { attributes: true, attributeFilter: ["aria-busy"] });
  const slider = document.querySelector(id);
  slider.value = value;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
})"""


def main(argv: Sequence[str]) -> int:
    """Measure the delays and print them. Return the exit code; raise SettingsError if there is no browser."""
    parser = argparse.ArgumentParser(prog="python -m bench.threshold_delay", allow_abbrev=False, description=__doc__)
    parser.add_argument("--recordings", type=int, default=RECORDINGS, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--windows", type=int, default=WINDOWS, metavar="N", help="windows of each recording (default: %(default)s)"
    )
    options = parser.parse_args(argv)
    try:
        with tempfile.TemporaryDirectory(prefix="block-bench-thresholds-") as folder:
            measure(Path(folder), options.recordings, options.windows)
    except BenchError as error:
        raise SettingsError(str(error)) from None
    return 0


def measure(folder: Path, count: int, windows: int) -> None:
    """Print the delays of some moves. Raise BenchError if there is no browser."""
    project = LocalProject(folder)
    try:
        add_recordings(project, count)
        job_id = keep_scores(project, windows)
        with running(project) as address:
            path, rng = f"{address.url}/jobs/{job_id}/thresholds", random.Random(0)
            with requests.Session() as session:
                session.trust_env = False  # no proxy for the loopback

                def ask(at: int, value: float) -> float:
                    still = {f"t{one}": "0.5" for one in range(len(LABELS) - 1)}
                    query = {**still, f"t{at}": f"{value:.2f}", "merge": "on"}
                    start = time.perf_counter()
                    session.get(f"{path}.json", params=query, timeout=60).raise_for_status()
                    return 1000 * (time.perf_counter() - start)

                ask(0, 0.5)
                for step in (NEAR, FAR):
                    print(format_delays("server", step, move_often(rng, step, ask)), flush=True)
            with open_browser() as browser:
                page: Any = browser.new_page()
                page.goto(path)

                def move(at: int, value: float) -> float:
                    return float(page.evaluate(MOVE, [f"input[data-of=t{at}]", f"{value:.2f}"]))

                for step in (NEAR, FAR):
                    print(format_delays("in Chromium", step, move_often(rng, step, move)), flush=True)
    finally:
        project.close()


def move_often(rng: random.Random, step: float, move: Callable[[int, float], float]) -> list[float]:
    """Move the sliders of one label after the other by about `step`, around 0.5. Return the delays in ms."""
    found = []
    for number in range(MOVES):
        value = 0.5 + step * (1 if number % 2 else -1) * rng.uniform(0.5, 1)
        found.append(move(number % (len(LABELS) - 1), value))
    return found


def keep_scores(project: LocalProject, windows: int) -> int:
    """Add a job that has kept random scores for each recording, `windows` of them. Return the job's id."""
    samples = project.samples()
    jobs = JobStore(project.store)
    job = jobs.create(PREVIEW, "block", {"other-label": "other"}, [sample.id for sample in samples])
    class_names = [*LABELS[:-1], *(f"class {at}" for at in range(len(LABELS) - 1, CLASSES))]
    decisions = DecisionSettings(parse_labels("\n".join(LABELS[:-1]), class_names, 0.5), score_function="sigmoid")
    size_ms = 1000 * SECONDS // windows
    key = Key("0" * 64, WindowSettings(size_ms, size_ms), "pad", "exact", "float32")
    jobs.set_record(job.id, RunRecord(key, decisions, AuditSettings(), "random", "replace", False))
    rng = np.random.default_rng(0)
    values, details = RATE_HZ * SECONDS, {}
    with ScoreStore(JobFiles(project.root).find_scores(), key, class_names) as store:
        for sample in samples:
            content, chunks = f"{sample.id:064x}", (1,) * -(-SECONDS * 1000 // size_ms)
            logits = rng.normal(0, 2, (len(chunks), CLASSES)).astype(np.float32)
            levels = np.full(len(chunks), -20, np.float32)
            store.add(Scored(content, values, Fraction(RATE_HZ), chunks, levels, logits))
            segment = {"startIndex": 0, "endIndex": values - 1, "label": "other"}
            details[sample.id] = {"content": content, "segments": [segment]}
    jobs.add_details(job.id, details)
    jobs.end(job.id, FINISHED, 0)
    return job.id


def format_delays(where: str, step: float, delays: Sequence[float]) -> str:
    """Return the delays in a sentence."""
    ordered = sorted(delays)
    late = sum(one > GOAL_MS for one in ordered)
    return (
        f"{where}, {len(ordered)} moves by up to {step:g}: {statistics.median(ordered):.0f} ms in the median, "
        f"{ordered[-1]:.0f} ms at most; {late} later than {GOAL_MS} ms"
    )


if __name__ == "__main__":
    exit_with(main, sys.argv[1:], "python -m bench.threshold_delay")
