"""The CPU's features decide whether int8 is used: the clock doesn't, and the log says what isn't used and why."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType

import pytest
import torch

from block.model.checkpoint import find_checkpoint
from block.model.classifier import MERGED, MERGED_32, MERGED_INT8, MERGED_INT8_16, Classifier
from block.model.device import choose_device
from block.model.int8_support import (
    INT8_MAX,
    INT8_NARROW_MAX,
    Int8Product,
    Int8Support,
    find_int8_support,
)
from block.model.onednn import ISA_VARIABLES
from block.settings import EXACT, ComputeSettings


@pytest.fixture(autouse=True)
def _without_limits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ISA_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    find_int8_support.cache_clear()
    yield
    find_int8_support.cache_clear()


def pretend(monkeypatch: pytest.MonkeyPatch, **features: object) -> None:
    """Pretend that the CPU has these features."""
    found = MappingProxyType({"architecture": "x86_64", "avx2": True, **features})
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)


def multiply_by(
    monkeypatch: pytest.MonkeyPatch, multiply: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
) -> None:
    """Pretend that oneDNN computes the sums of 8-bit products with `multiply`."""
    monkeypatch.setattr(Int8Product, "__init__", lambda self, weight, scale: setattr(self, "given", (weight, scale)))
    monkeypatch.setattr(Int8Product, "__call__", lambda self, x: multiply(x, self.given[0].t()) * self.given[1])


def multiply_exactly(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a.double() @ b.double()).float()


def test_a_slow_clock_and_slow_products_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch)
    multiply_by(monkeypatch, multiply_exactly)
    assert find_int8_support() == Int8Support(INT8_MAX)
    find_int8_support.cache_clear()
    now = 0.0

    def jump() -> float:
        nonlocal now
        now += 3600
        return now

    def multiply_slowly(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        jump()
        return multiply_exactly(a, b)

    for clock in ("perf_counter", "monotonic", "time", "process_time"):
        monkeypatch.setattr(time, clock, jump)
    multiply_by(monkeypatch, multiply_slowly)
    assert find_int8_support() == Int8Support(INT8_MAX)


@pytest.mark.parametrize("name", ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"])
@pytest.mark.parametrize("value", ["SSE41", "avx"])
def test_with_kernels_limited_below_avx2_int8_is_not_used(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    pretend(monkeypatch)
    monkeypatch.setenv(name, value)
    assert find_int8_support() == Int8Support(0, f"fast 8-bit kernels need AVX2, but {name} is {value}")


def test_the_first_variable_that_limits_kernels_counts_as_in_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch)
    multiply_by(monkeypatch, multiply_exactly)
    monkeypatch.setenv("DNNL_MAX_CPU_ISA", "SSE41")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert find_int8_support().limit == INT8_MAX


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        ({"avx2": False}, "fast 8-bit kernels need AVX2, which this CPU lacks"),
        ({"architecture": "aarch64"}, "fast 8-bit kernels need an x86 CPU, but this one is aarch64"),
    ],
)
def test_a_cpu_without_fast_kernels_does_not_use_int8(
    monkeypatch: pytest.MonkeyPatch, features: dict[str, object], reason: str
) -> None:
    pretend(monkeypatch, **features)
    assert find_int8_support() == Int8Support(0, reason)


def test_without_onednn_int8_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert "no oneDNN" in find_int8_support().reason


def test_int8_is_not_used_on_a_cpu_that_saturates_miscalculates_or_lacks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def saturates(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return multiply_exactly(a, b).clamp(-600_000, 600_000)

    def is_missing(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def is_wrong(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return multiply_exactly(a, b) + 1

    pretend(monkeypatch)
    expected = ((saturates, INT8_NARROW_MAX, ""), (is_missing, 0, "can't multiply"), (is_wrong, 0, "incorrectly"))
    for product, limit, reason in expected:
        find_int8_support.cache_clear()
        multiply_by(monkeypatch, product)
        support = find_int8_support()
        assert support.limit == limit, product.__name__
        assert reason in support.reason
        assert bool(support.limit) != bool(support.reason)


@pytest.mark.parametrize(
    ("dtype", "value", "reason"),
    [("float32", "SSE41", "but ONEDNN_MAX_CPU_ISA is SSE41"), ("bfloat16", "", "need --dtype float32")],
)
def test_a_classifier_says_why_it_has_no_int8_path(
    monkeypatch: pytest.MonkeyPatch, checkpoint_folder: Path, dtype: str, value: str, reason: str
) -> None:
    pretend(monkeypatch)
    multiply_by(monkeypatch, multiply_exactly)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", value)
    device = choose_device(ComputeSettings("cpu", dtype))
    classifier = Classifier(find_checkpoint(str(checkpoint_folder)), device, fast=True)
    assert classifier.paths == (EXACT, MERGED, MERGED_32)
    (line,) = classifier.explain_missing_paths()
    assert line.startswith(f"fast mode doesn't try {MERGED_INT8} and {MERGED_INT8_16}: ")
    assert reason in line


def test_a_classifier_with_all_paths_has_nothing_to_explain(
    monkeypatch: pytest.MonkeyPatch, checkpoint_folder: Path
) -> None:
    pretend(monkeypatch)
    multiply_by(monkeypatch, multiply_exactly)
    classifier = Classifier(find_checkpoint(str(checkpoint_folder)), choose_device(ComputeSettings("cpu")), fast=True)
    assert classifier.paths == (EXACT, MERGED, MERGED_32, MERGED_INT8, MERGED_INT8_16)
    assert classifier.explain_missing_paths() == []


@pytest.mark.slow
@pytest.mark.parametrize("value", ["SSE41", "AVX2"])
def test_the_choice_agrees_with_onednn_itself(value: str) -> None:
    """oneDNN reads its limit once per process, so ask a new one."""
    code = "from block.model.int8_support import find_int8_support; print(find_int8_support().limit)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "ONEDNN_MAX_CPU_ISA": value}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    has_avx2 = torch.cpu.get_capabilities().get("avx2", False)
    # Kernels for AVX2 saturate on some processors, and multiply exactly on others.
    assert int(done.stdout) in ((INT8_NARROW_MAX, INT8_MAX) if has_avx2 and value == "AVX2" else (0,))
