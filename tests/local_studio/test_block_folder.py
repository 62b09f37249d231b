"""A block's folder is read, and its form becomes arguments, as Edge Impulse documents it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from block.local_studio.jobs.block import Block, read_block
from block.local_studio.jobs.form import build_arguments, check_form
from block.local_studio.jobs.parsing import BlockError
from block.runtime.places import find_action

TOY = Path(__file__).parent / "toy_block"
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return a function that creates a block's folder with `items`; `change` edits the rest of parameters.json."""

    def folder(*items: dict[str, Any], change: Callable[[dict[str, Any]], object] = lambda top: None) -> Path:
        top = {
            "version": 1,
            "type": "ai-action",
            "info": {"name": "Made", "description": "For a test."},
            "parameters": [{"name": "One", "value": "", "type": "string", "param": "one", **item} for item in items],
        }
        change(top)
        (tmp_path / "parameters.json").write_text(json.dumps(top))
        (tmp_path / "transform.py").touch()
        return tmp_path

    return folder


def fill_form(block: Block, **values: str) -> dict[str, str]:
    """Return the form's default input with `values` typed over it."""
    defaults = {item.param: item.default for item in block.items}
    return {
        **defaults,
        **{name if name.isupper() else name.replace("_", "-"): value for name, value in values.items()},
    }


def called_with(block: Block, **values: str) -> list[str]:
    form = check_form(block, fill_form(block, **values), {})
    assert not form.problems
    return build_arguments(block, form.parameters)


def test_this_repository_is_a_block_that_can_be_run():
    block = read_block(find_action())
    assert block.entry == ("transform.py",)
    assert block.notes == ()
    given = called_with(block)
    assert given[:4] == ["--audioset-labels", "speech\\nmusic", "--other-label", "other"]
    assert "--silence-dbfs" not in given  # optional and not set
    assert "--no-merge" not in given  # a flag that is off
    assert "--min-agreement" not in given  # shown in fast mode only


def test_overwriting_hand_labels_is_only_passed_on_to_a_job_that_replaces_labels():
    block = read_block(find_action())
    flag = "--overwrite-hand-labels"
    assert flag in called_with(block, overwrite_hand_labels="true")
    for existing in ("fill-gaps", "keep"):
        given = called_with(block, overwrite_hand_labels="true", existing_labels=existing)
        assert given[given.index("--existing-labels") + 1] == existing
        assert flag not in given


def test_each_type_becomes_the_documented_arguments():
    block = read_block(TOY)
    assert called_with(block) == [
        "--label", "toy\\nblock", "--comment", "", "--pause-ms", "0", "--do", "label", "--details", "1",
        "--fixed", "as it is",
    ]  # fmt: skip
    changed = called_with(
        block, label="a\r\nb \"c\" $d", comment="-x", level="-60.5", do="fail", chatty="true", details="",
        bucket="mine", fixed="else", TOY_TOKEN="secret",
    )  # fmt: skip
    assert changed == [
        "--label", "a\\nb \"c\" $d", "--comment", "-x", "--pause-ms", "0", "--level", "-60.5", "--do", "fail",
        "--chatty", "--words", "3", "--details", "0", "--fixed", "as it is",
    ]  # fmt: skip


def test_secrets_are_not_parameters_and_can_come_from_the_environment():
    block = read_block(TOY)
    form = check_form(block, fill_form(block, TOY_TOKEN="secret"), {"TOY_TOKEN": "other"})
    assert form.secrets == {"TOY_TOKEN": "secret"}
    assert "secret" not in json.dumps(dict(form.parameters))
    assert check_form(block, fill_form(block), {"TOY_TOKEN": "other"}).secrets == {"TOY_TOKEN": "other"}
    assert check_form(block, fill_form(block), {}).secrets == {}


