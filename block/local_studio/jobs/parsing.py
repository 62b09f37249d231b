"""Check values in a block's files. A failed check raises `BlockError`, which says where, and what was expected."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from block.runtime.regular_file import read_text

LARGEST_FILE = 1 << 20  # bytes


class BlockError(Exception):
    """A folder is not a valid AI Action; the message is one line."""


def read_small_file(path: Path) -> str:
    """Return the text of a file of at most `LARGEST_FILE` bytes. Raise BlockError."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise BlockError(f"{path} is larger than {LARGEST_FILE:,} bytes")
        return read_text(path)
    except FileNotFoundError:
        raise BlockError(f"{path} does not exist; expected the folder of an AI Action") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BlockError(f"{path} can't be read: {error}") from None


def as_object(value: object, where: str) -> dict[str, Any]:
    """Return `value`, which must be a JSON object."""
    if not isinstance(value, dict):
        raise BlockError(f"{where} must be an object, got {abbreviate(value)}")
    return value


def as_strings(value: object, where: str) -> list[str]:
    """Return `value`, which must be an array of strings."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BlockError(f"{where} must be an array of strings, got {abbreviate(value)}")
    return value


def get_required_text(given: Mapping[str, Any], key: str, where: str) -> str:
    """Return the string at `key`, which must not be blank."""
    value = get_text(given, key, where)
    if not value.strip():
        raise BlockError(f"{where} is missing {key}")
    return value


def get_text(given: Mapping[str, Any], key: str, where: str) -> str:
    """Return the string at `key`, or an empty string if it's absent."""
    value = given.get(key, "")
    if not isinstance(value, str):
        raise BlockError(f"{where}: {key} is {abbreviate(value)}, expected a string")
    return value


def get_flag(given: Mapping[str, Any], key: str, where: str) -> bool:
    """Return the boolean at `key`, or False if it's absent."""
    value = given.get(key, False)
    if not isinstance(value, bool):
        raise BlockError(f"{where}: {key} is {abbreviate(value)}, expected true or false")
    return value


def abbreviate(value: object) -> str:
    """Return `value` as one line of JSON, cut at 80 characters."""
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
