"""Review with real keys: forty recordings, undo, borders, a killed server, a phone, and no script."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from block.local_studio.data.project import LocalProject
from block.local_studio.data.sample import Proposal, ProposedChanges, StructuredLabel
from block.local_studio.jobs.store import PREVIEW, JobStore
from tests.end_to_end.conftest import NARROW, ROOT, TOY, Serve, Windows
from tests.local_studio.conftest import make_audio_bytes

VALUES = 8000  # half a second


def propose(project: LocalProject, labels: dict[int, list[str]], scores: dict[int, float] | None = None) -> int:
    """Store a job that proposes these labels, of equal lengths, by sample id. Return the job's id."""
    jobs = JobStore(project.store)
    job = jobs.create(PREVIEW, "toy", {"other-label": "noise"}, list(labels))
    for sample_id, names in labels.items():
        length = VALUES // len(names)
        segments = tuple(StructuredLabel(i * length, (i + 1) * length - 1, name) for i, name in enumerate(names))
        project.store.propose(
            Proposal(job.id, sample_id, ProposedChanges(metadata={"labeled_by": "toy"}, structured_labels=segments))
        )
        score = (scores or {}).get(sample_id, 0.8)
        entries = [
            {**one.to_json(), "score": score, "runnersUp": [["horn", 0.1]], "margin": score / 2} for one in segments
        ]
        jobs.add_details(job.id, {sample_id: {"segments": entries}})
    jobs.end(job.id, "finished", 0)
    return job.id


def write_recordings(folder: Path, count: int) -> None:
    for number in range(count):
        (folder / f"{number:02}.wav").write_bytes(make_audio_bytes(VALUES))


def labels_of(project: LocalProject) -> dict[int, list[str]]:
    return {sample.id: [one.label for one in sample.structured_labels or ()] for sample in project.samples()}


def writers_of(project: LocalProject) -> Counter[str]:
    return Counter(sample.metadata.get("labeled_by", "") for sample in project.samples())


@pytest.fixture
def windows(serve: Serve, tmp_path: Path) -> Windows:
    write_recordings(tmp_path, 4)
    return serve()


def wait_until_stored(page: Any, project: LocalProject, verdicts: int) -> None:
    query = "SELECT COUNT(*) AS count FROM verdicts"
    for _ in range(200):
        if project.store.read(query)[0]["count"] == verdicts:
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"{project.store.read(query)[0]['count']} verdicts are stored, expected {verdicts}")


def test_forty_proposed_recordings_take_one_key_each_and_no_click(serve: Serve, tmp_path: Path):
    write_recordings(tmp_path, 40)
    windows = serve()
    ids = sorted(labels_of(windows.project))
    propose(windows.project, {one: ["speech"] if one % 2 else ["music"] for one in ids}, {one: one / 50 for one in ids})
    page = windows.open("/review")
    wanted: dict[int, list[str]] = {}
    keys = 0
    expect(page.locator("#place")).to_have_text("1 of 40")
    expect(page.locator("#left")).to_contain_text("about")
    for place, sample_id in enumerate(ids):  # the least certain first: in the order of their scores
        expect(page.locator("#recording")).to_have_attribute("href", f"/recordings/{sample_id}?job=1")
        expect(page.locator("#place")).to_have_text(f"{place + 1} of 40")
        key, label = [("a", "speech" if sample_id % 2 else "music"), ("r", "noise"), ("3", "horn")][place % 3]
        page.keyboard.press(key)
        keys += 1
        wanted[sample_id] = [label]
    expect(page.get_by_role("heading", name="Nothing is left to review here")).to_be_visible()
    wait_until_stored(page, windows.project, 40)
    assert keys <= 80
    assert labels_of(windows.project) == wanted
    assert writers_of(windows.project) == {"human": 40}
    assert windows.project.store.proposals(1) == []
    windows.inspect(page, "review-finished")


