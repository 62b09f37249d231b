"""`labels.csv`: a row a segment, for spreadsheets and data frames. Fields are quoted as RFC 4180 says."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from block.folder.labeled import LabeledFile

COLUMNS = ("file", "start_s", "end_s", "start_index", "end_index", "label", "score")


def header() -> str:
    """The first line."""
    return rows([COLUMNS])


def labels_of(file: LabeledFile) -> str:
    """A row a segment. `end_index` is the last value of the segment; `end_s` is the time at which the next begins."""
    return rows(
        (
            file.name, f"{file.seconds(segment.start):.6f}", f"{file.seconds(segment.end):.6f}",
            segment.start, segment.end - 1, segment.label, f"{segment.score:.4f}",
        )
        for segment in file.segments
    )  # fmt: skip


def rows(cells: Iterable[Sequence[object]]) -> str:
    """Lines of CSV, each with CR LF at its end. In quotes: what holds a comma, a quote or the end of a line."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(cells)
    return text.getvalue()
