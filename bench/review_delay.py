"""`python -m bench.review_delay`: how long after a key the next segment of a review plays, in Chromium.

A job has proposed labels for 1,000 recordings. Needs Playwright, which is among the packages for tests, and Chromium.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.pages import RECORDINGS, add_recordings, propose
from bench.plan import BenchError
from block.cli import exit_with
from block.local_studio.data.project import LocalProject
from block.local_studio.server import running
from block.settings import SettingsError

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = ["--no-sandbox", "--mute-audio", "--autoplay-policy=no-user-gesture-required"]
KEYS = "a3"  # accept, another label
VERDICTS = 30
PATIENCE_S = 30.0
GOAL_MS = 300
# Collects the ms from each key to the moment at which a clip plays.
WATCH = """
window.delays = [];
let pressed = null;
addEventListener("keydown", () => { pressed = performance.now(); }, true);
const play = HTMLMediaElement.prototype.play;
HTMLMediaElement.prototype.play = function () {
  this.onplaying = () => {
    if (pressed !== null) { window.delays.push(performance.now() - pressed); pressed = null; }
  };
  return play.call(this);
};
"""


def main(argv: Sequence[str]) -> int:
    """Measure the delays and print them. Return the exit code; raise SettingsError if there is no browser."""
    parser = argparse.ArgumentParser(prog="python -m bench.review_delay", allow_abbrev=False, description=__doc__)
    parser.add_argument("--recordings", type=int, default=RECORDINGS, metavar="N", help="default: %(default)s")
    count = parser.parse_args(argv).recordings
    try:
        with tempfile.TemporaryDirectory(prefix="block-bench-review-") as folder:
            print(format_delays(measure(Path(folder), count)), flush=True)
    except BenchError as error:
        raise SettingsError(str(error)) from None
    return 0


def measure(folder: Path, count: int) -> list[float]:
    """Return the delays of some verdicts, in ms. Raise BenchError if there is no browser, or nothing plays."""
    project = LocalProject(folder)
    try:
        add_recordings(project, count)
        propose(project)
        with running(project) as address, open_browser() as browser:
            page = browser.new_page()
            page.add_init_script(WATCH)
            page.goto(f"{address.url}/review")
            page.wait_for_timeout(2000)  # as a person listens to the first segment
            for number in range(VERDICTS):
                page.keyboard.press(KEYS[number % len(KEYS)])
                _wait_for_delays(page, number + 1)
                page.wait_for_timeout(300)  # as a person listens
            delays: list[float] = page.evaluate("window.delays")
            return delays
    finally:
        project.close()


@contextmanager
def open_browser() -> Iterator[Any]:
    """Yield a headless Chromium. Raise BenchError if there is none."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise BenchError("Playwright isn't installed; run: pip install -r locked/dev.txt") from None
    path = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if path is None:
        raise BenchError(f"there is no Chromium; install one of {', '.join(CHROMIUMS)}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=OPTIONS)
        yield browser
        browser.close()


def format_delays(delays: Sequence[float]) -> str:
    """Return the delays in a sentence."""
    ordered = sorted(delays)
    late = sum(one > GOAL_MS for one in ordered)
    return (
        f"{len(ordered)} verdicts: the next segment plays after {statistics.median(ordered):.0f} ms in the median, "
        f"{ordered[-1]:.0f} ms at most; {late} later than {GOAL_MS} ms"
    )


def _wait_for_delays(page: Any, count: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while page.evaluate("window.delays.length") < count:
        if time.monotonic() > deadline:
            raise BenchError(f"no segment plays {PATIENCE_S:.0f} s after verdict {count}")
        page.wait_for_timeout(20)


if __name__ == "__main__":
    exit_with(main, sys.argv[1:], "python -m bench.review_delay")
