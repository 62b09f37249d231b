"""One headless Chromium for all tests here, and windows that record errors and requests to other hosts."""

from __future__ import annotations

import os
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
from block.model.checkpoint import EMBEDDED

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
NARROW = {"width": 390, "height": 844}
SIZES = ({"width": 1440, "height": 900}, {"width": 900, "height": 700}, NARROW, {"width": 360, "height": 740})
PATIENCE_MS = 20_000
JOB_MS = 120_000  # a slow machine needs this long to import torch
AXE = Axe()
BAD = ("serious", "critical")

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="package")
def chromium() -> Iterator[Any]:
    path = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if path is None:
        pytest.skip(f"no Chromium on this machine; install one of {', '.join(CHROMIUMS)}")
    # Package scope, because asyncio.run fails in this thread until Playwright has stopped.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Windows:
    """Browser windows on a served project. `faults` lists unexpected errors."""

    browser: Any
    project: LocalProject
    url: str
    faults: list[str] = field(default_factory=list)
    expected: set[int] = field(default_factory=set)  # HTTP error statuses that a test provokes
    kept_open: int = 0  # times that a window asked before leaving the page, and the test chose to stay
    contexts: list[Any] = field(default_factory=list)

    def open(self, path: str = "/", *, theme: str = "light", **options: Any) -> Any:
        """Open `path` in a new window with its own cookies and storage."""
        context = self.browser.new_context(color_scheme=theme, **{"viewport": WIDE, "locale": "en", **options})
        context.set_default_timeout(PATIENCE_MS)
        self.contexts.append(context)
        context.on("request", self._check_request)
        context.on("console", self._check_console)
        context.on("weberror", lambda error: self.faults.append(f"script error: {error.error}"))
        page = context.new_page()
        page.on("dialog", self._dismiss_dialog)
        page.goto(self.url + path)
        return page

    def close(self) -> None:
        for context in self.contexts:
            context.close()

    def inspect(self, page: Any, name: str) -> None:
        """Check that the page isn't too wide and has no serious axe-core violation. Take screenshots in both themes.

        With ALL_PICTURES in the environment, take them at all widths.
        """
        before = page.viewport_size
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            faults = [one for one in scan(page) if one["impact"] in BAD]
            assert not faults, f"{name}, {theme}:\n" + "\n".join(map(format_violation, faults))
            self._picture(page, f"{name}-{theme}")
        page.emulate_media(color_scheme="light")
        for size in SIZES:
            page.set_viewport_size(size)
            too_wide = page.evaluate(TOO_WIDE)
            assert not too_wide, f"{name}: wider than {size['width']} pixels: {too_wide}"
            if size == NARROW or "ALL_PICTURES" in os.environ:
                self._picture(page, f"{name}-{size['width']}")
        page.set_viewport_size(before)

    def _picture(self, page: Any, name: str) -> None:
        PICTURES.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=PICTURES / f"{name}.png", full_page=True, animations="disabled")

    def _check_request(self, request: Any) -> None:
        if not request.url.startswith((f"{self.url}/", "data:", "blob:")):
            self.faults.append(f"request to another host: {request.url}")

    def _check_console(self, message: Any) -> None:
        status = re.search(r"responded with a status of (\d+)", message.text)
        if message.type in ("error", "warning") and not (status and int(status[1]) in self.expected):
            self.faults.append(f"{message.type} on the console: {message.text}")

    def _dismiss_dialog(self, dialog: Any) -> None:
        if dialog.type == "beforeunload":
            self.kept_open += 1
        else:
            self.faults.append(f"unexpected dialog: {dialog.message}")
        dialog.dismiss()


# Elements that are wider than the window, unless they scroll or are clipped.
TOO_WIDE = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) { return []; }
  return [...document.querySelectorAll("body *")]
    .filter((one) => one.getBoundingClientRect().right > width + 0.5)
    .slice(0, 8).map((one) => `${one.tagName}.${one.className}#${one.id}`);
}"""


def scan(page: Any) -> list[dict[str, Any]]:
    """Return the violations that axe-core finds on the page."""
    violations: list[dict[str, Any]] = AXE.run(page).response["violations"]
    return violations


def format_violation(violation: dict[str, Any]) -> str:
    """Format a violation that axe-core found, in several lines."""
    nodes = [f"    {node['target']} {node['html'][:160]}\n{node['failureSummary']}" for node in violation["nodes"][:4]]
    return "\n".join([f"{violation['impact']}: {violation['id']}: {violation['help']}", *nodes])


Serve = Callable[..., Windows]


@pytest.fixture
def block(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of this block, whose models/ tests may change."""
    copy = tmp_path_factory.mktemp("block")
    for name in ("transform.py", "parameters.json", "Dockerfile.cpu"):
        shutil.copy(ROOT / name, copy)
    shutil.copytree(ROOT / "block", copy / "block", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "models" / EMBEDDED, copy / "models" / EMBEDDED)
    return copy


@pytest.fixture
def serve(chromium: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Yield a function that serves the audio in `tmp_path` with a block. After the test, no window may have faults."""
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
