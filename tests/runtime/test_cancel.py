"""Cancel a process with one signal, with two signals, and when it does not respond."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT

PROGRAM = """
import signal, sys, threading, time
from pathlib import Path

from block.runtime import cancel

cancel.EXIT_WITHIN_S = float(sys.argv[2])
cancel.install()


def ready():
    Path(sys.argv[1]).touch()
    time.sleep(0.1)


def main():
    {body}


try:
    main()
    print("finished", flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    {after}
    sys.exit(130)
"""


def run_with_signals(
    tmp_path: Path,
    body: str,
    signals: list[signal.Signals],
    after: str = "pass",
    leave_s: float = 60.0,
    at_hangup: signal.Handlers = signal.SIG_DFL,
) -> subprocess.CompletedProcess[str]:
    """Run a program with `body` and send the next of `signals` each time the program calls `ready`.

    `at_hangup` is what SIGHUP does when the program starts.
    """
    program = PROGRAM.format(body=body, after=after)
    ready_file = tmp_path / "ready"
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(ready_file), str(leave_s)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, preexec_fn=lambda: signal.signal(signal.SIGHUP, at_hangup),
    )  # fmt: skip
    for number in signals:
        while not ready_file.exists() and process.poll() is None:
            time.sleep(0.01)
        ready_file.unlink(missing_ok=True)
        process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess([], process.returncode, out, err)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_first_signal_interrupts(tmp_path: Path, number: signal.Signals) -> None:
    result = run_with_signals(tmp_path, "ready(); time.sleep(60)", [number])
    assert (result.returncode, result.stdout, result.stderr) == (130, "interrupted\n", "")


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_the_second_signal_ends_the_process_immediately(tmp_path: Path, second: signal.Signals) -> None:
    result = run_with_signals(
        tmp_path, "ready(); time.sleep(60)", [signal.SIGTERM, second], after="ready(); time.sleep(60); print('late')"
    )
    assert (result.returncode, result.stdout) == (130, "interrupted\n")
    assert result.stderr == "canceled again: stopped immediately\n"


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGHUP])
def test_a_hangup_after_the_first_signal_does_not_cut_off_the_end(tmp_path: Path, first: signal.Signals) -> None:
    body, after = "ready(); time.sleep(60)", "ready(); time.sleep(0.2); print('summary')"
    result = run_with_signals(tmp_path, body, [first, signal.SIGHUP], after=after)
    assert (result.returncode, result.stdout, result.stderr) == (130, "interrupted\nsummary\n", "")


def test_a_hangup_does_what_the_present_handler_of_sigterm_does(tmp_path: Path) -> None:
    serve = "signal.signal(signal.SIGTERM, lambda *_: stopped.set())"
    body = f"stopped = threading.Event(); {serve}; ready(); stopped.wait(60)"
    result = run_with_signals(tmp_path, f"{body}; print('stopped', stopped.is_set())", [signal.SIGHUP])
    assert (result.returncode, result.stdout) == (0, "stopped True\nfinished\n")


def test_a_hangup_that_is_ignored_at_the_start_as_under_nohup_stays_ignored(tmp_path: Path) -> None:
    result = run_with_signals(tmp_path, "ready(); time.sleep(0.2)", [signal.SIGHUP], at_hangup=signal.SIG_IGN)
    assert (result.returncode, result.stdout) == (0, "finished\n")


def test_a_process_that_does_not_exit_in_time_is_stopped(tmp_path: Path) -> None:
    result = run_with_signals(
        tmp_path, "ready(); time.sleep(60)", [signal.SIGTERM], after="time.sleep(60)", leave_s=0.2
    )
    assert (result.returncode, result.stdout) == (130, "interrupted\n")
    assert result.stderr == "canceled: stopped without waiting any longer\n"


def test_a_deferred_block_finishes_before_the_process_reacts(tmp_path: Path) -> None:
    body = "\n    ".join(("with cancel.defer():", "    ready()", "    time.sleep(0.2)", "    print('last output')"))
    result = run_with_signals(tmp_path, body, [signal.SIGTERM])
    assert (result.returncode, result.stdout) == (0, "last output\nfinished\n")


def test_a_deferred_block_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    body = "\n    ".join(("with cancel.defer():", "    ready()", "    time.sleep(60)"))
    assert run_with_signals(tmp_path, body, [signal.SIGTERM], leave_s=0.2).returncode == 130
