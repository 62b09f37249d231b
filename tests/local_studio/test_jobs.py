"""A block runs in its own process. However it ends, the end is recorded and no process is left."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from block.local_studio.address import Address
from block.local_studio.data.project import LocalProject
from block.local_studio.data.sample import Proposal, ProposedChanges
from block.local_studio.jobs import jobs as jobs_module
from block.local_studio.jobs import log as log_file
from block.local_studio.jobs import process
from block.local_studio.jobs.block import read_block
from block.local_studio.jobs.details import DetailsFile, parse_line
from block.local_studio.jobs.files import COMMAND
from block.local_studio.jobs.form import check_form
from block.local_studio.jobs.jobs import BusyError, Jobs, StartError
from block.local_studio.jobs.log import LogWriter, read_end, read_part, strip_escapes
from block.local_studio.jobs.process import end_orphan
from block.local_studio.jobs.store import CANCELED, FAILED, FINISHED, INTERRUPTED, PREVIEW, RUN, StudioJob
from block.local_studio.server import ServeError, running
from tests.local_studio.conftest import add_recording, add_recordings, make_audio_bytes

TOY = Path(__file__).parent / "toy_block"
PATIENCE_S = 60.0


def wait_until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def parameters(**typed: str) -> Mapping[str, str]:
    block = read_block(TOY)
    defaults = {item.param: item.default for item in block.items}
    form = check_form(block, {**defaults, **{name.replace("_", "-"): value for name, value in typed.items()}}, {})
    assert not form.problems
    return form.parameters


def wait_for_end(jobs: Jobs, job: StudioJob) -> StudioJob:
    def is_over() -> bool:
        found = jobs.store.get(job.id)
        return found is not None and not found.is_running

    wait_until(is_over, "the job does not end")
    found = jobs.store.get(job.id)
    assert found is not None
    return found


@contextmanager
def jobs_of(project: LocalProject, host: str = "127.0.0.1") -> Iterator[Jobs]:
    """Yield jobs of a served project. The server has its own `Jobs`; these are for the test."""
    with running(project) as address:
        jobs = Jobs(project, TOY, Address(host, address.port, address.key))
        try:
            yield jobs
        finally:
            jobs.close()


@pytest.fixture
def jobs(project: LocalProject, monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    monkeypatch.setattr(jobs_module, "TICK_S", 0.05)
    add_recordings(project, 3, make_audio_bytes(1000, 100))
    with jobs_of(project) as jobs:
        yield jobs


def group_of(pid: int) -> list[int]:
    """Return the ids of the live processes in the group `pid`."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == pid and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def test_a_run_labels_recordings_and_reports_details(project: LocalProject, jobs: Jobs):
    job = wait_for_end(jobs, jobs.start(RUN, parameters(), {}, [1, 3]))
    assert (job.kind, job.state, job.exit_code, job.sample_ids) == (RUN, FINISHED, 0, (1, 3))
    assert job.started <= job.ended
    labels = [sample.structured_labels for sample in project.samples()]
    assert [one and one[0].label for one in labels] == ["toy-block", None, "toy-block"]
    assert jobs.store.details(1, job.id)["segments"] == [
        {"startIndex": 0, "endIndex": 999, "label": "toy-block", "score": 0.8, "windows": 1, "agreeing": 1,
         "runnersUp": [["other", 0.1]]}
    ]  # fmt: skip
    progress = jobs.progress(job)
    assert progress is not None
    assert (progress.done, progress.total, progress.failed) == (2, 2, 0)
    assert jobs.log(job.id).text.endswith("done\n")


def test_a_preview_proposes_under_its_own_id_and_writes_nothing(project: LocalProject, jobs: Jobs):
    project.store.propose(Proposal(7, 1, ProposedChanges(label="x")))
    job = wait_for_end(jobs, jobs.start(PREVIEW, parameters(), {}, [2]))
    assert job.id == 8  # higher than the ids of all proposals
    assert [item.sample_id for item in project.store.proposals(job.id)] == [2]
    assert all(sample.structured_labels is None for sample in project.samples())


