"""Commands whose standard streams are closed, full or unread: they do their work, and say in one line what is lost."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
import soundfile

from block.local_studio.data.project import LocalProject
from block.local_studio.server import running
from tests.conftest import EMBEDDED, ROOT
from tests.local_studio.conftest import add_recording

BLOCK = ("-m", "block")
# The real commands, with a stub instead of the model.
STUB = ("-c", "from tests.stub import engine; import sys; sys.modules['block.labeling.engine'] = engine; "
        "from block import cli; cli.main_command()")  # fmt: skip
LOST = "standard output can't be written: "
FULL, BROKEN = f"{LOST}No space left on device", f"{LOST}Broken pipe"
CONTINUING = "; continuing without it"
UNREAD = "unread"
RECORDINGS = 12
pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")


def run(how: str, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python with `words`, its standard streams redirected as `how` says in a shell's words.

    `how` can also be UNREAD: standard output is a pipe that no one reads.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith("EI_")}
    command = ["sh", "-c", f'exec "$@" {how if how != UNREAD else ""}', "sh", sys.executable, *map(str, words)]
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run(
            command, stdout=writer if how == UNREAD else subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=ROOT, env={**clean, "OMP_NUM_THREADS": "1", **environment}, timeout=240, check=False,
        )  # fmt: skip
    finally:
        os.close(writer)


def read_outputs(out: Path) -> dict[str, bytes]:
    """Return the label files in `out`."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.suffix != ".parquet" and path.name not in ("run.json", "manifest.json", ".lock")
    }


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    time_s = np.arange(4000) / 16000
    for at in range(RECORDINGS):
        soundfile.write(folder / f"{at:02}.wav", 0.3 * np.sin(2 * np.pi * 200 * (at + 1) * time_s), 16000)
    return folder


def label(recordings: Path, out: Path, *options: str) -> list[object]:
    return ["label", recordings, "--out", out, "--model", EMBEDDED, "--audioset-labels", "Speech, Music", *options]


