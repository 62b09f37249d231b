"""`python -m tests.soak`: checks that take too long for tests. Exits with 1 if a check fails.

First it labels many recordings, with nothing else running, because calls are timed. Then it kills runs and, at the
same time, runs the fault table with the block's real time limits, which is mostly waiting. On two cores, all of it
takes about a quarter of an hour.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.conftest import ROOT
from tests.faults.rows import ROWS
from tests.soak import faults, kills, recordings, tables
from tests.soak.check import Check, no_problems

DOCS = ROOT / "docs" / "faults.md"
POINTS = 200


def main() -> int:
    """Run the soak; return the exit code."""
    options = _parser().parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    _say(f"{options.recordings:,} recordings")
    soaked = recordings.main(options.recordings)
    checks = soaked.checks()
    _say(f"killing {options.points} runs; {len(ROWS)} faults at the same time")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(faults.main)
        killed = kills.main(options.points, options.out)
        ran = waiting.result()
    checks += [*faults.checks(ran), *_kill_checks(killed, options.points)]
    minutes = (time.monotonic() - began) / 60
    _write(options.out / "soak.json", soaked, ran, killed, checks)
    if options.docs:
        _write_docs(soaked, ran, killed)
    _say(f"{minutes:.0f} minutes; figures in {options.out / 'soak.json'}")
    for check in checks:
        print(check)
    return 0 if all(check.kept for check in checks) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak", description="Soak-test the block; see docs/faults.md."
    )
    parser.add_argument("--out", type=Path, default=Path("build/soak"), metavar="DIR", help="default: %(default)s")
    parser.add_argument("--recordings", type=int, default=recordings.COUNT, metavar="N", help="default: %(default)s")
    parser.add_argument("--points", type=int, default=POINTS, metavar="N",
                        help="how many runs to kill; default: %(default)s")  # fmt: skip
    parser.add_argument("--docs", action="store_true", help="write the figures to docs/faults.md")
    return parser


def _say(line: str) -> None:
    print(f"soak: {line}", flush=True)


def _kill_checks(killed: dict[str, Any], points: int) -> list[Check]:
    return [
        no_problems("killed runs", killed["problems"]),
        Check(
            "runs killed", killed["killed"] >= points, f"{killed['killed']} of {points} were still running when killed"
        ),
    ]


def _write(
    path: Path, soaked: recordings.Soaked, ran: list[faults.Ran], killed: dict[str, Any], checks: list[Check]
) -> None:
    content = {
        "kept": all(check.kept for check in checks),
        "checks": [str(check) for check in checks],
        "recordings": soaked.as_json(),
        "faults": [one.as_json() for one in ran],
        "kills": killed,
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _write_docs(soaked: recordings.Soaked, ran: list[faults.Ran], killed: dict[str, Any]) -> None:
    text = DOCS.read_text()
    timed = [(one.row, one.seconds) for one in ran if one.row.group]
    text = tables.with_marked(text, "faults", f"\n{tables.fault_tables(timed)}\n")
    text = tables.with_marked(text, "recordings", f"\n{tables.recordings_table(soaked)}\n")
    text = tables.with_marked(text, "kills", f"\n{tables.kills_table(killed)}\n")
    DOCS.write_text(text)


if __name__ == "__main__":
    raise SystemExit(main())
