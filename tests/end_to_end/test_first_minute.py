"""A first run from an empty folder to accepted labels, a missing model, and a form with several mistakes."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import expect

from block.local_studio.jobs import models
from block.model.checkpoint import DEFAULT, EMBEDDED, FILES, WEIGHTS
from block.model_store.catalog import CATALOG
from tests.end_to_end.conftest import JOB_MS, ROOT, Serve
from tests.local_studio.conftest import make_audio_bytes
from tests.model_store.standin import StandIn, served

CONTENTS = {name: (ROOT / "models" / EMBEDDED / name).read_bytes() for name in FILES}
COMMIT = "f826b80d28226b62986cc218e5cec390b1096902"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """Serve a fake hub whose default checkpoint is the embedded one: its weights don't have the expected digest."""
    standin = StandIn(pause_s=0.01, revisions={COMMIT: COMMIT})
    standin.add(CONTENTS, "/MIT/ast-finetuned-audioset-10-10-0.4593")
    with served(standin):
        monkeypatch.setenv("HF_ENDPOINT", standin.url)
        yield standin


@pytest.mark.slow
def test_a_first_run_leads_from_an_empty_folder_to_accepted_labels(serve: Serve, tmp_path: Path):
    windows = serve(block=None)
    page = windows.open()
    expect(page.get_by_role("heading", name="No recordings yet")).to_be_visible()
    windows.inspect(page, "list-empty")
    shutil.copy(next((ROOT / "demo" / "recordings").glob("*.wav")), tmp_path)
    page.get_by_role("button", name="Look again").click()
    windows.inspect(page, "list-first")
    page.get_by_role("link", name="Preview an AI action").click()
    page.get_by_role("link", name=f"Continue with {EMBEDDED}").click()
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#job")).to_have_attribute("data-running", "no", timeout=JOB_MS)
    page.get_by_role("link", name="Review one by one").click()
    windows.inspect(page, "review-first")
    total = int(page.locator("#place").inner_text().split()[-1])
    for _ in range(total):
        page.keyboard.press("a")
    expect(page.get_by_role("heading", name="Nothing is left to review here")).to_be_visible()
    page.get_by_role("link", name="All recordings").click()
    expect(page.locator("table.recordings")).to_contain_text("by hand")
    (sample,) = windows.project.samples()
    assert sample.structured_labels
    assert sample.metadata["labeled_by"] == "human"
    assert sample.metadata["ast_model"].startswith(EMBEDDED)


@pytest.mark.slow
def test_fetching_the_model_shows_its_progress_and_says_why_it_failed(serve: Serve, block: Path, hub: StandIn):
    windows = serve(block=block)
    page = windows.open("/actions")
    page.get_by_role("button", name="Fetch it (346.4 MB)").click()
    expect(page.get_by_role("heading", name=f"Fetching {DEFAULT}")).to_be_visible()
    windows.inspect(page, "models-fetching")
    expect(page.get_by_role("heading", name=f"{DEFAULT} was not fetched")).to_be_visible(timeout=JOB_MS)
    expect(page.get_by_label("Output of fetching")).to_contain_text("expected ae0c1e2ad4e1")
    windows.inspect(page, "models-failed")
    assert not (block / "models" / DEFAULT).exists()
    assert hub.asked


@pytest.mark.slow
def test_a_fetched_model_is_ready_to_use(serve: Serve, block: Path, hub: StandIn, monkeypatch: pytest.MonkeyPatch):
    digest, size = hashlib.sha256(CONTENTS[WEIGHTS]).hexdigest(), len(CONTENTS[WEIGHTS])
    (weights,) = CATALOG[0].files
    small = replace(CATALOG[0], files=(replace(weights, sha256=digest, size=size),))
    monkeypatch.setattr(models, "CATALOG", (small, *CATALOG[1:]))
    catalog = block / "block" / "model_store" / "catalog.py"
    catalog.write_text(catalog.read_text().replace(weights.sha256, digest).replace("346_404_948", str(size)))
    windows = serve(block=block)
    page = windows.open("/models")
    windows.inspect(page, "models")
    page.get_by_role("button", name="Fetch it").click()
    expect(page.get_by_role("heading", name=f"{DEFAULT} is here")).to_be_visible(timeout=JOB_MS)
    windows.inspect(page, "models-fetched")
    page.get_by_role("link", name="Use it in an AI action").click()
    expect(page.get_by_label("Model", exact=True)).to_have_value(DEFAULT)
    expect(page.get_by_role("heading", name="isn’t on this machine yet")).to_have_count(0)
    assert (block / "models" / DEFAULT / WEIGHTS).read_bytes() == CONTENTS[WEIGHTS]


@pytest.mark.slow
def test_the_form_names_all_mistakes_at_once_before_a_job_starts(serve: Serve, tmp_path: Path):
    (tmp_path / "one.wav").write_bytes(make_audio_bytes(16000))
    windows = serve(block=None)
    page = windows.open("/actions")
    page.get_by_label("Sounds to look for").fill("Speech\nSpech")
    page.get_by_label("Window size (ms)").fill("10")
    page.get_by_label("Minimum confidence").fill("20")
    windows.expected.add(422)
    page.get_by_role("button", name="Preview").click()
    problems = page.locator("#problems")
    expect(problems).to_contain_text("Fix 4 problems to continue")
    expect(problems).to_contain_text("Line 2, column 1")
    expect(problems).to_contain_text("This is 10; expected 0 (the whole recording) or at least 25.")
    expect(problems).to_contain_text("This is 20; expected a number from 0 to 1.")
    expect(problems).to_contain_text(f"{DEFAULT} is not downloaded: fetch it, or choose another one.")
    windows.inspect(page, "actions-many-wrong")
    assert windows.project.store.read("SELECT * FROM jobs") == []
