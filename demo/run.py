"""The demo: a local Studio on a few recordings, the block run on them as Edge Impulse runs it, the labels read back.

    python demo/run.py [--model NAME|DIR]

Exits with the block's code, or 1 if a label differs from demo/expected.csv.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))

import requests  # noqa: E402

from block.checkpoints import EMBEDDED  # noqa: E402
from block.local_studio.project import Project  # noqa: E402
from block.local_studio.server import Address, running  # noqa: E402


def block_arguments(**changes: str) -> list[str]:
    """The arguments that Edge Impulse makes of parameters.json with every field at its default but `changes`."""
    arguments = []
    for item in json.loads((ROOT / "parameters.json").read_text())["parameters"]:
        value = changes.get(item["param"], item["value"])
        if item["type"] == "flag":
            arguments += [f"--{item['param']}"] if value else []
        elif value != "":
            # The newlines of a multi-line field arrive as the two characters backslash and n.
            arguments += [f"--{item['param']}", str(value).replace("\n", "\\n")]
    return arguments


def label(address: Address, project_id: int, ids: list[int], folder: Path, model: str) -> int:
    """Run transform.py in a process of its own; returns its exit code."""
    ids_file = folder / "ids.json"
    ids_file.write_text(json.dumps({"ids": ids}))
    environment = {
        **os.environ,
        "EI_API_ENDPOINT": address.endpoint,
        "EI_PROJECT_API_KEY": address.key,
        "EI_PROJECT_ID": str(project_id),
    }
    arguments = [*block_arguments(model=model), "--data-ids-file", str(ids_file)]
    print(f"$ python transform.py {shlex.join(arguments)}", flush=True)
    command = [sys.executable, "-u", str(ROOT / "transform.py"), *arguments]
    return subprocess.run(command, env=environment, check=False).returncode


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


def main() -> int:
    """Run the demo; returns the exit code."""
    parser = argparse.ArgumentParser(description="Label the demo's recordings through a local Studio.")
    parser.add_argument("--model", default=EMBEDDED, metavar="NAME|DIR", help="default: %(default)s")
    model = parser.parse_args().model
    truth = expected()
    right = True
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(shutil.copytree(HERE / "recordings", Path(scratch) / "recordings"))
        project = Project(folder)
        project.scan()
        ids = [sample.id for sample in project.samples()]
        with running(project) as address:
            print(f"local Studio at {address.url} with {len(ids)} recordings of demo/recordings")
            code = label(address, project.id, ids, Path(scratch), model)
            print()
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
        project.close()
    print("\nevery label is as demo/expected.csv says" if right else "\nsome labels differ from demo/expected.csv")
    return code or (0 if right else 1)


if __name__ == "__main__":
    raise SystemExit(main())
