"""The engine loads a job's labeler, and says what it doesn't use and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from block.labeling.engine import Engine
from block.labeling.fast_labeler import FastLabeler
from block.labeling.job import Job
from block.labels import parse_labels
from block.model.checkpoint import find_checkpoint
from block.model.device import choose_device
from block.model.int8_support import find_int8_support
from block.settings import AuditSettings, ComputeSettings, DecisionSettings, WindowSettings


@dataclass
class Notices:
    lines: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        self.lines.append(line)

    def warn_once(self, text: str) -> None:
        self.warnings.append(text)


def make_engine(folder: Path, **compute: str) -> Engine:
    checkpoint = find_checkpoint(str(folder))
    settings = ComputeSettings("cpu", **compute)  # type: ignore[arg-type]
    decisions = DecisionSettings(parse_labels("Speech", checkpoint.class_names, 0.2))
    job = Job(checkpoint, WindowSettings(), decisions, settings, AuditSettings())
    return Engine(job, choose_device(settings), checkpoint.sha256())


def test_fast_mode_says_in_the_log_why_it_does_not_try_int8(
    checkpoint_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX")
    find_int8_support.cache_clear()
    fast, exact = Notices(), Notices()
    try:
        labeler = make_engine(checkpoint_folder, mode="fast").load_labeler(fast)
        make_engine(checkpoint_folder).load_labeler(exact)
    finally:
        find_int8_support.cache_clear()
    assert isinstance(labeler, FastLabeler)
    assert fast.lines[0].startswith("fast mode doesn't try merged-int8 and merged-int8-16: fast 8-bit kernels need ")
    assert exact.lines == []
