"""Every module can be imported, even if no test and no command imports it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import EMBEDDED, ROOT

PACKAGES = [ROOT / name for name in ("block", "bench", "images", "demo", "locked", "tests")] + [EMBEDDED / "recipe"]


def imported(*packages: Path) -> dict[str, Any]:
    """Import the packages in a separate process. Return what `tests.importing` found."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.importing", *map(str, packages)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
def test_every_module_of_the_repository_can_be_imported() -> None:
    found = imported(*PACKAGES)
    assert found["failed"] == {}
    assert found["imported"] > len(found["missing"])
    if found["missing"]:
        pytest.skip(", ".join(f"{name}: {package} is not installed" for name, package in found["missing"].items()))


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "made_up"
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "inner" / "there.py").write_text("HERE = 1\n")
    return folder


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("from made_up.inner.there import GONE", "ImportError: cannot import name 'GONE' from 'made_up.inner.there'"),
        ("from .inner.gone import HERE", "No module named 'made_up.inner.gone'"),
        ("import json.gone", "No module named 'json.gone'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import made_up.inner.there\nmade_up.inner.there.GONE", "AttributeError: module 'made_up.inner.there'"),
    ],
)
def test_a_module_that_uses_a_missing_name_is_found(package: Path, text: str, error: str) -> None:
    (package / "broken.py").write_text(text)
    found = imported(package)
    assert list(found["failed"]) == ["made_up.broken"]
    assert found["failed"]["made_up.broken"].startswith(error)
    assert found["missing"] == {}
    assert found["imported"] == 2


def test_a_module_that_needs_a_missing_package_is_reported_with_it(package: Path) -> None:
    (package / "wanting.py").write_text("import surely_not_installed.part")
    assert imported(package)["missing"] == {"made_up.wanting": "surely_not_installed"}


def test_a_test_skipped_because_of_a_missing_package_is_reported_with_it(package: Path) -> None:
    (package / "test_skipped.py").write_text("import pytest\npytest.importorskip('surely_not_installed')")
    found = imported(package)
    assert "could not import 'surely_not_installed'" in found["missing"]["made_up.test_skipped"]
    assert found["failed"] == {}


def test_a_module_that_would_run_when_imported_is_skipped(package: Path) -> None:
    (package / "inner" / "parameters.json").write_text("{}")
    (package / "inner" / "there.py").write_text("raise SystemExit(3)")
    assert imported(package) == {"imported": 1, "failed": {}, "missing": {}}
