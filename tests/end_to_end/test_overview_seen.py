"""From verdicts to a threshold: sample the range with keys, see precision and the fitted threshold, and use it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect

from block.evaluation.strata import STRATA, find_strata
from tests.end_to_end.conftest import NARROW, Serve, Windows
from tests.end_to_end.test_review_seen import wait_until_stored
from tests.local_studio.conftest import make_audio_bytes
from tests.local_studio.scored_job import VALUES, keep_scores

RECORDINGS = 60
HEARD = 0.6  # a dog is heard where it scores at least this


@pytest.fixture
def windows(serve: Serve, tmp_path: Path) -> Windows:
    for number in range(RECORDINGS):
        (tmp_path / f"{number:02}.wav").write_bytes(make_audio_bytes(2 * VALUES))
    return serve()


def propose(windows: Windows) -> dict[int, float]:
    """Store a job that finds dogs from a score of 0.2 on. Return how each recording scores."""
    ids = sorted(sample.id for sample in windows.project.samples())
    scores = dict(zip(ids, np.linspace(0.21, 0.97, RECORDINGS).tolist(), strict=True))
    given = {one: [[score, 0.03], [score, 0.03]] for one, score in scores.items()}
    assert keep_scores(windows.project, given, {"dog": 0.2, "bird, chirping": 0.2}) == 1
    return scores


def read_data(page: Any) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(page.locator("#review").get_attribute("data-review"))
    return data


@pytest.mark.slow
def test_sampling_the_range_gives_a_precision_and_a_threshold_that_a_click_uses(windows: Windows):
    scores = propose(windows)
    page = windows.open("/jobs/1/thresholds")
    dog = page.locator('[data-overview="0"]')
    expect(dog).to_contain_text("no verdicts yet")
    windows.inspect(page, "thresholds-without-verdicts")
    dog.get_by_role("link", name="Sample the range").click()
    queue = [scores[one["sample"]] for one in read_data(page)["pending"]]
    assert len(queue) == RECORDINGS
    for k in (STRATA, 2 * STRATA, 6 * STRATA):
        strata = find_strata(np.array(queue[:k]), 0.21, 0.97)
        assert np.bincount(strata).tolist() == [k // STRATA] * STRATA
    page.wait_for_load_state()
    for at, score in enumerate(queue[:40]):
        expect(page.locator("#place")).to_have_text(f"{at + 1} of {RECORDINGS}")
        page.keyboard.press("a" if score >= HEARD else "r")
    wait_until_stored(page, windows.project, 40)
    page.reload()
    assert [scores[one["sample"]] for one in read_data(page)["pending"]] == queue[40:]

    page.goto(f"{windows.url}/jobs/1/thresholds")
    confirmed = sum(score >= HEARD for score in queue[:40])
    expect(dog.get_by_role("definition").nth(0)).to_have_text(str(confirmed))
    expect(dog.get_by_role("definition").nth(1)).to_have_text(f"{40 - confirmed} ({40 - confirmed} now noise)")
    precision = sum(score >= HEARD for score in scores.values()) / RECORDINGS
    expect(dog.get_by_role("definition").nth(2)).to_contain_text(f"{precision:.2f} [")
    expect(page.locator('[data-overview="1"]')).to_contain_text("none: 0 verdicts with it; at least 10 are needed")
    windows.inspect(page, "thresholds-overview")

    line = dog.locator("line.threshold")
    expect(line).to_have_attribute("x1", "80.0")
    slider, number = page.get_by_label("Threshold of dog", exact=True), page.locator("#t0")
    dog.get_by_role("button", name="for dog").click()
    fitted = float(number.input_value())
    assert fitted == pytest.approx(HEARD, abs=0.02)
    assert float(slider.input_value()) == pytest.approx(fitted, abs=0.005)
    expect(line).to_have_attribute("x1", f"{400 * fitted:.1f}")
    expect(dog.get_by_role("definition").nth(2)).to_contain_text("1.00 [")
    expect(dog.get_by_role("definition").nth(0)).to_have_text(str(confirmed))
    kept = sum(score >= fitted for score in scores.values())
    expect(page.locator('[data-row="0"] [data-cell="segments"]')).to_have_text(str(kept))
    page.get_by_label("Fit thresholds to verdicts for").select_option("precision=0.99")
    expect(dog).to_contain_text("the best recall at a precision of at least 0.99")


@pytest.mark.slow
def test_without_script_and_on_a_phone_the_overview_is_there(windows: Windows):
    propose(windows)
    page = windows.open("/jobs/1/thresholds", java_script_enabled=False, viewport=NARROW)
    chart = page.get_by_role("img").first
    assert (chart.get_attribute("aria-label") or "").startswith(f"Scores of {2 * RECORDINGS} cells: ")
    page.get_by_role("link", name="Sample the range of dog").click()
    expect(page.locator("#place")).to_have_text(f"1 of {RECORDINGS}")
