"""Take docs/review.png, the README's picture: python -m tests.docs.pictures, or make pictures.

Chromium shows the review of the demo's recordings, with what the embedded model proposes for them. Three segments have
verdicts already, so that the page shows how far along a review is.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
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

PICTURE = ROOT / "docs" / "review.png"
MAX_BYTES = 300_000
SIZE: ViewportSize = {"width": 1100, "height": 600}
VERDICTS = 3
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


def open_review(page: Page, address: Address, job_id: int) -> None:
    """Open the review of a job, accept a few segments, and wait until the next one is drawn."""
    page.goto(f"http://{address.host}:{address.port}/review?job={job_id}")
    for place in range(VERDICTS):
        page.locator("#place", has_text=f"{place + 1} of").wait_for()
        page.keyboard.press("a")
    page.locator("#place", has_text=f"{VERDICTS + 1} of").wait_for()
    page.keyboard.press("Space")  # stop the sound, so that the cursor stands still
    page.wait_for_load_state("networkidle")


def main() -> int:
    """Write the picture. Return the exit code: 1 if there is no Chromium, or the picture is too large."""
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
            page = browser.new_page(viewport=SIZE, color_scheme="light", locale="en")
            page.set_default_timeout(PATIENCE_MS)
            open_review(page, address, job_id)
            page.screenshot(path=PICTURE, animations="disabled")
            browser.close()
        project.close()
    size = PICTURE.stat().st_size
    print(f"{PICTURE.relative_to(ROOT)}: {size / 1000:.0f} kB")
    return 0 if size <= MAX_BYTES else 1


if __name__ == "__main__":
    raise SystemExit(main())
