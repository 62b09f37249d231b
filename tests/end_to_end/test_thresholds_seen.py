"""Thresholds that move: a preview, sliders, the numbers of relabel, a proposal of its own, and its review."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from block.edge_impulse.run_record import RunRecord
from block.local_studio.jobs.store import JobStore
from block.score_store import ScoreStore
from block.score_store.relabel import NamedRecording, relabel
from tests.conftest import EMBEDDED
from tests.end_to_end.conftest import NARROW, ROOT, Serve, Windows
from tests.end_to_end.test_review_seen import wait_until_stored

JOB_MS = 120_000
LABELS = "Speech (voice, 0.2)\nMusic (0.2)\nTelephone bell ringing (phone, 0.1)"
RECORDED = """
window.played = [];
HTMLMediaElement.prototype.play = function () { window.played.push(this.src); return Promise.resolve(); };
"""


@pytest.fixture
def windows(serve: Serve, tmp_path: Path) -> Windows:
    for path in (ROOT / "demo" / "recordings").glob("*.wav"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return serve(block=ROOT)


def preview(windows: Windows) -> Any:
    """Preview with the embedded model. Return the window with the job's page."""
    page = windows.open("/actions")
    page.locator("[id='p.audioset-labels']").fill(LABELS)
    page.locator("[id='p.model']").select_option(EMBEDDED.name)
    page.locator("[id='p.win-size-ms']").fill("1000")
    page.locator("[id='p.win-stride-ms']").fill("500")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#state")).to_contain_text("finished", timeout=JOB_MS)
    page.reload()
    return page


def decide(windows: Windows, folder: Path, thresholds: list[float], **changed: Any) -> dict[str, tuple[float, int]]:
    """Return the seconds and segments of each label as `relabel` gives them."""
    jobs = JobStore(windows.project.store)
    job = jobs.get(1)
    assert job is not None
    record = RunRecord.from_json(json.loads(job.record))
    labels = tuple(
        replace(one, threshold=value) for one, value in zip(record.decisions.labels, thresholds, strict=True)
    )
    store = ScoreStore.open_read_only(folder / ".local-studio" / "scores", record.key)
    recordings = [NamedRecording(sample_id, "", content) for sample_id, content in jobs.contents(1).items()]
    rates = {sample.id: sample.frequency_hz for sample in windows.project.samples()}
    found: dict[str, tuple[float, int]] = {}
    for one in relabel(store, recordings, replace(record.decisions, labels=labels, **changed)):
        for segment in one.segments:
            seconds, number = found.get(segment.label, (0.0, 0))
            found[segment.label] = seconds + segment.length / rates[one.id], number + 1
    return found


def expect_numbers(page: Any, expected: dict[str, tuple[float, int]]) -> None:
    expect(page.locator("#thresholds")).to_have_attribute("aria-busy", "false")
    for row in page.locator("#thresholds tr[data-row]").all():
        seconds, number = expected.get(row.locator("bdi").inner_text(), (0.0, 0))
        expect(row.locator("[data-cell=seconds]")).to_have_text(f"{seconds:.1f}")
        expect(row.locator("[data-cell=segments]")).to_have_text(str(number))


def move(page: Any, selector: str, value: str) -> None:
    page.locator(selector).evaluate(
        "(one, value) => { one.value = value; one.dispatchEvent(new Event('input', { bubbles: true })); }", value
    )


@pytest.mark.slow
def test_a_slider_moves_numbers_follow_and_what_they_show_is_proposed_and_reviewed(windows: Windows, tmp_path: Path):
    page = preview(windows)
    page.add_init_script(RECORDED)
    windows.inspect(page, "job-with-scores")
    page.get_by_role("link", name="Adjust thresholds…").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Thresholds and labels of Preview 1")
    expect(page.locator("#summary")).to_contain_text("No segment in 5 recordings gets another label.")
    move(page, "input[data-of=t0]", "0.75")
    expect_numbers(page, decide(windows, tmp_path, [0.75, 0.2, 0.1]))
    move(page, "#all", "0.06")
    expect_numbers(page, decide(windows, tmp_path, [0.06, 0.06, 0.06]))
    expect(page.locator("#t2")).to_have_value("0.06")
    page.get_by_text("Time: hysteresis").click()
    page.get_by_label("Hysteresis").fill("0.5")
    page.get_by_label("Shortest sound (ms)").fill("1500")
    page.locator("#t1").fill("0.95")
    expect(page.locator("input[data-of=t1]")).to_have_value("0.95")
    expect_numbers(page, decide(windows, tmp_path, [0.06, 0.95, 0.06], hysteresis=0.5, min_event_ms=1500))
    windows.inspect(page, "thresholds")
    page.get_by_role("button", name="Play").first.click()
    (played,) = page.evaluate("window.played")
    assert "/clip?start=" in played

    windows.expected = {503}
    page.route("**/thresholds.json*", lambda route: route.fulfill(status=503, body="<html>"))
    move(page, "input[data-of=t0]", "0.5")
    expect(page.locator("#problem")).to_have_text("The local Studio answered 503.")
    page.unroute("**/thresholds.json*")
    move(page, "input[data-of=t0]", "0.06")
    expect(page.locator("#problem")).to_be_hidden()
    page.reload()  # the address has the settings
    expect(page.locator("#t1")).to_have_value("0.95")
    page.get_by_role("button", name="Propose these labels").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("New thresholds 2")
    windows.inspect(page, "job-of-thresholds")
    jobs = JobStore(windows.project.store)
    assert jobs.open_counts()[2] > 0
    page.get_by_role("link", name="Review one by one").click()
    expect(page.locator("#why")).to_contain_text("score 0.")
    expect(page.locator("#next")).to_be_visible()  # the script is at work
    page.keyboard.press("a")
    wait_until_stored(page, windows.project, 1)
    (verdict,) = windows.project.store.read("SELECT job_id, kind FROM verdicts")
    assert tuple(verdict) == (2, "accepted")


@pytest.mark.slow
def test_without_a_script_the_page_is_a_form_with_a_button(windows: Windows, tmp_path: Path):
    preview(windows)
    page = windows.open("/jobs/1/thresholds", java_script_enabled=False, viewport=NARROW)
    page.locator("#t0").fill("0.9")
    page.get_by_role("button", name="Show what changes").click()
    for label, (seconds, number) in decide(windows, tmp_path, [0.9, 0.2, 0.1]).items():
        row = page.locator("#thresholds tr[data-row]").filter(has_text=label).first
        expect(row.locator("[data-cell=seconds]")).to_have_text(f"{seconds:.1f}")
        expect(row.locator("[data-cell=segments]")).to_have_text(str(number))
    page.get_by_role("button", name="Propose these labels").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("New thresholds 2")
    (record,) = windows.project.store.read("SELECT record FROM jobs WHERE id = 2")
    assert RunRecord.from_json(json.loads(record["record"])).decisions.labels[0].threshold == 0.9