def test_a_block_is_started_as_edge_impulse_starts_it(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch, project: LocalProject
):
    for name in ("OTHER_SECRET", "HTTP_PROXY", "PYTHONPATH", "EI_LAST"):
        monkeypatch.setenv(name, "nothing of the block's")
    job = wait_for_end(jobs, jobs.start(PREVIEW, parameters(label="a\nb"), {"TOY_TOKEN": "0123456789"}, [3, 1]))
    log = jobs.log(job.id).text
    (line,) = [one for one in log.splitlines() if one.startswith("variables:")]
    names = set(json.loads(line.removeprefix("variables:")))
    expected = {
        "EI_API_ENDPOINT", "EI_PROJECT_API_KEY", "EI_PROJECT_ID", "EI_API_KEY", "EI_ORGANIZATION_ID",
        "EI_INGESTION_HOST", "LOCAL_STUDIO_DETAILS", "LOCAL_STUDIO_SCORES", "TOY_TOKEN",
    }  # fmt: skip
    assert expected <= names <= {*expected, *process.INHERITED, "LC_CTYPE"}  # Python sets LC_CTYPE
    (line,) = [one for one in log.splitlines() if one.startswith("arguments:")]
    arguments = json.loads(line.removeprefix("arguments:"))
    assert arguments[:2] == ["--label", "a\\nb"]
    ids = project.root / ".local-studio" / "jobs" / str(job.id) / "ids.json"
    assert arguments[-4:] == ["--data-ids-file", str(ids), "--propose-actions", str(job.id)]
    assert json.loads(ids.read_text()) == {"ids": [3, 1]}
    assert f"token of 10 characters; in {TOY}" in log
    command = jobs.files.read(job.id, COMMAND)
    assert command.startswith("python3 -u transform.py --label 'a\\nb'")
    assert "0123456789" not in log + command + json.dumps(dict(job.parameters))
    assert b"0123456789" not in b"".join(path.read_bytes() for path in project.root.rglob("*") if path.is_file())


def test_a_block_reaches_a_server_on_all_addresses_through_the_loopback(project: LocalProject):
    add_recording(project, 10, 100)
    with jobs_of(project, host="0.0.0.0") as jobs:
        assert wait_for_end(jobs, jobs.start(RUN, parameters(), {}, [1])).state == FINISHED


def test_the_folder_of_jobs_is_not_scanned_for_recordings(project: LocalProject, jobs: Jobs):
    job = wait_for_end(jobs, jobs.start(RUN, parameters(), {}, [1]))
    jobs.files.path_of(job.id, "made.wav").write_bytes(b"by a block")
    assert project.scan().new == 0


def test_a_failed_job_records_its_exit_code(jobs: Jobs):
    job = wait_for_end(jobs, jobs.start(RUN, parameters(do="fail"), {}, [1]))
    assert (job.state, job.exit_code) == (FAILED, 3)


def test_only_one_job_runs_at_a_time_even_with_two_servers(project: LocalProject, jobs: Jobs):
    job = jobs.start(RUN, parameters(pause_ms="60000"), {}, [1])
    with pytest.raises(BusyError) as caught:
        jobs.start(PREVIEW, parameters(), {}, [2])
    assert caught.value.job_id == job.id
    with jobs_of(project) as others:
        with pytest.raises(BusyError) as caught:
            others.start(PREVIEW, parameters(), {}, [2])
        assert caught.value.job_id == job.id
        with pytest.raises(jobs_module.RequestError, match="another server"):
            others.cancel(job.id)
    found = jobs.store.get(job.id)
    assert found is not None
    assert found.is_running  # the other server did not mark it as interrupted
    assert [item.id for item in jobs.store.latest()] == [job.id]


def test_canceling_ends_the_block_and_its_child_processes(jobs: Jobs):
    job = jobs.start(RUN, parameters(pause_ms="60000"), {}, [1])
    assert job.pid is not None
    wait_until(lambda: "sample 1" in jobs.log(job.id).text, "it does not start")
    jobs.cancel(job.id)
    job = wait_for_end(jobs, job)
    assert (job.state, job.exit_code) == (CANCELED, 143)
    assert job.pid is not None
    assert group_of(job.pid) == []
    jobs.cancel(job.id)  # has no effect now
    wait_until(
        lambda: wait_for_end(jobs, jobs.start(RUN, parameters(), {}, [1])).state == FINISHED, "no other job can start"
    )


