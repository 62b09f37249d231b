"""Checks of a soak's figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """A promise: its name, whether it was kept, and a short text about what was found."""

    name: str
    kept: bool
    found: str

    def __str__(self) -> str:
        return f"{'ok    ' if self.kept else 'FAILED'} {self.name}: {self.found}"


def at_most(name: str, found: float, limit: float, unit: str = "", digits: int = 1) -> Check:
    """Check that a figure is at most its limit."""
    space = f" {unit}" if unit else ""
    return Check(name, found <= limit, f"{found:,.{digits}f}{space}, at most {limit:,.{digits}f}{space}")


def no_problems(name: str, problems: Iterable[str]) -> Check:
    """Check that there are no problems."""
    found = list(problems)
    return Check(name, not found, "; ".join(found) or "no problems")
