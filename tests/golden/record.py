"""Run the golden scenarios and write the results of each into a folder: python -m tests.golden.record OUT [--ray]

The tests compare with the results in `tests/golden/expected`. Record them again only if results are meant to change,
and say in the commit which results changed and why:

    python -m tests.golden.record tests/golden/expected

Logits hardly depend on the processor, because the runs only use kernels that all recent x86-64 processors have.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt

from block import __version__
from tests.conftest import EMBEDDED
from tests.golden import platform, scenarios
from tests.golden.scenarios import Scenario
from tests.golden.sounds import ODD_FLAC, RECORDINGS, sounds, wav

# Kernels that all servers of the last ten years have, in one thread. Otherwise results differ between processors.
KERNELS = {
    "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "COMPATIBLE", "OMP_NUM_THREADS": "1",
}  # fmt: skip
COMMON = ("--model", str(EMBEDDED), "--device", "cpu", "--batch-size", "8")
PRELOAD = [
    "block.labeling.engine", "block.cli", "block.commands.label", "block.commands.evaluate", "pyarrow.parquet",
    "sklearn.metrics", "soundfile",
    "transformers.models.audio_spectrogram_transformer.modeling_audio_spectrogram_transformer",
]  # fmt: skip
MODIFIED_NS = 1_700_000_000 * 10**9
LOGITS = "logits.npy"
RUN_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")
# Not part of the results: input, locks, and score stores, whose logits are kept separately.
LEFT_OUT = ("audio/", "scores/", "out/scores/", "report/scores/", "report/report.html", "annotations.csv", "ids.json")


def main() -> None:
    """Record the scenarios named on the command line, or all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, help="folder to write; each scenario gets a folder in it")
    parser.add_argument("--ray", action="store_true", help="run the scenarios of a Ray cluster instead of the others")
    parser.add_argument("--only", nargs="*", default=(), metavar="NAME", help="run only these scenarios")
    options = parser.parse_args()
    chosen = scenarios.cluster() if options.ray else [*scenarios.actions(), *scenarios.folders()]
    os.environ.update(KERNELS)
    context = multiprocessing.get_context("forkserver")
    # Each run is its own process, forked from a process that has already imported the slow packages.
    context.set_forkserver_preload(PRELOAD)
    for scenario in chosen:
        if options.only and scenario.name not in options.only:
            continue
        target = options.out / scenario.name
        shutil.rmtree(target, ignore_errors=True)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            record = _record_folder if scenario.is_folder else _record_action
            found = record(scenario, folder, context)
            _keep(found, folder, target)


def _record_action(scenario: Scenario, folder: Path, context: Any) -> dict[str, Any]:
    """Run the AI Action against the fake platform; return exit codes and requests, by file name."""
    fake = platform.Platform(scenarios.project(scenario))
    ids = scenario.ids(list(fake.samples))
    (folder / "ids.json").write_text(json.dumps(ids))
    with platform.serve(fake) as endpoint:
        environment = {"EI_PROJECT_API_KEY": platform.KEY, "EI_API_ENDPOINT": endpoint}
        codes = [
            _run(context, folder, [*COMMON, "--data-ids-file", "ids.json", *run], environment, scenario.pinned)
            for run in scenario.runs
        ]
    requests = {str(at): fake.requests[at] for at in sorted(fake.requests)}
    return {"exit_codes.json": codes, "requests.json": requests}


def _record_folder(scenario: Scenario, folder: Path, context: Any) -> dict[str, Any]:
    """Run commands on a folder of recordings; return their exit codes, by file name."""
    for number, name in enumerate(scenario.sounds):
        values, rate_hz = sounds()[name]
        below = folder / "audio" / ("left" if number % 2 else "right")
        below.mkdir(parents=True, exist_ok=True)
        path = below / (ODD_FLAC.name if name == "odd" else f"{name}.wav")
        path.write_bytes(ODD_FLAC.read_bytes() if name == "odd" else wav(values, rate_hz))
        os.utime(path, ns=(MODIFIED_NS, MODIFIED_NS))
    _annotate(folder)
    # relabel takes neither a model nor a device.
    runs = [[*run, *(COMMON if run[0] != "relabel" else ())] for run in scenario.runs]
    return {"exit_codes.json": [_run(context, folder, run, {}, scenario.pinned) for run in runs]}


def _annotate(folder: Path) -> None:
    """Write the demo's expected labels as annotations of the recordings in `folder`."""
    paths = {path.stem.split("_")[0]: path.relative_to(folder / "audio") for path in folder.glob("audio/*/*")}
    lines = ["file,start_s,end_s,label"]
    for line in (RECORDINGS.parent / "expected.csv").read_text().splitlines()[1:]:
        name, rest = line.split(",", 1)
        at = name.split(".")[0].split("_")[0]
        if at in paths and not line.endswith("other"):
            lines.append(f"{paths[at]},{rest}")
    (folder / "annotations.csv").write_text("\n".join(lines) + "\n")


