"""Read the folder of an AI Action: its parameters.json, as Edge Impulse documents it, and its entry point.

Undocumented keys aren't an error, because Edge Impulse may add new ones. The page with the form lists them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from block.formatting import count
from block.local_studio.jobs.entrypoint import find_entrypoint
from block.local_studio.jobs.parsing import (
    BlockError,
    abbreviate,
    as_object,
    as_strings,
    get_flag,
    get_required_text,
    get_text,
    read_small_file,
)

PARAMETERS = "parameters.json"

TEXT, INT, FLOAT, SELECT, BOOLEAN, FLAG, SECRET = "string", "int", "float", "select", "boolean", "flag", "secret"
UNSUPPORTED = ("bucket", "dataset", "project")  # they belong to an organization, and there is none here
TYPES = (TEXT, INT, FLOAT, SELECT, BOOLEAN, FLAG, SECRET, *UNSUPPORTED)
ADVANCED = "advanced"

ITEM_KEYS = (
    *("name", "value", "type", "param", "help", "valid", "optional", "readonly", "showIf", "section"),
    *("multiline", "hint", "placeholder", "allowEmpty"),
)
PARAM = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
VARIABLE = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
INTEGER = re.compile(r"[+-]?[0-9]{1,15}")
NUMBER = re.compile(r"[+-]?([0-9]{1,300}(\.[0-9]{0,300})?|\.[0-9]{1,300})([eE][+-]?[0-9]{1,2})?")


@dataclass(frozen=True)
class Choice:
    """A value of a select, and its label on the form."""

    value: str
    label: str


@dataclass(frozen=True)
class ShowIf:
    """Show an item only if the value of the item `parameter` equals `value`, or if it doesn't (not `is_equal`)."""

    parameter: str
    is_equal: bool
    value: str


@dataclass(frozen=True)
class Parameter:
    """A parameter. `default` is text; for flags and booleans, it's `true` or `false`."""

    name: str
    type: str
    param: str
    default: str
    help: str = ""
    hint: str = ""
    placeholder: str = ""
    options: tuple[Choice, ...] = ()
    is_optional: bool = False
    is_readonly: bool = False
    is_multiline: bool = False
    may_be_empty: bool = False
    section: str = ""
    show_if: ShowIf | None = None

    @property
    def is_switch(self) -> bool:
        """True if the value is either on or off."""
        return self.type in (FLAG, BOOLEAN)

    @property
    def values(self) -> list[str]:
        """The values of a select."""
        return [option.value for option in self.options]

    def accepts(self, value: str) -> bool:
        """Return True if `value` is valid for the type. An empty value is, except for a switch."""
        if self.is_switch:
            return value in ("true", "false")
        if self.type == SELECT:
            return value in ("", *self.values)
        pattern = {INT: INTEGER, FLOAT: NUMBER}.get(self.type)
        return not value or pattern is None or pattern.fullmatch(value) is not None


@dataclass(frozen=True)
class Block:
    """An AI Action in `folder`. `entry` is what follows `python` on the command line: its options and the script.

    `variables` are the environment variables that the block requires. `notes` are hints for the block's author.
    """

    folder: Path
    name: str
    description: str
    items: tuple[Parameter, ...]
    entry: tuple[str, ...]
    variables: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def item(self, param: str) -> Parameter | None:
        """Return the item with this `param`."""
        return next((item for item in self.items if item.param == param), None)


def read_block(folder: Path) -> Block:
    """Read the AI Action in `folder`. Raise BlockError."""
    if not folder.is_dir():
        raise BlockError(f"--block: {folder} {'is not a directory' if folder.exists() else 'does not exist'}")
    folder = folder.resolve()
    where = f"{folder / PARAMETERS}"
    try:
        top = json.loads(read_small_file(folder / PARAMETERS))
    except (ValueError, RecursionError) as error:
        raise BlockError(f"{where} is not valid JSON: {error}") from None
    top = as_object(top, where)
    if top.get("version") != 1 or isinstance(top.get("version"), bool):
        raise BlockError(f"{where}: version is {abbreviate(top.get('version'))}, expected 1")
    if top.get("type") != "ai-action":
        raise BlockError(f'{where}: type is {abbreviate(top.get("type"))}, expected "ai-action"')
    info = as_object(top.get("info"), f"{where}: info")
    variables = tuple(as_strings(info.get("requiredEnvVariables", []), f"{where}: info.requiredEnvVariables"))
    for name in variables:
        if not VARIABLE.fullmatch(name):
            raise BlockError(f"{where}: info.requiredEnvVariables: {abbreviate(name)} is not a valid variable name")
    listed = top.get("parameters")
    if not isinstance(listed, list):
        raise BlockError(f"{where}: parameters must be an array, got {abbreviate(listed)}")
    notes: list[str] = []
    items = [_parse_item(value, f"{where}: parameters[{at}]", notes) for at, value in enumerate(listed)]
    _check_together(items, where)
    return Block(
        folder=folder,
        name=get_required_text(info, "name", f"{where}: info"),
        description=get_required_text(info, "description", f"{where}: info"),
        items=tuple(items),
        entry=find_entrypoint(folder),
        variables=variables,
        notes=tuple(notes),
    )