@pytest.fixture(scope="module")
def undisturbed(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the label files of a run with its standard streams open."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    done = run("", *STUB, *label(recordings, out, "--no-score-store"))
    assert (done.returncode, done.stderr) == (0, "")
    files = read_outputs(out)
    assert files["labels.csv"].count(b"\n") > RECORDINGS
    return files


REDIRECTIONS = {
    ">&-": "",
    "2>&-": "",
    "<&-": "",
    ">&- 2>&-": "",
    "<&- >&- 2>&-": "",
    ">/dev/full": f"python -m block: {FULL}{CONTINUING}\n",
    ">/dev/full 2>&1": "",
    "2>/dev/full": "",
    UNREAD: f"python -m block: {BROKEN}{CONTINUING}\n",
    "1</dev/null": f"python -m block: {LOST}Bad file descriptor{CONTINUING}\n",
}


@pytest.mark.parametrize("how", REDIRECTIONS)
def test_a_run_labels_everything_whatever_its_standard_streams_are(
    how: str, recordings: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    done = run(how, *STUB, *label(recordings, tmp_path / "out", "--no-score-store"))
    assert (done.returncode, done.stderr) == (0, REDIRECTIONS[how])
    # Byte for byte: no log line went into a file that took the number of a closed stream.
    assert read_outputs(tmp_path / "out") == undisturbed


@pytest.fixture(scope="module")
def scored(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run with all standard streams closed, with the real model and a score store."""
    pytest.importorskip("pyarrow")
    out = tmp_path_factory.mktemp("scored") / "out"
    done = run("<&- >&- 2>&-", *BLOCK, *label(recordings, out))
    assert done.returncode == 0
    return out


def test_the_model_and_the_score_store_work_with_all_standard_streams_closed(recordings: Path, scored: Path) -> None:
    labeled = read_outputs(scored)
    again = run("", *BLOCK, *label(recordings, scored))
    assert again.returncode == 0, again.stderr
    assert f"reusing stored scores: {RECORDINGS} of {RECORDINGS} recordings did not change" in again.stdout
    assert read_outputs(scored) == labeled


@pytest.mark.parametrize(("how", "said"), [(">&-", ""), (">/dev/full", f"python -m block: {FULL}{CONTINUING}\n")])
def test_relabel_works_without_standard_output(scored: Path, how: str, said: str) -> None:
    done = run(how, *BLOCK, "relabel", scored, "--audioset-labels", "Speech (voice, 0)", "--min-confidence", "0")
    assert (done.returncode, done.stderr) == (0, said)
    assert b"voice" in read_outputs(scored)["labels.csv"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "said"), [("<&- >&- 2>&-", ""), (">/dev/full", f"python -m block: {FULL}{CONTINUING}\n")]
)
def test_evaluate_works_without_standard_output(recordings: Path, tmp_path: Path, how: str, said: str) -> None:
    pytest.importorskip("sklearn")
    notes, out = tmp_path / "notes.csv", tmp_path / "out"
    rows = [f"{at:02}.wav,{'Speech' if at % 2 else 'Music'}\n" for at in range(RECORDINGS)]
    notes.write_text("".join(["file,label\n", *rows]))
    done = run(how, *BLOCK, "evaluate", recordings, "--annotations", notes, "--out", out, "--model", EMBEDDED)
    assert (done.returncode, done.stderr) == (0, said)
    assert json.loads((out / "evaluation.json").read_text())["figures"]["clips"] == RECORDINGS


RESULTS = [("labels", "--model", EMBEDDED), ("models", "list"), ("--help",), ("label", "--help"), ("--version",)]


@pytest.mark.parametrize("words", RESULTS, ids=lambda words: " ".join(map(str, words[:2])))
def test_a_result_that_cannot_be_printed_is_an_error(words: tuple[object, ...]) -> None:
    full, closed, broken = (run(how, *BLOCK, *words) for how in (">/dev/full", ">&-", UNREAD))
    assert (full.returncode, full.stderr) == (1, f"python -m block: {FULL}\n")
    assert (closed.returncode, closed.stderr) == (0, "")
    # … | head: the reader has what it wanted.
    assert (broken.returncode, broken.stderr) == (1, "")


@pytest.mark.parametrize("how", [">&-", ">/dev/full", "<&- >&-"])
def test_a_refusal_is_one_line_and_nothing_starts(how: str, tmp_path: Path) -> None:
    refused = run(how, *BLOCK, *label(tmp_path / "gone", tmp_path / "out"))
    assert refused.returncode == 2
    assert re.fullmatch(r"python -m block: error: .*gone can't be read as a folder: .*\n", refused.stderr)
    assert run("2>&-", *BLOCK, *label(tmp_path / "gone", tmp_path / "out")).returncode == 2
    assert run("2>/dev/full", *BLOCK, *label(tmp_path / "gone", tmp_path / "out")).returncode == 2
    assert run(f"{how} 2>&-", "transform.py", "--win-size-ms", "long").returncode == 2


@pytest.fixture
def project(recordings: Path, tmp_path: Path) -> Iterator[LocalProject]:
    folder = tmp_path / "project"
    folder.mkdir()
    project = LocalProject(folder)
    for path in sorted(recordings.iterdir())[:4]:
        add_recording(project, audio=path.read_bytes(), name=path.stem)
    yield project
    project.close()


@pytest.mark.parametrize("how", ["<&- >&- 2>&-", ">/dev/full", UNREAD])
def test_the_action_labels_all_samples_without_standard_output(how: str, project: LocalProject, tmp_path: Path) -> None:
    ids = tmp_path / "ids.json"
    ids.write_text(json.dumps([sample.id for sample in project.samples()]))
    with running(project) as address:
        words = ["-m", "tests.stub.action", "--data-ids-file", ids, "--model", EMBEDDED, "--audioset-labels", "Speech"]
        environment = {"EI_PROJECT_API_KEY": address.key, "EI_API_ENDPOINT": address.endpoint}
        done = run(how, *words, **environment)
    said = {">/dev/full": f"transform.py: {FULL}{CONTINUING}\n", UNREAD: f"transform.py: {BROKEN}{CONTINUING}\n"}
    assert (done.returncode, done.stderr) == (0, said.get(how, ""))
    assert all(sample.structured_labels for sample in project.samples())


def test_the_local_studio_serves_with_all_standard_streams_closed(recordings: Path, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes((recordings / "00.wav").read_bytes())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    closed = ("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh")
    serving = subprocess.Popen(
        [*closed, sys.executable, *BLOCK, "studio", str(tmp_path), "--port", str(port)],
        cwd=ROOT, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )  # fmt: skip
    try:
        page = ""
        for _ in range(600):
            try:
                page = requests.get(f"http://127.0.0.1:{port}/", timeout=10).text
                break
            except requests.ConnectionError:
                time.sleep(0.1)
        assert "a.wav" in page or ">a<" in page
        serving.send_signal(signal.SIGHUP)
        assert serving.wait(30) == 0
    finally:
        serving.kill()
        serving.wait()


OPENED = """
import os, subprocess, sys
from block.runtime.streams import open_closed_streams

open_closed_streams()
out = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
print("log")
os.write(1, b"log")
child = "import os; [os.fstat(number) for number in range(3)]; os.write(2, b'log')"
subprocess.run([sys.executable, "-c", child], check=True)
os.write(out, str(out).encode())
"""


@pytest.mark.parametrize("how", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_no_file_takes_the_number_of_a_closed_stream(how: str, tmp_path: Path) -> None:
    done = run(how, "-c", OPENED, tmp_path / "file")
    assert done.returncode == 0
    assert int((tmp_path / "file").read_text()) > 2