def _run(context: Any, folder: Path, argv: list[str], environment: Mapping[str, str], pinned: str) -> int:
    """Run the block with `argv` in its own process, in `folder`; return its exit code."""
    process = context.Process(target=_child, args=(str(folder), argv, dict(environment), pinned))
    process.start()
    process.join()
    print(f"{' '.join(argv)}\n  exit code {process.exitcode}", flush=True)
    if process.exitcode == 2:
        print((folder / "log.txt").read_text().splitlines()[-1], flush=True)
    return int(process.exitcode)


def _child(folder: str, argv: list[str], environment: dict[str, str], pinned: str) -> None:
    os.chdir(folder)
    for name in [name for name in os.environ if name.startswith("EI_")]:
        del os.environ[name]
    os.environ.update(environment)
    # The output is not part of the results, but it says why a run failed.
    log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = ["block", *argv]
    _pin(pinned)
    from block import cli

    cli.main_command() if argv[0] in ("label", "relabel", "evaluate") else cli.main()


def _pin(path: str) -> None:
    """Make fast mode take `path`: which path is fastest, and whether it tries int8, depends on the machine."""
    if not path:
        return
    from block.labeling import fast_labeler, path_choice
    from block.model import classifier, int8_support

    def choose(trials: Iterable[path_choice.Trial], *_: float) -> path_choice.Trial:
        return next(one for one in trials if one.path == path)

    support = int8_support.Int8Support(127) if "int8" in path else int8_support.Int8Support(0, "pinned")
    # Unlike setattr, these fail if the name is gone. The process ends after the run, so they are never undone.
    mock.patch.object(classifier, "find_int8_support", return_value=support).start()
    mock.patch.object(fast_labeler, "choose_fastest", side_effect=choose).start()


def _keep(found: Mapping[str, Any], folder: Path, target: Path) -> None:
    """Write results and files of a run into `target`, without anything that differs between runs."""
    target.mkdir(parents=True)
    for name, content in found.items():
        text = RUN_ID.sub("RUN", json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        # Request bodies are JSON inside JSON.
        (target / name).write_text(text.replace(f'\\"{__version__}\\"', '\\"VERSION\\"'), encoding="utf-8")
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not name.startswith(LEFT_OUT) and path.name not in (".lock", "log.txt"):
            kept = target / name
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(_normal(path, folder))
    journal = folder / "scores" / "journal.jsonl"
    if journal.exists():
        (target / "scores.journal.jsonl").write_bytes(_normal(journal, folder))
    logits = _logits(folder.rglob("scores/*.parquet"))
    if len(logits):
        np.save(target / LOGITS, logits)


def _normal(path: Path, folder: Path) -> bytes:
    """Return the content of a file without this run's version, address and folder, and without messages."""
    text = path.read_bytes().decode()  # without changing line ends
    for own, name in ((f'"{__version__}"', '"VERSION"'), (str(folder), "FOLDER"), (str(EMBEDDED), "MODEL")):
        text = text.replace(own, name)
    if path.name == "failed.csv":
        text = "".join(line.partition(",")[0] + "\n" for line in text.splitlines())
    elif path.name == "manifest.json":
        text = re.sub(r'"problem": "[^"]+"', '"problem": "MESSAGE"', text)
    elif path.name == "evaluation.json":
        content = json.loads(text)
        text = json.dumps({**content, "settings": sorted(content["settings"])}, indent=1)
    elif path.suffix == ".jsonl":
        text = _lines(text)
    return text.encode()


def _lines(text: str) -> str:
    """Return JSON lines in a fixed order: several threads append to these files, so the order varies."""
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        if "endpoint" in line.get("run", {}):
            line["run"]["endpoint"] = "ENDPOINT"
        if "error" in line:
            line["error"] = "MESSAGE"
    return "".join(sorted(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def _logits(shards: Iterable[Path]) -> npt.NDArray[np.float32]:
    """Return the logits in score stores, ordered by the content of their recordings; shape `(chunks, classes)`."""
    import pyarrow.parquet

    rows = [row for path in shards for row in pyarrow.parquet.read_table(path).to_pylist()]
    rows.sort(key=lambda row: row["content"])
    parts = [np.array(row["logits"], np.float32).reshape(-1, 527) for row in rows]
    return np.concatenate(parts) if parts else np.empty((0, 527), np.float32)


if __name__ == "__main__":
    main()
