"""The demo: a local Studio on a few recordings, the block run on them as Edge Impulse runs it, the labels read back.

    python demo/run.py [--model NAME|DIR]

Exits with the block's code, or 1 if a label differs from demo/expected.csv. On a terminal the local Studio stays, so
that its pages can be looked at, until Ctrl-C.
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

from block.local_studio.address import Address  # noqa: E402
from block.local_studio.data.project import LocalProject  # noqa: E402
from block.local_studio.jobs.files import COMMAND  # noqa: E402
from block.local_studio.jobs.jobs import Jobs  # noqa: E402
from block.local_studio.jobs.store import RUN  # noqa: E402
from block.local_studio.server import DEFAULT_PORT, ServeError, running  # noqa: E402
from block.model.checkpoint import EMBEDDED  # noqa: E402

FOLDER = ROOT / "build" / "demo"


def label(project: LocalProject, address: Address, ids: list[int], model: str) -> int:
    """Run the block in a process of its own, as the local Studio does, its log as it comes; returns its exit code."""
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
    """The sample as the local Studio now has it."""
    answer = requests.get(
        f"{address.endpoint}/api/{project_id}/raw-data/{sample_id}",
        params={"limitPayloadValues": "1"},
        headers={"x-api-key": address.key},
        timeout=10,
    )
    answer.raise_for_status()
    sample: dict[str, Any] = answer.json()["sample"]
    return sample


def expected() -> dict[str, list[tuple[float, float, str]]]:
    """What is in the recordings, by file: spans in seconds with their label."""
    spans: dict[str, list[tuple[float, float, str]]] = {}
    with (HERE / "expected.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            spans.setdefault(row["file"], []).append((float(row["start_s"]), float(row["end_s"]), row["label"]))
    return spans


def show(project: LocalProject, address: Address, model: str) -> int:
    """Label the recordings and hold the labels to what is in them; returns the exit code."""
    truth = expected()
    ids = [sample.id for sample in project.samples()]
    print(f"local Studio at {address.url} with {len(ids)} recordings of demo/recordings")
    code = label(project, address, ids, model)
    print()
    right = True
    for sample in (read_back(address, project.id, sample_id) for sample_id in ids):
        rate = sample["frequency"]
        print(f"{sample['filename']}  {sample['valuesCount'] / rate:.1f} s at {rate:g} Hz")
        found = []
        for one in sample.get("structuredLabels") or []:
            start, end = one["startIndex"] / rate, (one["endIndex"] + 1) / rate
            found.append((round(start, 3), round(end, 3), one["label"]))
            print(f"  {start:5.1f} – {end:4.1f} s  {one['label']}")
        if found != truth[sample["filename"]]:
            right = False
            print(f"  differs from demo/expected.csv: {truth[sample['filename']]}")
    print("\nevery label is as demo/expected.csv says" if right else "\nsome labels differ from demo/expected.csv")
    return code or (0 if right else 1)


def main() -> int:
    """Run the demo; returns the exit code."""
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
    except ServeError:  # somebody else is at the usual address
        with running(project) as address:
            return stay(show(project, address, model), address)
    finally:
        project.close()


def stay(code: int, address: Address) -> int:
    """Name the page where the labels can be seen and heard; on a terminal, until Ctrl-C. Returns `code`."""
    if not sys.stdout.isatty():
        print(
            f"to see and hear them: .venv/bin/python -m block studio build/demo, then open http://127.0.0.1:{DEFAULT_PORT}"
        )
        return code
    print(f"see and hear them at {address.url} (Ctrl-C ends this)", flush=True)
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        print()
    return code


if __name__ == "__main__":
    raise SystemExit(main())
