"""Run a block in its own process, as Edge Impulse would start it, stop it, and log its output.

The process gets only a few of the server's environment variables, and is started without a shell. It leads its own
session, so that its child processes end with it, as in a container.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

from block.edge_impulse.details import SCORES_VARIABLE, VARIABLE
from block.local_studio.address import LOOPBACK, Address
from block.local_studio.jobs.block import Block
from block.local_studio.jobs.log import LogWriter

INHERITED = ("PATH", "HOME", "XDG_DATA_HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")
GRACE_S = 10.0  # from SIGTERM to SIGKILL
OUTPUT_GRACE_S = 2.0  # to read the last output after the process has ended
ORGANIZATION_ID = 1


def make_environment(
    address: Address, project_id: int, details: Path, scores: Path, own: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment variables of a block. `own` are its secrets and the variables that it requires.

    It may write reasons for its labels to `details`, and keep scores in the folder `scores` for later jobs.

    There is no ingestion service here, and audio must not leave the machine, so its host is this machine instead of
    Edge Impulse's. There is no organization either, so the project's key is used as its key.
    """
    if address.host in ("0.0.0.0", ""):  # noqa: S104 - means "all"; clients can't connect to it
        address = replace(address, host=LOOPBACK)
    return {
        **{name: os.environ[name] for name in INHERITED if name in os.environ},
        **own,
        "EI_API_ENDPOINT": address.endpoint,
        "EI_PROJECT_API_KEY": address.key,
        "EI_PROJECT_ID": str(project_id),
        "EI_API_KEY": address.key,
        "EI_ORGANIZATION_ID": str(ORGANIZATION_ID),
        "EI_INGESTION_HOST": "localhost",
        VARIABLE: str(details),
        SCORES_VARIABLE: str(scores),
    }


def make_command(block: Block, arguments: Sequence[str], python: str = sys.executable) -> list[str]:
    """Return the command that starts a block, with unbuffered output."""
    return [python, *(() if block.entry[0] == "-u" else ("-u",)), *block.entry, *arguments]


class BlockProcess:
    """A running block, whose output goes to a new file `log`. Raise OSError if it can't be started."""

    def __init__(self, words: Sequence[str], folder: Path, variables: Mapping[str, str], log: Path) -> None:
        self._log = LogWriter(log)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - a list of words, not run by a shell
                words,
                cwd=folder,
                env=dict(variables),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                bufsize=0,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            self._log.close()
            raise error if isinstance(error, OSError) else OSError(str(error)) from None
        assert self._process.stdout is not None
        self._signals = threading.Lock()
        self._pump = threading.Thread(
            target=self._copy_output, args=(self._process.stdout,), name="block-log", daemon=True
        )
        self._waiter = threading.Thread(target=self._wait, name="block-end", daemon=True)
        self.over = threading.Event()
        self._pump.start()
        self._waiter.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, as for a container: 128 plus the number of the signal that ended it. None while it runs."""
        code = self._process.returncode if self.over.is_set() else None
        return 128 - code if code is not None and code < 0 else code

    def terminate(self) -> None:
        """Ask the block and its child processes to end."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the block and its child processes."""
        self._send(signal.SIGKILL)

    def _send(self, which: signal.Signals) -> None:
        with self._signals:
            # After the wait, another process may have its pid.
            if self._process.returncode is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, which)

    def _wait(self) -> None:
        os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        self.kill()  # its child processes may still be running
        with self._signals:
            self._process.wait()
        self._pump.join(OUTPUT_GRACE_S)
        self._log.close()
        self.over.set()

    def _copy_output(self, output: IO[bytes]) -> None:
        with output:
            while data := output.read(1 << 16):
                # If a child process has left the group and still holds the pipe, the log is already closed.
                with contextlib.suppress(ValueError):
                    self._log.write(data)


def end_orphan(pid: int, argument: Path, grace_s: float = GRACE_S) -> bool:
    """End the process `pid` and its group if it was started with `argument`. Return False if there is none.

    This is for a block whose server was killed: it would continue, and could reach the next server at the same address.
    """
    if not _was_started_with(pid, argument):
        return False
    for which in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, which)
        deadline = time.monotonic() + grace_s
        while _was_started_with(pid, argument) and time.monotonic() < deadline:
            time.sleep(0.02)
        if not _was_started_with(pid, argument):
            break
    return True


def _was_started_with(pid: int, argument: Path) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return os.fsencode(argument) in words