def _parse_item(value: object, where: str, notes: list[str]) -> Parameter:
    given = as_object(value, where)
    param = get_required_text(given, "param", where)
    where = f"{where} ({param})"
    if not PARAM.fullmatch(param):
        raise BlockError(f"{where}: param is {abbreviate(param)}, expected letters, digits, dashes, no spaces")
    kind = given.get("type")
    if kind not in TYPES:
        raise BlockError(f"{where}: type is {abbreviate(kind)}, expected one of {', '.join(TYPES)}")
    if kind == SECRET and (not VARIABLE.fullmatch(param) or param.startswith("EI_")):
        raise BlockError(
            f"{where}: the param of a secret must be the name of an environment variable, and must not begin with EI_"
        )
    unknown = sorted(set(given) - set(ITEM_KEYS))
    if unknown:
        notes.append(
            f"{param}: {PARAMETERS} has {count(len(unknown), 'unknown key')}, ignored here: {', '.join(unknown)}"
        )
    texts = {key: get_text(given, key, where) for key in ("help", "hint", "placeholder", "section")}
    item = Parameter(
        **texts,
        name=get_required_text(given, "name", where),
        type=str(kind),
        param=param,
        default=_parse_default(given, str(kind), where),
        options=_parse_options(given, str(kind), where),
        is_optional=get_flag(given, "optional", where),
        is_readonly=get_flag(given, "readonly", where),
        is_multiline=get_flag(given, "multiline", where),
        may_be_empty=get_flag(given, "allowEmpty", where),
        show_if=_parse_show_if(given.get("showIf"), f"{where}.showIf"),
    )
    for key in ("multiline", "allowEmpty"):
        if given.get(key) and kind != TEXT:
            raise BlockError(f"{where}: {key} is only for items of type string, and this item has type {kind}")
    if not item.accepts(item.default):
        expected = {INT: "a whole number", FLOAT: "a number", SELECT: f"one of {abbreviate(item.values)}"}
        message = f"value is {abbreviate(item.default)}, expected {expected.get(item.type, 'true or false')}"
        raise BlockError(f"{where}: {message}")
    return item


def _parse_default(given: Mapping[str, Any], kind: str, where: str) -> str:
    if "value" not in given and kind not in (SECRET, *UNSUPPORTED):
        raise BlockError(f"{where} is missing value, the default")
    value = given.get("value", "")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        text = str(value)
        # An empty switch is off. Official files also have strings as defaults.
        return {"": "false", "1": "true", "0": "false"}.get(text, text) if kind in (FLAG, BOOLEAN) else text
    raise BlockError(f"{where}: value is {abbreviate(value)}, expected a string, a number, true or false")


def _parse_options(given: Mapping[str, Any], kind: str, where: str) -> tuple[Choice, ...]:
    valid = given.get("valid")
    if kind != SELECT:
        if valid is not None:
            raise BlockError(f"{where}: valid is only for items of type select, and this item has type {kind}")
        return ()
    if not isinstance(valid, list) or not valid:
        raise BlockError(f"{where}: valid is {abbreviate(valid)}, expected the values to select from")
    options = []
    for at, one in enumerate(valid):
        if isinstance(one, str):
            options.append(Choice(one, one))
        else:
            entry = as_object(one, f"{where}: valid[{at}]")
            value = get_text(entry, "value", f"{where}: valid[{at}]")
            options.append(Choice(value, get_required_text(entry, "label", f"{where}: valid[{at}]")))
    if len({option.value for option in options}) < len(options):
        raise BlockError(f"{where}: valid has the same value twice")
    return tuple(options)


def _parse_show_if(value: object, where: str) -> ShowIf | None:
    if value is None:
        return None
    given = as_object(value, where)
    if given.get("operator") not in ("eq", "neq"):
        raise BlockError(f"{where}: operator is {abbreviate(given.get('operator'))}, expected eq or neq")
    if not isinstance(given.get("value"), str):
        raise BlockError(f'{where}: value is {abbreviate(given.get("value"))}, expected a string, such as "true"')
    return ShowIf(get_required_text(given, "parameter", where), given["operator"] == "eq", given["value"])


def _check_together(items: Sequence[Parameter], where: str) -> None:
    params = [item.param for item in items]
    for item in items:
        if params.count(item.param) > 1:
            raise BlockError(f"{where}: the param {item.param} is given twice")
        if item.show_if is not None and item.show_if.parameter not in params:
            named = abbreviate(item.show_if.parameter)
            raise BlockError(f"{where}: {item.param}.showIf names {named}, which is not a param of this block")
