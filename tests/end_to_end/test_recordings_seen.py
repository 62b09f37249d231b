"""Proposals in the list, neighbors under its filter, buttons that stay in place, and segments drawn by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from block.local_studio.data.sample import StructuredLabel
from tests.end_to_end.conftest import Serve, Windows
from tests.end_to_end.test_review_seen import VALUES, labels_of, propose, write_recordings

IN_SIGHT = """button => {
  const box = button.getBoundingClientRect();
  return box.top >= 0 && box.bottom <= innerHeight && button.contains(document.elementFromPoint(
    box.left + box.width / 2, box.top + box.height / 2));
}"""


@pytest.fixture
def windows(serve: Serve, tmp_path: Path) -> Windows:
    write_recordings(tmp_path, 5)
    return serve()


def test_the_list_shows_proposals_and_its_label_filter_finds_them(windows: Windows):
    propose(windows.project, {1: ["speech"], 3: ["speech", "music"], 4: ["music"]})
    page = windows.open()
    expect(page.get_by_text("3 recordings have labels that wait for your verdict.")).to_be_visible()
    expect(page.locator("tbody tr").nth(2)).to_contain_text("speech")
    windows.inspect(page, "list-proposed")
    page.get_by_label("Label", exact=True).select_option("speech")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("tbody tr")).to_have_count(2)


def test_next_follows_the_lists_filter_and_a_verdict_stays_in_it(windows: Windows):
    propose(windows.project, {1: ["speech"], 3: ["speech"], 4: ["music"]})
    page = windows.open("/?label=speech&sort=longest")
    page.get_by_role("link", name="00.wav", exact=True).click()
    page.get_by_role("button", name="Reject").click()
    expect(page.get_by_text("The proposal is rejected")).to_be_visible()
    page.get_by_role("link", name="Next →").click()
    expect(page.get_by_role("heading", name="02.wav")).to_be_visible()
    expect(page.get_by_role("link", name="Next →")).to_have_count(0)
    page.get_by_role("link", name="Back to the list").click()
    expect(page.locator("tbody tr")).to_have_count(1)


@pytest.mark.parametrize("width", [1440, 900, 390])
def test_accept_and_reject_are_in_sight_wherever_the_page_is_scrolled(windows: Windows, width: int):
    metadata = {f"key {number}": "value" for number in range(40)}
    windows.project.store.add_metadata(1, metadata)
    propose(windows.project, {1: ["speech", "music"]})
    page = windows.open("/recordings/1", viewport={"width": width, "height": 600})
    accept = page.get_by_role("button", name="Accept")
    expect(page.get_by_role("table", name="Metadata")).to_be_hidden()
    page.get_by_text("Metadata (40)").click()
    for y in (0, 10_000):
        page.evaluate("y => scrollTo(0, y)", y)
        assert accept.evaluate(IN_SIGHT)
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=f"build/end-to-end/recording-decision-{width}.png")
    windows.inspect(page, "recording-decision")


def test_a_verdict_on_the_jobs_page_keeps_the_place(serve: Serve, tmp_path: Path):
    write_recordings(tmp_path, 40)
    windows = serve()
    propose(windows.project, {one: ["speech"] for one in labels_of(windows.project)})
    page = windows.open("/jobs/1")
    page.get_by_role("button", name="Accept 25.wav").scroll_into_view_if_needed()
    before = page.evaluate("scrollY")
    page.get_by_role("button", name="Accept 25.wav").click()
    expect(page.get_by_role("button", name="Accept 25.wav")).to_have_count(0)
    page.wait_for_function("y => Math.abs(scrollY - y) < 2", arg=before)
    assert before > 0
    assert labels_of(windows.project)[26] == ["speech"]


def draw(page: Any, start: float, end: float) -> None:
    """Drag with shift over these shares of the drawing."""
    box = page.locator("div.of-spectrogram").bounding_box()
    y = box["y"] + box["height"] / 2
    page.keyboard.down("Shift")
    page.mouse.move(box["x"] + start * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + end * box["width"], y, steps=4)
    page.mouse.up()
    page.keyboard.up("Shift")


def test_a_new_segment_is_drawn_and_saving_closes_the_proposal(windows: Windows):
    propose(windows.project, {1: ["speech"]})
    windows.project.store.set_structured_labels(1, [StructuredLabel(0, VALUES - 1, "hum")])
    page = windows.open("/recordings/1")
    page.get_by_role("button", name="Edit the labels").click()
    draw(page, 0.25, 0.5)
    expect(page.locator("#current .segment")).to_have_count(3)
    page.keyboard.type("beep")
    page.locator("#stage").focus()
    page.keyboard.press("End")
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("n")
    page.keyboard.type("click")
    windows.inspect(page, "recording-drawn")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("The labels are saved")).to_be_visible()
    assert labels_of(windows.project)[1] == ["hum", "beep", "hum", "click"]
    beep, last = (windows.project.sample(1).structured_labels or ())[1:4:2]
    assert abs(beep.start_index - 0.25 * VALUES) < 40
    assert abs(beep.end_index - 0.5 * VALUES) < 40
    assert last == StructuredLabel(VALUES - 1600, VALUES - 1, "click")
    assert windows.project.store.proposals(1) == []
    expect(page.get_by_role("button", name="Accept")).to_have_count(0)


def test_decisions_on_a_recordings_page_are_undone_there_and_listed(windows: Windows):
    propose(windows.project, {1: ["speech", "music"]})
    page = windows.open("/recordings/1?sort=longest")
    page.get_by_role("button", name="Accept").click()
    expect(page.get_by_text("The proposal is accepted")).to_be_visible()
    assert labels_of(windows.project)[1] == ["speech", "music"]
    windows.inspect(page, "recording-accepted")
    page.get_by_role("button", name="Edit the labels").click()
    page.locator("#current .segment").first.click()
    page.get_by_label("Label of the selected segment").fill("whistle")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("The labels are saved")).to_be_visible()
    windows.inspect(page, "recording-saved")
    page.reload()
    page.get_by_text("History (3)").click()
    history = page.locator("details[open]").get_by_role("listitem")
    expect(history.first).to_contain_text("a person edited the labels")
    expect(history.nth(1)).to_contain_text("a person accepted the proposal of job 1")
    expect(history.nth(2)).to_contain_text("job 1 proposed labels")
    page.get_by_role("button", name="Undo").last.click()
    expect(page.get_by_text("Undone: the recording is as it was before.")).to_be_visible()
    assert labels_of(windows.project)[1] == ["speech", "music"]
    page.get_by_text("History (2)").click()
    page.get_by_role("button", name="Undo").last.click()
    expect(page.get_by_role("button", name="Accept")).to_be_visible()
    expect(page.get_by_text("History (1)")).to_be_visible()
    assert labels_of(windows.project)[1] == []
    assert len(windows.project.store.proposals(1)) == 1
    assert "sort=longest" in page.url


def test_a_decision_in_a_jobs_table_keeps_its_place_and_is_undone_from_there(windows: Windows):
    propose(windows.project, {one: ["speech"] for one in (1, 2, 3, 4, 5)})
    before = windows.project.store.proposals(1)
    page = windows.open("/jobs/1", viewport={"width": 1200, "height": 400})
    page.get_by_role("button", name="Reject 04.wav").click()
    expect(page.locator("#proposals tbody tr")).to_have_count(4)
    page.get_by_role("button", name="Accept 03.wav").click()
    expect(page.get_by_text("1 proposal accepted.")).to_be_visible()
    page.wait_for_function("scrollY > 100")
    undo = page.get_by_role("button", name="Undo")
    assert undo.evaluate(IN_SIGHT)
    undo.click()
    expect(page.locator("#proposals tbody tr")).to_have_count(4)
    assert labels_of(windows.project)[4] == []
    accept = page.get_by_role("button", name="Accept 02.wav")
    windows.project.store.set_label(3, "changed meanwhile")
    windows.expected.add(409)
    accept.click()
    expect(page.get_by_role("alert")).to_contain_text("The recording was changed meanwhile")
    windows.inspect(page, "error-409")
    page.goto(f"{windows.url}/review?job=1")
    page.keyboard.press("z")
    expect(page.locator("#place")).to_have_text("1 of 5")
    assert windows.project.store.proposals(1) == before


@pytest.mark.parametrize("width", [1440, 900, 390])
def test_accept_and_reject_are_beside_each_recording_in_a_jobs_table(windows: Windows, width: int):
    propose(windows.project, {one: [f"a long label {number}" for number in range(6)] for one in (1, 2, 3)})
    page = windows.open("/jobs/1", viewport={"width": width, "height": 700})
    for name in ("Accept 00.wav", "Reject 00.wav", "Reject 02.wav"):
        button = page.get_by_role("button", name=name)
        button.scroll_into_view_if_needed()
        assert button.evaluate(IN_SIGHT)
    table = page.get_by_role("region", name="Table of proposals")
    assert table.evaluate("table => table.scrollWidth <= table.clientWidth")


@pytest.mark.parametrize("width", [1440, 900, 390])
def test_the_verdicts_of_a_review_are_in_sight_while_borders_are_moved(windows: Windows, width: int):
    propose(windows.project, {1: [f"label {number}" for number in range(9)]})
    page = windows.open("/review?order=time", viewport={"width": width, "height": 640})
    expect(page.locator("#play")).to_be_visible()
    for name in ("Accept", "Reject"):
        assert page.get_by_role("button", name=name).evaluate(IN_SIGHT)
    page.keyboard.press("e")
    expect(page.get_by_role("button", name="Save the borders")).to_be_visible()
    assert page.get_by_role("button", name="Save the borders").evaluate(IN_SIGHT)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
