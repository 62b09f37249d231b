"""Read the user's annotations: a CSV of clips or events, or a folder per class. `ground_truth` resolves label names.

    file,label                  clip level: one row per file and label
    file,start_s,end_s,label    strong: one row per event, with its start and end in seconds
    LABEL/anything.wav          a folder per class, without a CSV

Columns may be in any order, and unknown ones are ignored, so the `labels.csv` that `label` writes can be corrected by
hand and used here. A row with only a file means that the file contains none of the labels.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from block.formatting import count, make_printable
from block.settings import SettingsError

FILE, LABEL, START, END = "file", "label", "start_s", "end_s"


@dataclass(frozen=True)
class Annotation:
    """One row. `label` is as typed, empty for "no label"; times are None at clip level. `place` is file and line."""

    place: str
    file: str
    label: str
    start_s: float | None = None
    end_s: float | None = None


@dataclass(frozen=True)
class Annotations:
    """All rows, in order. `is_strong` is True if they have start and end times."""

    source: str
    is_strong: bool
    rows: tuple[Annotation, ...]

    @property
    def files(self) -> list[str]:
        """Return the annotated files, in order of first appearance."""
        return list(dict.fromkeys(row.file for row in self.rows))


def read_csv(path: Path) -> Annotations:
    """Read annotations. Raise SettingsError with file and line if a row can't be read."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise SettingsError(f"{path}, line {line}: not UTF-8 text; save the CSV as UTF-8") from None
    except OSError as error:
        raise SettingsError(f"--annotations {path} cannot be read: {error.strerror or error}") from None
    lines = text.splitlines(keepends=True)
    if not "".join(lines).strip():
        raise SettingsError(f"{path} is empty; expected a header, {FILE},{LABEL} or {FILE},{START},{END},{LABEL}")
    # Spreadsheets may write semicolons or tabs instead of commas: take what the header uses most.
    reader = csv.reader(lines, delimiter=max(",;\t", key=lines[0].count), strict=True)
    rows: list[Annotation] = []
    try:
        columns = _find_columns(path, next(reader))
        is_strong = START in columns
        before = reader.line_num
        for cells in reader:
            line, before = before + 1, reader.line_num
            if any(cell.strip() for cell in cells):
                rows.append(_read_row(f"{path}, line {line}", cells, columns, is_strong))
    except csv.Error as error:
        raise SettingsError(f"{path}, line {reader.line_num}: {error}") from None
    if not rows:
        raise SettingsError(f"{path} has a header but no annotations; add a row for each label")
    return Annotations(str(path), is_strong, tuple(rows))


def _find_columns(path: Path, header: Sequence[str]) -> dict[str, int]:
    """Return the positions of the known columns. Raise SettingsError if one is missing or occurs twice."""
    names = [name.strip().lower() for name in header]
    for name in (FILE, START, END, LABEL):
        if names.count(name) > 1:
            raise SettingsError(f"{path}, line 1: got the column {name} {names.count(name)} times, expected it once")
    columns = {name: names.index(name) for name in (FILE, START, END, LABEL) if name in names}
    if FILE not in columns or LABEL not in columns or (START in columns) != (END in columns):
        raise SettingsError(
            f"{path}, line 1: got the columns {make_printable(', '.join(header), 200)}; expected {FILE} and {LABEL}, "
            f"and, if labels have times, {START} and {END}"
        )
    return columns


def _read_row(place: str, cells: Sequence[str], columns: dict[str, int], is_strong: bool) -> Annotation:
    if len(cells) <= max(columns.values()):
        raise SettingsError(
            f"{place}: got {count(len(cells), 'column')}, expected at least {max(columns.values()) + 1}; quote labels "
            'that contain a comma: "Waves, surf"'
        )
    given = {name: cells[position].strip() for name, position in columns.items()}
    file, label = as_relative(given[FILE]), given[LABEL]
    if not file:
        raise SettingsError(f"{place}: got no file; add its path, relative to the folder of recordings")
    if not is_strong:
        return Annotation(place, file, label)
    if not label:
        if given[START] or given[END]:
            raise SettingsError(f"{place}: got times but no label; add the label, or remove the times")
        return Annotation(place, file, label)
    start_s, end_s = _read_seconds(place, START, given[START]), _read_seconds(place, END, given[END])
    if not start_s < end_s:
        raise SettingsError(f"{place}: got an event from {start_s:g} s to {end_s:g} s; it must end after it starts")
    return Annotation(place, file, label, start_s, end_s)


def _read_seconds(place: str, column: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise SettingsError(f"{place}: got {make_printable(text)!r} for {column}, expected seconds, 0 or more")
    return value


def as_relative(file: str) -> str:
    """Return a path in the form in which paths are compared: with `/` as separator and without a leading `./`."""
    text = file.replace("\\", "/").strip()
    return str(PurePosixPath(text)) if text else ""


def from_folders(folder: Path, files: Iterable[str]) -> Annotations:
    """Annotate each of `files`, paths relative to `folder`, with the name of its top-level folder.

    Files that aren't in a subfolder get no annotation. Raise SettingsError if no file is in one.
    """
    rows = [
        Annotation(f"folder {top}", file, top) for file in files for top, slash, _ in [file.partition("/")] if slash
    ]
    if not rows:
        raise SettingsError(f"{folder} has no subfolder with recordings; use one per class, or give --annotations FILE")
    return Annotations(f"the folders in {folder}", False, tuple(rows))
