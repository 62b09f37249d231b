"""Start a block as a job, watch it, cancel it, and record how it ended. A project runs one job at a time.

The server that runs a job holds the project's lock, so even two servers on one folder run only one job. If the database
says that a job is running but no one holds the lock, then its server was killed. That job is marked as interrupted, and
its block is stopped if it's still running, because it could reach the next server at the same address.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from block.labeling.pace import Pace
from block.local_studio.address import Address
from block.local_studio.data.project import LocalProject
from block.local_studio.data.validation import RequestError
from block.local_studio.jobs import process as block_process
from block.local_studio.jobs.block import read_block
from block.local_studio.jobs.comparison import JobDeciders
from block.local_studio.jobs.details import DetailsFile
from block.local_studio.jobs.files import COMMAND, DETAILS, DONE, IDS, LOG, JobFiles
from block.local_studio.jobs.form import build_arguments
from block.local_studio.jobs.kept_scores import KeptScores
from block.local_studio.jobs.log import Log, read_end, read_part
from block.local_studio.jobs.models import BlockModels
from block.local_studio.jobs.process import BlockProcess
from block.local_studio.jobs.store import CANCELED, FAILED, FINISHED, INTERRUPTED, JobStore, StudioJob

TICK_S = 1.0  # between reads of a job's details
CLOSE_S = 6.0  # that a block has to end when the server stops


class BusyError(RequestError):
    """Another job is running: `job_id`, or 0 if its id isn't known."""

    def __init__(self, job_id: int) -> None:
        which = f"Job {job_id}" if job_id else "A job"
        super().__init__(f"{which} is running, and only one can run at a time. Wait until it ends, or cancel it.", 409)
        self.job_id = job_id


