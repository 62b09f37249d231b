"""The block gives the golden results, byte for byte except for rounding of scores."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.golden.record import LOGITS
from tests.golden.scenarios import Scenario, actions, cluster, folders

EXPECTED = Path(__file__).parent / "expected"
TOLERANCE = 1e-6  # of logits and figures, absolute and relative
RAY_TOLERANCE = 1e-5  # what the block promises for windows computed in other batches
FIGURES = ("evaluation.json", "evaluation-files.json")

pytest.importorskip("pyarrow")
pytest.importorskip("sklearn")


def record(out: Path, *options: str) -> Path:
    """Run scenarios; return `out`, the folder with their results."""
    command = [sys.executable, "-m", "tests.golden.record", str(out), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


# One or two of each kind run in `make test` too; the others only in `make test-all`.
FAST = (
    "exact", "preview_then_apply", "overlap_sigmoid", "renames_and_roll_ups", "fast_merged", "refused", "folder",
    "folder_by_sound",
)  # fmt: skip
ALL = [*actions(), *folders()]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("golden"), "--only", *FAST)


@pytest.fixture(scope="module")
def others_recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("golden"), "--only", *(one.name for one in ALL if one.name not in FAST))


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def assert_close(found: Any, expected: Any, place: str) -> None:
    """Assert that two JSON values are equal, except for rounding of numbers."""
    assert type(found) is type(expected), place
    if isinstance(expected, dict):
        assert list(found) == list(expected), place
        for key, value in expected.items():
            assert_close(found[key], value, f"{place}/{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), place
        for at, value in enumerate(expected):
            assert_close(found[at], value, f"{place}/{at}")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=TOLERANCE, abs=TOLERANCE), place
    else:
        assert found == expected, place


def assert_as_recorded(found: Path, expected: Path, tolerance: float = TOLERANCE) -> None:
    assert files(found) == files(expected)
    for name in files(expected):
        if name == LOGITS:
            np.testing.assert_allclose(np.load(found / name), np.load(expected / name), tolerance, tolerance)
        elif Path(name).name in FIGURES:
            assert_close(json.loads((found / name).read_text()), json.loads((expected / name).read_text()), name)
        else:
            assert (found / name).read_bytes().decode() == (expected / name).read_bytes().decode(), name


def as_params(scenarios: list[Scenario]) -> list[Any]:
    return [pytest.param(one, id=one.name) for one in scenarios]


@pytest.mark.parametrize("scenario", as_params([one for one in ALL if one.name in FAST]))
def test_results_are_those_that_were_recorded(recorded: Path, scenario: Scenario) -> None:
    assert_as_recorded(recorded / scenario.name, EXPECTED / scenario.name)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", as_params([one for one in ALL if one.name not in FAST]))
def test_other_results_are_those_that_were_recorded(others_recorded: Path, scenario: Scenario) -> None:
    assert_as_recorded(others_recorded / scenario.name, EXPECTED / scenario.name)


def test_every_recorded_result_has_a_scenario() -> None:
    assert sorted(path.name for path in EXPECTED.iterdir()) == sorted(one.name for one in ALL)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", as_params(cluster()))
def test_two_workers_on_ray_give_the_results_of_one_process(scenario: Scenario, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    found = record(tmp_path, "--ray", "--only", scenario.name)
    assert_as_recorded(found / scenario.name, EXPECTED / scenario.expected, RAY_TOLERANCE)
