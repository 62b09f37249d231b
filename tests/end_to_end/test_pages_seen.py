"""The pages with the keyboard, with hostile names, in two windows, behind a key, and in the chosen theme."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from block.local_studio.data.sample import Proposal, ProposedChanges, StructuredLabel
from block.local_studio.jobs.store import PREVIEW, JobStore
from tests.end_to_end.conftest import PICTURES, Serve, Windows
from tests.local_studio.conftest import add_recording, make_audio_bytes

VALUES = 16000
HOSTILE = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>"


@pytest.fixture
def windows(serve: Serve, tmp_path: Path) -> Windows:
    for name in ("first", "second"):
        (tmp_path / f"{name}.wav").write_bytes(make_audio_bytes(VALUES))
    windows = serve()
    sample = next(one for one in windows.project.samples() if one.name == "first.wav")
    windows.project.store.set_by_hand(sample.id, halves("hum", "tone"), sample.revision)
    return windows


def halves(left: str, right: str) -> list[StructuredLabel]:
    return [StructuredLabel(0, VALUES // 2 - 1, left), StructuredLabel(VALUES // 2, VALUES - 1, right)]


def labels(windows: Windows, name: str = "first.wav") -> list[str]:
    sample = next(one for one in windows.project.samples() if one.name == name)
    return [one.label for one in sample.structured_labels or ()]


def tab_to(page: Any, target: Any, most: int = 60) -> None:
    """Press the tab key until the focus is on `target`."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if target.evaluate("one => one === document.activeElement"):
            return
    raise AssertionError(f"pressing Tab {most} times did not reach the element")


def edit(page: Any, label: str) -> None:
    page.get_by_role("button", name="Edit the labels").click()
    page.locator("#current .segment").first.click()
    page.get_by_label("Label of the selected segment").fill(label)


def test_a_segment_can_be_reached_and_explained_with_only_the_keyboard(windows: Windows):
    page = windows.open()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("link", name="first.wav"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="first.wav")).to_be_visible()
    segments = page.locator("#current .segment")
    expect(segments).to_have_count(2)
    tab_to(page, segments.nth(1))
    expect(page.locator("#why")).to_contain_text("tone")
    expect(page.locator("#why")).to_contain_text("hand-made")
    page.keyboard.press("Enter")
    expect(segments.nth(1)).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#player")).to_have_js_property("currentTime", 0.5)


@pytest.mark.slow
def test_the_second_of_two_windows_to_save_gets_a_warning_and_loses_nothing(windows: Windows):
    one, other = windows.open("/recordings/1"), windows.open("/recordings/1")
    edit(one, "whistle")
    edit(other, "drone")
    one.get_by_role("button", name="Save", exact=True).click()
    expect(one.get_by_text("The labels are saved")).to_be_visible()
    windows.expected.add(409)
    other.get_by_role("button", name="Save", exact=True).click()
    expect(other.locator("#trouble")).to_contain_text("changed meanwhile, in another window")
    assert labels(windows) == ["whistle", "tone"]
    expect(other.locator("#current .segment").first).to_have_text("drone")
    expect(other.get_by_label("Label of the selected segment")).to_have_value("drone")
    windows.inspect(other, "recording-stale")
    other.get_by_role("button", name="Load it again and drop my changes").click()
    expect(other.locator("#current .segment").first).to_have_text("whistle")


@pytest.mark.slow
def test_unsaved_changes_are_not_lost_by_leaving_the_page(windows: Windows):
    page = windows.open("/recordings/1")
    edit(page, "whistle")
    page.get_by_role("link", name="Jobs", exact=True).click()
    expect(page.get_by_label("Label of the selected segment")).to_have_value("whistle")
    assert windows.kept_open == 1
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#current .segment").first).to_have_text("hum")
    page.get_by_role("button", name="Redo").click()
    expect(page.locator("#current .segment").first).to_have_text("whistle")
    page.get_by_role("button", name="Discard").click()
    page.get_by_role("link", name="Jobs", exact=True).click()
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    assert windows.kept_open == 1
    assert labels(windows) == ["hum", "tone"]


@pytest.mark.slow
def test_a_click_in_a_zoomed_view_seeks_to_what_is_drawn_there(windows: Windows):
    page = windows.open("/recordings/1")
    page.locator("#current .segment").nth(1).click(position={"x": 1, "y": 5})
    for _ in range(3):
        page.get_by_role("button", name="Zoom in").click()
    expect(page.locator("#spectrogram-detail")).to_be_visible()
    shown = page.locator("#shown").inner_text()
    assert shown.startswith("0:00.44 – 0:00.56"), shown
    box = page.locator("#stage").bounding_box()
    page.mouse.click(box["x"] + 0.9 * box["width"], box["y"] + 20)
    at = page.locator("#player").evaluate("audio => audio.currentTime")
    assert abs(at - 0.55) < 0.005
    windows.inspect(page, "recording-zoomed")


