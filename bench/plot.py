"""Plot throughput against window length. matplotlib is imported only here, and only to draw."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.contenders import TRANSFORMERS
from bench.plan import BenchError
from bench.results import OnCheckpoint, Rate
from bench.table import name_of

COLORS = ("#444444", "#0072b2", "#56b4e9", "#d55e00", "#e69f00", "#009e73", "#cc79a7", "#8b5a2b")
MARKERS = "osv^Dp*X"


def draw(checkpoints: Sequence[OnCheckpoint], title: str, path: Path) -> None:
    """Draw a PNG file: one panel per checkpoint, one line per contender at its best batch size, both axes logarithmic.

    Raise BenchError if matplotlib is not installed, OSError if the file can't be written.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise BenchError("the plot: matplotlib not installed")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    measured = [on for on in checkpoints if on.rates]
    figure = Figure(figsize=(6.4 * max(1, len(measured)), 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=10)
    for number, on in enumerate(measured):
        axes = figure.add_subplot(1, len(measured), number + 1)
        _panel(axes, on)
    figure.savefig(path, dpi=110)


def _panel(axes: Any, on: OnCheckpoint) -> None:
    from matplotlib.ticker import FuncFormatter, NullLocator

    lengths = sorted({rate.window_ms for rate in on.rates})
    for number, kind in enumerate(dict.fromkeys(rate.kind for rate in on.rates)):
        rates = [rate for length in lengths if (rate := on.rate(kind, length)) is not None]
        color, marker = COLORS[number % len(COLORS)], MARKERS[number % len(MARKERS)]
        axes.plot(
            [rate.window_ms / 1000 for rate in rates], [rate.windows_s for rate in rates],
            color=color, linestyle="--" if kind == TRANSFORMERS else "-", linewidth=1.6, label=_label(kind, rates),
        )  # fmt: skip
        measured = [rate for rate in rates if rate.measured_ms == rate.window_ms]
        axes.plot(
            [rate.window_ms / 1000 for rate in measured], [rate.windows_s for rate in measured],
            color=color, marker=marker, linestyle="none", markersize=6,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks([length / 1000 for length in lengths])
    plain = FuncFormatter(lambda value, position: f"{value:g}")
    axes.xaxis.set_major_formatter(plain)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(plain)
    axes.yaxis.set_minor_formatter(plain)
    axes.tick_params(axis="y", which="minor", labelsize=7)
    axes.grid(visible=True, which="both", color="#e4e4e4", linewidth=0.6)
    has_copied = any(rate.measured_ms != rate.window_ms for rate in on.rates)
    axes.set_xlabel("window, seconds" + (" (lines without markers: measured at one length)" if has_copied else ""))
    axes.set_ylabel("windows per second")
    axes.set_title(f"{on.name}, {on.dtype}", fontsize=10)
    axes.legend(fontsize=8, loc="best", frameon=True)


def _label(kind: str, rates: Sequence[Rate]) -> str:
    batches = sorted({rate.batch for rate in rates})
    return f"{name_of(kind)}, batch {'/'.join(map(str, batches))}"
