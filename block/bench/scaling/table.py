"""What the simulation found, as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from block.bench.scaling.price import FORMULA, HOURS, Price
from block.bench.scaling.results import Scaled, limit, shares
from block.bench.table import columns


def text(found: Sequence[Scaled], prices: Sequence[Price]) -> str:
    """All of it."""
    parts = [*(_scenario(one) for one in found), _prices(prices)]
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def _scenario(found: Scaled) -> Iterator[str]:
    first = found.runs[0]
    yield (
        f"{found.scenario.title}: {first.recordings:,} recordings, {first.hours:,.0f} hours, {first.windows:,} "
        f"windows; {found.scenario.costs.workers.window_s:g} s a window"
    )
    yield from columns(rows(found))
    yield "  " + ", ".join(f"{name} feeds {many:,.0f} workers" for name, many in found.walls.workers().items())


def rows(found: Scaled) -> list[list[str]]:
    """A row a number of workers, under a header."""
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
    """A row a scenario, under a header."""
    head = [f"{HOURS:,} hours of audio", "windows", "s a window", "worker-hours", "an hour costs", "cost"]
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
    yield from columns(price_rows(prices))
    yield f"  {FORMULA}"
