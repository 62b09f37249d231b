"""Write docs/options.md from the parsers of the commands: python -m tests.docs.options, or make docs."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable

from block.cli import COMMANDS
from tests.conftest import ROOT
from tests.docs.parsers import TRANSFORM, list_options, list_subparsers, read_parsers

PAGE = ROOT / "docs" / "options.md"
DEFAULT = re.compile(r" \(default: ([^()]*(?:\([^()]*\)[^()]*)*)\)$")
REQUIRED = " (required)"
INTRODUCTION = """# Options

`make docs` writes this page from the parsers of the commands; `--help` prints the same. The AI Action's form in Edge
Impulse, `parameters.json`, has the options that are about labels, with the same names and defaults.

The AI Action ignores options that it doesn't know, with a warning, because Edge Impulse may add some, but it refuses
those that look like a typo. All other commands refuse unknown options. Options can't be abbreviated, and an empty value
means the default, except for `--propose-actions`.
"""


def render() -> str:
    """Return the text of the page."""
    parsers = read_parsers()
    action = {describe(one): one for one in list_options(parsers[TRANSFORM])}
    parts = [
        INTRODUCTION,
        *_section("`transform.py`: the AI Action", parsers[TRANSFORM], list_options(parsers[TRANSFORM])),
    ]
    order = sorted(COMMANDS, key=lambda name: (name != "label", name != "relabel", name))
    for name in order:
        parser = parsers[name]
        title = f"`{name}`: {COMMANDS[name]}"
        if commands := list_subparsers(parser):
            parts += _section(title, parser, [])
            for command, sub in commands.items():
                parts += [f"### `{name} {command}`\n", f"{sub.description}\n", *_table(list_options(sub))]
            continue
        options = list_options(parser)
        shared = [describe(one) for one in options if describe(one) in action]
        is_long = len(shared) > 10
        parts += _section(title, parser, [one for one in options if not (is_long and describe(one) in action)])
        if is_long:
            own = {text for one in options for text in one.option_strings}
            names = {key: one.option_strings[0] for key, one in action.items()}
            kept = [name for key, name in names.items() if key in shared]
            left = [name for key, name in names.items() if key not in shared and name not in own]
            link = "[`transform.py`](#transformpy-the-ai-action)"
            if len(kept) < len(left):
                parts.append(f"These options of {link} work here, too: {_list(kept)}.\n")
            else:
                parts.append(f"The options of {link} work here, too, except {_list(left)}.\n")
    return "\n".join(parts)


def describe(action: argparse.Action) -> tuple[str, str, str]:
    """Return an option as the page shows it: its name with its value, its default, and its meaning."""
    usual = action.dest.upper() if action.option_strings and action.nargs != 0 else ""
    metavar = action.metavar if isinstance(action.metavar, tuple) else (action.metavar or usual,)
    value = " ".join(filter(None, metavar))
    if action.option_strings:
        name = " ".join((action.option_strings[-1], f"[{value}]" if action.nargs == "?" else value)).strip()
    else:
        name = value or action.dest
    help_text = (action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%")
    default = "required" if REQUIRED in help_text else ""
    help_text = help_text.replace(REQUIRED, "")
    if help_text.startswith("default: "):
        default, help_text = help_text.removeprefix("default: "), ""
    elif found := DEFAULT.search(help_text):
        default, help_text = found[1], help_text[: found.start()]
    elif action.nargs == 0:
        default = "off"
    elif not action.option_strings:
        default = "–" if action.nargs in ("?", "*") else "required"
    return name, default or "–", help_text


def _list(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _section(title: str, parser: argparse.ArgumentParser, options: Iterable[argparse.Action]) -> list[str]:
    return [f"## {title}\n", f"{(parser.description or '').strip()}\n", *_table(options)]


def _table(options: Iterable[argparse.Action]) -> list[str]:
    rows = [describe(one) for one in options]
    if not rows:
        return []
    lines = [
        f"| `{name}` | {_cell(default)} | {_cell(text)} |" for name, default, text in (map_cells(row) for row in rows)
    ]
    return ["\n".join(["| option | default | meaning |", "|---|---|---|", *lines, ""])]


def map_cells(row: tuple[str, str, str]) -> tuple[str, str, str]:
    """Return a row whose name doesn't end its cell early."""
    return row[0].replace("|", "\\|"), row[1], row[2]


def _cell(text: str) -> str:
    """Return text as a cell of a table. Stars and underscores of names stay as they are."""
    escaped = re.sub(r"([*_<>|])", r"\\\1", text)
    return re.sub(r"(?<![\w-])(--[a-z][a-z-]+)", r"`\1`", escaped)


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
