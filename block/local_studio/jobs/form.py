"""Check the input of a block's form, and turn it into command-line arguments.

Parameters are text, as Edge Impulse stores them: flags and booleans are `true` or `false`. Secrets are separate: they
become environment variables and are never stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from block.local_studio.jobs.block import BOOLEAN, FLAG, FLOAT, INT, SECRET, SELECT, UNSUPPORTED, Block, Parameter

LARGEST_ARGUMENT = 128 * 1024 - 1  # bytes; Linux allows no more in one argument
EXPECTED = {
    INT: "Enter a whole number.",
    FLOAT: "Enter a number, with a decimal point instead of a comma.",
    SELECT: "Choose one of the listed values.",
}


@dataclass(frozen=True)
class FormValues:
    """The input of a form. `problems` has a message for each invalid item, by its `param`."""

    parameters: Mapping[str, str]
    secrets: Mapping[str, str]
    problems: Mapping[str, str]


def check_form(block: Block, typed: Mapping[str, str], environment: Mapping[str, str]) -> FormValues:
    """Check the input `typed`, by `param`. As in browsers' forms, a switch that is off is absent.

    Secrets that weren't typed come from `environment`.
    """
    parameters: dict[str, str] = {}
    secrets: dict[str, str] = {}
    problems: dict[str, str] = {}
    for item in block.items:
        if item.type == SECRET:
            secrets[item.param] = typed.get(item.param, "") or environment.get(item.param, "")
        elif item.type not in UNSUPPORTED:
            parameters[item.param] = item.default if item.is_readonly else _read_value(item, typed)
    for item in block.items:
        if not is_shown(block, item, parameters):
            continue
        value = secrets[item.param] if item.type == SECRET else parameters.get(item.param, "")
        if problem := _find_problem(item, value):
            problems[item.param] = problem
    return FormValues(parameters, {name: value for name, value in secrets.items() if value}, problems)


def is_shown(block: Block, item: Parameter, parameters: Mapping[str, str]) -> bool:
    """Return True if the form shows the item for these parameters."""
    if item.show_if is None:
        return True
    other = block.item(item.show_if.parameter)
    value = parameters.get(item.show_if.parameter, other.default if other else "")
    return (value == item.show_if.value) == item.show_if.is_equal


def build_arguments(block: Block, parameters: Mapping[str, str]) -> list[str]:
    """Return the command-line arguments that come from the form.

    Assumed: optional items without a value, and items that aren't shown, are left out.
    """
    found: list[str] = []
    for item in block.items:
        value = parameters.get(item.param, item.default)
        if item.type in (SECRET, *UNSUPPORTED) or not is_shown(block, item, parameters):
            continue
        if item.type == FLAG:
            found += [f"--{item.param}"] if value == "true" else []
        elif item.type == BOOLEAN:
            found += [f"--{item.param}", "1" if value == "true" else "0"]
        elif value or (item.may_be_empty and not item.is_optional):
            found += [f"--{item.param}", value.replace("\n", "\\n")]
    return found


def _read_value(item: Parameter, typed: Mapping[str, str]) -> str:
    if item.is_switch:
        return "true" if typed.get(item.param) in ("true", "on") else "false"
    value = typed.get(item.param, "").replace("\r\n", "\n").replace("\r", "\n")
    return value.strip() if item.type in (INT, FLOAT) else value


def _find_problem(item: Parameter, value: str) -> str:
    """Return what is wrong with the value of a shown item, or an empty string if it's valid."""
    if item.type in UNSUPPORTED and not item.is_optional:
        return f"This block needs a {item.type}, and the local Studio has none."
    if item.type in UNSUPPORTED or item.is_switch:
        return ""
    if not value:
        may_be_empty = item.is_optional or item.may_be_empty or item.is_readonly
        return "" if may_be_empty or (item.type == SELECT and "" in item.values) else "This field is required."
    if "\0" in value or len(value.replace("\n", "\\n").encode()) > LARGEST_ARGUMENT:
        return "This is too long, or contains a null character, so it can't be passed to the block."
    if "\n" in value and not item.is_multiline:
        return "Enter a single line."
    return "" if item.accepts(value) else EXPECTED[item.type]
