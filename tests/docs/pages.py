"""The pages of the documentation and what is in them: fenced blocks, links and anchors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

PAGES = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
)
FENCE = re.compile(r"^( *)```(.*)$")
LINK = re.compile(r"!?\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.+?) *$")


@dataclass(frozen=True)
class Block:
    """A fenced block: the words after its opening fence, its text, and the line on which that starts, from 1."""

    words: tuple[str, ...]
    text: str
    line: int


def list_blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a page in order, without their indentation."""
    found: list[Block] = []
    lines = iter(enumerate(text.splitlines(), start=1))
    for number, line in lines:
        if opening := FENCE.match(line):
            indent, inside = len(opening[1]), []
            for _, inner in lines:
                if inner.strip() == "```":
                    break
                inside.append(inner[indent:])
            found.append(Block(tuple(opening[2].split()), "".join(f"{one}\n" for one in inside), number + 1))
    return found


def drop_blocks(text: str) -> str:
    """Return the text of a page without its fenced blocks and its code in backticks."""
    kept: list[str] = []
    is_inside = False
    for line in text.splitlines():
        if FENCE.match(line):
            is_inside = not is_inside
        elif not is_inside:
            kept.append(line)
    return re.sub(r"`[^`]*`", "`", "\n".join(kept))


def list_links(text: str) -> Iterator[str]:
    """Yield the targets of a page's links and pictures."""
    yield from LINK.findall(drop_blocks(text))


def list_anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    found: set[str] = set()
    is_inside = False
    for line in text.splitlines():
        if FENCE.match(line):
            is_inside = not is_inside
        elif not is_inside and (heading := HEADING.match(line)):
            words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).lower()
            found.add(re.sub(r"[^\w\- ]", "", words).replace(" ", "-"))
    return found


def read_page(path: Path) -> str:
    """Return the text of a page."""
    return path.read_text(encoding="utf-8")
