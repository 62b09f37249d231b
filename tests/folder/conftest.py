"""Folders of recordings, and `label` and `relabel` in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from block import cli
from tests.folder import readers


def tones(seconds: float, rate: int, seed: int = 0) -> npt.NDArray[np.float64]:
    """Return tones that change every second, with a little noise."""
    time = np.arange(round(seconds * rate)) / rate
    hz = 200 * 2 ** ((np.floor(time) + seed) % 5)
    return 0.3 * np.sin(2 * np.pi * hz * time) + np.random.default_rng(seed).normal(0, 0.01, len(time))


def rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file as dictionaries."""
    return readers.csv_rows(path.read_bytes().decode())


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    """A folder of recordings in several formats, rates, channel counts and subfolders, and a text file."""
    folder = tmp_path / "audio"
    (folder / "dogs" / "old").mkdir(parents=True)
    soundfile.write(folder / "one.wav", tones(5, 16000), 16000)
    soundfile.write(folder / "dogs" / "two.FLAC", np.stack([tones(3.3, 44100, 1)] * 2, axis=1), 44100)
    soundfile.write(folder / "dogs" / "old" / "three.ogg", tones(2.7, 22050, 2), 22050)
    soundfile.write(folder / "four.mp3", tones(4, 48000, 3), 48000)
    soundfile.write(folder / "dogs" / "five.wav", tones(6.1, 8000, 4), 8000, "FLOAT")
    (folder / "notes.txt").write_text("not audio")
    return folder


@pytest.fixture
def label(checkpoint_folder: Path) -> Callable[..., int]:
    """Run `python -m block label` with the tests' checkpoint; return the exit code."""

    def run(folder: Path, out: Path, *options: str) -> int:
        given = list(options)
        if "--audioset-labels" not in given:
            given += ["--audioset-labels", "speech, music (tune), dog"]
        return cli.run_command(
            ["label", str(folder), "--out", str(out), "--model", str(checkpoint_folder), "--device", "cpu", *given]
        )

    return run


@pytest.fixture
def relabel() -> Callable[..., int]:
    """Run `python -m block relabel`; return the exit code."""

    def run(out: Path, *options: str) -> int:
        return cli.run_command(["relabel", str(out), *options])

    return run
