"""Read `.dockerignore` like a container builder, and list the files of the build context."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class Rule:
    """One line: the paths it matches, and whether it includes (`!`) or excludes them."""

    pattern: re.Pattern[str]
    includes: bool

    def matches(self, path: PurePosixPath) -> bool:
        """Return True if the line matches the path or one of its folders."""
        return any(self.pattern.fullmatch(str(one)) for one in (path, *path.parents[:-1]))


def read_rules(text: str) -> tuple[Rule, ...]:
    """Return the rules in the text of a `.dockerignore`, in order, without empty lines and comments."""
    lines = [line.strip() for line in text.splitlines()]
    return tuple(
        Rule(_pattern(line.removeprefix("!").strip("/")), line.startswith("!"))
        for line in lines
        if line and not line.startswith("#")
    )


def is_excluded(path: PurePosixPath, rules: Sequence[Rule]) -> bool:
    """Return True if `path`, relative to the build context, is excluded: the last rule that matches decides."""
    excluded = False
    for rule in rules:
        if rule.matches(path):
            excluded = not rule.includes
    return excluded


def context_files(folder: Path) -> list[PurePosixPath]:
    """Return the files of the build context in `folder`, relative to it and sorted, by its `.dockerignore`."""
    rules = read_rules((folder / ".dockerignore").read_text(encoding="utf-8"))
    # Skip folders in which no rule includes anything: a virtual environment has tens of thousands of files.
    found: list[PurePosixPath] = []
    waiting = [folder]
    while waiting:
        for entry in waiting.pop().iterdir():
            path = PurePosixPath(entry.relative_to(folder).as_posix())
            if entry.is_dir():
                if not is_excluded(path, rules) or _has_exceptions(path, rules):
                    waiting.append(entry)
            elif not is_excluded(path, rules):
                found.append(path)
    return sorted(found)


def _has_exceptions(folder: PurePosixPath, rules: Sequence[Rule]) -> bool:
    # Patterns that include are plain paths here, so their text starts with the folder's.
    start = _pattern(f"{folder}/").pattern
    return any(rule.includes and rule.pattern.pattern.startswith(start) for rule in rules)


def _pattern(glob: str) -> re.Pattern[str]:
    """Return a pattern for `glob`: `**/` is any number of folders, `**` anything, `*` and `?` stay within one name."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", glob)
    meaning = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(meaning.get(part, re.escape(part)) for part in parts))