@pytest.mark.parametrize(
    ("param", "value", "part"),
    [
        ("label", "", "required"),
        ("pause-ms", "", "required"),
        ("pause-ms", "1.5", "whole number"),
        ("pause-ms", "1_000", "whole number"),
        ("pause-ms", "٣", "whole number"),
        ("level", "low", "number"),
        ("level", "nan", "number"),
        ("level", "1,5", "number"),
        ("do", "explode", "one of"),
        ("comment", "two\nlines", "single line"),
        ("label", "\0", "too long"),
        ("label", "x" * 131072, "too long"),
    ],
)
def test_an_invalid_value_is_reported_at_its_item(param: str, value: str, part: str):
    block = read_block(TOY)
    problems = check_form(block, {**fill_form(block), param: value}, {}).problems
    assert list(problems) == [param]
    assert part in problems[param]


def test_hidden_items_are_not_checked():
    block = read_block(TOY)
    assert not check_form(block, {**fill_form(block), "words": "many"}, {}).problems
    assert check_form(block, {**fill_form(block), "words": "many", "chatty": "true"}, {}).problems


def test_a_block_that_needs_a_bucket_cannot_be_run_and_an_optional_one_can(make: Make):
    block = read_block(make({"type": "bucket"}, {"type": "project", "param": "two", "optional": True}))
    problems = check_form(block, {}, {}).problems
    assert list(problems) == ["one"]
    assert "bucket" in problems["one"]


def test_neq_shows_an_item_if_the_values_differ(make: Make):
    show_if = {"parameter": "one", "operator": "neq", "value": "off"}
    block = read_block(make({"value": "off"}, {"param": "two", "value": "2", "showIf": show_if}))
    assert called_with(block) == ["--one", "off"]
    assert called_with(block, one="on") == ["--one", "on", "--two", "2"]


def test_defaults_can_be_text_or_numbers_and_switches_can_be_text(make: Make):
    folder = make(
        {"type": "int", "value": "2000"}, {"type": "float", "value": 0.2, "param": "two"},
        {"type": "flag", "value": "true", "param": "three"}, {"type": "boolean", "value": 0, "param": "four"},
    )  # fmt: skip
    assert called_with(read_block(folder)) == ["--one", "2000", "--two", "0.2", "--three", "--four", "0"]


@pytest.mark.parametrize(
    ("item", "parts"),
    [
        ({"type": "text"}, ["(one)", '"text"', "string, int"]),
        ({"type": "int", "value": "1.5"}, ["(one)", '"1.5"', "whole number"]),
        ({"type": "float", "value": "much"}, ["(one)", '"much"', "number"]),
        ({"type": "flag", "value": "maybe"}, ["(one)", '"maybe"', "true or false"]),
        ({"type": "select"}, ["(one)", "valid", "null"]),
        ({"type": "select", "valid": ["a"], "value": "b"}, ["(one)", '"b"', '"a"']),
        ({"type": "select", "valid": [{"label": "A"}, {"label": "B"}]}, ["(one)", "twice"]),
        ({"type": "select", "valid": [{"value": "a"}]}, ["(one)", "valid[0]", "label"]),
        ({"valid": ["a"]}, ["(one)", "valid", "select"]),
        ({"value": None}, ["(one)", "value", "null"]),
        ({"name": " "}, ["(one)", "is missing name"]),
        ({"help": 3}, ["(one)", "help", "3", "string"]),
        ({"optional": "yes"}, ["(one)", "optional", '"yes"']),
        ({"type": "int", "value": 1, "multiline": True}, ["(one)", "multiline", "int"]),
        ({"param": "two words"}, ["two words", "no spaces"]),
        ({"param": "--one"}, ["--one"]),
        ({"type": "secret"}, []),
        ({"type": "secret", "param": "EI_API_KEY"}, ["EI_API_KEY", "environment"]),
        ({"type": "secret", "param": "my-key"}, ["my-key", "environment"]),
        ({"showIf": {"parameter": "two", "operator": "eq", "value": "x"}}, ["one.showIf", '"two"']),
        ({"showIf": {"parameter": "one", "operator": "lt", "value": "x"}}, ["showIf", '"lt"', "eq or neq"]),
        ({"showIf": {"parameter": "one", "operator": "eq", "value": True}}, ["showIf", "true", "string"]),
    ],
)
def test_an_invalid_item_is_refused_with_what_was_expected(make: Make, item: dict[str, Any], parts: list[str]):
    folder = make(item)
    if not parts:
        assert read_block(folder).items
        return
    with pytest.raises(BlockError) as caught:
        read_block(folder)
    assert "\n" not in str(caught.value)
    for part in ("parameters[0]" if "showIf" not in item else "parameters.json", *parts):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda top: top.update(version=2), "version is 2, expected 1"),
        (lambda top: top.update(version=True), "version is true"),
        (lambda top: top.update(type="dsp"), 'type is "dsp"'),
        (lambda top: top.pop("info"), "info must be an object"),
        (lambda top: top["info"].update(name=""), "is missing name"),
        (lambda top: top["info"].update(description=""), "is missing description"),
        (lambda top: top["info"].update(requiredEnvVariables=["1A"]), '"1A"'),
        (lambda top: top["info"].update(requiredEnvVariables="A"), "array of strings"),
        (lambda top: top.update(parameters={}), "parameters must be an array"),
        (lambda top: top.update(parameters=[1]), "parameters[0] must be an object"),
        (lambda top: top["parameters"].append(top["parameters"][0]), "one is given twice"),
    ],
)
def test_an_invalid_parameters_file_is_refused(make: Make, change: Callable[[dict[str, Any]], object], part: str):
    with pytest.raises(BlockError, match=r"parameters\.json") as caught:
        read_block(make({}, change=change))
    assert part in str(caught.value)