def test_without_script_everything_can_be_read_and_labels_can_be_saved(windows: Windows):
    page = windows.open(java_script_enabled=False)
    page.get_by_role("link", name="first.wav").click()
    expect(page.locator("#spectrogram")).to_be_visible()
    page.get_by_text("The segments as a table").click()
    expect(page.get_by_role("rowheader", name="tone")).to_be_visible()
    page.get_by_text("Labels as text").click()
    lines = page.locator("#lines")
    lines.fill(lines.input_value().replace("tone", "beep"))
    page.screenshot(path=PICTURES / "recording-no-script.png", full_page=True)
    page.get_by_role("button", name="Save as labels by hand").click()
    expect(page.get_by_text("The labels are saved")).to_be_visible()
    assert labels(windows) == ["hum", "beep"]


@pytest.mark.slow
def test_labels_are_exported_to_a_file_and_imported_from_it(windows: Windows, tmp_path: Path):
    page = windows.open()
    with page.expect_download() as begun:
        page.get_by_role("link", name="Export all labels").click()
    file = tmp_path / "kept" / "info.labels"
    begun.value.save_as(file)
    sample = windows.project.sample(1)
    windows.project.store.set_by_hand(1, halves("wrong", "wrong too"), sample.revision)
    page.get_by_text("Import labels").click()
    page.get_by_label("File").set_input_files(file)
    page.get_by_label("Replace labels that were set by hand").check()
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_role("heading", name="import")).to_be_visible()
    windows.inspect(page, "imported")
    assert labels(windows) == ["hum", "tone"]


def test_names_and_labels_run_nothing(windows: Windows):
    project = windows.project
    sample_id = add_recording(project, VALUES, VALUES, name=HOSTILE)
    project.store.set_by_hand(sample_id, halves(HOSTILE, "tone"), project.sample(sample_id).revision)
    jobs = JobStore(project.store)
    job = jobs.create(PREVIEW, "toy", {"label": HOSTILE}, [sample_id])
    why = {"startIndex": 0, "endIndex": VALUES - 1, "label": HOSTILE, "score": 0.5, "runnersUp": [[HOSTILE, 0.4]]}
    jobs.add_details(job.id, {sample_id: {"segments": [why]}})
    changes = ProposedChanges(structured_labels=(StructuredLabel(0, VALUES - 1, HOSTILE),))
    project.store.propose(Proposal(job.id, sample_id, changes))
    page = windows.open()
    expect(page.get_by_role("link", name=HOSTILE)).to_be_visible()
    windows.inspect(page, "list-hostile")
    page.goto(f"{windows.url}/recordings/{sample_id}?job={job.id}")
    page.locator("#proposed .segment").hover()
    expect(page.locator("#why")).to_contain_text(HOSTILE)
    page.goto(f"{windows.url}/review?job={job.id}")
    expect(page.locator("#label-now")).to_have_text(HOSTILE)
    expect(page.locator("#recording")).to_have_text(HOSTILE)
    windows.inspect(page, "review-hostile")
    page.goto(f"{windows.url}/recordings/{sample_id}?job={job.id}")
    edit(page, HOSTILE + "!")
    expect(page.locator("#current .segment").first).to_have_text(HOSTILE + "!")
    windows.inspect(page, "recording-hostile")
    page.get_by_role("button", name="Discard").click()
    page.goto(f"{windows.url}/jobs/{job.id}")
    expect(page.locator("#proposals")).to_contain_text(HOSTILE)
    assert page.locator("img[src=x]").count() == 0


@pytest.mark.slow
def test_pages_for_other_machines_ask_for_the_key(serve: Serve):
    windows = serve(host="0.0.0.0")
    page = windows.open("/jobs")
    expect(page.get_by_label("API key")).to_be_visible()
    windows.inspect(page, "login")
    windows.expected.add(403)
    page.get_by_label("API key").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not the key")
    page.get_by_label("API key").fill(windows.project.key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Recordings", exact=True)).to_be_visible()
    windows.inspect(page, "list-empty")


@pytest.mark.slow
def test_the_remaining_pages_pass_the_accessibility_checks(windows: Windows):
    page = windows.open("/about")
    windows.inspect(page, "about")
    windows.expected.add(404)
    page.goto(f"{windows.url}/nowhere")
    expect(page.get_by_role("alert")).to_contain_text("no such page")
    windows.inspect(page, "error")
    page.goto(f"{windows.url}/jobs")
    expect(page.get_by_text("No action has run yet")).to_be_visible()
    windows.inspect(page, "jobs-none")


def test_the_chosen_theme_is_remembered(windows: Windows):
    page = windows.open(theme="light")
    ground = "() => getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    button = page.get_by_role("button", name="Theme")
    button.click()
    button.click()
    expect(button).to_have_text("Theme: dark")
    dark = page.evaluate(ground)
    assert dark != light
    page.goto(f"{windows.url}/about")
    expect(page.get_by_role("button", name="Theme")).to_have_text("Theme: dark")
    assert page.evaluate(ground) == dark
