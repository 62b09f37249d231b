"""Memory and processors that a process may use under control group limits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from block.model import classifier
from block.runtime.limits import count_processors, find_available_bytes
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "rubbish"}, None),
        ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_the_processor_count_follows_the_cpu_time_a_control_group_allows(
    tmp_path: Path, files: dict[str, str], expected: int | None
) -> None:
    write_files(tmp_path, files)
    assert count_processors(tmp_path) == expected


@pytest.mark.parametrize("version", [("memory.max", "memory.current", "memory.stat"), 1])
def test_memory_in_the_file_cache_counts_as_available(tmp_path: Path, version: object) -> None:
    names = version if isinstance(version, tuple) else (
        "memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"
    )  # fmt: skip
    write_files(tmp_path, dict(zip(names, ("30000000", "20000000", "anon 1\ninactive_file 5000000\n"), strict=True)))
    assert find_available_bytes(tmp_path) == 15_000_000


def test_without_a_limit_the_memory_of_the_machine_is_available(tmp_path: Path) -> None:
    write_files(tmp_path, {"memory.max": "max\n"})
    assert find_available_bytes(tmp_path) > 50_000_000


@pytest.mark.parametrize("kind", ["AS", "DATA"])
def test_a_limit_of_the_process_counts(kind: str) -> None:
    most = 512 << 20
    code = (
        "import resource; from block.runtime.limits import find_available_bytes; "
        f"resource.setrlimit(resource.RLIMIT_{kind}, ({most}, {most})); print(find_available_bytes())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout) < most


def test_thread_count_follows_the_container_unless_the_user_sets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    set_to: list[int] = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    monkeypatch.setattr(torch, "set_num_threads", set_to.append)
    monkeypatch.setattr(classifier, "count_processors", lambda: 2)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    classifier._set_threads()
    assert set_to == [2]
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    classifier._set_threads()
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(classifier, "count_processors", lambda: None)
    classifier._set_threads()
    assert set_to == [2]


def write_files(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
