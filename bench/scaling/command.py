"""`python -m bench scaling`: simulate runs on a cluster, print tables, write them as JSON and draw a picture."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.plan import BenchError
from bench.scaling import report
from bench.scaling.costs import EXAMPLE_CORE_HOUR, EXAMPLE_GPU_HOUR, FORMULA, Scenario, prices, scenarios
from bench.scaling.results import Scaled, walls
from bench.scaling.simulation import simulate
from bench.scaling.workload import Recordings, field_recordings
from block.settings import SettingsError

OUT = Path("build/scaling")
TABLE, JSON, PLOT = "scaling.txt", "scaling.json", "scaling.png"
RECORDINGS, WORKERS = 1_000_000, (1, 8, 64, 512)


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m bench scaling", allow_abbrev=False,
        description="How far a cluster carries: runs over a million recordings, simulated. See docs/ray.md.",
    )  # fmt: skip
    parser.add_argument("--workers", type=_counts, default=WORKERS, metavar="N,N",
                        help="how many, the first is what the others are held to; default: 1,8,64,512")  # fmt: skip
    parser.add_argument("--recordings", type=int, default=RECORDINGS, metavar="N", help="default: 1,000,000")
    parser.add_argument("--scenario", action="append", choices=[one.name for one in scenarios()],
                        help="may be repeated; default: all")  # fmt: skip
    parser.add_argument("--set", action="append", default=[], type=_constant, metavar="NAME=VALUE",
                        help="another value for a constant, as named in scaling.json; may be repeated")  # fmt: skip
    parser.add_argument("--measure", action="store_true", help="measure what the driver does, on this machine, first")
    parser.add_argument("--core-hour", type=float, default=EXAMPLE_CORE_HOUR, metavar="PRICE",
                        help="of a core; default: %(default)s, an example")  # fmt: skip
    parser.add_argument("--gpu-hour", type=float, default=EXAMPLE_GPU_HOUR, metavar="PRICE",
                        help="of a GPU with its machine; default: %(default)s, an example")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="other chances with another; default: 0")
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR", help="where to write; default: %(default)s")
    return parser


def main(argv: Sequence[str]) -> int:
    """Simulate. Returns the exit code; raises SettingsError if nothing can start."""
    options = parser().parse_args(argv)
    if options.recordings < 1:
        raise SettingsError(f"--recordings is {options.recordings}; expected at least 1")
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        changed = dict(options.set)
        if options.measure:
            changed = {**_measured(options.out), **changed}
        recordings = field_recordings(options.recordings, options.seed)
        found = [_scaled(one, recordings, options.workers, options.seed) for one in _chosen(options.scenario, changed)]
        _write(found, options)
    except OSError as error:
        raise SettingsError(f"{error.filename or options.out}: {error.strerror or error}") from None
    return 0


def _counts(text: str) -> tuple[int, ...]:
    try:
        counts = tuple(int(word) for word in text.split(","))
    except ValueError:
        counts = ()
    if not counts or min(counts) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}; expected numbers of workers with commas between, such as 1,8,64")
    return counts


def _constant(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}; expected NAME=VALUE, such as task_s=0.01") from None


def _chosen(names: Sequence[str] | None, changed: dict[str, float]) -> list[Scenario]:
    try:
        return [
            replace(one, costs=one.costs.changed(**changed))
            for one in scenarios()
            if names is None or one.name in names
        ]
    except ValueError as error:
        raise SettingsError(f"--set: {error}") from None


def _measured(out: Path) -> dict[str, float]:
    from bench.scaling.measured import measure

    with tempfile.TemporaryDirectory(dir=out) as scratch:
        found = measure(Path(scratch))
    for name, seconds in found.items():
        _say(f"measured: {name} {seconds:.3g}")
    return found


def _scaled(scenario: Scenario, recordings: Recordings, workers: Sequence[int], seed: int) -> Scaled:
    runs = []
    for count in workers:
        _say(f"{scenario.title}, {count} workers")
        runs.append(simulate(recordings, count, scenario.costs, seed))
    return Scaled(scenario, tuple(runs), walls(recordings, scenario.costs))


def _write(found: Sequence[Scaled], options: argparse.Namespace) -> None:
    priced = prices([one.scenario for one in found], options.core_hour, options.gpu_hour)
    try:
        report.draw(found, options.out / PLOT)
    except BenchError as error:
        _say(f"left out: {error}")
    content = {
        "seed": options.seed,
        "scenarios": [one.to_json() for one in found],
        "cost_formula": FORMULA,
        "costs": [{**vars(one), "worker_hours": one.worker_hours, "cost": one.cost} for one in priced],
    }
    (options.out / JSON).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    told = report.text(found, priced)
    (options.out / TABLE).write_text(told, encoding="utf-8")
    print(f"\n{told}\nwritten: {options.out}", flush=True)


def _say(line: str) -> None:
    print(f"scaling: {line}", flush=True)