def test_a_block_that_ignores_sigterm_is_killed(jobs: Jobs, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(process, "GRACE_S", 0.2)
    job = jobs.start(RUN, parameters(do="deaf", pause_ms="60000"), {}, [1])
    wait_until(lambda: "sample 1" in jobs.log(job.id).text, "it does not start")
    jobs.cancel(job.id)
    job = wait_for_end(jobs, job)
    assert (job.state, job.exit_code) == (CANCELED, 137)


def test_child_processes_end_with_the_block(jobs: Jobs):
    job = wait_for_end(jobs, jobs.start(RUN, parameters(do="leave"), {}, [1]))
    assert job.state == FINISHED
    assert job.pid is not None
    wait_until(lambda: group_of(job.pid or 0) == [], "a child process is still running")
    assert jobs.log(job.id).text.endswith("done\n")


def test_stopping_the_server_stops_its_job(project: LocalProject, jobs: Jobs):
    job = jobs.start(RUN, parameters(pause_ms="60000"), {}, [1])
    jobs.close()
    found = jobs.store.get(job.id)
    assert found is not None
    assert found.state == INTERRUPTED
    assert found.pid is not None
    assert group_of(found.pid) == []
    with pytest.raises(StartError, match="stopping"):
        jobs.start(RUN, parameters(), {}, [1])


def test_the_job_of_a_killed_server_is_interrupted_and_its_block_stopped(project: LocalProject):
    add_recording(project, 10, 100)
    code = f"""
import os, signal, sys
from pathlib import Path
from block.local_studio.jobs.jobs import Jobs
from block.local_studio.data.project import LocalProject
from block.local_studio.data.sample import ProposedChanges, Proposal
from block.local_studio.server import Address
project = LocalProject(Path(sys.argv[1]))
jobs = Jobs(project, Path({str(TOY)!r}), Address("127.0.0.1", 9, "key"))
print(jobs.start("run", {dict(parameters(pause_ms="60000"))!r}, {{}}, [1]).pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    root = Path(jobs_module.__file__).parents[3]
    killed = subprocess.run(
        [sys.executable, "-c", code, str(project.root)], cwd=root, capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    pid = int(killed.stdout)
    with jobs_of(project) as jobs:
        (job,) = jobs.store.latest()
        assert (job.state, job.exit_code, job.pid) == (INTERRUPTED, None, pid)
        assert group_of(pid) == []
        assert wait_for_end(jobs, jobs.start(RUN, parameters(), {}, [1])).state == FINISHED


def test_a_pid_that_now_belongs_to_another_process_is_not_killed(tmp_path: Path):
    assert not end_orphan(os.getpid(), tmp_path / "ids.json")


@pytest.mark.parametrize("broken", ["folder", "link", "database", "python", "pid"])
def test_a_job_that_cannot_start_leaves_nothing_behind(
    project: LocalProject, jobs: Jobs, broken: str, monkeypatch: pytest.MonkeyPatch
):
    state = project.root / ".local-studio"

    def full(*arguments: object) -> Any:
        raise sqlite3.OperationalError("database or disk is full")

    if broken == "folder":
        state.write_text("a file where a folder should be")
    elif broken == "link":
        state.symlink_to(project.root.parent)
    elif broken == "database":
        monkeypatch.setattr(jobs.store, "create", full)
    elif broken == "python":
        monkeypatch.setattr(process, "make_command", lambda block, arguments, python="": ["/no/such/program"])
    else:
        monkeypatch.setattr(jobs.store, "set_pid", full)
    with pytest.raises(StartError, match="nothing was changed"):
        jobs.start(RUN, parameters(), {}, [1])
    monkeypatch.undo()
    assert jobs.store.latest() == []
    assert not list(state.glob("jobs/*")) if broken != "link" else not (project.root.parent / "jobs").exists()
    assert not (project.root.parent / "lock").exists()
    if broken in ("folder", "link"):
        state.unlink()
    assert wait_for_end(jobs, jobs.start(RUN, parameters(), {}, [1])).state == FINISHED


def test_a_full_disk_does_not_lose_the_end_of_a_job(jobs: Jobs, monkeypatch: pytest.MonkeyPatch):
    tries = []
    end, add = jobs.store.end, jobs.store.add_details

    def full_at_first(call: Callable[..., None]) -> Callable[..., None]:
        def wrapped(*arguments: Any) -> None:
            tries.append(call)
            if tries.count(call) < 3:
                raise sqlite3.OperationalError("database or disk is full")
            call(*arguments)

        return wrapped

    monkeypatch.setattr(jobs.store, "end", full_at_first(end))
    monkeypatch.setattr(jobs.store, "add_details", full_at_first(add))
    job = wait_for_end(jobs, jobs.start(RUN, parameters(), {}, [1]))
    assert job.state == FINISHED
    assert "segments" in jobs.store.details(1, job.id)


def test_serving_a_folder_that_is_not_a_block_is_refused(project: LocalProject, tmp_path: Path):
    with pytest.raises(ServeError, match=r"parameters\.json"):
        with running(project, block=tmp_path):
            pass


def test_details_are_read_line_by_line_and_invalid_lines_are_skipped(tmp_path: Path):
    path = tmp_path / "details"
    details = DetailsFile(path, [1, 2, 3])
    assert details.read_new() == {}
    with path.open("ab", buffering=0) as file:
        file.write(b'{"sample": 1, "error": "half')
        assert details.read_new() == {}
        file.write(b' a line"}\n\xff\xfe\nnull\n{"sample": 9, "error": "not of this job"}\n{"sample": 2, "err')
        assert details.read_new() == {1: {"error": "half a line"}}
        file.write(b'or": "late"}\n{"sample": true, "error": ""}\n' + b"[" * 100_000 + b"\n")
        assert details.read_new() == {2: {"error": "late"}}
    assert details.read_new() == {}


@pytest.mark.parametrize(
    "segment",
    [
        "3", "{}", '{"startIndex": 0, "endIndex": 9}', '{"startIndex": -1, "endIndex": 9, "label": "x"}',
        '{"startIndex": 0, "endIndex": 9.5, "label": "x"}', '{"startIndex": 0, "endIndex": 9, "label": 3}',
        '{"startIndex": 0, "endIndex": 9, "label": "x", "score": "high"}',
        '{"startIndex": 0, "endIndex": 9, "label": "x", "score": 1e400}',
        '{"startIndex": 0, "endIndex": 9, "label": "x", "runnersUp": [["y"]]}',
    ],
)  # fmt: skip
def test_a_line_with_an_invalid_segment_is_skipped(segment: str):
    assert parse_line(f'{{"sample": 1, "segments": [{segment}]}}'.encode()) is None


def test_infinite_loudness_and_unknown_keys_are_dropped():
    segment = b'{"startIndex": 0, "endIndex": 9, "label": "\\ud800", "loudnessDbfs": -Infinity, "x": 1}'
    line = b'{"sample": 1, "segments": [' + segment + b"]}"
    assert parse_line(line) == (1, {"segments": [{"startIndex": 0, "endIndex": 9, "label": "?"}]})


def test_a_log_grows_to_its_limit_and_keeps_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(log_file, "LARGEST_LOG", 100)
    monkeypatch.setattr(log_file, "TAIL", 20)
    writer = LogWriter(tmp_path / "log")
    for number in range(100):
        writer.write(f"line {number:03}\n".encode())
    writer.close()
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines[:2] == ["line 000", "line 001"]
    assert lines[-2:] == ["line 098", "line 099"]
    assert any("780 bytes omitted" in line for line in lines)


def test_a_log_is_read_from_an_offset(tmp_path: Path):
    path = tmp_path / "log"
    assert read_part(path, 0, is_over=False).text == ""
    path.write_bytes("eins\nzwei ü".encode())
    part = read_part(path, 0, is_over=False)
    assert (part.text, part.offset) == ("eins\n", 5)
    assert read_part(path, 5, is_over=False).text == ""
    assert read_part(path, 5, is_over=True).text == "zwei ü"
    assert read_part(path, 10**15, is_over=True).text == ""


def test_the_end_of_a_log_is_its_last_thousand_lines(tmp_path: Path):
    path = tmp_path / "log"
    path.write_text("".join(f"{number}\n" for number in range(5000)) + "half")
    end = read_end(path, is_over=False)
    assert end.text.splitlines() == [str(number) for number in range(4000, 5000)]
    assert read_part(path, end.offset, is_over=True).text == "half"
    assert read_end(tmp_path / "none", is_over=True).text == ""


def test_terminal_sequences_are_removed_from_the_log():
    assert strip_escapes(b"\x1b[31mred\x1b[0m \x1b]0;title\x07\r10 %\r\n\x00\xff") == "red \n10 %\n��"
