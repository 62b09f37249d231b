"""`python -m bench gpu`: run the proof, print its table, and write it as text, JSON and a plot."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.gpu import svg
from bench.gpu.facts import ProofReport, StepReport, write_json
from bench.gpu.goals import add_goals
from bench.gpu.sizes import DRY, FULL, STEPS
from bench.gpu.supervisor import Supervisor, launch_worker
from bench.gpu.table import format_report
from block import __version__
from block.settings import SettingsError

OUT = Path("build/gpu")
TABLE, JSON, PLOT, LOG = "gpu.txt", "gpu.json", "gpu.svg", "gpu.log"
ALL_RIGHT, SOMETHING_WRONG = 0, 1


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's options."""
    parser = argparse.ArgumentParser(
        prog="python -m bench gpu", allow_abbrev=False,
        description="Prove on one GPU, in eight minutes, what this block does there. See docs/gpu.md.",
    )  # fmt: skip
    parser.add_argument("--dry", action="store_true", help="run every step on the CPU at a small size")
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR", help="output folder; default: %(default)s")
    parser.add_argument("--audio", type=Path, metavar="DIR", help="folder of real WAV recordings; default: the demo's")
    parser.add_argument("--model", metavar="NAME|DIR", help="published checkpoint, to compare its logits")
    parser.add_argument("--clip", type=Path, metavar="WAV", help="the clip of the published logits, jfk.wav")
    parser.add_argument("--limit-s", type=float, metavar="S", help="stop after this many seconds; default: 450")
    parser.add_argument("--step", action="append", choices=STEPS, help="run only this step; repeat for more")
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the proof. Return 0, or 1 if anything is wrong. Raise SettingsError if nothing can start."""
    options = parser().parse_args(argv)
    sizes = DRY if options.dry else FULL
    if options.audio is not None and not options.audio.is_dir():
        raise SettingsError(f"--audio {options.audio} is not a folder; expected one with WAV recordings")
    report = ProofReport(__version__, options.dry, steps=[StepReport(name) for name in options.step or STEPS])
    more = ["--dry"] if options.dry else []
    for name in ("audio", "model", "clip"):
        if (value := getattr(options, name)) is not None:
            path = Path(value)
            more += [f"--{name}", str(path.resolve() if path.exists() else value)]
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / LOG).write_bytes(b"")
        with tempfile.TemporaryDirectory(prefix="block-gpu-") as folder:
            work = Path(folder)
            launch = launch_worker(work / "lines.jsonl", work, options.out.resolve() / LOG, more)
            keep = lambda: write_json(report, options.out / JSON)  # noqa: E731
            Supervisor(
                report,
                work / "lines.jsonl",
                launch,
                sizes.limit_s if options.limit_s is None else options.limit_s,
                sizes.patience,
                _say,
                keep,
            ).run()
        add_goals(report, sizes)
        write_json(report, options.out / JSON)
        table = format_report(report)
        (options.out / TABLE).write_text(table, encoding="utf-8")
        (options.out / PLOT).write_text(svg.draw(report, sizes), encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{error.filename or options.out}: {error.strerror or error}") from None
    print(f"\n{table}\nwritten: {options.out}", flush=True)
    return SOMETHING_WRONG if report.problems else ALL_RIGHT


def _say(line: str) -> None:
    print(f"gpu proof: {line}", flush=True)
