"""The `studio` command: its output, and its exit codes."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from block.commands import studio as studio_command
from block.folder.project_colors import DATABASE
from block.local_studio import server

MakeWav = Callable[..., bytes]
COMMAND = [
    sys.executable,
    "-c",
    "import sys; from block.commands.studio import main; sys.exit(main(sys.argv[1:]))",
]


@contextmanager
def command(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(server.__file__).parents[2],
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def exports(lines: list[str]) -> dict[str, str]:
    words = [shlex.split(line)[1] for line in lines if line.startswith("export ")]
    return dict(word.split("=", 1) for word in words)


def test_the_printed_lines_work_until_ctrl_c_stops_the_server(tmp_path: Path, audio_bytes: MakeWav):
    (tmp_path / "a.wav").write_bytes(audio_bytes(10))
    with command(tmp_path, "--port", 0) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(5)]
        assert lines[0].startswith("Serving 1 recording from")
        environment = exports(lines)
        key = environment["EI_PROJECT_API_KEY"]
        assert key.startswith("ei_local_")
        url = f"{environment['EI_API_ENDPOINT']}/api/1/raw-data?category=all"
        (sample,) = requests.get(url, headers={"x-api-key": key}, timeout=10).json()["samples"]
        ids_url = next(word for word in shlex.split(lines[4]) if word.startswith("http"))
        found = requests.get(ids_url, headers={"x-api-key": key}, timeout=10).json()
        assert found == {"ids": [sample["id"]]}
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
        assert (process.returncode, err) == (0, "")
        assert out.endswith("stopped\n")


def test_the_key_option_sets_the_key_and_is_quoted_for_the_shell(tmp_path: Path):
    key = "it's $HOME"
    with command(tmp_path, "--port", 0, "--key", key) as process:
        assert process.stdout is not None
        environment = exports([process.stdout.readline() for _ in range(5)])
        assert environment["EI_PROJECT_API_KEY"] == key
        url = f"{environment['EI_API_ENDPOINT']}/api/projects"
        assert requests.get(url, headers={"x-api-key": key}, timeout=10).status_code == 200
        assert requests.get(url, headers={"x-api-key": "other"}, timeout=10).status_code == 401


def test_the_ids_file_has_all_samples_and_torch_is_not_imported(tmp_path: Path, audio_bytes: MakeWav):
    project = tmp_path / "project"
    project.mkdir()
    for name in ("b.wav", "a.wav"):
        (project / name).write_bytes(audio_bytes(10))
    (project / "c.wav").write_bytes(b"unreadable")
    ids_file = tmp_path / "my ids.json"
    with command(project, "--port", 0, "--ids-file", ids_file) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(5)]
    assert json.loads(ids_file.read_text()) == {"ids": [1, 2, 3]}
    assert shlex.quote(str(ids_file)) in lines[4]
    code = "import sys, block.local_studio.server, block.local_studio.api.app; print('torch' in sys.modules)"
    root = Path(server.__file__).parents[2]
    assert subprocess.check_output([sys.executable, "-c", code], text=True, cwd=root) == "False\n"


def test_reading_many_files_is_announced_once(tmp_path: Path, audio_bytes: MakeWav):
    for number in range(server.MANY_FILES):
        (tmp_path / f"{number}.wav").write_bytes(audio_bytes(10))
    with command(tmp_path, "--port", 0) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"Reading {server.MANY_FILES} new or changed recordings\n"
        assert process.stdout.readline().startswith("Serving ")
    with command(tmp_path, "--port", 0) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Serving ")


def test_an_empty_folder_is_served_with_a_warning_that_says_what_is_there_instead(tmp_path: Path):
    (tmp_path / "a.txt").touch()
    with command(tmp_path, "--port", 0) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
    assert lines[0].startswith(f"warning: no recordings in {tmp_path}: 1 other file: 1 .txt; expected files ending in ")
    assert lines[1].startswith("Serving 0 recordings from")


def test_cut_off_recordings_are_served_with_a_warning_if_asked_for(tmp_path: Path, audio_bytes: MakeWav):
    (tmp_path / "a.wav").write_bytes(audio_bytes(1000)[:1044])
    for options, warnings, values in (([], [], 0), (["--allow-truncated"], ["a.wav"], 500)):
        with command(tmp_path, "--port", 0, *options) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(5 + len(warnings))]
            environment = exports(lines)
            url = f"{environment['EI_API_ENDPOINT']}/api/1/raw-data?category=all"
            answer = requests.get(url, headers={"x-api-key": environment["EI_PROJECT_API_KEY"]}, timeout=10).json()
        assert lines[:-5] == [
            f"warning: {name}: the audio is cut off: 1000 of 2000 bytes are there\n" for name in warnings
        ]
        assert [sample["valuesCount"] for sample in answer["samples"]] == [values]


def test_a_failed_start_exits_with_2_and_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "file"
    file.touch()
    unwritable = tmp_path / "unwritable"
    (unwritable / DATABASE).mkdir(parents=True)  # a database that even root can't write
    taken = socket.create_server(("127.0.0.1", 0))
    fine = tmp_path / "fine"
    fine.mkdir()
    cases = {
        "does not exist": [tmp_path / "nothing"],
        "is not a directory": [file],
        "can't open the project's database": [unwritable],
        "can't listen on 127.0.0.1": [fine, "--port", taken.getsockname()[1]],
        "--port must be from 0 to 65535, got 70000": [fine, "--port", 70000],
        "can't listen on 192.0.2.1": [fine, "--host", "192.0.2.1"],
        "--key must be printable ASCII": [fine, "--key", " "],
        "--key must have at least 32 characters": [fine, "--host", "0.0.0.0", "--key", "x" * 31],
        "can't write the ids file": [fine, "--port", 0, "--ids-file", tmp_path / "no" / "ids.json"],
    }
    for message, arguments in cases.items():
        assert studio_command.main([str(argument) for argument in arguments]) == 2, message
        out, err = capsys.readouterr()
        assert message in err
        assert (out, err.count("\n")) == ("", 1)
    taken.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tmp_path.chmod(0o500)
    assert studio_command.main([str(tmp_path)]) == 2
    assert "can't open the project's database" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["a", "--por", "1"], ["a", "--port", "x"]])
def test_invalid_arguments_exit_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        studio_command.main(arguments)
    assert ended.value.code == 2


def test_missing_packages_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert studio_command.main([str(tmp_path), "--port", "0"]) == 2
    assert "needs uvicorn, which isn't installed; run: pip install -r locked/studio.txt" in capsys.readouterr().err
