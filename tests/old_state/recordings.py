"""The recordings that the fixtures are about: the demo's, under other paths, with times of change that never differ."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

DEMO = ROOT / "demo" / "recordings"
NAME = "recordings.json"

Table = Mapping[str, Mapping[str, Any]]


def read_table(fixture: Path) -> Table:
    """The recordings of a fixture by path: the demo's file that each is a copy of, its SHA-256 and time of change."""
    table: Table = json.loads((fixture / NAME).read_text(encoding="utf-8"))
    return table


def lay_out(folder: Path, table: Table) -> Path:
    """Copy the recordings into the new folder `folder`; returns it.

    A manifest and a local Studio know a file by its size and its time of change in nanoseconds, and a score store by
    its content: all three have to be as they were.
    """
    for path, of in table.items():
        source = DEMO / of["copy_of"]
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        assert digest == of["sha256"], f"{source} is not what it was: the fixtures need their own copy of what it held"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / path)
        os.utime(folder / path, ns=(of["mtime_ns"], of["mtime_ns"]))
    return folder
