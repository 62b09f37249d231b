"""The command line: bad settings end a run with exit code 2 and one line, before torch is imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from block import cli
from block.commands import transform as action
from block.edge_impulse.access import read_access
from block.edge_impulse.ids_file import read_ids, write_ids
from block.settings import SettingsError
from tests.conftest import NAMES, ROOT
from tests.edge_impulse.scripted import Answer, envelope, scripted

# Run the entry point as a user would, and print at the end whether torch was imported.
PROBE = """
import runpy, sys
sys.argv = ["transform.py", *sys.argv[1:]]
try:
    runpy.run_path("transform.py", run_name="__main__")
finally:
    print("torch imported" if "torch" in sys.modules else "no torch")
"""


def transform(*arguments: str, environment: dict[str, str] | None = None) -> tuple[int, str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("EI_")}
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments],
        cwd=ROOT, env={**clean, **(environment or {})}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


KEY = {"EI_PROJECT_API_KEY": "ei_secret_key"}


@pytest.fixture
def good(ids_file: Callable[[object], str], checkpoint_folder: Path) -> dict[str, str]:
    return {
        "--data-ids-file": ids_file([1, 2]),
        "--model": str(checkpoint_folder),
        "--audioset-labels": "speech, music",
    }


BAD_SETTINGS: dict[str, tuple[dict[str, str | None], dict[str, str], str]] = {
    "an unknown value": ({"--win-size-ms": "long"}, KEY, "--win-size-ms: got 'long'"),
    "a misspelled option": ({"--win-size": "5", "--win-siz-ms": "5"}, KEY, "did you mean --win-size-ms"),
    "a stride above the size": ({"--win-stride-ms": "3000"}, KEY, "--win-stride-ms is 3000"),
    "an empty preview job": ({"--propose-actions": ""}, KEY, "--propose-actions: got ''"),
    "no --data-ids-file": ({"--data-ids-file": None}, KEY, "--data-ids-file is required"),
    "a missing ids file": ({"--data-ids-file": "/no/ids"}, KEY, "can't read --data-ids-file /no/ids"),
    "no key": ({}, {}, "EI_PROJECT_API_KEY is not set"),
    "a key with a space": (
        {},
        {"EI_PROJECT_API_KEY": "ei secret"},
        "EI_PROJECT_API_KEY (9 characters) contains spaces",
    ),
    "a project id that is not a number": ({}, {**KEY, "EI_PROJECT_ID": "mine"}, "EI_PROJECT_ID is 'mine'"),
    "a project id of 5000 digits": ({}, {**KEY, "EI_PROJECT_ID": "9" * 5000}, "expected a whole number"),
    "an invalid endpoint": ({}, {**KEY, "EI_API_ENDPOINT": "studio"}, "EI_API_ENDPOINT is not a valid address"),
    "an unknown class": ({"--audioset-labels": "speech, muzik"}, KEY, "'muzik' is not a class"),
    "a missing checkpoint": ({"--model": "no-such-model"}, KEY, "no checkpoint 'no-such-model'"),
    "a failed-ids file that is a folder": ({"--failed-ids-file": "/"}, KEY, "can't write --failed-ids-file /"),
    "a score store that is a file": ({"--score-store": "Makefile"}, KEY, "the score store Makefile can't be written"),
    "a value without quotes": ({"--audioset-labels": "speech,", "music": ""}, KEY, "unexpected 'music' after"),
    "an unknown device": ({"--device": "tpu"}, KEY, "--device is 'tpu'"),
}


@pytest.mark.parametrize("case", BAD_SETTINGS)
def test_bad_settings_print_one_line_before_torch_is_imported(good: dict[str, str], case: str) -> None:
    changes, environment, message = BAD_SETTINGS[case]
    options = {**good, **changes}
    arguments = [word for name, value in options.items() if value is not None for word in (name, value)]
    code, out, err = transform(*arguments, environment=environment)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert "no torch" in out
    assert "secret" not in out + err


def test_a_key_that_studio_rejects_ends_the_run_before_torch_is_imported(good: dict[str, str]) -> None:
    arguments = [word for option in good.items() for word in option]
    for status in (401, 403):
        with scripted(Answer(status, b'{"success": false, "error": "ei_secret_key is not a key"}')) as server:
            code, out, err = transform(*arguments, environment={**KEY, "EI_API_ENDPOINT": server.url})
        assert code == 2
        assert f"HTTP {status}" in err
        assert err.count("\n") == 1
        assert "no torch" in out
        assert "secret" not in out + err


def test_help_and_an_empty_list_need_neither_torch_nor_studio(
    good: dict[str, str], ids_file: Callable[[object], str], tmp_path: Path
) -> None:
    code, out, _ = transform("--help")
    assert code == 0
    assert "--audioset-labels" in out
    assert "no torch" in out
    good["--data-ids-file"] = ids_file({"ids": []})
    failed = tmp_path / "failed.json"
    arguments = [word for option in good.items() for word in option] + ["--failed-ids-file", str(failed)]
    code, out, _ = transform(*arguments, environment=KEY)
    assert code == 0
    assert "has no sample ids" in out
    assert "no torch" in out
    assert json.loads(failed.read_text()) == {"ids": []}


def test_the_project_is_the_one_in_ei_project_id_or_else_the_api_keys_project() -> None:
    with scripted(Answer(body=envelope(projects=[{"id": 5}]))) as server:
        for project_id in ({}, {"EI_PROJECT_ID": "5"}, {"EI_PROJECT_ID": ""}):
            access = read_access({**KEY, "EI_API_ENDPOINT": server.url, **project_id})
            assert action.find_project(action.StudioClient(access.endpoint, access.key), access) == 5
        other = read_access({**KEY, "EI_API_ENDPOINT": server.url, "EI_PROJECT_ID": "9"})
        with pytest.raises(SettingsError, match="EI_PROJECT_ID is 9, but the API key belongs to project 5"):
            action.find_project(action.StudioClient(other.endpoint, other.key), other)
        server.answers = [Answer(body=envelope(projects=[{"id": 5}, {"id": 9}]))]
        assert action.find_project(action.StudioClient(other.endpoint, other.key), other) == 9
        with pytest.raises(SettingsError, match="2 projects; expected one: set EI_PROJECT_ID"):
            action.find_project(action.StudioClient(access.endpoint, access.key), access)
    assert "secret" not in repr(access)


@pytest.mark.parametrize("content", [[3, 1, 3, 2], {"ids": [3, 1, 3, 2]}])
def test_ids_can_be_an_array_or_an_object_and_duplicates_are_dropped(
    ids_file: Callable[[object], str], content: object
) -> None:
    assert read_ids(ids_file(content)) == [3, 1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"id": [1]}, "an object with the keys ['id']"),
        ("1, 2", "contains str"),
        (None, "contains NoneType"),
        ([1, "2"], 'entry 1 is "2"; expected a whole number'),
        ([True], "entry 0 is true"),
        ([1.0], "entry 0 is 1.0"),
        ({"ids": [None]}, "entry 0 is null"),
    ],
)
def test_an_ids_file_with_other_content_is_rejected(
    ids_file: Callable[[object], str], content: object, message: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        read_ids(ids_file(content))
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[1,", "[" * 100_000, "\x00"])
def test_an_ids_file_that_is_not_json_is_rejected(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ids.json"
    path.write_text(text)
    with pytest.raises(SettingsError, match="is not valid JSON"):
        read_ids(str(path))


def test_ids_files_with_a_byte_order_mark_and_ids_files_the_block_wrote_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "ids.json"
    path.write_text("\ufeff[1]", encoding="utf-8")
    assert read_ids(str(path)) == [1]
    write_ids(str(path), [4, 2])
    assert read_ids(str(path)) == [4, 2]


@pytest.mark.parametrize("arguments", [[], ["--verbose"]])
def test_an_unexpected_error_exits_with_2_and_verbose_adds_the_traceback(arguments: list[str]) -> None:
    script = f"from block import cli; cli.exit_with(lambda argv: {{}}['key'], {arguments}, 'test')"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "test: error: unexpected KeyError: 'key'" in done.stderr.splitlines()[-1]
    assert ("Traceback" in done.stderr) == bool(arguments)


def test_help_lists_each_command_on_its_own_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        cli.run_command(["--help"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.split()[:1] and line.split()[0] in cli.COMMANDS] == [
        *cli.COMMANDS
    ]
    assert all(f"  {name:<10}{purpose}" in lines for name, purpose in cli.COMMANDS.items())
    with pytest.raises(SystemExit):
        action.run_action(["--help"])
    lines += capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80


def test_the_labels_command_prints_the_class_names_of_a_checkpoint(
    capsys: pytest.CaptureFixture[str], checkpoint_folder: Path
) -> None:
    assert cli.run_command(["labels", "--model", str(checkpoint_folder)]) == 0
    assert capsys.readouterr().out.splitlines() == list(NAMES)
