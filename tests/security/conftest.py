"""What several of these tests look at is made once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.security.commanded import Commanded
from tests.security.commanded import commanded as run_commands


@pytest.fixture(scope="session")
def commanded(tmp_path_factory: pytest.TempPathFactory, make_checkpoint: Callable[..., Path]) -> Commanded:
    """The commands that work on folders have run."""
    pytest.importorskip("pyarrow")
    pytest.importorskip("sklearn")
    return run_commands(tmp_path_factory.mktemp("names"), make_checkpoint)
