"""Fixtures that several of these tests share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.security.folder_commands import CommandOutput, run_commands


@pytest.fixture(scope="session")
def command_output(tmp_path_factory: pytest.TempPathFactory, make_checkpoint: Callable[..., Path]) -> CommandOutput:
    """Run the commands that work on folders once, and return what they left and printed."""
    pytest.importorskip("pyarrow")
    pytest.importorskip("sklearn")
    return run_commands(tmp_path_factory.mktemp("names"), make_checkpoint)
