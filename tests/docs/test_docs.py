"""Every link leads somewhere, every command in a page is valid, and docs/options.md is what the parsers say."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

import bench.gpu.command
from block.commands.options import CommandParser, parse
from block.settings import SettingsError
from tests.conftest import ROOT
from tests.docs.options import PAGE, render
from tests.docs.pages import PAGES, list_anchors, list_blocks, list_links, read_page
from tests.docs.parsers import TRANSFORM, list_subparsers, read_parsers

IDS = [str(page.relative_to(ROOT)) for page in PAGES]
SHELL = ("sh", "bash")
# Programs that pages call and that aren't part of this repository.
OTHERS = {
    "cd", "cp", "curl", "docker", "echo", "edge-impulse-blocks", "edge-impulse-uploader", "export", "git", "ls", "pip",
    "pipx", "printf", "python3", "ray", "sudo", "uvx", "xdg-open",
}  # fmt: skip
PYTHONS = ("python", "python3", ".venv/bin/python")
SCRIPTS = ("ast-label", ".venv/bin/ast-label")


def list_commands(text: str) -> list[list[str]]:
    """Return the words of each simple command in a shell script."""
    lines = text.replace("\\\n", " ").splitlines()
    found: list[list[str]] = []
    for line in lines:
        words = shlex.split(line, comments=True)
        command: list[str] = []
        for word in [*words, ";"]:
            if word in (";", "&&", "||", "|", "&"):
                if command:
                    found.append(command)
                command = []
            else:
                command.append(word)
    return found


def check_command(words: list[str], parsers: dict[str, argparse.ArgumentParser]) -> None:
    """Raise an exception if a command isn't one of this repository's, or has options that it doesn't take."""
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    if not words:
        return
    words = words[: words.index(">")] if words.count(">") else words
    program, *rest = words
    if program in SCRIPTS:
        check_block(rest, parsers)
    elif program in PYTHONS and rest[:2] == ["-m", "block"]:
        check_block(rest[2:], parsers)
    elif program in PYTHONS and rest[:1] == ["-m"]:
        assert (
            (ROOT / rest[1].replace(".", "/")).with_suffix(".py").is_file()
            or rest[1] in ("venv", "pip", "pytest")
            or (ROOT / rest[1].replace(".", "/") / "__main__.py").is_file()
        ), rest[1]
    elif program in PYTHONS and rest[:1] == ["transform.py"]:
        check_action(rest[1:])
    elif program == "make":
        targets = re.findall(r"^([a-z-]+(?: [a-z-]+)*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        known = {name for line in targets for name in line.split()}
        assert {word for word in rest if "=" not in word} <= known, words
    elif program == "docker" and "ast-ai-action:" in " ".join(rest) and rest[0] == "run":
        image = next(at for at, word in enumerate(rest) if word.startswith("ast-ai-action:"))
        check_action(rest[image + 1 :])
    elif "/" in program and (ROOT / program).is_file():
        return
    else:
        assert program in OTHERS or program.removeprefix(".venv/bin/") in OTHERS, words


def check_action(words: list[str]) -> None:
    """Raise SettingsError if `transform.py` doesn't take these options."""
    if not words.count("--help"):
        parse(words, warn=pytest.fail)


def check_block(words: list[str], parsers: dict[str, argparse.ArgumentParser]) -> None:
    """Raise an exception if `python -m block` doesn't take these words."""
    if words[0] in ("--version", "--help"):
        return
    parser = parsers[words[0]]
    rest = words[1:]
    if commands := list_subparsers(parser):
        parser, rest = commands[rest[0]], rest[1:]
    if "--help" in rest:
        return
    parser.exit_on_error = False

    def refuse(message: str) -> None:
        raise SettingsError(message)

    if not isinstance(parser, CommandParser):
        parser.error = refuse  # type: ignore[assignment, method-assign]
    parser.parse_args([word for word in rest if word != "…"])


@pytest.fixture(scope="module")
def parsers() -> dict[str, argparse.ArgumentParser]:
    return read_parsers()


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_link_leads_to_a_file_and_every_anchor_to_a_heading(page: Path) -> None:
    broken = []
    for link in list_links(read_page(page)):
        parts = urlsplit(link)
        if parts.scheme:
            assert parts.scheme == "https", link
            assert parts.netloc, link
            continue
        target = (page.parent / parts.path).resolve() if parts.path else page
        if not target.exists() or (parts.fragment and parts.fragment not in list_anchors(read_page(target))):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_command_in_a_page_is_valid(page: Path, parsers: dict[str, argparse.ArgumentParser]) -> None:
    for block in list_blocks(read_page(page)):
        if block.words[:1] and block.words[0] in SHELL:
            done = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"line {block.line}: {done.stderr}"
            for words in [] if "run" in block.words else list_commands(block.text):
                try:
                    check_command(words, parsers)
                except (SettingsError, KeyError, argparse.ArgumentError) as error:
                    pytest.fail(f"{page.name}, line {block.line}: {shlex.join(words)}: {error}")


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_option_named_in_a_page_exists(page: Path, parsers: dict[str, argparse.ArgumentParser]) -> None:
    known = {"--help", "--version", *OTHER_OPTIONS}
    for parser in (*parsers.values(), bench.gpu.command.parser()):
        for one in (parser, *list_subparsers(parser).values()):
            known |= set(one._option_string_actions)
    text = re.sub(r"^```.*?^```", "", read_page(page), flags=re.DOTALL | re.MULTILINE)
    named = {name for code in re.findall(r"`([^`]+)`", text) for name in re.findall(r"(?<![\w-])--[a-z][a-z-]+", code)}
    assert named - known == set()


# Options of other programs, or of modules that aren't commands of the block.
OTHER_OPTIONS = {
    "--info-file", "--no-deps", "--num-cpus", "--runtime-env-json", "--core-hour", "--gpu-hour", "--measure", "--set",
    "--gpus", "--env", "--ambience", "--network", "--user", "--quick", "--docs", "--only",
}  # fmt: skip


def test_a_wrong_command_in_a_page_is_found(parsers: dict[str, argparse.ArgumentParser]) -> None:
    for line in (
        "ast-label label recordings --treshold 0.3",
        "python transform.py --data-ids-file ids.json --min-confidence 2",
        "python -m block models get",
        "make demos",
        "frobnicate",
        "docker run --rm ast-ai-action:cpu --min-confidence 0.2",
    ):
        with pytest.raises((SettingsError, KeyError, AssertionError, argparse.ArgumentError)):
            check_command(shlex.split(line), parsers)
    check_command(shlex.split("A=1 ast-label label recordings --out labels"), parsers)


def test_blocks_and_anchors_are_found() -> None:
    text = "# A `b` c-d\n\n```sh run\n# no heading\nls\n```\n\n1. x\n\n   ```text\n   y\n   ```\n"
    assert [(block.words, block.text, block.line) for block in list_blocks(text)] == [
        (("sh", "run"), "# no heading\nls\n", 4),
        (("text",), "y\n", 11),
    ]
    assert list_anchors(text) == {"a-b-c-d"}


def test_the_page_of_options_is_what_the_parsers_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "run make docs"


def test_the_workflow_calls_what_exists_and_releases_only_after_all_other_jobs(
    parsers: dict[str, argparse.ArgumentParser],
) -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "check.yml").read_text(encoding="utf-8"))["jobs"]
    for step in (step for job in jobs.values() for step in job["steps"]):
        for line in step.get("run", "").splitlines():
            if line.startswith("make "):
                check_command(shlex.split(line), parsers)
    assert set(jobs["release"]["needs"]) == jobs.keys() - {"release"}


