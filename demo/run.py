"""Run the demo: start a local Studio, run the block on its recordings like Edge Impulse, and read the labels.

    python demo/run.py [--model NAME|DIR]

The exit code is the block's, or 1 if a label differs from demo/expected.csv. On a terminal, the local Studio keeps
running until Ctrl-C, so that you can look at its pages.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))

import requests  # noqa: E402
import soundfile  # noqa: E402

from block.api import Labeler  # noqa: E402
from block.formatting import count  # noqa: E402
from block.local_studio.address import Address  # noqa: E402
from block.local_studio.data.project import LocalProject  # noqa: E402
from block.local_studio.jobs.files import COMMAND  # noqa: E402
from block.local_studio.jobs.jobs import Jobs  # noqa: E402
from block.local_studio.jobs.store import RUN  # noqa: E402
from block.local_studio.server import DEFAULT_PORT, ServeError, running  # noqa: E402
from block.model.checkpoint import EMBEDDED  # noqa: E402
from block.settings import BOUNDARIES  # noqa: E402

FOLDER = ROOT / "build" / "demo"
OFF_GRID, OFF_GRID_S = "radio_play.wav", 0.7


def label(project: LocalProject, address: Address, ids: list[int], model: str) -> int:
    """Run the block as a job of the local Studio, print its log, and return its exit code."""
    jobs = Jobs(project, ROOT, address)
    job = jobs.start(RUN, {"model": model}, {}, ids)
    print(f"$ {jobs.files.read(job.id, COMMAND)}", flush=True)
    offset, is_running = 0, True
    while is_running:
        time.sleep(0.2)
        now = jobs.store.get(job.id)
        is_running = now is not None and now.is_running
        log = jobs.log(job.id, offset)
        offset = log.offset
        sys.stdout.write(log.text)
        sys.stdout.flush()
    jobs.close()
    done = jobs.store.get(job.id)
    return done.exit_code if done is not None and done.exit_code is not None else 1


def read_back(address: Address, project_id: int, sample_id: int) -> dict[str, Any]:
    """Return the sample from the local Studio."""
    answer = requests.get(
        f"{address.endpoint}/api/{project_id}/raw-data/{sample_id}",
        params={"limitPayloadValues": "1"},
        headers={"x-api-key": address.key},
        timeout=10,
    )
    answer.raise_for_status()
    sample: dict[str, Any] = answer.json()["sample"]
    return sample


def show_boundaries(model: str) -> None:
    """Print the labels of one recording, without its beginning, on a grid and where the sound changes."""
    waveform, rate_hz = soundfile.read(HERE / "recordings" / OFF_GRID, dtype="float32")
    waveform = waveform[round(OFF_GRID_S * rate_hz) :]
    print(f"{OFF_GRID} from {OFF_GRID_S} s on: its sound changes between windows")
    for boundaries in BOUNDARIES:
        found = Labeler("speech\nmusic", model=model, boundaries=boundaries).label(waveform, rate_hz)
        spans = ", ".join(f"{one.label} {one.start:.2f} – {one.end:.2f} s" for one in found)
        print(f"  --boundaries {boundaries}: {spans}")
    print()


def read_expected() -> dict[str, list[tuple[float, float, str]]]:
    """Return the true labels by file name, as (start, end, label) with times in seconds."""
    spans: dict[str, list[tuple[float, float, str]]] = {}
    with (HERE / "expected.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            spans.setdefault(row["file"], []).append((float(row["start_s"]), float(row["end_s"]), row["label"]))
    return spans


def show(project: LocalProject, address: Address, model: str) -> int:
    """Label the recordings, compare the labels with the expected ones, and return the exit code."""
    truth = read_expected()
    ids = [sample.id for sample in project.samples()]
    print(f"local Studio at {address.url} with {count(len(ids), 'recording')} from demo/recordings")
    code = label(project, address, ids, model)
    print()
    is_right = True
    for sample in (read_back(address, project.id, sample_id) for sample_id in ids):
        rate = sample["frequency"]
        print(f"{sample['filename']}  {sample['valuesCount'] / rate:.1f} s at {rate:g} Hz")
        found = []
        for one in sample.get("structuredLabels") or []:
            start, end = one["startIndex"] / rate, (one["endIndex"] + 1) / rate
            found.append((round(start, 3), round(end, 3), one["label"]))
            print(f"  {start:5.1f} – {end:4.1f} s  {one['label']}")
        if found != truth[sample["filename"]]:
            is_right = False
            print(f"  differs from demo/expected.csv: expected {truth[sample['filename']]}")
    print()
    show_boundaries(model)
    print("all labels match demo/expected.csv" if is_right else "some labels differ from demo/expected.csv")
    return code or (0 if is_right else 1)


def main() -> int:
    """Run the demo and return the exit code."""
    parser = argparse.ArgumentParser(description="Label the demo's recordings through a local Studio.")
    parser.add_argument("--model", default=EMBEDDED, metavar="NAME|DIR", help="default: %(default)s")
    model = parser.parse_args().model
    shutil.rmtree(FOLDER, ignore_errors=True)
    shutil.copytree(HERE / "recordings", FOLDER)
    project = LocalProject(FOLDER)
    project.scan()
    try:
        with running(project, port=DEFAULT_PORT) as address:
            return stay(show(project, address, model), address)
    except ServeError:  # the usual port is in use
        with running(project) as address:
            return stay(show(project, address, model), address)
    finally:
        project.close()


def stay(code: int, address: Address) -> int:
    """Print where to see and hear the labels; on a terminal, wait for Ctrl-C. Return `code`."""
    if not sys.stdout.isatty():
        print(
            f"to see and hear the labels, run .venv/bin/python -m block studio build/demo and open http://127.0.0.1:{DEFAULT_PORT}"
        )
        return code
    print(f"see and hear the labels at {address.url} (press Ctrl-C to stop)", flush=True)
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        print()
    return code


if __name__ == "__main__":
    raise SystemExit(main())
