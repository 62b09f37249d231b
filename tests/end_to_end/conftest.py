"""One headless Chromium for all tests here, and windows that are watched for errors and for requests elsewhere."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

from block.local_studio.data.project import LocalProject
from block.local_studio.jobs import jobs as jobs_module
from block.local_studio.server import running

ROOT = Path(__file__).resolve().parents[2]
TOY = ROOT / "tests" / "local_studio" / "toy_block"
PICTURES = ROOT / "build" / "end-to-end"
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox",  # tests run as root in containers
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--mute-audio",
]
WIDE = {"width": 1200, "height": 850}
NARROW = {"width": 360, "height": 740}
PATIENCE_MS = 20_000
AXE = Axe()
BAD = ("serious", "critical")

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="package")
def chromium() -> Iterator[Any]:
    path = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if path is None:
        pytest.skip(f"there is none of {', '.join(CHROMIUMS)} on this machine")
    # Of this scope, because asyncio.run does not work in this thread before it has ended.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Windows:
    """Browser windows on one served project; `faults` is what went wrong in them and was not `expected`."""

    browser: Any
    project: LocalProject
    url: str
    faults: list[str] = field(default_factory=list)
    expected: set[int] = field(default_factory=set)  # statuses from 400 on that a test provokes
    kept_open: int = 0  # times that a window asked whether to leave it, and was told to stay
    contexts: list[Any] = field(default_factory=list)

    def open(self, path: str = "/", *, theme: str = "light", **options: Any) -> Any:
        """A window of its own, with its own cookies and storage, that shows `path`."""
        context = self.browser.new_context(color_scheme=theme, **{"viewport": WIDE, "locale": "en", **options})
        context.set_default_timeout(PATIENCE_MS)
        self.contexts.append(context)
        context.on("request", self._asked)
        context.on("console", self._told)
        context.on("weberror", lambda error: self.faults.append(f"script error: {error.error}"))
        page = context.new_page()
        page.on("dialog", self._boxed)
        page.goto(self.url + path)
        return page

    def close(self) -> None:
        for context in self.contexts:
            context.close()

    def inspect(self, page: Any, name: str) -> None:
        """Look at a page as it is now: nothing too wide, no grave fault by axe-core, and pictures, in both themes."""
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            faults = [one for one in scan(page) if one["impact"] in BAD]
            assert not faults, f"{name}, {theme}:\n" + "\n".join(map(said, faults))
            self._picture(page, f"{name}-{theme}")
        page.set_viewport_size(NARROW)
        too_wide = page.evaluate(TOO_WIDE)
        self._picture(page, f"{name}-narrow")
        page.set_viewport_size(WIDE)
        page.emulate_media(color_scheme="light")
        assert not too_wide, f"{name}: wider than {NARROW['width']} pixels: {too_wide}"

    def _picture(self, page: Any, name: str) -> None:
        PICTURES.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=PICTURES / f"{name}.png", full_page=True, animations="disabled")

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((f"{self.url}/", "data:", "blob:")):
            self.faults.append(f"a request elsewhere: {request.url}")

    def _told(self, message: Any) -> None:
        status = re.search(r"responded with a status of (\d+)", message.text)
        if message.type in ("error", "warning") and not (status and int(status[1]) in self.expected):
            self.faults.append(f"{message.type} on the console: {message.text}")

    def _boxed(self, dialog: Any) -> None:
        if dialog.type == "beforeunload":
            self.kept_open += 1
        else:
            self.faults.append(f"a box opened: {dialog.message}")
        dialog.dismiss()


# What reaches beyond the window, unless something around it scrolls or cuts it.
TOO_WIDE = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) { return []; }
  return [...document.querySelectorAll("body *")]
    .filter((one) => one.getBoundingClientRect().right > width + 0.5)
    .slice(0, 8).map((one) => `${one.tagName}.${one.className}#${one.id}`);
}"""


def scan(page: Any) -> list[dict[str, Any]]:
    """What axe-core finds wrong with the page."""
    violations: list[dict[str, Any]] = AXE.run(page).response["violations"]
    return violations


def said(violation: dict[str, Any]) -> str:
    """A finding of axe-core in some lines."""
    nodes = [f"    {node['target']} {node['html'][:160]}\n{node['failureSummary']}" for node in violation["nodes"][:4]]
    return "\n".join([f"{violation['impact']}: {violation['id']}: {violation['help']}", *nodes])


Serve = Callable[..., Windows]


@pytest.fixture
def serve(chromium: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Serves the audio in `tmp_path` with a block, and hands out windows; all is ended and judged after the test."""
    monkeypatch.setattr(jobs_module, "TICK_S", 0.1)
    served: list[Windows] = []
    with ExitStack() as stack:

        def start(block: Path | None = TOY, host: str = "127.0.0.1") -> Windows:
            project = LocalProject(tmp_path)
            stack.callback(project.close)
            project.scan()
            address = stack.enter_context(running(project, block=block, host=host))
            windows = Windows(chromium, project, f"http://127.0.0.1:{address.port}")
            stack.callback(windows.close)
            served.append(windows)
            return windows

        yield start
    assert [fault for windows in served for fault in windows.faults] == []
