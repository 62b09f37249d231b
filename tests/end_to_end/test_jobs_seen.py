"""Jobs of another block: invalid settings, a canceled job, and a failed job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.end_to_end.conftest import Serve, Windows
from tests.local_studio.conftest import make_audio_bytes


@pytest.fixture
def windows(serve: Serve, tmp_path: Path) -> Windows:
    for name in ("first", "second", "third"):
        (tmp_path / f"{name}.wav").write_bytes(make_audio_bytes(1600))
    return serve()


def start(page: Any, button: str, **values: str) -> None:
    for label, value in values.items():
        page.locator(f"[id='p.{label.replace('_', '-')}']").fill(value)
    page.get_by_role("button", name=button).click()


def test_invalid_settings_are_shown_at_their_fields(windows: Windows):
    page = windows.open("/actions")
    page.get_by_text("Advanced (").click()
    expect(page.get_by_label("Fixed")).to_be_visible()
    expect(page.get_by_label("Words")).to_be_hidden()
    page.get_by_label("Chatty").check()
    expect(page.get_by_label("Words")).to_be_visible()
    page.get_by_label("Words").fill("")
    page.get_by_label("Label", exact=True).fill("")
    page.get_by_label("These, by their ids").check()
    windows.expected.add(422)
    start(page, "Preview")
    expect(page.locator("#problems")).to_contain_text("Fix 3 problems to continue")
    expect(page.locator("#problems")).to_be_focused()
    windows.inspect(page, "actions-wrong")
    page.locator("#problems").get_by_role("link", name="Words").click()
    expect(page.get_by_label("Words")).to_be_focused()
    assert windows.project.store.proposals(1) == []


@pytest.mark.slow
def test_a_running_job_is_followed_and_canceled(windows: Windows):
    page = windows.open("/actions")
    start(page, "Run on all chosen", pause_ms="60000")  # canceled long before
    expect(page.locator("#log")).to_contain_text("sample 1 <script>alert(1)</script>")
    expect(page.locator("#progress")).to_contain_text("of 3 recordings")
    windows.inspect(page, "job-running")
    other = windows.open("/actions")
    windows.expected.add(409)
    start(other, "Preview")
    expect(other.get_by_role("alert")).to_contain_text("Nothing started: job 1 is running")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#job")).to_have_attribute("data-running", "no")
    expect(page.locator("#state")).to_have_text("canceled")
    expect(page.locator("#exit")).to_have_text("143: ended by SIGTERM")
    windows.inspect(page, "job-canceled")
    expect(page.locator("#log")).not_to_contain_text("done")
    assert not windows.project.samples()[-1].structured_labels


@pytest.mark.slow
def test_a_job_that_fails_shows_its_log_and_exit_code(windows: Windows):
    page = windows.open("/actions", theme="dark")
    page.get_by_label("What to do").select_option("fail")
    start(page, "Preview")
    expect(page.locator("#job")).to_have_attribute("data-running", "no")
    expect(page.locator("#state")).to_have_text("failed")
    expect(page.locator("#exit")).to_contain_text("3:")
    expect(page.locator("#log")).to_contain_text("sample 1")
    windows.inspect(page, "job-failed")
    page.get_by_role("link", name="Jobs", exact=True).click()
    row = page.locator("tbody tr").first
    expect(row).to_contain_text("failed")
    windows.inspect(page, "jobs")


@pytest.mark.slow
def test_proposals_of_another_block_are_accepted_and_rejected_together(windows: Windows):
    page = windows.open("/actions")
    start(page, "Preview", label="<img src=x onerror=alert(1)>")
    expect(page.locator("#proposals tbody tr")).to_have_count(3)
    page.get_by_role("button", name="Reject first").click()
    expect(page.locator("#proposals tbody tr")).to_have_count(2)
    page.get_by_role("link", name="Accept or discard many…").click()
    page.get_by_role("button", name="Accept 2 segments").click()
    expect(page.get_by_text("No proposals are open.")).to_be_visible()
    assert [len(sample.structured_labels or ()) for sample in windows.project.samples()] == [0, 1, 1]
    page.get_by_role("link", name="Recordings", exact=True).click()
    expect(page.locator("table.recordings")).to_contain_text("<img src=x onerror=alert(1)>")
    page.get_by_role("link", name="second").click()
    expect(page.locator("#current .segment")).to_have_text("<img src=x onerror=alert(1)>")
    assert page.locator("img[src=x]").count() == 0


@pytest.mark.slow
def test_a_running_job_says_how_long_it_takes_and_its_proposals_can_be_reviewed(windows: Windows):
    page = windows.open("/actions")
    start(page, "Preview", pause_ms="2500")
    expect(page.locator("#progress")).to_contain_text("2 of 3 recordings, about")
    page.get_by_role("link", name="review them").click()
    expect(page.get_by_role("button", name="Loop")).to_be_visible()  # the script has loaded
    page.keyboard.press("a")
    expect(page.locator("#place")).to_contain_text("2 of")
