"""The user's annotations: a CSV of clips or of events, or a folder per class. `ground_truth` reads their names.

    file,label                  clip level: several rows a file for several labels
    file,start_s,end_s,label    strong: from when to when, in seconds
    LABEL/anything.wav          a folder per class, without any CSV

Columns may be in any order, and others are ignored, so that `labels.csv` as `label` writes it can be corrected by hand
and used. A row with nothing but a file says that none of the labels is heard in it.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from block.formatting import make_printable
from block.settings import SettingsError

FILE, LABEL, START, END = "file", "label", "start_s", "end_s"


@dataclass(frozen=True)
class Annotation:
    """One annotation. `label` is as typed, empty for "none of them"; times are None at clip level. `place` names it."""

    place: str
    file: str
    label: str
    start_s: float | None = None
    end_s: float | None = None


@dataclass(frozen=True)
class Annotations:
    """All rows, in order. `is_strong` if they say from when to when."""

    source: str
    is_strong: bool
    rows: tuple[Annotation, ...]

    @property
    def files(self) -> list[str]:
        """Return the annotated files, in order of first appearance."""
        return list(dict.fromkeys(row.file for row in self.rows))


def read_csv(path: Path) -> Annotations:
    """Read annotations. Raises SettingsError, naming file and line, for what cannot be one."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise SettingsError(f"{path}, line {line}: not UTF-8 text; save it as a CSV in UTF-8") from None
    except OSError as error:
        raise SettingsError(f"--annotations {path} cannot be read: {error.strerror or error}") from None
    lines = text.splitlines(keepends=True)
    if not "".join(lines).strip():
        raise SettingsError(f"{path} is empty; expected a header: {FILE},{LABEL} or {FILE},{START},{END},{LABEL}")
    # The separator that the header uses most: a comma, or what spreadsheets write in its place.
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
        raise SettingsError(f"{path} holds a header and no annotation")
    return Annotations(str(path), is_strong, tuple(rows))


def _find_columns(path: Path, header: Sequence[str]) -> dict[str, int]:
    """Return the places of the known columns. Raises SettingsError if one is missing or there twice."""
    names = [name.strip().lower() for name in header]
    for name in (FILE, START, END, LABEL):
        if names.count(name) > 1:
            raise SettingsError(f"{path}, line 1: the column {name} is there {names.count(name)} times")
    columns = {name: names.index(name) for name in (FILE, START, END, LABEL) if name in names}
    if FILE not in columns or LABEL not in columns or (START in columns) != (END in columns):
        raise SettingsError(
            f"{path}, line 1: the columns are {make_printable(', '.join(header), 200)}; expected {FILE} and {LABEL}, "
            f"and for strong labels {START} and {END} too"
        )
    return columns


def _read_row(place: str, cells: Sequence[str], columns: dict[str, int], is_strong: bool) -> Annotation:
    if len(cells) <= max(columns.values()):
        raise SettingsError(
            f"{place}: {len(cells)} columns, expected at least {max(columns.values()) + 1}; a label that holds a "
            'comma is written in quotes: "Waves, surf"'
        )
    given = {name: cells[position].strip() for name, position in columns.items()}
    file, label = as_relative(given[FILE]), given[LABEL]
    if not file:
        raise SettingsError(f"{place}: no file is named")
    if not is_strong:
        return Annotation(place, file, label)
    if not label:
        if given[START] or given[END]:
            raise SettingsError(f"{place}: times without a label")
        return Annotation(place, file, label)
    start_s, end_s = _read_seconds(place, START, given[START]), _read_seconds(place, END, given[END])
    if not start_s < end_s:
        raise SettingsError(f"{place}: the event lasts from {start_s:g} s to {end_s:g} s; it must end after it starts")
    return Annotation(place, file, label, start_s, end_s)


def _read_seconds(place: str, column: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise SettingsError(f"{place}: {column} is {make_printable(text)!r}; expected seconds, 0 or more")
    return value


def as_relative(file: str) -> str:
    """Return a path for comparison: with `/` between its parts, and without `./` before them."""
    text = file.replace("\\", "/").strip()
    return str(PurePosixPath(text)) if text else ""


def from_folders(folder: Path, files: Iterable[str]) -> Annotations:
    """Annotate each of `files`, paths relative to `folder`, with the name of its topmost folder.

    Files outside of any folder are not annotated. Raises SettingsError if all are.
    """
    rows = [
        Annotation(f"folder {top}", file, top) for file in files for top, slash, _ in [file.partition("/")] if slash
    ]
    if not rows:
        raise SettingsError(
            f"{folder} holds no folder with recordings; expected a folder per class, or --annotations FILE"
        )
    return Annotations(f"the folders in {folder}", False, tuple(rows))
