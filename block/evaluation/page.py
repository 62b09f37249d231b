"""The frame of the report: one HTML page that asks nobody for anything, its style, and a few lines of script."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from block.evaluation.markup import Markup, join, tag

# The browser itself holds the page to it: nothing may be loaded from anywhere.
POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
STYLE = Path(__file__).with_name("report.css")
SCRIPT = Path(__file__).with_name("report.js")


def page(title: str, lead: Sequence[Markup], sections: Sequence[tuple[str, str, Sequence[Markup]]]) -> str:
    """The page. A section is its anchor, its heading and its content; those without content are left out."""
    full = [(anchor, heading, content) for anchor, heading, content in sections if content]
    links = [tag("a", heading, href=f"#{anchor}") for anchor, heading, _ in full]
    body = tag(
        "body",
        tag("header", tag("h1", title), lead, tag("nav", links)),
        tag("main", [tag("section", tag("h2", heading), content, id=anchor) for anchor, heading, content in full]),
        tag("script", Markup(SCRIPT.read_text(encoding="utf-8"))),
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("style", Markup(STYLE.read_text(encoding="utf-8"))),
    )
    return join([Markup("<!DOCTYPE html>\n"), tag("html", head, body, lang="en")])