class StartError(RequestError):
    """A job couldn't be started, and nothing of it is left."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The block could not be started, and nothing was changed: {why}", 507)


@dataclass
class _RunningJob:
    """A job that this server runs. Once someone stops it, `stopping` is the state that it will end in."""

    job: StudioJob
    process: BlockProcess
    lock: int
    details: DetailsFile
    thread: threading.Thread | None = None
    stopping: str = ""
    stopped_at: float = 0.0
    pending: dict[int, dict[str, object]] = field(default_factory=dict)
    pace: Pace = field(default_factory=Pace)


@dataclass(frozen=True)
class JobProgress:
    """How many of a job's samples are done, how many it has, and how many failed.

    `share` is how much of their audio is done, 0…1, and `left_s` how long the rest takes, None if that isn't known yet.
    """

    done: int
    total: int
    failed: int
    share: float = 1.0
    left_s: float | None = None


class Jobs:
    """The jobs of `project`, which run the block in the folder `block`. Raise BlockError."""

    def __init__(self, project: LocalProject, block: Path, address: Address) -> None:
        self.block = read_block(block)
        self.store = JobStore(project.store)
        self.files = JobFiles(project.root)
        self.scores = KeptScores(self.files, self.store)
        self.deciders = JobDeciders(self.scores)
        self.models = BlockModels(self.block, self.files)
        self._project = project
        self._address = address
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._run: _RunningJob | None = None
        if self.store.running():
            with contextlib.suppress(RequestError, OSError, sqlite3.Error):
                os.close(self._acquire_lock())

    def start(
        self, kind: str, parameters: Mapping[str, str], secrets: Mapping[str, str], sample_ids: Sequence[int]
    ) -> StudioJob:
        """Start the block as a job of this kind. `secrets` go only into its environment.

        Raise BusyError if another job is running, or StartError if the job can't start.
        """
        with self._lock:
            if self._closing.is_set():
                raise StartError("the server is stopping")
            try:
                with contextlib.ExitStack() as undo:
                    lock = self._acquire_lock()
                    undo.callback(os.close, lock)
                    job = self.store.create(kind, self.block.name, parameters, sample_ids)
                    undo.callback(self._forget, job.id)
                    self.files.make(job.id, sample_ids)
                    process = self._start_process(job, secrets)
                    undo.callback(process.over.wait, block_process.GRACE_S)
                    undo.callback(process.kill)
                    self.store.set_pid(job.id, process.pid)
                    undo.pop_all()
            except (OSError, sqlite3.Error) as error:
                raise StartError(_reason_of(error)) from None
            details = DetailsFile(self.files.path_of(job.id, DETAILS), sample_ids)
            self._run = run = _RunningJob(replace(job, pid=process.pid), process, lock, details)
            run.thread = threading.Thread(target=self._watch, args=(run,), name="job", daemon=True)
            run.thread.start()
            return run.job

    def running(self) -> StudioJob | None:
        """Return the running job, or None if there is none."""
        return next(iter(self.store.running()), None)

    def cancel(self, job_id: int) -> None:
        """Stop a job, and kill it if it's still running after `block_process.GRACE_S`. Raise RequestError."""
        run = self._run
        job = self.store.get(job_id)
        if job is None:
            raise RequestError(f"there is no job {job_id}", 404)
        if run is not None and run.job.id == job_id and not run.process.over.is_set():
            self._stop(run, CANCELED)
        elif job.is_running and (run is None or run.job.id != job_id):
            raise RequestError(f"another server on this folder runs job {job_id}: cancel it there", 409)

    def log(self, job_id: int, offset: int | None = None) -> Log:
        """Return a job's log from `offset` on, or its end if `offset` is None."""
        job = self.store.get(job_id)
        is_over = job is None or not job.is_running
        path = self.files.path_of(job_id, LOG)
        return read_end(path, is_over) if offset is None else read_part(path, offset, is_over)

    def progress(self, job: StudioJob) -> JobProgress | None:
        """Return the progress of a job, or its progress when it ended. None if that is no longer known."""
        failed = len(self.store.errors(job.id))
        if not job.is_running:
            done = self.files.read(job.id, DONE)
            return JobProgress(int(done), len(job.sample_ids), failed) if done.isdecimal() else None
        ids, run, now = self.store.done(job), self._run, time.monotonic()
        done_s, total_s = self.store.seconds(ids), self.store.seconds(job.sample_ids)
        left_s = None
        if run is not None and run.job.id == job.id:
            run.pace.observe(now, done_s)
            left_s = run.pace.estimate(now, total_s - done_s)
        share = done_s / total_s if total_s else len(ids) / max(1, len(job.sample_ids))
        return JobProgress(len(ids), len(job.sample_ids), failed, share, left_s)

    def close(self) -> None:
        """Stop the running job because the server stops, and wait until it has ended."""
        self._closing.set()
        self.models.close()
        with self._lock:
            run = self._run
        if run is None or run.thread is None:
            return
        self._stop(run, INTERRUPTED)
        if not run.process.over.wait(CLOSE_S):
            run.process.kill()
        run.thread.join(CLOSE_S)

    def _start_process(self, job: StudioJob, secrets: Mapping[str, str]) -> BlockProcess:
        ids = ["--data-ids-file", str(self.files.path_of(job.id, IDS))]
        preview = ["--propose-actions", str(job.id)] if job.is_preview else []
        words = [*build_arguments(self.block, job.parameters), *ids, *preview]
        self.files.write(job.id, COMMAND, shlex.join(block_process.make_command(self.block, words, "python3")))
        own = {**{name: os.environ[name] for name in self.block.variables if name in os.environ}, **secrets}
        details = self.files.path_of(job.id, DETAILS)
        scores = self.files.find_scores()
        variables = block_process.make_environment(self._address, self._project.id, details, scores, own)
        command = block_process.make_command(self.block, words)
        return BlockProcess(command, self.block.folder, variables, self.files.path_of(job.id, LOG))

    def _forget(self, job_id: int) -> None:
        """Delete all traces of a job that couldn't be started."""
        self.files.remove(job_id)
        with contextlib.suppress(sqlite3.Error):
            self.store.remove(job_id)

    def _acquire_lock(self) -> int:
        """Take the lock and return it. Clean up after a killed server.

        Raise BusyError if the lock is taken, OSError or sqlite3.Error.
        """
        try:
            lock = self.files.lock()
        except BlockingIOError:
            running = self.running()
            raise BusyError(running.id if running else 0) from None
        try:
            for job in self.store.running():
                self.store.end(job.id, INTERRUPTED, None)
                if job.pid is not None:
                    block_process.end_orphan(job.pid, self.files.path_of(job.id, IDS))
        except BaseException:
            os.close(lock)
            raise
        return lock

    def _stop(self, run: _RunningJob, state: str) -> None:
        with self._lock:
            if run.stopping:
                return
            run.stopping, run.stopped_at = state, time.monotonic()
        run.process.terminate()

    def _watch(self, run: _RunningJob) -> None:
        while not run.process.over.wait(TICK_S):
            self._store_details(run)
            with contextlib.suppress(sqlite3.Error):
                self.progress(run.job)  # also when no page asks: it measures the pace
            if run.stopping and time.monotonic() >= run.stopped_at + block_process.GRACE_S:
                run.process.kill()
        # If the disk is full, retry until this server stops. The job then stays marked as running for the next server.
        while not (self._store_details(run) and self._record_end(run)):
            if self._closing.wait(TICK_S):
                break
        with self._lock:
            self._run = None
        os.close(run.lock)

    def _store_details(self, run: _RunningJob) -> bool:
        """Store the details reported since the last call. Return False if that has to be retried: the disk is full."""
        while details := run.details.read_new():
            run.pending.update(details)
        if run.pending:
            try:
                if run.details.run is not None:
                    self.store.set_record(run.job.id, run.details.run)
                self.store.add_details(run.job.id, run.pending)
            except sqlite3.Error:
                return False
            run.pending.clear()
        return True

    def _record_end(self, run: _RunningJob) -> bool:
        code = run.process.exit_code
        state = FINISHED if code == 0 else run.stopping or FAILED
        try:
            with contextlib.suppress(OSError):
                self.files.write(run.job.id, DONE, str(len(self.store.done(run.job))))
            self.store.end(run.job.id, state, code)
        except sqlite3.Error:
            return False
        return True


def _reason_of(error: OSError | sqlite3.Error) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else f"the project's database: {error}"
