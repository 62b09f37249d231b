"""The simulation as a picture. matplotlib is imported only here, and only when asked to draw."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from block.bench.plan import BenchError
from block.bench.plot import MARKERS
from block.bench.scaling.results import Scaled, shares
from block.bench.scaling.simulation import AMID, DECIDING, LISTING, STARTING, TAIL, WRITING

COLORS = {
    "model": "#0072b2", LISTING: "#999999", STARTING: "#e69f00", AMID: "#d55e00", TAIL: "#cc79a7",
    DECIDING: "#56b4e9", WRITING: "#009e73",
}  # fmt: skip
IN_LEGEND = {
    "model": "model computes", LISTING: "driver lists, makes chunks", STARTING: "worker starts",
    AMID: "waits in mid-run", TAIL: "waits for the last recordings", DECIDING: "driver decides labels",
    WRITING: "driver writes label files",
}  # fmt: skip
LINES = ("#444444", "#009e73", "#d55e00", "#0072b2", "#cc79a7")
WANTED = 0.85


def draw(found: Sequence[Scaled], path: Path) -> None:
    """Efficiency against workers, then for each scenario what became of the workers' time, into a PNG file.

    Raises BenchError if matplotlib is not installed, OSError if the file cannot be written.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise BenchError("the plot: matplotlib not installed")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.6 + 3.0 * len(found), 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 1 + len(found), width_ratios=[1.35, *(1.0 for _ in found)])
    _efficiency(panels[0], found)
    for axes, one in zip(panels[1:], found, strict=True):
        _times(axes, one)
    panels[1].set_ylabel("share of the workers' time")
    handles, names = panels[1].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    figure.savefig(path, dpi=110)


def _efficiency(axes: Any, found: Sequence[Scaled]) -> None:
    for number, one in enumerate(found):
        axes.plot(
            [run.workers for run in one.runs], [one.efficiency(run) for run in one.runs],
            color=LINES[number % len(LINES)], marker=MARKERS[number % len(MARKERS)], label=one.scenario.title,
        )  # fmt: skip
    axes.axhline(WANTED, color="#444444", linestyle=":", linewidth=1)
    counts = sorted({run.workers for one in found for run in one.runs})
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts, [str(count) for count in counts], fontsize=8)
    axes.set_ylim(0, 1.05)
    axes.grid(visible=True, color="#e4e4e4", linewidth=0.6)
    axes.set_xlabel("workers")
    axes.set_ylabel("efficiency against one worker")
    axes.legend(fontsize=8, loc="lower left")


def _times(axes: Any, one: Scaled) -> None:
    places = range(len(one.runs))
    bottoms = [0.0 for _ in one.runs]
    for kind, color in COLORS.items():
        heights = [shares(run)[kind] for run in one.runs]
        axes.bar(places, heights, 0.8, bottom=bottoms, color=color, label=IN_LEGEND[kind])
        bottoms = [bottom + height for bottom, height in zip(bottoms, heights, strict=True)]
    axes.set_xticks(list(places), [str(run.workers) for run in one.runs], fontsize=8)
    axes.set_ylim(0, 1)
    axes.set_xlabel("workers")
    axes.set_title(one.scenario.title, fontsize=10)
