"""Format the simulation as text and as a plot. matplotlib is imported only to draw."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.plan import BenchError
from bench.plot import MARKERS
from bench.scaling.costs import FORMULA, HOURS, Price
from bench.scaling.results import Scaled, limit, shares
from bench.scaling.simulation import AMID, DECIDING, LISTING, STARTING, TAIL, WRITING
from bench.table import align_columns

COLORS = {
    "model": "#0072b2", LISTING: "#999999", STARTING: "#e69f00", AMID: "#d55e00", TAIL: "#cc79a7",
    DECIDING: "#56b4e9", WRITING: "#009e73",
}  # fmt: skip
IN_LEGEND = {
    "model": "model computes", LISTING: "driver lists, makes portions", STARTING: "worker starts",
    AMID: "waits during the run", TAIL: "waits for the last recordings", DECIDING: "driver decides labels",
    WRITING: "driver writes label files",
}  # fmt: skip
LINES = ("#444444", "#009e73", "#d55e00", "#0072b2", "#cc79a7")
WANTED = 0.85


def draw(found: Sequence[Scaled], path: Path) -> None:
    """Draw a PNG file: efficiency against workers, then how the workers spend their time in each scenario.

    Raise BenchError if matplotlib is not installed, OSError if the file can't be written.
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
    axes.set_ylabel("efficiency relative to one worker")
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


def format_results(found: Sequence[Scaled], prices: Sequence[Price]) -> str:
    """Return all results as text."""
    parts = [*(_scenario(one) for one in found), _prices(prices)]
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def _scenario(found: Scaled) -> Iterator[str]:
    first = found.runs[0]
    yield (
        f"{found.scenario.title}: {first.recordings:,} recordings, {first.hours:,.0f} hours, {first.windows:,} "
        f"windows; {found.scenario.costs.workers.window_s:g} s per window"
    )
    yield from align_columns(rows(found))
    yield "  " + ", ".join(f"{name} can feed {many:,.0f} workers" for name, many in found.walls.workers().items())


def rows(found: Scaled) -> list[list[str]]:
    """Return a header and a row for each number of workers."""
    head = ["workers", "hours", "recordings/s", "efficiency", "model", "driver busy", "what limits"]
    return [
        head,
        *(
            [
                str(run.workers), f"{run.total_s / 3600:,.{2 if run.total_s < 360000 else 0}f}",
                f"{run.recordings_s:,.{2 if run.recordings_s < 100 else 0}f}", f"{found.efficiency(run):.2f}",
                f"{shares(run)['model']:.0%}", f"{run.driver_busy:.0%}", limit(run),
            ]
            for run in found.runs
        ),
    ]  # fmt: skip


def price_rows(prices: Sequence[Price]) -> list[list[str]]:
    """Return a header and a row for each scenario."""
    head = [f"{HOURS:,} hours of audio", "windows", "s per window", "worker-hours", "price per hour", "cost"]
    return [
        head,
        *(
            [
                one.title, f"{one.windows:,.0f}", f"{one.window_s:g}",
                f"{one.worker_hours:,.{1 if one.worker_hours < 10 else 0}f}", f"{one.hour:.2f}", f"{one.cost:,.2f}",
            ]
            for one in prices
        ),
    ]  # fmt: skip


def _prices(prices: Sequence[Price]) -> Iterator[str]:
    yield from align_columns(price_rows(prices))
    yield f"  {FORMULA}"