def test_segments_play_on_arrival_and_space_stops_them(windows: Windows):
    propose(windows.project, {1: ["speech", "music"], 2: ["music"]})
    page = windows.open("/jobs/1")
    page.get_by_role("link", name="Review one by one").click()
    page.keyboard.press("ArrowRight")
    section = page.locator("#review")
    expect(section).to_have_attribute("data-playing", "true")
    page.keyboard.press("l")
    expect(page.get_by_role("button", name="Loop")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("+")
    expect(page.get_by_label("Speed")).to_have_value("1.25")
    expect(section).to_have_attribute("data-playing", "true")
    page.keyboard.press("Space")
    expect(section).to_have_attribute("data-playing", "false")
    page.keyboard.press("Space")
    expect(section).to_have_attribute("data-playing", "true")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    windows.inspect(page, "review-keys")
    page.keyboard.press("Escape")
    windows.inspect(page, "review")
    page.reload()
    expect(page.get_by_label("Speed")).to_have_value("1.25")


def test_verdicts_are_undone_any_number_of_steps_also_after_a_reload(windows: Windows):
    propose(windows.project, {1: ["speech", "music"], 2: ["music"], 3: ["speech"]})
    before = windows.project.store.proposals(1)
    page = windows.open("/review?order=time")
    for key in ("a", "r", "3", "r"):
        page.keyboard.press(key)
    wait_until_stored(page, windows.project, 4)
    assert labels_of(windows.project) == {1: ["speech", "noise"], 2: ["horn"], 3: ["noise"], 4: []}
    page.keyboard.press("z")
    expect(page.locator("#place")).to_have_text("4 of 4")
    page.reload()
    expect(page.locator("#place")).to_have_text("4 of 4")
    for place in ("3 of 4", "2 of 4", "1 of 4"):
        page.keyboard.press("z")
        expect(page.locator("#place")).to_have_text(place)
    page.keyboard.press("z")
    expect(page.get_by_role("alert")).to_have_text("There is no verdict to undo.")
    assert windows.project.store.proposals(1) == before
    assert labels_of(windows.project) == {1: [], 2: [], 3: [], 4: []}
    assert writers_of(windows.project) == {"": 4}


def test_a_verdict_can_be_changed_later_and_a_recording_is_labeled_once_all_its_segments_are(windows: Windows):
    propose(windows.project, {1: ["speech", "music"]})
    page = windows.open("/review?order=time")
    page.keyboard.press("r")
    wait_until_stored(page, windows.project, 1)
    assert labels_of(windows.project)[1] == []
    page.keyboard.press("a")
    wait_until_stored(page, windows.project, 2)
    assert labels_of(windows.project)[1] == ["noise", "music"]
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#verdict-now")).to_have_text("now noise")
    page.keyboard.press("3")
    wait_until_stored(page, windows.project, 3)
    assert labels_of(windows.project)[1] == ["horn", "music"]


def test_borders_are_moved_with_keys_and_the_neighbor_gets_the_rest(windows: Windows):
    propose(windows.project, {1: ["speech", "music"]})
    page = windows.open("/review?order=time")
    page.keyboard.press("e")
    page.keyboard.press("Tab")
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    expect(page.locator("#to-s")).to_have_text("0.20 s")
    windows.inspect(page, "review-borders")
    page.keyboard.press("Enter")
    wait_until_stored(page, windows.project, 1)
    expect(page.locator("#span")).to_have_text("0:00.20–0:00.50")
    page.keyboard.press("a")
    wait_until_stored(page, windows.project, 2)
    stored = windows.project.sample(1).structured_labels
    assert stored == (StructuredLabel(0, 3199, "speech"), StructuredLabel(3200, 7999, "music"))


def test_a_token_of_an_earlier_server_is_renewed(windows: Windows):
    propose(windows.project, {1: ["speech"]})
    page = windows.open("/review")
    tokens: Iterator[dict[str, str]] = iter(({"x-csrf-token": "old"}, {}))
    page.route("**/review/verdict", lambda route: route.continue_(headers={**route.request.headers, **next(tokens)}))
    windows.expected.add(403)
    page.keyboard.press("a")
    wait_until_stored(page, windows.project, 1)
    assert labels_of(windows.project)[1] == ["speech"]


def test_a_segment_that_changed_meanwhile_is_not_overwritten(windows: Windows):
    propose(windows.project, {1: ["speech"], 2: ["music"]})
    page = windows.open("/review?order=time")
    windows.project.store.accept(1, 1)
    windows.project.store.set_by_hand(1, [StructuredLabel(0, VALUES - 1, "mine")], windows.project.sample(1).revision)
    windows.expected.add(409)
    page.keyboard.press("r")
    expect(page.get_by_role("alert")).to_contain_text("Not stored: This segment was changed meanwhile")
    expect(page.locator("#place")).to_have_text("1 of 2")
    assert labels_of(windows.project)[1] == ["mine"]


@contextmanager
def served_by_a_process(folder: Path, port: str = "0") -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "block", "studio", str(folder), "--port", port, "--block", str(TOY)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ})
    assert process.stdout is not None
    try:
        address = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert address is not None
        yield process, address[0]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.slow
