"""If a model or a package can't be loaded, the block says so once, and blames no recording."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from block.local_studio.data.project import LocalProject
from block.local_studio.server import running
from block.runtime.imports import describe_import_error
from tests.conftest import EMBEDDED, ROOT
from tests.local_studio.conftest import add_recording

pytest.importorskip("pyarrow")
pytest.importorskip("sklearn")

INSTALL = "run: pip install -r locked/run.txt -r locked/torch.txt"
STRIPPED = "transformers can't be loaded under python -OO: unset PYTHONOPTIMIZE"
LABEL = """
import sys
import block
from block.settings import SettingsError

try:
    block.label(sys.argv[1], "Speech", model=sys.argv[2], device="cpu")
except SettingsError as error:
    print(f"python: error: {error}", file=sys.stderr)
    sys.exit(2)
"""


@dataclass(frozen=True)
class Place:
    """Three recordings in `folder`, a project with the same ones, and an OUT folder that doesn't exist yet."""

    folder: Path
    project: LocalProject
    out: Path

    def run(self, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        model = ["--model", str(EMBEDDED), "--audioset-labels", "Speech, Music"]
        block = ["-m", "block"]
        words: dict[str, Sequence[str]] = {
            "label": [*block, "label", str(self.folder), "--out", str(self.out), *model],
            "label without scores": [
                *block, "label", str(self.folder), "--out", str(self.out), *model, "--no-score-store",
            ],
            "evaluate": [
                *block, "evaluate", str(self.folder), "--out", str(self.out), *model,
                "--compare", "score-function=softmax", "score-function=sigmoid",
            ],
            "verify": [*block, "models", "verify", str(EMBEDDED)],
            "transform": ["transform.py", "--data-ids-file", str(self.out.parent / "ids.json"), *model],
            "API": ["-c", LABEL, str(self.folder / "0.wav"), str(EMBEDDED)],
        }  # fmt: skip
        (self.out.parent / "ids.json").write_text(json.dumps([sample.id for sample in self.project.samples()]))
        clean = {name: value for name, value in os.environ.items() if not name.startswith("EI_")}
        with running(self.project) as address:
            own = {"EI_PROJECT_API_KEY": address.key, "EI_API_ENDPOINT": address.endpoint, "OMP_NUM_THREADS": "1"}
            return subprocess.run(
                [sys.executable, *words[command]], cwd=ROOT, env={**clean, **own, **environment},
                capture_output=True, text=True, timeout=240, check=False,
            )  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Place:
    folder, studio = tmp_path / "recordings", tmp_path / "project"
    folder.mkdir()
    studio.mkdir()
    project = LocalProject(studio)
    for at in range(3):
        soundfile.write(folder / f"{at}.wav", 0.3 * np.sin(0.1 * (at + 1) * np.arange(16000)), 16000)
        add_recording(project, audio=(folder / f"{at}.wav").read_bytes(), name=str(at))
    return Place(folder, project, tmp_path / "out")


@pytest.fixture
def stand_in(tmp_path: Path) -> Callable[[str, str], str]:
    """Return a function that puts a module of this name and text into a folder, and returns the folder."""

    def write(name: str, text: str) -> str:
        (tmp_path / "modules").mkdir(exist_ok=True)
        (tmp_path / "modules" / f"{name}.py").write_text(text)
        return str(tmp_path / "modules")

    return write


def check_refused_once(place: Place, done: subprocess.CompletedProcess[str], reason: str) -> None:
    """Check that the command exited with 2, gave the reason in one line, and labeled nothing."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.count("\n") == 1
    assert f"error: {reason}" in done.stderr
    assert "failed" not in done.stdout
    assert not (place.out / "labels.csv").exists()
    assert not (place.out / "failed.csv").exists()
    assert not any(sample.structured_labels for sample in place.project.samples())


COMMANDS = [
    "label", "transform",
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("label without scores", "evaluate", "verify", "API")),
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_without_docstrings_nothing_is_labeled_and_one_line_has_the_reason(place: Place, command: str) -> None:
    check_refused_once(place, place.run(command, PYTHONOPTIMIZE="2"), STRIPPED)


@pytest.mark.slow
def test_without_assertions_everything_works(place: Place) -> None:
    assert place.run("label", PYTHONOPTIMIZE="1").returncode == 0
    assert (place.out / "labels.csv").exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_an_error_while_importing_transformers_gives_one_line(
    place: Place, stand_in: Callable[[str, str], str], command: str
) -> None:
    folder = stand_in("transformers", "raise RuntimeError('operator torchvision::nms does not exist\\nand more')")
    done = place.run(command, PYTHONPATH=folder)
    reason = "transformers can't be imported (RuntimeError: operator torchvision::nms does not exist)"
    check_refused_once(place, done, f"{reason}; {INSTALL}")


BROKEN = {
    "transformers, not installed": (
        "transformers",
        "raise ModuleNotFoundError(\"No module named 'transformers'\", name='transformers')",
        "transformers can't be imported (No module named 'transformers'); ",
    ),
    "transformers, another file of that name": (
        "transformers",
        "",
        "transformers can't be imported (cannot import name 'ASTFeatureExtractor' from 'transformers' (",
    ),
    "torch without a library": (
        "torch",
        "raise ImportError('libcudart.so.12: cannot open shared object file')",
        "PyTorch can't be imported (libcudart.so.12: cannot open shared object file); ",
    ),
    "torch with a broken library": (
        "torch",
        "raise OSError('libtorch.so: undefined symbol: x')",
        "PyTorch can't be imported (OSError: libtorch.so: undefined symbol: x); ",
    ),
    "torch, another file of that name": ("torch", "", "PyTorch can't be imported (cannot import name 'Tensor' from "),
    "torch, an old version": (
        "torch",
        "Tensor = int\nfrom types import SimpleNamespace as nn",
        "PyTorch can't be imported (",
    ),
    "torchaudio, another file of that name": (
        "torchaudio",
        "",
        "PyTorch can't be imported (No module named 'torchaudio.compliance'; 'torchaudio' is not a package; it was "
        "imported from ",
    ),
    "numpy, not installed": (
        "numpy",
        "raise ModuleNotFoundError(\"No module named 'numpy'\", name='numpy')",
        "the block can't be imported (No module named 'numpy'); ",
    ),
    "requests, another file of that name": (
        "requests",
        "",
        "the block can't be imported (No module named 'requests.adapters'; 'requests' is not a package; it was "
        "imported from ",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_package_gives_one_line_with_the_reason(
    place: Place, stand_in: Callable[[str, str], str], case: str
) -> None:
    name, text, reason = BROKEN[case]
    folder = stand_in(name, text)
    done = place.run("label", PYTHONPATH=folder)
    check_refused_once(place, done, reason)
    assert done.stderr.endswith(f"; {INSTALL}\n")
    if text == "":
        assert f"{folder}/{name}.py" in done.stderr


def test_the_reason_of_an_import_error_is_one_line_with_the_file_of_the_wrong_module() -> None:
    assert describe_import_error(ImportError("no such\nlibrary")) == "no such"
    assert describe_import_error(ValueError("")) == "ValueError: "
    assert describe_import_error(ImportError("it is odd", name="json.gone")) == (
        f"it is odd; it was imported from {json.__file__}"
    )


@pytest.mark.slow
def test_recordings_with_stored_scores_keep_their_labels_if_the_model_breaks(
    place: Place, stand_in: Callable[[str, str], str]
) -> None:
    assert place.run("label").returncode == 0
    before = (place.out / "labels.csv").read_bytes()
    soundfile.write(place.folder / "new.wav", 0.1 * np.sin(np.arange(16000)), 16000)
    folder = stand_in("transformers", "raise OSError('broken')")
    done = place.run("label", PYTHONPATH=folder)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert (place.out / "labels.csv").read_bytes() == before
    (place.folder / "new.wav").unlink()
    assert place.run("label", PYTHONPATH=folder).returncode == 0