@pytest.mark.parametrize(
    ("figure", "page", "measured"),
    [
        ("13 to 24 times", "docs/fast-mode.md", "| merged-int8 | 27.0 (35.46×) | 18.3 (23.98×) |"),
        ("26 to 35 times", "docs/fast-mode.md", "| merged-int8-16 | 25.8 (26.43×) | 13.1 (13.45×) |"),
        ("9 to 16 times", "docs/fast-mode.md", "| 17.37× | 16.13× | 15.05× |"),
        ("9 to 16 fast", "docs/fast-mode.md", "1 % recomputed: 10 × transformers | 8.51×"),
        ("1.1 to 2.2 exact", "docs/fast-mode.md", "| exact | as 2 s | 1.05 (1.08×) |"),
        ("0.6 to 1 s", "docs/fast-mode.md", "| exact | as 2 s | 1.66 (2.18×) |"),
        ("83 to 100 %", "models/ast-tiny-audioset/README.md", "**83.3 %**"),
        ("94 to 100 %", "models/ast-tiny-audioset/README.md", "**93.8 %**"),
        ("1 to 2 % false alarms", "models/ast-tiny-audioset/README.md", "| 1.9 % |"),
        ("0.397 with 2 s", "docs/models.md", "0.397 at 2 s"),
    ],
)
def test_a_figure_in_the_readme_stands_where_it_was_measured(figure: str, page: str, measured: str) -> None:
    assert figure in read_page(ROOT / "README.md")
    assert measured in read_page(ROOT / page)


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in seen and page.suffix == ".md" and page.exists():
            seen.add(page)
            waiting += [
                (page.parent / urlsplit(link).path).resolve()
                for link in list_links(read_page(page))
                if not urlsplit(link).scheme and urlsplit(link).path
            ]
    assert set(PAGES) - seen == set()


def test_every_command_is_explained_in_a_page() -> None:
    text = "".join(read_page(page) for page in PAGES)
    for name in read_parsers().keys() - {TRANSFORM}:
        assert re.search(rf"ast-label {name}\b", text), name
