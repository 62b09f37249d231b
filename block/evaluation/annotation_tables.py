"""Read annotations that other programs wrote: selection tables of Raven, label tracks of Audacity, results of BirdNET.

    Raven     header with Begin Time (s), End Time (s) and a column of labels, tabs between cells
    Audacity  start, end and label with tabs between them, without a header; `\\` begins a line with frequencies
    BirdNET   header with Start (s), End (s) and Common name, or a table in the form of Raven or Audacity

A table is about the recording that it is named after, unless a column names the recording of each row. A table without
rows says that the recording has none of the labels. Equal rows count once: Raven lists a selection once for each view.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from block.evaluation.annotations import (
    FILE,
    LABEL,
    Annotation,
    Annotations,
    as_relative,
    compose_unicode,
    make_event,
    read_csv,
    read_seconds,
)
from block.folder.audacity import track_paths
from block.folder.csv_table import CsvTable, decode_text, read_table
from block.folder.listing import format_path
from block.formatting import list_first, make_printable
from block.settings import SettingsError

ENDINGS = (".txt", ".csv", ".tsv")
# Names of columns in lower case, those to prefer first.
TIMES = (("begin time (s)", "end time (s)"), ("start (s)", "end (s)"), ("start_time", "end_time"), ("start", "end"))
LABELS = (
    "annotation", "label", "species", "common name", "common_name", "species_name", "scientific name",
    "scientific_name", "species code",
)  # fmt: skip
FILES = ("begin path", "begin file", "file", "filepath", "input")
OFFSET = "file offset (s)"  # the start within its file, in tables of several files
SUFFIXES = re.compile(r"(\.table\.\d+)?(\.selections?)?(\.birdnet\.(results|selection\.table))?\.(txt|csv|tsv)$", re.I)
NUMBER = r"[-+]?[\d.,]+(?:e[-+]?\d+)?"
TRACK = re.compile(rf"\s*{NUMBER}\t\s*{NUMBER}\s*(\t.*)?", re.I)


def read_annotations(path: Path, names: Collection[str], warn: Callable[[str], None]) -> Annotations:
    """Read a file of annotations, or a folder of tables and its subfolders.

    `names` are those of the recordings, as `name_uniquely` returns them. Call `warn` for files in the folder that hold
    no annotations. Raise SettingsError with file and line for what can't be read.
    """
    recordings = RecordingNames(names)
    if not path.is_dir():
        rows = _read_table(path, path.name, recordings)
        return read_csv(path, names) if rows is None else Annotations(format_path(str(path)), True, _drop_equal(rows))
    found: list[Annotation] = []
    paths = [
        one
        for one in sorted(path.rglob("*"))
        if one.suffix.lower() in ENDINGS and one.name[:1] != "." and not one.is_dir()
    ]
    for one in paths:
        name = one.relative_to(path).as_posix()
        rows = _read_table(one, name, recordings)
        if rows is None and one.stat().st_size == 0:  # Audacity writes nothing for a track without labels
            rows = [Annotation(str(one), recordings.match_table(one, name), "")]
        if rows is None:
            warn(f"{format_path(str(one))} is ignored: it isn't a table of Raven, Audacity or BirdNET")
        found += rows or ()
    if not found:
        raise SettingsError(
            f"--annotations {path} is a folder without tables; expected selection tables of Raven, label tracks of "
            f"Audacity or results of BirdNET in files ending in {', '.join(ENDINGS)}"
        )
    return Annotations(format_path(str(path)), True, _drop_equal(found))


def _drop_equal(rows: Sequence[Annotation]) -> tuple[Annotation, ...]:
    unique: dict[object, Annotation] = {}
    for row in rows:
        unique.setdefault((row.file, row.label, row.start_s, row.end_s), row)
    return tuple(unique.values())


def _read_table(path: Path, name: str, recordings: RecordingNames) -> list[Annotation] | None:
    """Return the rows of a table with this `name`; None if it isn't one of another program."""
    try:
        lines = decode_text(path).split("\n")
        first = next((line for line in lines if line.strip()), None)
        if first is not None and TRACK.fullmatch(first.rstrip("\r")):
            rows = list(_read_track(path, lines, recordings.match_table(path, name)))
        else:
            table = read_table(path)
            columns = _find_columns(table.header.cells)
            if columns is None:
                return None
            rows = list(_read_rows(path, table, columns, name, recordings))
    except OSError as error:
        raise SettingsError(f"--annotations {path} can't be read: {error.strerror or error}") from None
    return rows


