"""Start the worker, follow what it finds, stop a step that takes too long, and run the rest in a new worker."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bench.gpu.facts import DONE, FAILED, Fact, ProofReport, StepReport
from bench.gpu.sizes import BUDGETS_S, START_S

ROOT = Path(__file__).resolve().parents[2]
LOOK_EVERY_S = 0.1
MOST_STARTS = 6


class Process(Protocol):
    """A worker's process, as `subprocess.Popen`."""

    def poll(self) -> int | None: ...
    def kill(self) -> None: ...
    def wait(self) -> int: ...


@dataclass
class Supervisor:
    """Fill `report`, whose steps are those to run. `launch` starts a worker for some of them.

    `lines` is the file that workers append to. No step starts or continues after `limit_s` seconds; none takes more
    than `patience` times its budget. `say` prints progress; `keep` is called after each step, so that nothing is lost
    if this process is ended, too.
    """

    report: ProofReport
    lines: Path
    launch: Callable[[Sequence[str]], Process]
    limit_s: float
    patience: float
    say: Callable[[str], None]
    keep: Callable[[], None] = lambda: None
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    _read: int = 0
    _current: StepReport | None = None
    _since: float = 0.0
    _broken: str = ""
    _left: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Run all steps, in as many workers as it takes."""
        started = self.clock()
        self._left = [step.name for step in self.report.steps]
        self.lines.touch()
        for _ in range(MOST_STARTS):
            if not self._left or self._broken or self.clock() - started >= self.limit_s:
                break
            self._follow(self.launch(list(self._left)), started)
        for step in self.report.steps:
            if step.name in self._left:
                step.reason = self._broken or "no time left"
        self.report.took_s = self.clock() - started
        self.keep()

    def _follow(self, process: Process, started: float) -> None:
        self._current, self._since = None, self.clock()
        while True:
            code = process.poll()
            self._take_lines()
            if code is not None:
                break
            if late := self._find_lateness(started):
                process.kill()
                process.wait()
                self._take_lines()
                self._end_current(late)
                return
            self.pause(LOOK_EVERY_S)
        if self._current is not None:
            self._end_current(f"the process ended with code {code} in the middle of this step")
        elif self._left and code not in (0, None) and not self._broken and len(self._left) == len(self.report.steps):
            self._broken = f"the worker ended with code {code} before its first step"

    def _find_lateness(self, started: float) -> str:
        """Return why the current step has to be stopped, empty if it hasn't."""
        now = self.clock()
        if now - started >= self.limit_s:
            return f"stopped: the proof may take {self.limit_s:.0f} s"
        if self._current is None:
            most = START_S * self.patience
            return "" if now - self._since < most else f"the worker didn't start a step within {most:.0f} s"
        most = BUDGETS_S.get(self._current.name, 60) * self.patience
        return "" if now - self._since < most else f"stopped after {most:.0f} s"

    def _take_lines(self) -> None:
        with self.lines.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                self._take(json.loads(line))

    def _take(self, line: dict[str, Any]) -> None:
        if "machine" in line:
            self.report.machine = line["machine"]
        elif "broken" in line:
            self._broken = line["broken"]
        elif "left_out" in line:
            self._find(line["step"]).reason = line["left_out"]
            self._left.remove(line["step"])
        elif "step" in line:
            self._current, self._since = self._find(line["step"]), self.clock()
            self.say(line["step"])
        elif "fact" in line and self._current is not None:
            self._current.facts.append(Fact(**line["fact"]))
        elif "end" in line:
            self._end_current(line["failed"])

    def _end_current(self, failure: str) -> None:
        step = self._current
        if step is None:
            if failure:
                self._broken = failure
            return
        step.state, step.reason = (FAILED, failure) if failure else (DONE, "")
        step.seconds = self.clock() - self._since
        if failure:
            self.say(f"{step.name} failed: {failure}")
        self._left.remove(step.name)
        self._current, self._since = None, self.clock()
        self.keep()

    def _find(self, name: str) -> StepReport:
        return next(step for step in self.report.steps if step.name == name)


def launch_worker(lines: Path, work: Path, log: Path, more: Sequence[str]) -> Callable[[Sequence[str]], Process]:
    """Return a function that starts a worker for some steps. What it prints is appended to `log`."""

    def launch(steps: Sequence[str]) -> Process:
        command = [sys.executable, "-m", "bench.gpu.worker", *steps, "--lines", str(lines), "--work", str(work), *more]
        with log.open("ab") as output:
            return subprocess.Popen(  # noqa: S603
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )

    return launch
