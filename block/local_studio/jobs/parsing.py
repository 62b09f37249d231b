"""Values in a block's files, checked: each check raises `BlockError`, with where it was and what was expected."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LARGEST_FILE = 1 << 20  # bytes


class BlockError(Exception):
    """A folder that is no AI Action; one line that says why."""


def read_text(path: Path) -> str:
    """The text of a file. Raises BlockError."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise BlockError(f"{path} is larger than {LARGEST_FILE} bytes")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BlockError(f"{path} does not exist; expected the folder of an AI Action") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BlockError(f"{path} cannot be read: {error}") from None


def as_object(value: object, where: str) -> dict[str, Any]:
    """`value`, which must be a JSON object."""
    if not isinstance(value, dict):
        raise BlockError(f"{where} must be an object, got {shown(value)}")
    return value


def as_strings(value: object, where: str) -> list[str]:
    """`value`, which must be an array of strings."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BlockError(f"{where} must be an array of strings, got {shown(value)}")
    return value


def required_text(given: Mapping[str, Any], key: str, where: str) -> str:
    """The string under `key`, which must hold more than spaces."""
    value = text_of(given, key, where)
    if not value.strip():
        raise BlockError(f"{where} lacks {key}")
    return value


def text_of(given: Mapping[str, Any], key: str, where: str) -> str:
    """The string under `key`, empty where there is none."""
    value = given.get(key, "")
    if not isinstance(value, str):
        raise BlockError(f"{where}: {key} is {shown(value)}, expected a string")
    return value


def flag_of(given: Mapping[str, Any], key: str, where: str) -> bool:
    """True or false under `key`, false where there is none."""
    value = given.get(key, False)
    if not isinstance(value, bool):
        raise BlockError(f"{where}: {key} is {shown(value)}, expected true or false")
    return value


def shown(value: object) -> str:
    """JSON of `value`, cut; on one line, because messages are."""
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
