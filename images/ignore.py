"""What `.dockerignore` lets into the build context, read as a container builder reads it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class Rule:
    """One line: what it matches, and whether that is let in again (`!`) or kept out."""

    pattern: re.Pattern[str]
    lets_in: bool

    def speaks_of(self, path: PurePosixPath) -> bool:
        """Whether the line matches the path, or a folder that it is in."""
        return any(self.pattern.fullmatch(str(one)) for one in (path, *path.parents[:-1]))


def read_rules(text: str) -> tuple[Rule, ...]:
    """The rules of a `.dockerignore`, in order; empty lines and comments are none."""
    lines = [line.strip() for line in text.splitlines()]
    return tuple(
        Rule(_pattern(line.removeprefix("!").strip("/")), line.startswith("!"))
        for line in lines
        if line and not line.startswith("#")
    )


def is_kept_out(path: PurePosixPath, rules: Sequence[Rule]) -> bool:
    """Whether the file at `path`, relative to the build context, is kept out: the last rule to speak of it decides."""
    kept_out = False
    for rule in rules:
        if rule.speaks_of(path):
            kept_out = not rule.lets_in
    return kept_out


def context_files(folder: Path) -> list[PurePosixPath]:
    """The files of the build context in `folder`, relative to it, in order of name. Reads `folder/.dockerignore`."""
    rules = read_rules((folder / ".dockerignore").read_text(encoding="utf-8"))
    # Folders that no rule lets anything in of are not walked: a virtual environment holds tens of thousands of files.
    found: list[PurePosixPath] = []
    waiting = [folder]
    while waiting:
        for entry in waiting.pop().iterdir():
            path = PurePosixPath(entry.relative_to(folder).as_posix())
            if entry.is_dir():
                if not is_kept_out(path, rules) or _holds_exceptions(path, rules):
                    waiting.append(entry)
            elif not is_kept_out(path, rules):
                found.append(path)
    return sorted(found)


def _holds_exceptions(folder: PurePosixPath, rules: Sequence[Rule]) -> bool:
    # Patterns that let in are plain paths here, so their text begins with the folder's.
    start = _pattern(f"{folder}/").pattern
    return any(rule.lets_in and rule.pattern.pattern.startswith(start) for rule in rules)


def _pattern(glob: str) -> re.Pattern[str]:
    """`**/` any folders or none, `**` anything, `*` and `?` within one name."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", glob)
    meaning = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(meaning.get(part, re.escape(part)) for part in parts))
