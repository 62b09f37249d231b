"""Read the values of options from their text. Each function raises argparse.ArgumentTypeError for any other text."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence


def read_whole_number(text: str) -> int:
    """Return the text as a whole number."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a whole number") from None


def read_number(text: str) -> float:
    """Return the text as a number that is neither infinite nor NaN."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number")
    return value


def read_confidence(text: str) -> float:
    """Return the text as a number from 0 to 1."""
    value = read_number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number from 0 to 1")
    return value


def read_hours(text: str) -> float:
    """Return the text as a number greater than 0."""
    value = read_number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number of hours greater than 0")
    return value


def read_choice(choices: Sequence[str]) -> Callable[[str], str]:
    """Return a function that accepts only these texts."""

    def read(text: str) -> str:
        if text not in choices:
            raise argparse.ArgumentTypeError(f"got {text!r}, expected {' or '.join(choices)}")
        return text

    return read
