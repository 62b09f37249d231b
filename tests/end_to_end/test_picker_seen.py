"""The class picker in Chromium: sounds are found, added, renamed and checked as one types, and a preview uses them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from block.local_studio.jobs.store import JobStore
from block.model.checkpoint import EMBEDDED
from tests.end_to_end.conftest import JOB_MS, ROOT, Serve, Windows
from tests.local_studio.conftest import make_audio_bytes

FORM = f"/actions?model={EMBEDDED}"


@pytest.fixture
def windows(serve: Serve, tmp_path: Path) -> Windows:
    (tmp_path / "one.wav").write_bytes(make_audio_bytes(16000))
    return serve(block=None)


def text(page: Any) -> Any:
    return page.get_by_label("Sounds to look for")


def row(page: Any, name: str) -> Any:
    return page.locator("#picker-rows > li").filter(has=page.get_by_role("checkbox", name=f"Merge {name}", exact=True))


def search(page: Any, words: str) -> Any:
    """Search for `words`, and return what is found."""
    page.get_by_label("Search the sounds").fill(words)
    expect(page.locator("#picker-summary")).not_to_be_empty()
    return page.locator("#picker-found > li")


@pytest.mark.slow
def test_a_sound_is_found_renamed_and_given_a_threshold_and_a_preview_uses_it(serve: Serve, tmp_path: Path):
    shutil.copy(next((ROOT / "demo" / "recordings").glob("*.wav")), tmp_path)
    windows = serve(block=None)
    page = windows.open(FORM)
    expect(page.locator("#picker-rows > li")).to_have_count(2)
    found = search(page, "gun")
    expect(found.first).to_contain_text("in Sounds of things > Explosion")
    found.first.get_by_role("button", name="Add: Gunshot, gunfire", exact=True).click()
    expect(text(page)).to_have_value("speech\nmusic\nGunshot, gunfire")
    gun = row(page, "Gunshot, gunfire")
    gun.get_by_label("Call it").fill("bang")
    gun.get_by_label("Threshold").fill("0.4")
    # Pressed at once, before the server has answered: what was typed counts.
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#job")).to_have_attribute("data-running", "no", timeout=JOB_MS)
    job = JobStore(windows.project.store).get(1)
    assert job is not None
    assert job.parameters["audioset-labels"] == "speech\nmusic\nGunshot, gunfire (bang, 0.4)"
    expect(page.locator("#state")).to_have_text("finished")


@pytest.mark.slow
def test_rows_follow_the_text_and_the_text_follows_the_rows(windows: Windows):
    page = windows.open(FORM)
    text(page).fill("Dog (my dog, 0.4), Animal*\nspech")
    expect(row(page, "Dog").get_by_label("Call it")).to_have_value("my dog")
    expect(row(page, "Dog").get_by_label("Threshold")).to_have_value("0.4")
    expect(page.locator("#picker-rows > li.odd")).to_contain_text("'spech' is not a class of this checkpoint")
    expect(page.locator("#picker-state")).to_have_text("1 of 3 can’t be used as written.")
    windows.inspect(page, "picker-wrong")
    page.get_by_role("button", name="Speech", exact=True).click()
    expect(text(page)).to_have_value("Dog (my dog, 0.4)\nAnimal*\nSpeech")
    page.get_by_role("button", name="Remove Animal*").click()
    expect(text(page)).to_have_value("Dog (my dog, 0.4)\nSpeech")
    row(page, "Dog").get_by_label("Threshold").fill("1.4")
    expect(row(page, "Dog")).to_contain_text("The threshold of 'Dog' is 1.4; expected a number from 0 to 1.")
    expect(text(page)).to_have_value("Dog (my dog, 1.4)\nSpeech")
    text(page).fill("xyz\nSpeech")
    expect(page.locator("#picker-rows > li.odd code")).to_have_text("xyz")
    text(page).fill("Dog (my dog, 1.4)\nSpeech")
    expect(page.locator("#picker-rows > li.odd")).to_contain_text("The threshold of 'Dog' is 1.4")
    text(page).fill("Dog (my dog, 0.5)\nSpeech")
    row(page, "Dog").get_by_label("Threshold").fill("")
    expect(text(page)).to_have_value("Dog (my dog)\nSpeech")
    expect(page.locator("#picker-state")).to_have_text("2 chosen.")
    page.get_by_label("Minimum confidence").fill("0.7")
    page.keyboard.press("Tab")
    expect(row(page, "Dog").get_by_label("Threshold")).to_have_attribute("placeholder", "0.7")


@pytest.mark.slow
def test_two_labels_are_merged_into_one_name(windows: Windows):
    page = windows.open(FORM)
    text(page).fill("Dog\nCat\nSpeech")
    for name in ("Dog", "Cat"):
        page.get_by_role("checkbox", name=f"Merge {name}").check()
    page.get_by_label("One name for Dog; Cat").fill("pet")
    windows.inspect(page, "picker-merge")
    page.get_by_role("button", name="Merge", exact=True).click()
    expect(text(page)).to_have_value("Dog (pet)\nCat (pet)\nSpeech")
    expect(row(page, "Dog")).to_contain_text("One label with Cat: the highest score counts.")
    expect(page.get_by_role("button", name="Merge", exact=True)).to_be_hidden()


@pytest.mark.slow
def test_the_hierarchy_is_browsed_with_only_the_keyboard(windows: Windows):
    page = windows.open(FORM)
    for name in ("Browse all sounds", "Animal", "Domestic animals, pets", "Dog"):
        branch = page.locator("summary").filter(has_text=name).first
        expect(branch).to_be_visible()  # until the picker has the classes, nothing in it takes the focus
        branch.focus()
        page.keyboard.press("Enter")
        expect(branch.locator("..")).to_have_attribute("open", "")
    add = page.locator("#picker-tree").get_by_role("button", name="Add with the 6 below: Dog*")
    add.focus()
    page.keyboard.press("Enter")
    expect(text(page)).to_have_value("speech\nmusic\nDog*")
    added = page.locator("#picker-tree").get_by_role("button", name="✓ Added: Dog*")
    expect(added).to_be_focused()
    expect(added).to_have_attribute("aria-pressed", "true")
    windows.inspect(page, "picker-tree")
    page.keyboard.press("Enter")
    expect(text(page)).to_have_value("speech\nmusic")


@pytest.mark.slow
def test_a_typo_finds_what_is_meant_and_enter_starts_nothing(windows: Windows):
    page = windows.open(FORM)
    found = search(page, "dgo")
    expect(page.locator("#picker-summary")).to_contain_text("Nothing is called “dgo”. Similar:")
    expect(found.first).to_contain_text("Dog")
    page.keyboard.press("Enter")
    row(page, "Speech").get_by_label("Call it").press("Enter")
    expect(page.get_by_role("heading", name="Audio labeling")).to_be_visible()
    search(page, "car horn")
    expect(page.locator("#picker-summary")).to_contain_text("found, the likeliest first")
    windows.inspect(page, "picker-search")


@pytest.mark.slow
def test_names_typed_in_a_row_run_nothing(windows: Windows):
    page = windows.open(FORM)
    text(page).fill("Dog (<img src=x onerror=alert(1)>)\n<script>alert(2)</script>")
    expect(row(page, "Dog").get_by_label("Call it")).to_have_value("<img src=x onerror=alert(1)>")
    expect(page.locator("#picker-rows > li.odd code")).to_have_text("<script>alert(2)</script>")
    search(page, "<img src=x>")
    assert page.locator("img[src=x]").count() == 0


@pytest.mark.slow
def test_another_model_brings_its_own_classes(
    serve: Serve, block: Path, tmp_path: Path, make_checkpoint: Callable[..., Path]
):
    (tmp_path / "one.wav").write_bytes(make_audio_bytes(16000))
    shutil.copytree(make_checkpoint(("Dog", "Bark", "My machine")), block / "models" / "mine")
    page = serve(block=block).open(FORM)
    expect(page.locator("#picker-state")).to_have_text("2 chosen.")
    page.get_by_label("Model", exact=True).select_option("mine")
    expect(page.locator("#picker-state")).to_have_text("2 of 2 can’t be used as written.")
    page.get_by_text("Browse all sounds").click()
    page.get_by_role("button", name="Add: My machine").click()
    expect(text(page)).to_have_value("speech\nmusic\nMy machine")
    expect(row(page, "My machine")).to_be_visible()


@pytest.mark.slow
def test_without_script_the_text_is_all_there_is(windows: Windows):
    page = windows.open(FORM, java_script_enabled=False)
    expect(text(page)).to_be_visible()
    expect(page.locator("#picker")).to_be_hidden()
