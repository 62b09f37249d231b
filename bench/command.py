"""`python -m bench`: run the benchmark, print its tables, write them as text and JSON, and draw a plot."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.plan import FULL, QUICK, BenchError, Clock, Plan
from block import __version__
from block.formatting import count
from block.model.checkpoint import EMBEDDED, find_checkpoint
from block.settings import BACKEND_NAMES, BACKENDS, TORCH, ComputeSettings, SettingsError

OUT = Path("build/bench")
TABLE, JSON, PLOT = "bench.txt", "bench.json", "bench.png"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's options."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", allow_abbrev=False,
        description="Compare this block with transformers, ONNX Runtime and OpenVINO, in one run on this machine.",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="fewer contenders and rounds; takes under four minutes")
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR", help="output folder; default: %(default)s")
    parser.add_argument("--audio", type=Path, metavar="DIR", help="your own recordings; default: generate some")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="folder for generated models, to reuse in later runs")
    parser.add_argument(
        "--model", action="append", metavar="NAME|DIR",
        help="checkpoint to measure; repeat for more; default: the embedded one and a full-size one of random weights",
    )  # fmt: skip
    parser.add_argument("--device", default="auto", help="as for transform.py; default: %(default)s")
    parser.add_argument("--dtype", default="auto", help="as for transform.py; default: %(default)s")
    parser.add_argument(
        "--backend", choices=BACKENDS, default=TORCH, help="what computes the block's layers; default: %(default)s"
    )
    parser.add_argument("--limit-s", type=float, metavar="S", help="start nothing new after this many seconds")
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the benchmark and return the exit code. Raise SettingsError or CheckpointError if nothing can start."""
    options = parser().parse_args(argv)
    compute = ComputeSettings(options.device, options.dtype, backend=options.backend)
    plan = QUICK if options.quick else FULL
    if options.limit_s is not None:
        plan = replace(plan, limit_s=options.limit_s)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="block-bench-") as inputs:
            return _run(options, plan, compute, Path(inputs))
    except BenchError as error:
        raise SettingsError(str(error)) from None
    except OSError as error:
        raise SettingsError(f"{error.filename or options.out}: {error.strerror or error}") from None


def _run(options: argparse.Namespace, plan: Plan, compute: ComputeSettings, scratch: Path) -> int:
    # Importing torch takes seconds; the plan's time includes that.
    clock = Clock(plan.limit_s)
    from bench import inputs, machine
    from bench.measure import Measure
    from bench.plot import draw
    from bench.results import Results, write_json
    from bench.table import format_results
    from block.model.device import choose_device

    others = machine.OtherProcesses()
    device = choose_device(compute)
    if device.device.type == "cuda":
        plan = plan.on_cuda()
    embedded = find_checkpoint(EMBEDDED)
    if options.audio is not None:
        recordings, source = inputs.find_recordings(options.audio), f"{options.audio}"
    else:
        recordings = inputs.make_recordings(scratch)
        source = f"{count(len(recordings), 'generated recording')}, {min(inputs.SECONDS)} to {max(inputs.SECONDS)} s"
    results = Results(__version__, plan.name, machine.describe() | {"backend": device.backend}, source)
    work = scratch if options.cache is None else options.cache
    work.mkdir(parents=True, exist_ok=True)
    measure = Measure(plan, clock, device, compute, recordings, scratch, work, results, _say)
    measure.starts()
    chosen = [find_checkpoint(name) for name in options.model or ()]
    if not chosen:
        chosen = [embedded, inputs.full_size_checkpoint(work, embedded)]
    for number, checkpoint in enumerate(chosen):
        measure.checkpoint(checkpoint, plan.keep_s if number + 1 < len(chosen) else 0)
    measure.long_recording(embedded)
    chip = results.machine.get("gpu") or results.machine["cpu"]
    title = f"{chip}, block {__version__}{BACKEND_NAMES[device.backend]}"
    try:
        draw(results.checkpoints, title, options.out / PLOT)
    except BenchError as error:
        results.left_out.append(f"{error}; {machine.INSTALL}")
    results.took_s, results.others_share = clock.spent(), others.share()
    write_json(results, options.out / JSON)
    table = format_results(results)
    (options.out / TABLE).write_text(table, encoding="utf-8")
    print(f"\n{table}\nwritten: {options.out}", flush=True)
    return 0


def _say(line: str) -> None:
    print(f"bench: {line}", flush=True)
