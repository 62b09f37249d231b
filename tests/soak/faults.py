"""The fault table with the block's real time limits: each row runs in its own process, with its own Studio and proxy.

    python -m tests.soak.faults [--out FILE] [WORD …]

With words, only rows whose names contain all of them run. Rows run in parallel, because they mostly wait.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conftest import EMBEDDED, ROOT
from tests.faults.layer import Closed, in_front_of
from tests.faults.outcome import Outcome, problems
from tests.faults.row import SHIPPED, Row
from tests.faults.rows import ROWS
from tests.faults.stage import State, staged
from tests.soak.check import Check, no_problems

AT_ONCE = 16
LIMIT_S = 1500.0
ARGUMENTS = ("--model", str(EMBEDDED), "--win-size-ms", "500", "--win-stride-ms", "500")
NOTHING = Row("", "nothing happens", "labels everything", "", lambda _: [])


@dataclass(frozen=True)
class Ran:
    """A row that was run. `seconds` is the time from its first call to the end of the process.

    If the first call reaches no server, the time counts from the start of the process, about a second earlier.
    """

    row: Row
    seconds: float
    outcome: Outcome
    after: dict[int, State]
    problems: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {"row": self.row.happens, "seconds": round(self.seconds, 2), "exit": self.outcome.code,
                "problems": self.problems, "output": self.outcome.output.splitlines()}  # fmt: skip


class Undisturbed:
    """The state of Studio after runs without faults; each kind of project is run once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._states: dict[tuple[tuple[float, ...], int | None], dict[int, State]] = {}
        self._lock = threading.Lock()

    def states(self, row: Row) -> dict[int, State]:
        """Return the state of Studio after this row's run without a fault."""
        kind = row.lengths_s, row.job
        with self._lock:
            if kind not in self._states:
                plain = Row("", "nothing happens", "", "", lambda _: [], lengths_s=row.lengths_s, job=row.job)
                ran = _run(plain, self._folder / f"undisturbed {len(self._states)}")
                if ran.outcome.code != 0:
                    raise RuntimeError(f"a run without faults ended with {ran.outcome.code}:\n{ran.outcome.output}")
                self._states[kind] = ran.after
            return self._states[kind]


def main(rows: Sequence[Row] = (NOTHING, *ROWS), at_once: int = AT_ONCE) -> list[Ran]:
    """Run `rows`, `at_once` of them in parallel; return the results in the order given."""
    with tempfile.TemporaryDirectory(prefix="soak-faults-") as scratch:
        undisturbed = Undisturbed(Path(scratch))
        # Rows that wait longest come first.
        order = sorted(range(len(rows)), key=lambda at: (not rows[at].ends, rows[at].read_s))

        def one(at: int) -> Ran:
            ran = _run(rows[at], Path(scratch) / str(at), undisturbed.states(rows[at]))
            print(f"{ran.seconds:7.1f} s  {ran.row.happens}{': ' if ran.problems else ''}{'; '.join(ran.problems)}",
                  flush=True)  # fmt: skip
            return ran

        with ThreadPoolExecutor(at_once) as pool:
            ran = dict(zip(order, pool.map(one, order), strict=True))
    return [ran[at] for at in range(len(rows))]


def checks(ran: Sequence[Ran]) -> list[Check]:
    """Check that every row ended as the table says."""
    wrong = [f"{one.row.happens}: {', '.join(one.problems)}" for one in ran if one.problems]
    return [no_problems(f"{len(ran)} faults", wrong)]


def _run(row: Row, folder: Path, undisturbed: dict[int, State] | None = None) -> Ran:
    folder.mkdir()
    ids, failed = folder / "ids.json", folder / "failed.json"
    faults = row.faults(SHIPPED)
    with (
        staged(folder / "audio", row.lengths_s) as stage,
        in_front_of(stage.address.port, faults, stage.delete) as layer,
    ):
        before = stage.states(row.job)
        ids.write_text(json.dumps(stage.ids))
        arguments = [*ARGUMENTS, "--data-ids-file", str(ids), "--failed-ids-file", str(failed)]
        arguments += [] if row.job is None else ["--propose-actions", str(row.job)]
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "tests.stub.action", *arguments],
            cwd=ROOT, env=environment(layer.endpoint, stage.address.key),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip
        ended = time.monotonic()
        hidden = any(isinstance(fault, Closed) for fault in faults)  # the first calls reached no server
        first = began if hidden or not layer.requests else layer.requests[0].at_s
        unlabeled = tuple(json.loads(failed.read_text())["ids"]) if failed.exists() else None
        outcome = Outcome(done.returncode, done.stdout, unlabeled)
        after = stage.states(row.job)
        found = []
        if undisturbed is not None:
            found = problems(row, outcome, layer, stage.address.key, before, undisturbed, after)
    return Ran(row, ended - first, outcome, after, found)


def environment(endpoint: str, key: str) -> dict[str, str]:
    """Return this process's environment without variables of Edge Impulse and proxies, except those given."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("EI_") and not name.lower().endswith("_proxy")
    }
    return {**kept, "EI_API_ENDPOINT": endpoint, "EI_PROJECT_API_KEY": key, "OMP_NUM_THREADS": "1"}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Run the fault table with the block's real time limits.")
    parser.add_argument("--out", type=Path, metavar="FILE", help="file for the results, as JSON")
    parser.add_argument("words", nargs="*", metavar="WORD", help="run only rows whose names contain all of these words")
    options = parser.parse_args()
    found = main([row for row in ROWS if all(word in row.happens for word in options.words)])
    if options.out:
        options.out.write_text(json.dumps([one.as_json() for one in found], indent=1))
    for check in checks(found):
        print(check)
    raise SystemExit(any(one.problems for one in found))
