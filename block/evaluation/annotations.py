"""Read the user's annotations: a CSV of clips or events, or a folder per class. `ground_truth` resolves label names.

    file,label                  clip level: one row per file and label
    file,start_s,end_s,label    strong: one row per event, with its start and end in seconds
    LABEL/anything.wav          a folder per class, without a CSV

Columns may be in any order, and unknown ones are ignored, so the `labels.csv` that `label` writes can be corrected by
hand, or saved by a spreadsheet, and used here. A row with only a file means that the file contains none of the labels.
"""

from __future__ import annotations

import math
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from block.folder.csv_table import escape_cell, read_table
from block.folder.label_files import COLUMNS
from block.folder.listing import format_path, name_uniquely
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


def read_csv(path: Path, names: Collection[str] = ()) -> Annotations:
    """Read annotations. `names` are those of the recordings in the folder, as `name_uniquely` returns them.

    Raise SettingsError with file and line if a row can't be read.
    """
    try:
        table = read_table(path)
    except OSError as error:
        raise SettingsError(f"--annotations {path} can't be read: {error.strerror or error}") from None
    if not any(map(str.strip, table.header.cells)) and not table.rows:
        raise SettingsError(f"{path} is empty; expected a header, {FILE},{LABEL} or {FILE},{START},{END},{LABEL}")
    columns = _find_columns(f"{path}, line {table.header.line}", table.header.cells)
    if not table.rows:
        raise SettingsError(f"{path} has a header but no annotations; add a row for each label")
    rows = [_read_row(f"{path}, line {row.line}", row.cells, columns, table.parse_number) for row in table.rows]
    found = find_files([row.file for row in rows], names, is_labels_csv=tuple(table.header.cells) == COLUMNS)
    rows = [replace(row, file=found[row.file]) for row in rows]
    return Annotations(format_path(str(path)), START in columns, tuple(rows))


def _find_columns(place: str, header: Sequence[str]) -> dict[str, int]:
    """Return the positions of the known columns. Raise SettingsError if one is missing or occurs twice."""
    names = [name.strip().lower() for name in header]
    for name in (FILE, START, END, LABEL):
        if names.count(name) > 1:
            raise SettingsError(f"{place}: got the column {name} {names.count(name)} times, expected it once")
    columns = {name: names.index(name) for name in (FILE, START, END, LABEL) if name in names}
    if FILE not in columns or LABEL not in columns or (START in columns) != (END in columns):
        raise SettingsError(
            f"{place}: got the columns {make_printable(', '.join(header), 200)}; expected {FILE} and {LABEL}, and, if "
            f"labels have times, {START} and {END}"
        )
    return columns


def _read_row(
    place: str, cells: Sequence[str], columns: Mapping[str, int], parse_number: Callable[[str], float]
) -> Annotation:
    if len(cells) <= max(columns.values()):
        raise SettingsError(
            f"{place}: got {count(len(cells), 'column')}, expected at least {max(columns.values()) + 1}; quote labels "
            'that contain a comma: "Waves, surf"'
        )
    given = {name: cells[position].strip() for name, position in columns.items()}
    file, label = cells[columns[FILE]], given[LABEL]
    if not given[FILE]:
        raise SettingsError(f"{place}: got no file; add its path, relative to the folder of recordings")
    if START not in columns:
        return Annotation(place, file, label)
    if not label:
        if given[START] or given[END]:
            raise SettingsError(f"{place}: got times but no label; add the label, or remove the times")
        return Annotation(place, file, label)
    start_s, end_s = (read_seconds(place, name, given[name], parse_number) for name in (START, END))
    return make_event(place, file, label, start_s, end_s)


def make_event(place: str, file: str, label: str, start_s: float, end_s: float) -> Annotation:
    """Return a row with times. Raise SettingsError if it has no label or doesn't end after it starts."""
    if not label:
        raise SettingsError(f"{place}: got times but no label; add the label, or remove the times")
    if not start_s < end_s < math.inf:
        raise SettingsError(f"{place}: got an event from {start_s:g} s to {end_s:g} s; it must end after it starts")
    return Annotation(place, file, label, start_s, end_s)


def read_seconds(place: str, column: str, text: str, parse_number: Callable[[str], float]) -> float:
    """Return the time in a cell. Raise SettingsError if it isn't finite and 0 or more."""
    try:
        value = parse_number(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise SettingsError(
            f"{place}: got {make_printable(text)!r} for {column}, expected seconds, 0 or more, such as 2.5"
        )
    return value


def find_files(given: Sequence[str], names: Collection[str], is_labels_csv: bool) -> dict[str, str]:
    """Return the name that each of the paths `given` means; for a path without a recording, the path.

    A path that is one of `names` means exactly that one. Any other may have Windows separators, blanks around it, or
    another Unicode form, if a single name fits. `label` writes each recording under one name only: in a labels.csv, a
    recording that is there under its own name isn't meant by another path.
    """
    known = frozenset(names)
    free = known.difference(given) if is_labels_csv else known
    by_form: defaultdict[str, list[str]] = defaultdict(list)
    for name in known:
        by_form[compose_unicode(name)].append(name)
    found = {}
    for text in dict.fromkeys(given):
        path = as_relative(text)
        forms = by_form[compose_unicode(path)]
        # People write names as they are in the folder, without the escapes of labels.csv.
        others = (name_uniquely(text), escape_cell(text), path, *(forms if len(forms) == 1 else ()))
        likely = (other for other in others if other in free)
        found[text] = text if text in known else next(likely, text if is_labels_csv else path)
    return found


def compose_unicode(text: str) -> str:
    """Return a name in the Unicode form in which names are compared."""
    return unicodedata.normalize("NFC", text)


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
    return Annotations(f"the folders in {format_path(str(folder))}", False, tuple(rows))
