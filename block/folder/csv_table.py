"""The CSV files that the block writes: one writer, and one reader that also reads what spreadsheets save.

They are UTF-8 with a byte order mark, which tells spreadsheets the encoding. A spreadsheet treats a cell as a formula
if it begins with `=`, `+`, `-` or `@`, even after blanks, or with a tab or a line break. Such a cell gets an apostrophe
in front. So does a cell that has only apostrophes before such a beginning: `=1` becomes `'=1`, and `'=1` becomes
`''=1`. The reader removes one apostrophe from those cells, and none from others, such as `'tis.wav`.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from block.runtime.regular_file import open_regular
from block.settings import SettingsError

BOM = "\ufeff"
SEPARATORS = ",;\t"
FORMULA = r"(?:[\t\r\n]|\s*[=+\-@＝＋－＠])"  # Japanese and Chinese spreadsheets accept wide characters
TO_ESCAPE, ESCAPED = re.compile(f"'*{FORMULA}"), re.compile(f"'+{FORMULA}")
# Quote more than CSV requires, for readers that expect other separators or line breaks, or that strip blanks.
TO_QUOTE = re.compile(r'[,;"\t\n\r\v\f\x1c-\x1e\x85\u2028\u2029]|^\s|\s$')
DECLARATION = re.compile(r'"?sep=(.)"?[,;\t]*\s*', re.IGNORECASE)


def escape_cell(text: str) -> str:
    """Return `text` with an apostrophe in front if a spreadsheet would treat it as a formula."""
    return f"'{text}" if TO_ESCAPE.match(text) else text


def unescape_cell(text: str) -> str:
    """Return `text` as it was before `escape_cell`."""
    return text[1:] if ESCAPED.match(text) else text


def format_cell(text: str) -> str:
    """Return a cell, escaped and, if needed, quoted."""
    text = escape_cell(text)
    return '"' + text.replace('"', '""') + '"' if TO_QUOTE.search(text) else text


def format_rows(rows: Iterable[Sequence[str]]) -> str:
    """Return rows as lines that end in CR LF. Write `BOM` first at the start of a file."""
    return "".join(",".join(map(format_cell, row)) + "\r\n" for row in rows)


class CsvRow(NamedTuple):
    """A row: the number of its first line, counted from 1, and its cells without escapes."""

    line: int
    cells: list[str]


@dataclass(frozen=True)
class CsvTable:
    """A CSV file: its first row, the other rows that aren't blank, and what separates cells."""

    header: CsvRow
    rows: list[CsvRow]
    separator: str

    def parse_number(self, text: str) -> float:
        """Return the number in a cell. It may have a decimal comma unless commas separate cells. Raise ValueError."""
        return float(text if self.separator == "," else text.replace(",", "."))


def read_table(path: Path) -> CsvTable:
    """Read a CSV file with commas, semicolons or tabs between cells. A first line such as `sep=;` may name them.

    Raise OSError, or SettingsError with file and line if it can't be read as CSV.
    """
    lines = io.StringIO(decode_text(path), newline="")
    first = lines.readline()
    declared = DECLARATION.fullmatch(first)
    before = 1 if declared else 0
    if not declared:
        lines.seek(0)
    # Without a declaration, take what the header uses most outside of quotes.
    unquoted = re.sub('"[^"]*"', "", first)
    separator = declared[1] if declared else max(SEPARATORS, key=unquoted.count)
    if separator not in SEPARATORS:
        raise SettingsError(
            f"{path}, line 1: got the separator {separator!r}, expected a comma, a semicolon or a tab; save the CSV "
            "with one of these"
        )
    reader = csv.reader(lines, delimiter=separator, strict=True)
    rows: list[CsvRow] = []
    begins = before + 1
    try:
        for cells in reader:
            rows.append(CsvRow(begins, [unescape_cell(cell) for cell in cells]))
            begins = before + reader.line_num + 1
    except csv.Error as error:
        raise SettingsError(f"{path}, line {before + reader.line_num}: {error}") from None
    header, *others = rows or [CsvRow(begins, [])]
    return CsvTable(header, [row for row in others if any(map(str.strip, row.cells))], separator)


def decode_text(path: Path) -> str:
    """Return the text of a file in UTF-8, or in UTF-16 with a byte order mark. Raise OSError or SettingsError."""
    with open_regular(path) as file:
        content = file.read()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding, name = "utf-16", "UTF-16"
    else:
        encoding, name = "utf-8-sig", "UTF-8"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise SettingsError(f"{path}, line {line}: not {name} text; save the CSV as UTF-8") from None
