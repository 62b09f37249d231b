"""What was typed into a block's form → its parameters, checked; parameters → arguments to call the block with.

Parameters are text, as Edge Impulse stores them: flags and booleans are `true` or `false`. Secrets are kept apart: they
become environment variables, and nothing stores them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from block.local_studio.jobs.block import BOOLEAN, ELSEWHERE, FLAG, FLOAT, INT, SECRET, SELECT, Block, Parameter

LARGEST_ARGUMENT = 128 * 1024 - 1  # bytes that Linux hands over in one argument
EXPECTED = {
    INT: "This must be a whole number.",
    FLOAT: "This must be a number, with a point and no comma.",
    SELECT: "This must be one of the values offered.",
}


@dataclass(frozen=True)
class FormValues:
    """A form as it was filled in. `problems` has a sentence for each invalid item, by its `param`."""

    parameters: Mapping[str, str]
    secrets: Mapping[str, str]
    problems: Mapping[str, str]


def check_form(block: Block, typed: Mapping[str, str], environment: Mapping[str, str]) -> FormValues:
    """Check what was `typed`, by `param`; a switch that is off is absent, as in browsers' forms.

    Secrets that were not typed are taken from `environment`.
    """
    parameters: dict[str, str] = {}
    secrets: dict[str, str] = {}
    problems: dict[str, str] = {}
    for item in block.items:
        if item.type == SECRET:
            secrets[item.param] = typed.get(item.param, "") or environment.get(item.param, "")
        elif item.type not in ELSEWHERE:
            parameters[item.param] = item.default if item.is_readonly else _value_of(item, typed)
    for item in block.items:
        if not is_shown(block, item, parameters):
            continue
        value = secrets[item.param] if item.type == SECRET else parameters.get(item.param, "")
        if problem := _problem_of(item, value):
            problems[item.param] = problem
    return FormValues(parameters, {name: value for name, value in secrets.items() if value}, problems)


def is_shown(block: Block, item: Parameter, parameters: Mapping[str, str]) -> bool:
    """Return True if the item is on the form while it holds these parameters."""
    if item.show_if is None:
        return True
    other = block.item(item.show_if.parameter)
    value = parameters.get(item.show_if.parameter, other.default if other else "")
    return (value == item.show_if.value) == item.show_if.is_equal


def build_arguments(block: Block, parameters: Mapping[str, str]) -> list[str]:
    """Return the part of the command line that comes from the form.

    Chosen, for want of facts: what is optional and not set, and what is not shown, is left out.
    """
    found: list[str] = []
    for item in block.items:
        value = parameters.get(item.param, item.default)
        if item.type in (SECRET, *ELSEWHERE) or not is_shown(block, item, parameters):
            continue
        if item.type == FLAG:
            found += [f"--{item.param}"] if value == "true" else []
        elif item.type == BOOLEAN:
            found += [f"--{item.param}", "1" if value == "true" else "0"]
        elif value or (item.may_be_empty and not item.is_optional):
            found += [f"--{item.param}", value.replace("\n", "\\n")]
    return found


def _value_of(item: Parameter, typed: Mapping[str, str]) -> str:
    if item.is_switch:
        return "true" if typed.get(item.param) in ("true", "on") else "false"
    value = typed.get(item.param, "").replace("\r\n", "\n").replace("\r", "\n")
    return value.strip() if item.type in (INT, FLOAT) else value


def _problem_of(item: Parameter, value: str) -> str:
    """Return what is wrong with a value that is shown; nothing if it is valid."""
    if item.type in ELSEWHERE and not item.is_optional:
        return f"A {item.type} cannot be chosen: there is none in the local Studio, and this block needs it."
    if item.type in ELSEWHERE or item.is_switch:
        return ""
    if not value:
        may_be_empty = item.is_optional or item.may_be_empty or item.is_readonly
        return "" if may_be_empty or (item.type == SELECT and "" in item.values) else "This is needed."
    if "\0" in value or len(value.replace("\n", "\\n").encode()) > LARGEST_ARGUMENT:
        return "This is too long, or holds a character that cannot be handed over."
    if "\n" in value and not item.is_multiline:
        return "This must be a single line."
    return "" if item.accepts(value) else EXPECTED[item.type]
