"""The report of `evaluate` in a browser: readable in both themes, on a phone, with the keyboard and a screen reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from block.evaluation.bootstrap import Resamples
from block.evaluation.evaluation import (
    Evaluation,
    ReportFacts,
    evaluate_labels,
    fit_thresholds,
    translate_thresholds,
)
from block.evaluation.examples import find_least_certain, find_mistakes
from block.evaluation.report import render_report
from block.evaluation.thresholds import Goal
from block.evaluation.timelines import find_timelines
from block.settings import WindowSettings
from tests.conftest import NAMES
from tests.end_to_end.conftest import BAD, NARROW, TOO_WIDE, format_violation, scan
from tests.evaluation.synthetic import make_clip, make_settings, make_truth

pytest.importorskip("sklearn")

SECONDS, CLIPS = 20, 12
LABELS = ("Speech", "Music", "Dog", "Silence")


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """Write a report about clips whose labels are off by up to a second, under two configurations."""
    rng = np.random.default_rng(9)
    decisions = make_settings(", ".join(LABELS))
    clips, rows = [], []
    for clip in range(CLIPS):
        logits = np.full((SECONDS, len(NAMES)), -6.0) + rng.normal(0, 1, (SECONDS, len(NAMES)))
        for at, start in enumerate(range(1, SECONDS - 4, 5)):
            label = LABELS[(at + clip) % len(LABELS)]
            logits[start : start + 3, NAMES.index(label)] += rng.normal(7, 2)
            rows.append((f"night {clip}.wav", start + float(rng.uniform(-1, 1)), start + 3.0, label))
        clips.append(make_clip(logits, float(SECONDS), WindowSettings(1000, 1000)))
    truth, resamples, goal = make_truth(rows, decisions), Resamples(CLIPS, 100), Goal("f1")
    first, second = (
        evaluate_labels(name, clips, settings, truth, resamples, 1.0)
        for name, settings in (("A", decisions), ("B", make_settings(", ".join(LABELS), 0.9)))
    )
    evaluation = Evaluation(
        ReportFacts("Night", (("model", "made"),), segment_s=1.0), truth, resamples, first, second, None, goal,
        fit_thresholds(first, truth, goal, resamples), translate_thresholds(first),
    )  # fmt: skip
    moments = find_mistakes(first, truth), find_least_certain(first, truth)
    path = tmp_path / "report.html"
    page = render_report(evaluation, *moments, timelines=find_timelines([first, second], truth))
    path.write_text(page, encoding="utf-8")
    return path


@pytest.mark.slow
def test_the_report_is_readable_for_all(chromium: Any, report: Path) -> None:
    page = chromium.new_page()
    try:
        page.goto(report.as_uri())
        assert page.locator("#timelines .timeline").count() == 10
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            faults = [one for one in scan(page) if one["impact"] in BAD]
            assert not faults, f"{theme}:\n" + "\n".join(map(format_violation, faults))
        page.set_viewport_size(NARROW)
        assert page.evaluate(TOO_WIDE) == []
        page.locator("#timelines summary").first.click()
        assert page.locator("#timelines li").first.is_visible()
    finally:
        page.close()
