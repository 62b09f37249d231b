"""Strict readers of the label files, based on the formats' documentation and not on the code that writes them.

info.labels: what edge-impulse-cli's types and the validator it shares with the service ask for. Audacity: its manual,
"Importing and Exporting Labels". Label Studio: its guide, "Import pre-annotated data", and the Labels tag's results.
CSV: RFC 4180, and the module `csv_table` for what the block does to cells that look like formulas.
"""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Span:
    start: float
    end: float
    label: str


def csv_rows(text: str) -> list[dict[str, str]]:
    """Return the rows of a CSV file. Raise AssertionError if a spreadsheet would treat a cell as a formula."""
    assert text.startswith("\ufeff")
    found = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True))
    assert not [cell for row in found for cell in row.values() if _is_formula(cell)]
    return [{name: _read_cell(cell) for name, cell in row.items()} for row in found]


def _is_formula(cell: str) -> bool:
    return cell[:1] in ("\t", "\r", "\n") or cell.lstrip()[:1] in tuple("=+-@＝＋－＠")


def _read_cell(cell: str) -> str:
    return cell.removeprefix("'") if _is_formula(cell.lstrip("'")) else cell


def info_labels(text: str) -> dict[str, list[Span]]:
    """Return the spans of each path, in values; `end` is the last value. Raise AssertionError for invalid text."""
    content = json.loads(text)
    assert set(content) == {"version", "files"}
    assert content["version"] == 1
    found = {}
    for file in content["files"]:
        assert set(file) <= {"path", "name", "category", "label", "metadata", "boundingBoxes", "attachments"}
        assert file["category"] in ("training", "testing", "validation", "post-processing", "split")
        assert all(isinstance(key, str) and isinstance(value, str) for key, value in file["metadata"].items())
        json.dumps(file["metadata"], ensure_ascii=False).encode("latin-1")  # it is sent in an HTTP header
        assert set(file["label"]) == {"type", "labels"}
        assert file["label"]["type"] == "multi-label"
        spans = []
        for entry in file["label"]["labels"]:
            assert set(entry) == {"startIndex", "endIndex", "label"}
            assert type(entry["startIndex"]) is int
            assert type(entry["endIndex"]) is int
            assert isinstance(entry["label"], str)
            spans.append(Span(entry["startIndex"], entry["endIndex"], entry["label"]))
        assert file["path"] not in found
        found[file["path"]] = spans
    return found


def covers(spans: list[Span], values: int) -> bool:
    """Return True if the spans, in order, cover every value exactly once; `end` is the last value of a span."""
    painted = [0]
    for span in spans:
        if span.start != painted[-1] or not span.start <= span.end <= values - 1:
            return False
        painted.append(int(span.end) + 1)
    return painted[-1] == values


def audacity(text: str) -> list[Span]:
    """Return the spans of a track: lines of start, tab, end, tab, text; in seconds with a decimal point."""
    assert text.endswith("\n")
    spans = []
    for line in text[:-1].split("\n"):
        start, end, label = line.split("\t")
        assert re.fullmatch(r"\d+\.\d{6}", start)
        assert re.fullmatch(r"\d+\.\d{6}", end)
        assert float(start) <= float(end)
        assert label.isprintable()
        spans.append(Span(float(start), float(end), label))
    return spans


def label_studio(tasks: str, interface: str) -> dict[str, list[Span]]:
    """Return each task's predicted spans by its path below the document root; they must fit the interface."""
    view = ET.fromstring(interface)
    (labels,), (sound,) = view.findall("Labels"), view.findall("Audio")
    assert labels.get("toName") == sound.get("name")
    known = [label.attrib["value"] for label in labels]
    assert len(set(known)) == len(known)
    found: dict[str, list[Span]] = {}
    ids: set[str] = set()
    for task in json.loads(tasks):
        address = urlsplit(task["data"][sound.attrib["value"].removeprefix("$")])
        assert address.path == "/data/local-files/"
        (path,) = parse_qs(address.query, strict_parsing=True, errors="surrogateescape")["d"]
        (prediction,) = task["predictions"]
        assert 0 <= prediction["score"] <= 1
        found[path] = [_region(region, labels.get("name"), sound.get("name"), known, ids)
                       for region in prediction["result"]]  # fmt: skip
    return found


def _region(region: dict[str, Any], name: str | None, to: str | None, known: list[str], ids: set[str]) -> Span:
    assert (region["from_name"], region["to_name"], region["type"]) == (name, to, "labels")
    assert region["id"] not in ids
    ids.add(region["id"])
    value = region["value"]
    (label,) = value["labels"]
    assert label in known
    assert 0 <= value["start"] < value["end"] <= region["original_length"]
    assert 0 <= region["score"] <= 1
    return Span(value["start"], value["end"], label)


def tracks(folder: Path) -> dict[str, str]:
    """Return the text of each track by its path in the folder of tracks."""
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in folder.rglob("*.txt")}