def _read_track(path: Path, lines: Sequence[str], file: str) -> Iterator[Annotation]:
    for number, line in enumerate(lines, start=1):
        place = f"{path}, line {number}"
        if not line.strip() or line.startswith("\\"):
            continue
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) < 2:
            raise SettingsError(
                f"{place}: got {make_printable(line.strip(), 80)!r}; expected start, end and label with tabs between"
            )
        start_s, end_s = (
            read_seconds(place, column, text, lambda text: float(text.replace(",", ".")))
            for column, text in zip(("the start", "the end"), cells, strict=False)
        )
        yield make_event(place, file, cells[2] if len(cells) > 2 else "", start_s, end_s)


def _find_columns(header: Sequence[str]) -> dict[str, int] | None:
    """Return the positions of the columns by their names here; None if the header isn't one of another program."""
    names = [name.strip().lower() for name in header]
    times = next((pair for pair in TIMES if set(pair) <= set(names)), None)
    if times is None or (FILE in names and LABEL in names and times not in TIMES[:2]):
        return None
    chosen = {"start": times[0], "end": times[1]}
    for role, choices in (("label", LABELS), ("file", FILES), ("offset", (OFFSET,))):
        if found := [name for name in choices if name in names]:
            chosen[role] = found[0]
    return {role: names.index(name) for role, name in chosen.items()}


def _read_rows(
    path: Path, table: CsvTable, columns: Mapping[str, int], name: str, recordings: RecordingNames
) -> Iterator[Annotation]:
    if "label" not in columns:
        raise SettingsError(
            f"{path}, line {table.header.line}: got the columns {make_printable(', '.join(table.header.cells), 200)}; "
            "expected one with labels, such as Annotation or Species"
        )
    if not table.rows:  # BirdNET's results have a column for the recording even if they are about one
        yield Annotation(f"{path}, line {table.header.line}", recordings.match_table(path, name), "")
    for row in table.rows:
        place = f"{path}, line {row.line}"
        if len(row.cells) <= max(columns.values()):
            raise SettingsError(f"{place}: got {len(row.cells)} columns, expected {len(table.header.cells)}")
        cells = {role: row.cells[position].strip() for role, position in columns.items()}
        if "file" in columns and not cells["file"]:
            raise SettingsError(f"{place}: got no file; expected the recording that the row is about")
        file = recordings.match_path(place, cells["file"]) if "file" in columns else recordings.match_table(path, name)
        start_s, end_s = (
            read_seconds(place, table.header.cells[columns[role]], cells[role], table.parse_number)
            for role in ("start", "end")
        )
        if cells.get("offset") and "file" in columns:
            offset_s = read_seconds(place, table.header.cells[columns["offset"]], cells["offset"], table.parse_number)
            start_s, end_s = offset_s, offset_s + (end_s - start_s)
        yield make_event(place, file, cells["label"], start_s, end_s)


class RecordingNames:
    """The recordings in the folder, found by what other programs call them: paths elsewhere, and names of tables."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = {compose_unicode(name): name for name in names}
        self._tracks = {track: name for name, track in track_paths(names).items()}
        self._by_stem: defaultdict[str, list[str]] = defaultdict(list)
        self._by_last: defaultdict[str, list[str]] = defaultdict(list)
        for name in sorted(names):
            path = PurePosixPath(compose_unicode(name))
            self._by_stem[str(path.with_suffix(""))].append(name)
            for last in {path.name, path.stem}:
                self._by_last[last].append(name)

    def match_path(self, place: str, text: str) -> str:
        """Return the recording that a path on any machine means; the path in the form of this one if there is none.

        Raise SettingsError if several recordings have the path's last part as their name and none has more of it.
        """
        path = as_relative(text)
        parts = compose_unicode(path).lstrip("/").split("/")
        for at in range(len(parts)):
            if (name := self._names.get("/".join(parts[at:]))) is not None:
                return name
        return self._match_last(place, parts[-1]) or path

    def match_table(self, path: Path, name: str) -> str:
        """Return the recording that the table `name`, relative to the folder of tables, is about, as for a path."""
        if name in self._tracks:
            return self._tracks[name]
        stem = SUFFIXES.sub("", name)
        exact = compose_unicode(stem)
        if exact in self._names:
            return self._names[exact]
        same = self._by_stem.get(exact, [])
        return same[0] if len(same) == 1 else self._match_last(str(path), exact.rpartition("/")[2]) or stem

    def _match_last(self, place: str, last: str) -> str | None:
        found = self._by_last.get(last, [])
        if len(found) > 1:
            raise SettingsError(
                f"{place}: {make_printable(last)!r} may mean {list_first(list(map(make_printable, found)), 3)}; give "
                "annotations as a CSV with the columns file,start_s,end_s,label"
            )
        return found[0] if found else None