def test_an_unknown_key_is_noted_not_refused(make: Make):
    assert read_block(make({"hintt": "x"})).notes == ("one: parameters.json has 1 unknown key, ignored here: hintt",)


@pytest.mark.parametrize("content", [None, b"{", b"[]", b"\xff", b"[" * 100_000, b" " * (2 << 20)])
def test_a_folder_without_readable_parameters_is_refused_in_one_line(tmp_path: Path, content: bytes | None):
    if content is not None:
        (tmp_path / "parameters.json").write_bytes(content)
    with pytest.raises(BlockError) as caught:
        read_block(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("dockerfile", "entry"),
    [
        ('FROM x\nENTRYPOINT ["python3", "-u", "run.py"]', ("-u", "run.py")),
        (
            'FROM x\nENTRYPOINT ["/opt/venv/bin/python3.12", "-u", "-B", "/app/run.py"]\nWORKDIR /app',
            ("-u", "-B", "run.py"),
        ),
        (
            'FROM x\nWORKDIR /app\nENTRYPOINT [ "python", \\\n# why\n "deep/run.py", "--more" ]',
            ("deep/run.py", "--more"),
        ),
        ('FROM x\nentrypoint ["bash"]\nFROM y\n', ("transform.py",)),
        ("FROM x\nCMD python3", ("transform.py",)),
    ],
)
def test_the_entry_point_comes_from_the_dockerfile(make: Make, dockerfile: str, entry: tuple[str, ...]):
    folder = make({})
    (folder / "deep").mkdir()
    for name in ("run.py", "deep/run.py"):
        (folder / name).touch()
    (folder / "Dockerfile").write_text(dockerfile)
    assert read_block(folder).entry == entry


@pytest.mark.parametrize(
    ("entrypoint", "part"),
    [
        ("python3 -u run.py", "exec form"),
        ('["node", "run.js"]', '"node"'),
        ('["python3"]', "script"),
        ('["python3", "-m", "transform.py"]', "script"),
        ('["python3", "missing.py"]', "missing.py"),
        ('["python3", "../outside.py"]', "outside.py"),
        ('["python3", "/bin/sh"]', "/bin/sh"),
    ],
)
def test_an_unsupported_entry_point_is_refused(make: Make, entrypoint: str, part: str):
    folder = make({})
    (folder.parent / "outside.py").touch()
    (folder / "Dockerfile").write_text(f"FROM x\nENTRYPOINT {entrypoint}\n")
    with pytest.raises(BlockError) as caught:
        read_block(folder)
    assert part in str(caught.value)


def test_a_folder_without_entry_point_is_refused(tmp_path: Path):
    shutil.copy(TOY / "parameters.json", tmp_path)
    with pytest.raises(BlockError, match=r"transform\.py"):
        read_block(tmp_path)
