"""Find similar sounds in Chromium, with this block and its embedded checkpoint: preview, search, decide, propose."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.sync_api import expect

from block.local_studio.data.examples import Example, ExampleStore, SoundSpan
from block.local_studio.data.project import LocalProject
from block.local_studio.data.sample import StructuredLabel
from tests.end_to_end.conftest import Serve, Windows
from tests.end_to_end.test_story import wait_for_end
from tests.local_studio.conftest import make_audio_bytes
from tests.local_studio.embeddings import keep_embeddings

RATE_HZ = 16000
LABEL = "door bell"


def write_sounds(folder: Path) -> None:
    """Write five recordings of bells, four of noise and three of humming, 2 s each."""
    seconds = np.arange(2 * RATE_HZ) / RATE_HZ
    for number in range(12):
        rng = np.random.default_rng(number)
        if number < 5:
            ring = np.exp(-6 * (seconds % 0.5)) * np.sin(2 * np.pi * (1500 + 60 * number) * seconds)
            kind, sound = "bell", 0.5 * ring + rng.normal(0, 1e-3, len(seconds))
        elif number < 9:
            kind, sound = "noise", rng.normal(0, 0.05 * (1 + number % 3), len(seconds))
        else:
            kind, sound = (
                "hum",
                0.4 * np.sin(2 * np.pi * (90 + 10 * number) * seconds) + rng.normal(0, 1e-3, len(seconds)),
            )
        soundfile.write(folder / f"{kind}-{number}.wav", sound, RATE_HZ, subtype="PCM_16")


def find_proposed(project: LocalProject, job_id: int, label: str) -> set[str]:
    """Return the names of the recordings for which a job proposes a label."""
    names = {sample.id: sample.name for sample in project.samples()}
    proposals = project.store.open_proposals(job_id)
    return {
        names[one.sample_id]
        for one in proposals
        if label in {segment.label for segment in one.changes.structured_labels or ()}
    }


@pytest.mark.slow
def test_a_sound_is_searched_decided_on_by_keys_and_becomes_a_proposed_label(serve: Serve, tmp_path: Path):
    write_sounds(tmp_path)
    windows = serve(block=None)
    project = windows.project
    page = windows.open()
    page.get_by_role("link", name="AI action on all 12").click()
    page.get_by_role("link", name="Continue with ast-tiny-audioset").click()
    page.get_by_label("Preview at most").fill("")
    page.get_by_role("button", name="Preview").click()
    wait_for_end(page)

    names = {sample.id: sample.name for sample in project.samples()}
    bell = next(one for one, name in names.items() if name.startswith("bell-0"))
    page.goto(f"{windows.url}/recordings/{bell}?job=1")
    page.locator("#proposed .segment").first.click()
    page.locator("#similar").click()
    expect(page.get_by_role("heading", name="Similar sounds")).to_be_visible()
    cards = page.locator(".found li")
    expect(cards).to_have_count(11)
    windows.inspect(page, "similar")

    # Decide on ten by keys: bells are the same sound.
    for place in range(10):
        first = cards.first
        expect(first).to_have_class(re.compile("now"))
        name = first.get_by_role("link").inner_text()
        page.wait_for_load_state()  # keys wait for the script
        page.locator("body").press("a" if name.startswith("bell") else "r")
        expect(page.locator("#verdicts")).to_have_text(
            re.compile(rf"^{len([1 for one in heard(project, bell) if one])} yes, ")
        )
        expect(page.locator(".heard li")).to_have_count(place + 1)
    found = heard(project, bell)
    assert found.count(True) == 4
    windows.inspect(page, "similar-decided")

    # The label has its precision, and is proposed for bells only.
    expect(page.get_by_text("Estimated precision")).to_be_visible()
    page.get_by_label("Label", exact=True).fill(LABEL)
    page.get_by_role("button", name=re.compile("Propose for")).click()
    expect(page.get_by_role("heading", name="Review")).to_be_visible()
    expect(page.locator("#label-now")).to_have_text(LABEL)
    expect(page.locator("#place")).to_have_text("1 of 5")
    assert find_proposed(project, 2, LABEL) == {name for name in names.values() if name.startswith("bell")}
    assert not any(sample.structured_labels for sample in project.samples())
    page.wait_for_load_state()
    for place in range(5):
        expect(page.locator("#place")).to_have_text(f"{place + 1} of 5")
        page.keyboard.press("a")
    expect(page.get_by_role("heading", name="Nothing is left to review here")).to_be_visible()


def heard(project: LocalProject, sample_id: int) -> list[bool]:
    """Return the verdicts on what sounds like a recording of one segment."""
    sound = SoundSpan(sample_id, 0, 2 * RATE_HZ)
    return [one.is_like for one in ExampleStore(project.store).list(sound)]


@pytest.fixture
def windows(serve: Serve, tmp_path: Path) -> Windows:
    for number in range(4):
        (tmp_path / f"{number}.wav").write_bytes(make_audio_bytes(RATE_HZ))
    windows = serve()
    ids = [sample.id for sample in windows.project.samples()]
    keep_embeddings(
        windows.project, dict(zip(ids, ([[1, 0, 0]], [[1, 0.1, 0]], [[0, 1, 0]], [[0, 0, 1]]), strict=True))
    )
    return windows


def test_the_marked_window_moves_by_arrows_and_plays(windows: Windows):
    page = windows.open(f"/similar?sample=1&start=0&end={RATE_HZ}")
    cards = page.locator(".found li")
    expect(cards).to_have_count(3)
    page.keyboard.press("ArrowRight")
    expect(cards.nth(1)).to_have_class(re.compile("now"))
    page.keyboard.press("Space")
    expect(cards.nth(1).locator("audio")).not_to_have_js_property("currentTime", 0)
    page.keyboard.press("r")
    expect(page.locator("#verdicts")).to_have_text("0 yes, 1 no.")


def test_verdicts_work_without_a_script(windows: Windows):
    page = windows.open(f"/similar?sample=1&start=0&end={RATE_HZ}", java_script_enabled=False)
    page.locator(".found li").first.get_by_role("button", name="Yes").click()
    expect(page.locator("#verdicts")).to_have_text("1 yes, 0 no.")
    page.locator(".found li").first.get_by_role("button", name="No", exact=True).click()
    expect(page.get_by_role("button", name=re.compile(r"Propose for \d windows"))).to_be_visible()


def test_rejecting_a_proposed_window_in_the_review_brings_back_its_label(windows: Windows):
    store = windows.project.store
    store.set_by_hand(2, (StructuredLabel(0, RATE_HZ - 1, "hum"),), windows.project.sample(2).revision)
    for other in (3, 4):
        ExampleStore(store).mark(SoundSpan(1, 0, RATE_HZ), Example(SoundSpan(other, 0, RATE_HZ), False))
    page = windows.open(f"/similar?sample=1&start=0&end={RATE_HZ}")
    page.get_by_label("Label", exact=True).fill(LABEL)
    page.get_by_role("button", name="Propose for 2 windows").click()
    expect(page.locator("#place")).to_have_text("1 of 2")
    page.goto(f"{page.url}&order=time")
    expect(page.locator("#rejected")).to_have_text("noise")
    with page.expect_response(re.compile("/review/verdict")):
        page.keyboard.press("a")
    expect(page.locator("#place")).to_have_text("2 of 2")
    expect(page.locator("#rejected")).to_have_text("hum")
    with page.expect_response(re.compile("/review/verdict")):
        page.keyboard.press("r")
    expect(page.get_by_role("heading", name="Nothing is left to review here")).to_be_visible()
    assert windows.project.sample(2).structured_labels == (StructuredLabel(0, RATE_HZ - 1, "hum"),)
