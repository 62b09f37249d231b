"""Draw windows per second as bars, in SVG written by hand: matplotlib may not be there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from bench.gpu.facts import ProofReport
from bench.gpu.sizes import Sizes
from bench.gpu.table import format_number, name_device

WIDTH, LEFT, RIGHT, BAR, GAP, TOP = 860, 300, 110, 20, 8, 54
COLORS = {"pipeline": "#777777", "exact": "#0072b2", "merged": "#009e73", "feed": "#e69f00", "bound": "#d55e00"}


@dataclass(frozen=True)
class Bar:
    """A bar: its text, windows per second, and the kind that gives it its color."""

    text: str
    value: float
    kind: str


def collect_bars(report: ProofReport, sizes: Sizes) -> list[Bar]:
    """Return the bars for what was measured."""
    bars = []
    for length_ms in sizes.lengths_ms:
        named = f"{length_ms / 1000:g} s"
        for key, text, kind in (
            (f"pipeline.{length_ms}", f"{named}: transformers' pipeline", "pipeline"),
            (f"end_to_end.exact.{length_ms}", f"{named}: exact, from files", "exact"),
            (f"end_to_end.merged.{length_ms}", f"{named}: merged, from files", "merged"),
            (f"end_to_end.merged-32.{length_ms}", f"{named}: merged-32, from files", "merged"),
            (f"feed.{length_ms}", f"{named}: without the forward pass", "feed"),
        ):
            if (value := report.find(key)) is not None:
                bars.append(Bar(text, value, kind))
    if (bound := report.find("bound")) is not None:
        bars.append(Bar("matrix bound of exact mode", bound, "bound"))
    return bars


def draw_bars(bars: Sequence[Bar], title: str) -> str:
    """Return an SVG image of the bars, from 0 to the largest."""
    most = max((bar.value for bar in bars), default=1.0) or 1.0
    height = TOP + len(bars) * (BAR + GAP) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" '
        f'font-size="13"><rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="12" y="22" font-size="15">{escape(title)}</text>',
        '<text x="12" y="42" fill="#555555">windows per second</text>',
    ]
    for number, bar in enumerate(bars):
        y = TOP + number * (BAR + GAP)
        length = bar.value / most * (WIDTH - LEFT - RIGHT)
        parts.append(
            f'<text x="{LEFT - 8}" y="{y + 15}" text-anchor="end">{escape(bar.text)}</text>'
            f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR}" fill="{COLORS[bar.kind]}"/>'
            f'<text x="{LEFT + length + 6:.1f}" y="{y + 15}">{format_number(bar.value)}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def draw(report: ProofReport, sizes: Sizes) -> str:
    """Return the plot of a proof."""
    dry = "DRY FORM on a CPU, not a GPU: " if report.is_dry else ""
    return draw_bars(collect_bars(report, sizes), f"{dry}{name_device(report)}, block {report.version}")
