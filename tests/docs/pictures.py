"""Take the pictures of the local Studio's pages in docs/: python -m tests.docs.pictures, or make pictures.

Chromium shows the demo's recordings with what the embedded model proposes for them: the review, with a few verdicts
already given, so that the page shows how far along it is, and the thresholds of the same job, with one moved.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, sync_playwright

from block.local_studio.address import Address
from block.local_studio.data.project import LocalProject
from block.local_studio.jobs.jobs import Jobs
from block.local_studio.jobs.store import PREVIEW
from block.local_studio.server import running
from block.model.checkpoint import EMBEDDED
from tests.conftest import ROOT
from tests.end_to_end.conftest import ARGUMENTS, CHROMIUMS

MAX_BYTES = 300_000
WIDTH = 1100
VERDICTS = 3
MOVED_TO = "0.6"  # the threshold of Speech
PATIENCE_MS = 120_000  # to label the demo's recordings


def propose(project: LocalProject, address: Address) -> int:
    """Let the embedded model propose labels for all recordings. Return the number of the job."""
    jobs = Jobs(project, ROOT, address)
    values = {"model": EMBEDDED, "audioset-labels": "Speech\nMusic", "win-size-ms": "1000", "win-stride-ms": "500"}
    job = jobs.start(PREVIEW, values, {}, [sample.id for sample in project.samples()])
    while jobs.running() is not None:
        time.sleep(0.2)
    jobs.close()
    return job.id


def show_review(page: Page, url: str, job_id: int) -> None:
    """Open the review of a job, accept a few segments, and wait until the next one is drawn."""
    page.goto(f"{url}/review?job={job_id}")
    for place in range(1, VERDICTS + 1):
        accept(page, place)
    page.locator("#place", has_text=f"{VERDICTS + 1} of").wait_for()
    page.keyboard.press("Space")  # stop the sound, so that the cursor stands still


def show_thresholds(page: Page, url: str, job_id: int) -> None:
    """Accept the rest of a job's segments, open its thresholds, move one, and wait for what that changes."""
    page.goto(f"{url}/review?job={job_id}")
    total = int(page.locator("#place").inner_text().split()[-1])
    for place in range(VERDICTS + 1, total + 1):
        accept(page, place)
    page.locator("#finished").wait_for()
    page.goto(f"{url}/jobs/{job_id}/thresholds")
    page.locator("#t0").fill(MOVED_TO)
    page.locator("td.changed").first.wait_for()


def accept(page: Page, place: int) -> None:
    """Accept the segment at a place of the review, counted from 1, once it is shown."""
    page.locator("#place", has_text=f"{place} of").wait_for()
    page.keyboard.press("a")


# What each picture in docs/ shows, with its height in pixels.
PICTURES: dict[str, tuple[Callable[[Page, str, int], None], int]] = {
    "review.png": (show_review, 600),
    "thresholds.png": (show_thresholds, 645),
}


def main() -> int:
    """Write the pictures. Return the exit code: 1 if there is no Chromium, or a picture is too large."""
    path = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if path is None:
        print(f"no Chromium on this machine; install one of {', '.join(CHROMIUMS)}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "demo")  # the pages show its name
        shutil.copytree(ROOT / "demo" / "recordings", folder)
        project = LocalProject(folder)
        project.scan()
        with running(project) as address, sync_playwright() as playwright:
            job_id = propose(project, address)
            browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
            for name, (show, height) in PICTURES.items():
                size: ViewportSize = {"width": WIDTH, "height": height}
                page = browser.new_page(viewport=size, color_scheme="light", locale="en")
                page.set_default_timeout(PATIENCE_MS)
                show(page, f"http://{address.host}:{address.port}", job_id)
                page.wait_for_load_state("networkidle")
                page.screenshot(path=ROOT / "docs" / name, animations="disabled")
            browser.close()
        project.close()
    sizes = {name: (ROOT / "docs" / name).stat().st_size for name in PICTURES}
    for name, written in sizes.items():
        print(f"docs/{name}: {written / 1000:.0f} kB")
    return 0 if max(sizes.values()) <= MAX_BYTES else 1


if __name__ == "__main__":
    raise SystemExit(main())
