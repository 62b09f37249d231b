"""The colors of labels in pages and reports: eight that color-blind people can tell apart, and gray for all else.

The eight are Paul Tol's light scheme (https://sronpersonalpages.nl/~pault). A dark page fills with darker shades of
them, on which light text can be read, and draws edges in the colors themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class LabelColor:
    """One color in hexadecimal: `fill` is behind text; `edge` is for lines and borders, which must stand out.

    `swatch` fills what is too small for text. It is the same on light and dark pages.
    """

    swatch: str
    fill: str
    edge: str
    dark_fill: str
    dark_edge: str


PALETTE = (
    LabelColor("#77aadd", "#77aadd", "#215283", "#1b446e", "#77aadd"),
    LabelColor("#ee8866", "#ee8866", "#db4918", "#77280d", "#ee8866"),
    LabelColor("#eedd88", "#eedd88", "#756411", "#4d420b", "#eedd88"),
    LabelColor("#ffaabb", "#ffaabb", "#84001a", "#8a001c", "#ffaabb"),
    LabelColor("#99ddff", "#99ddff", "#0082c4", "#00466a", "#99ddff"),
    LabelColor("#44bb99", "#44bb99", "#1a463a", "#1b4a3d", "#44bb99"),
    LabelColor("#bbcc33", "#bbcc33", "#6c751d", "#404511", "#bbcc33"),
    LabelColor("#aaaa00", "#aaaa00", "#575700", "#444400", "#aaaa00"),
    LabelColor("#b4bcc2", "#dddddd", "#66717a", "#3a444c", "#a9b3bb"),
)
GRAY = len(PALETTE) - 1  # the number of the other label's color
COLORS = GRAY  # numbers below it are for all other labels


def choose_color(used: Iterable[int]) -> int:
    """Return the number of the color that `used` has least often; the first of equals."""
    taken = list(used)
    return min(range(COLORS), key=taken.count)


def assign_colors(labels: Iterable[str], other: str, known: Mapping[str, int]) -> dict[str, int]:
    """Return the color of each label, and of the `other` label: the one in `known`, or one that is free."""
    colors = {**known, other: GRAY}
    for label in labels:
        if label not in colors:
            colors[label] = choose_color(colors.values())
    return colors


def format_css() -> str:
    """Return a style sheet with a class for each color, `c0` and so on, which sets --label, --edge and --swatch.

    The system says whether the page is dark, unless `data-theme` of the root does.
    """
    light = [f".c{i} {{ --label: {one.fill}; --edge: {one.edge}; --swatch: {one.swatch}; }}" for i, one in _numbered()]
    dark = [f"  .c{i} {{ --label: {one.dark_fill}; --edge: {one.dark_edge}; }}" for i, one in _numbered()]
    by_system = [line.replace("  .c", '  :root:not([data-theme="light"]) .c') for line in dark]
    chosen = [line.replace("  .c", ':root[data-theme="dark"] .c') for line in dark]
    return "\n".join([*light, "@media (prefers-color-scheme: dark) {", *by_system, "}", *chosen, ""])


def _numbered() -> Iterable[tuple[int, LabelColor]]:
    return enumerate(PALETTE)
