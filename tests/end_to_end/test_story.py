"""A complete session with this block and its embedded checkpoint: preview, listen, correct, accept, run."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from block.local_studio.data.project import LocalProject
from tests.end_to_end.conftest import ROOT, Serve

RECORDINGS = ROOT / "demo" / "recordings"
JOB_MS = 120_000  # a slow machine needs this long to import torch
CORRECTED = "announcer"

# Resolves once playback has advanced by itself.
PLAYS = """audio => new Promise((done) => {
  const look = () => audio.currentTime > 0.3 ? done(audio.currentTime) : setTimeout(look, 20);
  look();
})"""


def labels(project: LocalProject) -> dict[str, list[str]]:
    return {sample.name: [one.label for one in sample.structured_labels or ()] for sample in project.samples()}


def wait_for_end(page: Any) -> None:
    expect(page.locator("#job")).to_have_attribute("data-running", "no", timeout=JOB_MS)
    expect(page.locator("#state")).to_have_text("finished")
    expect(page.locator("#exit")).to_contain_text("0:")


def time_of(page: Any) -> float:
    at: float = page.locator("#player").evaluate("audio => audio.currentTime")
    return at


def place(page: Any, selector: str) -> float:
    left: float = page.locator(selector).evaluate("one => one.getBoundingClientRect().left")
    return left


@pytest.mark.slow
def test_recordings_are_previewed_heard_corrected_accepted_and_labeled(serve: Serve, tmp_path: Path):
    for file in RECORDINGS.glob("*.wav"):
        shutil.copy(file, tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.glob("*.wav")}
    windows = serve(block=None)
    page, project = windows.open(), windows.project
    names = sorted(labels(project))
    announcement, phone_call, platform, radio_play, waltz = names

    # No recording has labels. Preview all with the embedded checkpoint.
    expect(page.locator("table.recordings tbody tr")).to_have_count(5)
    windows.inspect(page, "list-unlabeled")
    page.get_by_role("link", name="AI action on all 5").click()
    expect(page.get_by_role("heading", name="isn’t on this machine yet")).to_be_visible()
    windows.inspect(page, "actions-model-missing")
    page.get_by_role("link", name="Continue with ast-tiny-audioset").click()
    expect(page.get_by_label("Model", exact=True)).to_have_value("ast-tiny-audioset")
    windows.inspect(page, "actions")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("heading", name="Preview 1")).to_be_visible()
    wait_for_end(page)
    expect(page.locator("#proposals tbody tr")).to_have_count(5)
    assert not any(labels(project).values())
    windows.inspect(page, "job-proposals")

    # Look at the proposal for one recording, and the reasons for it.
    page.locator("#proposals").get_by_role("link", name=radio_play).click()
    proposed = page.locator("#proposed .segment")
    expect(proposed).to_have_count(4)
    proposed.nth(1).hover()
    expect(page.locator("#why")).to_contain_text("speech")
    for word in ("Score", "Runners-up", "Loudness", "windows agreed", "proposed by job 1"):
        expect(page.locator("#why")).to_contain_text(word)
    expect(page.locator("#spectrogram")).to_have_js_property("complete", True)
    assert page.locator("#spectrogram").evaluate("image => image.naturalWidth") > 0
    windows.inspect(page, "recording-proposal")

    # Listen to it: the cursor moves, and a click seeks.
    page.locator("#stage").focus()
    beginning = place(page, "#cursor")
    page.keyboard.press("Space")
    page.locator("#player").evaluate(PLAYS)
    page.keyboard.press("Space")
    expect(page.locator("#player")).to_have_js_property("paused", True)
    assert place(page, "#cursor") > beginning
    box = page.locator("div.of-spectrogram").bounding_box()
    page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + box["height"] / 2)
    length = page.locator("#player").evaluate("audio => audio.duration")
    assert abs(time_of(page) - 0.75 * length) < 0.1
    assert abs(place(page, "#cursor") - (box["x"] + 0.75 * box["width"])) < 4

    # Correct a boundary and a label with only the keyboard, and save.
    page.get_by_role("button", name="Edit the labels").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Copy the proposal").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#current .segment")).to_have_count(4)
    boundary = page.get_by_role("slider").first
    boundary.focus()
    for key in ("Shift+ArrowRight", "Shift+ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
    expect(boundary).to_have_attribute("aria-valuenow", "2.190")
    page.locator("#current .segment").nth(1).focus()
    page.keyboard.press("Enter")
    page.get_by_label("Label of the selected segment").focus()
    page.keyboard.press("Control+a")
    page.keyboard.type(CORRECTED)
    windows.inspect(page, "recording-edit")
    page.get_by_role("button", name="Save", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("The labels are saved")).to_be_visible()
    by_hand = ["other", CORRECTED, "other", "music"]
    assert labels(project)[radio_play] == by_hand
    corrected = next(sample for sample in project.samples() if sample.name == radio_play)
    assert (corrected.structured_labels or ())[0].end_index == 2.19 * 16000 - 1

    # Accept one proposal on its recording's page, reject one, and accept the rest together.
    page.goto(f"{windows.url}/jobs/1")
    page.locator("#proposals").get_by_role("link", name=announcement).click()
    page.get_by_role("button", name="Accept").click()
    expect(page.get_by_text("The proposal is accepted")).to_be_visible()
    assert labels(project)[announcement] == ["speech"]
    page.goto(f"{windows.url}/jobs/1")
    page.get_by_role("button", name=f"Reject {waltz}").click()
    expect(page.get_by_role("button", name=f"Reject {waltz}")).to_have_count(0)
    page.get_by_role("link", name="Accept or discard many…").click()
    windows.inspect(page, "job-bulk")
    page.get_by_role("button", name=re.compile("Accept [0-9]+ segments")).click()
    expect(page.get_by_text("No proposals are open.")).to_be_visible()  # saving by hand closed the proposal
    found = labels(project)
    assert (found[waltz], found[radio_play]) == ([], by_hand)
    assert found[platform] == ["music", "speech"]
    assert found[phone_call] == ["speech", "other"]

    # Run on the recordings without labels. The others stay unchanged.
    page.get_by_role("link", name="AI action").click()
    page.get_by_label("Those without labels (1)").check()
    assert page.locator("[id='p.model']").input_value() == "ast-tiny-audioset"
    page.get_by_role("button", name="Run on all chosen").click()
    expect(page.get_by_role("heading", name="Run 2")).to_be_visible()
    wait_for_end(page)
    expect(page.locator("#progress")).to_contain_text("1 of 1")
    windows.inspect(page, "job-run")
    page.get_by_role("link", name="Recordings", exact=True).click()
    expect(page.get_by_text("5 of 5 labeled")).to_be_visible()
    assert labels(project) == {**found, waltz: ["music"]}
    row = page.locator("table.recordings tbody tr").filter(has_text=radio_play)
    expect(row).to_contain_text("by hand")
    expect(row).to_contain_text(CORRECTED)
    windows.inspect(page, "list-labeled")
    assert {file.name: file.read_bytes() for file in tmp_path.glob("*.wav")} == before