def test_a_killed_server_loses_no_verdict(chromium: Any, tmp_path: Path):
    write_recordings(tmp_path, 6)
    project = LocalProject(tmp_path)
    project.scan()
    propose(project, {one: ["speech"] for one in labels_of(project)})
    context = chromium.new_context()
    page = context.new_page()
    with served_by_a_process(tmp_path) as (process, url):
        page.goto(f"{url}/review?order=time")
        for key in ("a", "r", "a"):
            with page.expect_response("**/review/verdict"):  # the page must know of them before the server is gone
                page.keyboard.press(key)
        wait_until_stored(page, project, 3)
        process.send_signal(signal.SIGKILL)
        process.wait()
        page.keyboard.press("r")
        expect(page.get_by_role("alert")).to_contain_text("Not stored: the local Studio does not answer")
        expect(page.locator("#place")).to_have_text("4 of 6")
    stored = {1: ["speech"], 2: ["noise"], 3: ["speech"], 4: [], 5: [], 6: []}
    assert labels_of(project) == stored
    with served_by_a_process(tmp_path, url.rpartition(":")[2]):
        page.keyboard.press("r")
        wait_until_stored(page, project, 4)
        page.reload()
        expect(page.locator("#place")).to_have_text("5 of 6")
    assert labels_of(project) == {**stored, 4: ["noise"]}
    context.close()
    project.close()


def test_a_phone_reviews_by_touch(windows: Windows):
    propose(windows.project, {1: ["speech"], 2: ["music"], 3: ["speech"]})
    page = windows.open("/review?order=time", viewport=NARROW, has_touch=True, is_mobile=True)
    page.get_by_role("button", name="Accept").tap()
    page.get_by_role("button", name="Reject").tap()
    page.get_by_role("button", name="horn").tap()
    page.get_by_role("button", name="Undo").tap()
    expect(page.locator("#place")).to_have_text("3 of 3")
    wait_until_stored(page, windows.project, 2)
    assert labels_of(windows.project) == {1: ["speech"], 2: ["noise"], 3: [], 4: []}


