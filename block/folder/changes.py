"""Describe what relabeling changed: the labels of each recording before and after, and their totals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from block.folder.csv_table import read_table
from block.folder.label_files import COLUMNS
from block.folder.labeled_file import LabeledFile
from block.formatting import LABELS_LISTED, LabelTotals, add_segment, count, make_printable
from block.settings import SettingsError


class LabelRow(NamedTuple):
    """A row of labels.csv without its score. `end_index` is the segment's last value."""

    start_index: int
    end_index: int
    label: str
    seconds: float


FolderLabels = Mapping[str, Sequence[LabelRow]]  # by the name of the recording


def read_labels(path: Path) -> FolderLabels | None:
    """Return the labels in a labels.csv; None if there is no such file, or only a damaged one."""
    labels: dict[str, list[LabelRow]] = defaultdict(list)
    try:
        table = read_table(path)
        columns = [table.header.cells.index(name) for name in COLUMNS]
        for row in table.rows:
            file, start_s, end_s, start, end, label, _ = (row.cells[at] for at in columns)
            seconds = table.parse_number(end_s) - table.parse_number(start_s)
            labels[file].append(LabelRow(int(start), int(end), label, seconds))
    except (OSError, SettingsError, ValueError, IndexError):
        return None
    return labels


def collect_labels(files: Iterable[LabeledFile]) -> FolderLabels:
    """Return the labels of `files` as `read_labels` reads them from their labels.csv."""
    labels: dict[str, list[LabelRow]] = defaultdict(list)
    for file in files:
        for segment in file.segments:
            seconds = round(file.to_seconds(segment.end), 6) - round(file.to_seconds(segment.start), 6)
            labels[file.name].append(LabelRow(segment.start, segment.end - 1, segment.label, seconds))
    return labels


def describe_changes(before: FolderLabels, after: FolderLabels) -> list[str]:
    """Return the number of recordings whose labels changed, then a table of the labels whose totals changed."""
    names = before.keys() | after.keys()
    changed = sum(
        [row[:3] for row in before.get(name, ())] != [row[:3] for row in after.get(name, ())] for name in names
    )
    if not changed:
        return ["no labels changed"]
    head = f"labels changed in {changed:,} of {count(len(names), 'recording')}"
    old, new = _total(before), _total(after)
    pairs = [(label, old.get(label, (0, 0.0)), new.get(label, (0, 0.0))) for label in old.keys() | new.keys()]
    pairs.sort(key=lambda pair: (-abs(pair[2][1] - pair[1][1]), pair[0]))
    rows = [
        (make_printable(label, 40), f"{one[0]:,}", f"{other[0]:,}", f"{one[1]:,.1f}", f"{other[1]:,.1f}")
        for label, one, other in pairs
    ]
    rows = [row for row in rows if row[1] != row[2] or row[3] != row[4]]
    if not rows:
        return [f"{head}; the totals per label are the same"]
    more = len(rows) - LABELS_LISTED
    return [f"{head}:", *_format_table(rows[:LABELS_LISTED]), *([f"  and {more:,} more labels"] if more > 0 else [])]


def _total(labels: FolderLabels) -> LabelTotals:
    totals: LabelTotals = {}
    for rows in labels.values():
        for row in rows:
            add_segment(totals, row.label, row.seconds)
    return totals


def _format_table(rows: Sequence[tuple[str, str, str, str, str]]) -> list[str]:
    """Return aligned lines, with a head, of labels with their segments and seconds before and after."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    cells = [
        (label, f"{a:>{widths[1]}} -> {b:>{widths[2]}}", f"{c:>{widths[3]}} -> {d:>{widths[4]}}")
        for label, a, b, c, d in rows
    ]
    cells = [("label", "segments", "seconds"), *cells]
    first, second, third = (max(map(len, column)) for column in zip(*cells, strict=True))
    return [f"  {label:<{first}}  {segments:>{second}}  {seconds:>{third}}" for label, segments, seconds in cells]
