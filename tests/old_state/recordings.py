"""The recordings of the fixtures: copies of the demo's, under other paths, with fixed modification times."""

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
    """Return a fixture's recordings by path: the demo file that each copies, its SHA-256 and its modification time."""
    table: Table = json.loads((fixture / NAME).read_text(encoding="utf-8"))
    return table


def lay_out(folder: Path, table: Table) -> Path:
    """Copy the recordings into the new folder `folder`; return it.

    A manifest and a local Studio identify a file by its size and its modification time in nanoseconds, a score store
    by its content, so all three must be the same as when the fixture was written.
    """
    for path, of in table.items():
        source = DEMO / of["copy_of"]
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        assert digest == of["sha256"], f"{source} has changed: add a copy of its earlier version to the fixtures"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / path)
        os.utime(folder / path, ns=(of["mtime_ns"], of["mtime_ns"]))
    return folder
