"""The soak's figures as tables between markers in docs/faults.md."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from block.formatting import format_duration
from tests.faults.row import Row
from tests.soak.recordings import Soaked

COLUMNS = ("what happens", "what the block does", "takes", "what it reports", "exit")
NOTHING_REPORTED = "nothing"


@dataclass(frozen=True)
class Line:
    """A row of the table in docs/faults.md."""

    group: str
    happens: str
    does: str
    takes: str
    reports: str
    code: int

    @classmethod
    def of(cls, row: Row, seconds: float) -> Line:
        """Make a line from a row and the time it took."""
        reports = f"`{row.reports}`" if row.reports else NOTHING_REPORTED
        return cls(row.group, row.happens, row.does, took(seconds), reports, row.code)

    def __str__(self) -> str:
        return f"| {self.happens} | {self.does} | {self.takes} | {self.reports} | {self.code} |"


def took(seconds: float) -> str:
    """Return a duration, rounded for the table."""
    if seconds < 0.95:
        return "under 1 s"
    return f"{seconds:.0f} s" if seconds < 119.5 else format_duration(seconds)


def fault_tables(timed: Sequence[tuple[Row, float]]) -> str:
    """Return one table per group, from rows and the seconds that they took."""
    parts = []
    for group, lines in groupby((Line.of(row, seconds) for row, seconds in timed), key=lambda line: line.group):
        head = f"### {group}\n\n| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"
        parts.append("\n".join([head, *map(str, lines)]))
    return "\n\n".join(parts)


def read_fault_tables(text: str) -> list[Line]:
    """Parse the output of `fault_tables`. Raise ValueError for a table of another form."""
    found, group = [], ""
    for line in text.splitlines():
        if line.startswith("### "):
            group = line.removeprefix("### ")
        elif line.startswith("| ") and line != f"| {' | '.join(COLUMNS)} |":
            happens, does, takes, reports, code = line[2:-2].split(" | ")
            found.append(Line(group, happens, does, takes, reports, int(code)))
    return found


def recordings_table(soaked: Soaked) -> str:
    """Return a table of the figures of a run over many recordings."""
    hours = soaked.audio_s / 3600
    figures = [
        ("recordings", f"{soaked.count:,}, {hours:.1f} hours of audio"),
        ("time", f"{soaked.seconds:.0f} s, {soaked.count / soaked.seconds:.0f} recordings per second"),
        ("labeled in Studio; written more than once", f"{soaked.labeled:,}; {soaked.doubled}"),
        ("peak memory", f"{soaked.peak_mb:.0f} MB"),
        ("memory growth over the last 80 % of the run (linear fit)", f"{soaked.growth_mb:+.1f} MB"),
        ("peak memory of the second half minus that of the first", f"{soaked.halves_mb:+.1f} MB"),
        ("median call in ms, by tenths of the run", " · ".join(f"{one.median_ms:.1f}" for one in soaked.tenths)),
        ("99th percentile of calls in ms, by tenths", " · ".join(f"{one.p99_ms:.0f}" for one in soaked.tenths)),
        ("log lines", f"{soaked.log_lines:,}"),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in figures)])


def kills_table(found: Mapping[str, Any]) -> str:
    """Return a sentence and a table about killed runs, one line per scenario."""
    lines = [f"| {name} | {one['points']} | {one['most_written_again']} |" for name, one in found["scenarios"].items()]
    head = "| run with | killed | most recordings that a second run rewrote |"
    summary = f"{found['points']} runs, of which {found['killed']} were still running when the signal came."
    wrong = len(found["problems"])
    same = "After each restart, Studio held the same as after an undisturbed run"
    outcome = f"{wrong} of them went wrong" if wrong else same
    return "\n".join([f"{summary} {outcome}.", "", head, "|---|---|---|", *lines])


def marked(text: str, name: str) -> str:
    """Return the text between the markers of `name`. Raise ValueError if they are missing."""
    return _between(text, name).group(2)


def with_marked(text: str, name: str, new: str) -> str:
    """Return `text` with `new` between the markers of `name`. Raise ValueError if they are missing."""
    found = _between(text, name)
    return f"{text[: found.start(2)]}\n{new}\n{text[found.end(2) :]}"


def _between(text: str, name: str) -> re.Match[str]:
    found = re.search(rf"(<!-- soak:{name} -->)(.*?)(<!-- /soak:{name} -->)", text, re.DOTALL)
    if found is None:
        raise ValueError(f"no markers for {name!r}")
    return found