def test_without_script_a_form_takes_one_verdict_after_the_other(windows: Windows):
    propose(windows.project, {1: ["speech"], 2: ["music"], 3: ["speech"]})
    page = windows.open("/review?order=time", java_script_enabled=False)
    page.get_by_role("button", name="Accept").click()
    page.get_by_role("button", name="Reject").click()
    page.get_by_role("button", name="horn").click()
    expect(page.get_by_role("heading", name="Nothing is left to review here")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    page.get_by_label("Another label", exact=True).fill("whistle")
    page.get_by_role("button", name="Use it").click()
    assert labels_of(windows.project) == {1: ["speech"], 2: ["noise"], 3: ["whistle"], 4: []}


def test_many_are_accepted_above_a_score_with_the_count_first_and_undo_after(windows: Windows):
    propose(windows.project, {1: ["speech"], 2: ["music", "speech"], 3: ["speech"], 4: ["speech"]}, {1: 0.9, 3: 0.5})
    before = windows.project.store.proposals(1)
    page = windows.open("/jobs/1")
    page.get_by_role("link", name="Accept or discard many…").click()
    page.get_by_label("Label", exact=True).select_option("speech")
    page.get_by_label("Score at least").fill("0.8")
    page.get_by_role("button", name="Count").click()
    expect(page.get_by_text("This accepts 3 segments in 3 recordings.")).to_be_visible()
    windows.inspect(page, "job-bulk-counted")
    page.get_by_role("button", name="Accept 3 segments").click()
    expect(page.get_by_text("3 segments accepted.")).to_be_visible()
    windows.inspect(page, "job-bulk-done")
    assert labels_of(windows.project) == {1: ["speech"], 2: [], 3: [], 4: ["speech"]}
    assert writers_of(windows.project) == {"toy": 2, "": 2}  # no one has heard them
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#proposals tbody tr")).to_have_count(4)
    assert windows.project.store.proposals(1) == before
    page.get_by_role("link", name="Accept or discard many…").click()
    page.get_by_role("button", name="Discard 4 proposals").click()
    expect(page.get_by_text("4 proposals discarded.")).to_be_visible()
    assert windows.project.store.proposals(1) == []
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#proposals tbody tr")).to_have_count(4)
    assert windows.project.store.proposals(1) == before
    assert labels_of(windows.project) == {1: [], 2: [], 3: [], 4: []}


def test_neighbors_with_one_label_are_reviewed_together_or_apart(windows: Windows):
    propose(windows.project, {1: ["speech", "speech", "music", "speech"]})
    page = windows.open("/review?order=time")
    expect(page.locator("#place")).to_have_text("1 of 3")
    expect(page.locator("#span")).to_have_text("0:00.00–0:00.25")
    page.get_by_text("Recordings: with proposals").click()
    page.get_by_label("Neighbors with one label").select_option("apart, as they were scored")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("#place")).to_have_text("1 of 4")
    expect(page.locator("#span")).to_have_text("0:00.00–0:00.13")
    page.keyboard.press("a")
    expect(page.locator("#span")).to_have_text("0:00.13–0:00.25")
    page.keyboard.press("3")
    wait_until_stored(page, windows.project, 2)
    page.goto(f"{windows.url}/review?order=time")
    expect(page.locator("#place")).to_have_text("3 of 4")
    for _ in range(2):
        page.keyboard.press("a")
    wait_until_stored(page, windows.project, 4)
    assert windows.project.sample(1).structured_labels == (
        StructuredLabel(0, 1999, "speech"),
        StructuredLabel(2000, 3999, "horn"),
        StructuredLabel(4000, 5999, "music"),
        StructuredLabel(6000, 7999, "speech"),
    )


def test_a_review_without_segments_offers_the_next_step_and_no_buttons_for_segments(windows: Windows):
    page = windows.open("/review")
    expect(page.get_by_role("heading", name="Nothing to review")).to_be_visible()
    for name in ("Accept", "Undo", "Play", "Borders", "Skip →"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
    expect(page.locator("#speed")).to_be_hidden()
    windows.inspect(page, "review-empty")
    page.get_by_role("link", name="Preview an AI action").click()
    expect(page.get_by_role("button", name="Preview")).to_be_visible()
    propose(windows.project, {1: ["speech"]})
    page.goto(f"{windows.url}/review?search=none")
    expect(page.get_by_text("No segments match these filters.")).to_be_visible()
    page.get_by_role("link", name="Review all that is proposed").click()
    expect(page.locator("#review")).to_have_attribute("data-playing", "true")
    page.keyboard.press("a")
    expect(page.get_by_text("The segment has a verdict.")).to_be_visible()
    expect(page.get_by_role("button", name="Play")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("button", name="Play")).to_be_visible()


def test_a_recordings_history_says_what_was_decided_and_when(windows: Windows):
    propose(windows.project, {1: ["speech", "music"]})
    page = windows.open("/review?order=time")
    page.keyboard.press("a")
    page.keyboard.press("r")
    wait_until_stored(page, windows.project, 2)
    page.goto(f"{windows.url}/recordings/1")
    page.get_by_text("History (3)").click()
    expect(page.get_by_role("listitem").filter(has_text="a person rejected")).to_contain_text("music → noise")
    expect(page.get_by_role("listitem").filter(has_text="a person accepted")).to_contain_text("proposed by job 1")
    windows.inspect(page, "recording-history")
