"""HTML and SVG in which text cannot become markup: strings are escaped unless they came out of `tag`."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import TypeAlias

VOID = frozenset({"br", "circle", "hr", "image", "img", "line", "meta", "path", "polyline", "rect"})

Node: TypeAlias = "str | Iterable[Node] | None"


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def tag(name: str, /, *children: Node, **attributes: object) -> Markup:
    """An element. Children that are no `Markup` are escaped; None is left out.

    Attributes are escaped too; `class_` is class, other underscores are dashes; True stands without a value, None and
    False are left out. Numbers have at most two places.
    """
    given = "".join(_attribute(key, value) for key, value in attributes.items() if value is not None)
    if name in VOID:
        return Markup(f"<{name}{given}/>")
    return Markup(f"<{name}{given}>{join(children)}</{name}>")


def join(parts: Iterable[Node]) -> Markup:
    """The parts one after another, escaped where they are no `Markup`."""
    texts = []
    for part in parts:
        if part is None:
            continue
        if isinstance(part, str):
            texts.append(part if isinstance(part, Markup) else html.escape(part))
        else:
            texts.append(join(part))
    return Markup("".join(texts))


def _attribute(key: str, value: object) -> str:
    name = key.rstrip("_").replace("_", "-") if key != "viewBox" else key
    if value is True:
        return f" {name}"
    if value is False:
        return ""
    if isinstance(value, float):
        value = f"{value:.2f}".rstrip("0").rstrip(".")
    return f' {name}="{html.escape(str(value), quote=True)}"'
