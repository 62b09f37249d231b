"""What the local Studio's form refuses before a job starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from block.local_studio.jobs.block import read_block
from block.local_studio.jobs.files import JobFiles
from block.local_studio.jobs.models import BlockModels
from block.model.checkpoint import EMBEDDED
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("boundaries", "size", "stride", "problems"),
    [
        ("grid", "2000", "2000", []),
        ("grid", "10", "5", ["win-size-ms"]),
        ("grid", "1000", "2000", ["win-stride-ms"]),
        ("", "10", "5", ["win-size-ms"]),
        ("sound", "10", "5", []),
        ("sound", "1000", "2000", []),
    ],
)
def test_window_size_and_stride_can_be_wrong_only_on_a_grid(
    tmp_path: Path, boundaries: str, size: str, stride: str, problems: list[str]
) -> None:
    models = BlockModels(read_block(ROOT), JobFiles(tmp_path))
    given = {"model": EMBEDDED, "win-size-ms": size, "win-stride-ms": stride, "boundaries": boundaries}
    assert list(models.find_problems(given)) == problems
