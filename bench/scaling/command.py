"""`python -m bench scaling`: simulate runs on a cluster, print tables, write them as text and JSON, and draw a plot."""

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
from bench.scaling.workload import Recordings, make_field_recordings
from block.formatting import count
from block.settings import SettingsError

OUT = Path("build/scaling")
TABLE, JSON, PLOT = "scaling.txt", "scaling.json", "scaling.png"
RECORDINGS, WORKERS = 1_000_000, (1, 8, 64, 512)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's options."""
    parser = argparse.ArgumentParser(
        prog="python -m bench scaling", allow_abbrev=False,
        description="Simulate how far a cluster scales, with runs over a million recordings. See docs/ray.md.",
    )  # fmt: skip
    parser.add_argument("--workers", type=_counts, default=WORKERS, metavar="N,N",
                        help="numbers of workers, compared with the first; default: 1,8,64,512")  # fmt: skip
    parser.add_argument("--recordings", type=int, default=RECORDINGS, metavar="N",
                        help="number of recordings; default: 1,000,000")  # fmt: skip
    parser.add_argument("--scenario", action="append", choices=[one.name for one in scenarios()],
                        help="scenario to simulate; repeat for more; default: all")  # fmt: skip
    parser.add_argument("--set", action="append", default=[], type=_constant, metavar="NAME=VALUE",
                        help="change a constant; see scaling.json for names; repeat for more")  # fmt: skip
    parser.add_argument("--measure", action="store_true", help="first measure the driver's steps on this machine")
    parser.add_argument("--core-hour", type=float, default=EXAMPLE_CORE_HOUR, metavar="PRICE",
                        help="price of a core per hour; default: %(default)s, an example")  # fmt: skip
    parser.add_argument("--gpu-hour", type=float, default=EXAMPLE_GPU_HOUR, metavar="PRICE",
                        help="price of a GPU with its machine per hour; default: %(default)s, an example")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="random seed; default: 0")
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR", help="output folder; default: %(default)s")
    return parser


def main(argv: Sequence[str]) -> int:
    """Simulate, and return the exit code. Raise SettingsError if nothing can start."""
    options = parser().parse_args(argv)
    if options.recordings < 1:
        raise SettingsError(f"--recordings is {options.recordings}; expected at least 1")
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        changed = dict(options.set)
        if options.measure:
            changed = {**_measure(options.out), **changed}
        recordings = make_field_recordings(options.recordings, options.seed)
        chosen = _choose_scenarios(options.scenario, changed)
        _write([_simulate_all(one, recordings, options.workers, options.seed) for one in chosen], options)
    except OSError as error:
        raise SettingsError(f"{error.filename or options.out}: {error.strerror or error}") from None
    return 0


def _counts(text: str) -> tuple[int, ...]:
    try:
        counts = tuple(int(word) for word in text.split(","))
    except ValueError:
        counts = ()
    if not counts or min(counts) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}; expected numbers of workers separated by commas, such as 1,8,64")
    return counts


def _constant(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}; expected NAME=VALUE, such as task_s=0.01") from None


def _choose_scenarios(names: Sequence[str] | None, changed: dict[str, float]) -> list[Scenario]:
    try:
        return [
            replace(one, costs=one.costs.replace(**changed))
            for one in scenarios()
            if names is None or one.name in names
        ]
    except ValueError as error:
        raise SettingsError(f"--set: {error}") from None


def _measure(out: Path) -> dict[str, float]:
    from bench.scaling.measured import measure

    with tempfile.TemporaryDirectory(dir=out) as scratch:
        found = measure(Path(scratch))
    for name, seconds in found.items():
        _say(f"measured: {name} {seconds:.3g}")
    return found


def _simulate_all(scenario: Scenario, recordings: Recordings, counts: Sequence[int], seed: int) -> Scaled:
    runs = []
    for workers in counts:
        _say(f"{scenario.title}, {count(workers, 'worker')}")
        runs.append(simulate(recordings, workers, scenario.costs, seed))
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
    table = report.format_results(found, priced)
    (options.out / TABLE).write_text(table, encoding="utf-8")
    print(f"\n{table}\nwritten: {options.out}", flush=True)


def _say(line: str) -> None:
    print(f"scaling: {line}", flush=True)
