"""Run the examples of the documentation: blocks marked `sh run` and `python run`, each page in a folder of its own.

The folder has the demo's recordings in `recordings` and `ast-label` on the PATH. A block marked `text output` after one
has what it prints; `…` stands for text that varies.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.docs.pages import PAGES, Block, list_blocks, read_page

RUN, OUTPUT = "run", ("text", "output")
TIMES_LEFT = re.compile(r"^about .* left for .*\n", re.MULTILINE)  # how many of these are printed depends on the time
# Pages about what can't be tried here, or whose rows other tests try one by one.
WITHOUT_EXAMPLE = {
    "README.md": "its doors need what tests may not install", "CHANGELOG.md": "a list", "licenses.md": "a list",
    "CONTRIBUTING.md": "commands that take minutes", "SECURITY.md": "tests/security", "libraries.md": "tests/security",
    "faults.md": "tests/faults", "input.md": "tests/fuzz", "options.md": "generated", "python.md": "tests/test_api.py",
    "images.md": "needs Docker", "gpu.md": "needs a GPU", "ray.md": "tests/cluster", "fast-mode.md": "bench",
}  # fmt: skip


def list_examples(page: Path) -> list[tuple[Block, str | None]]:
    """Return the blocks of a page that run, with the output that the page shows."""
    blocks = list_blocks(read_page(page))
    found: list[tuple[Block, str | None]] = []
    for block, following in zip(blocks, (*blocks[1:], None), strict=bool(blocks)):
        if RUN in block.words:
            is_shown = following is not None and following.words == OUTPUT
            found.append((block, following.text if following is not None and is_shown else None))
    return found


EXAMPLES = {page: list_examples(page) for page in PAGES}
RUNNING = [page for page, examples in EXAMPLES.items() if examples]


def test_every_page_has_an_example_that_runs_or_a_reason() -> None:
    named = {page.name for page in PAGES} - {page.name for page in RUNNING}
    assert named == set(WITHOUT_EXAMPLE)


def test_every_shown_output_follows_an_example_that_runs() -> None:
    for page in PAGES:
        shown = sum(block.words == OUTPUT for block in list_blocks(read_page(page)))
        assert shown == sum(output is not None for _, output in EXAMPLES[page]), page.name


@pytest.mark.slow
@pytest.mark.parametrize("page", RUNNING, ids=[page.name for page in RUNNING])
def test_the_examples_of_a_page_run_and_print_what_it_shows(page: Path, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    texts = {
        "ast-label": f"#!{sys.executable}\nfrom block.__main__ import main\nmain()\n",
        "python": f'#!/bin/sh\nexec {sys.executable} "$@"\n',
    }
    for name, text in texts.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    work = tmp_path / "work"
    shutil.copytree(ROOT / "demo" / "recordings", work / "recordings")
    shutil.copy(ROOT / "demo" / "expected.csv", work)
    for name in ("transform.py", "models", "parameters.json"):
        (work / name).symlink_to(ROOT / name)
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "LC_ALL": "C.UTF-8",
        "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1",
    }  # fmt: skip
    for block, output in EXAMPLES[page]:
        where = f"{page.name}, line {block.line}"
        command = [sys.executable, "-c", block.text] if block.words[0] == "python" else ["bash", "-ec", block.text]
        done = subprocess.run(
            command, cwd=work, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        assert done.returncode == 0, f"{where}:\n{done.stdout}"
        if output is not None:
            pattern = ".*".join(re.escape(part) for part in output.strip().split("…"))
            printed = re.sub(TIMES_LEFT, "", done.stdout).strip()
            assert re.fullmatch(pattern, printed, re.DOTALL), f"{where} prints:\n{done.stdout}"
