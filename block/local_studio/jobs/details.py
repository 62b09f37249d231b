"""Read the details that a running block reports: a file with one JSON line per recording, read while it grows.

A faulty block must not break the pages. So invalid lines are skipped, only documented fields of the right type are
kept, and sizes are limited.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from block.edge_impulse.run_record import RunRecord
from block.runtime.hashing import SHA256
from block.runtime.regular_file import open_regular

RUN = b'{"run":'
LARGEST_LINE = 16 << 20  # bytes; enough for an hour in 25 ms segments
LARGEST_READ = 32 << 20  # bytes at a time
LONGEST_TEXT = 2000  # characters of an error or a label


class DetailsFile:
    """The details file at `path`, which may not exist yet, of a job on the samples `sample_ids`.

    `run` says how the job decides labels, once the block has reported it.
    """

    def __init__(self, path: Path, sample_ids: Collection[int]) -> None:
        self._path = path
        self._sample_ids = frozenset(sample_ids)
        self._at = 0
        self.run: RunRecord | None = None

    def read_new(self) -> dict[int, dict[str, object]]:
        """Return the details added since the last call, by sample id. An incomplete last line is read next time."""
        try:
            with open_regular(self._path) as file:
                file.seek(self._at)
                read = file.read(LARGEST_READ)
        except OSError:
            return {}
        end = read.rfind(b"\n") + 1
        if not end and len(read) > LARGEST_LINE:
            end = len(read)  # no valid line is that long; its rest won't be valid JSON either
        self._at += end
        found = {}
        for line in read[:end].splitlines():
            self.run = parse_run(line) or self.run
            parsed = parse_line(line)
            if parsed is not None and parsed[0] in self._sample_ids:
                found[parsed[0]] = parsed[1]
        return found


def parse_run(line: bytes) -> RunRecord | None:
    """Return how a job decides labels, or None if the line says something else."""
    if not line.startswith(RUN) or len(line) > LARGEST_LINE:
        return None
    try:
        return RunRecord.from_json(json.loads(line)["run"])
    except (ValueError, KeyError, RecursionError, OverflowError):
        return None


def parse_line(line: bytes) -> tuple[int, dict[str, object]] | None:
    """Return the sample id and the details in a line, or None if the line is invalid."""
    if len(line) > LARGEST_LINE:
        return None
    try:
        entry = json.loads(line, parse_constant=lambda name: None)
        sample = entry["sample"]
        if isinstance(sample, bool) or not isinstance(sample, int):
            return None
        if "error" in entry:
            return sample, {"error": _parse_text(entry["error"])}
        content = entry.get("content", "")
        known = {"content": content} if isinstance(content, str) and SHA256.fullmatch(content) else {}
        return sample, {**known, "segments": [_parse_segment(one) for one in entry["segments"]]}
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return None


def _parse_segment(value: dict[str, Any]) -> dict[str, object]:
    required = {key: FIELDS[key](value[key]) for key in ("startIndex", "endIndex", "label")}
    return required | {key: check(value[key]) for key, check in FIELDS.items() if value.get(key) is not None}


def _parse_text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    # UTF-8 can't encode lone surrogates.
    return value[:LONGEST_TEXT].encode("utf-8", "replace").decode()


def _parse_whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise TypeError
    return value


def _parse_number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e9 < value < 1e9:
        raise TypeError
    return float(value)


def _parse_runners_up(value: Any) -> list[list[object]]:
    return [[_parse_text(name), _parse_number(score)] for name, score in value[:10]]


FIELDS: dict[str, Callable[[Any], object]] = {
    **dict.fromkeys(("score", "loudnessDbfs", "margin"), _parse_number),
    **dict.fromkeys(("startIndex", "endIndex", "windows", "agreeing"), _parse_whole),
    "label": _parse_text,
    "runnersUp": _parse_runners_up,
}
