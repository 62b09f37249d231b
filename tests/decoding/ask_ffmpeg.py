"""Ask the ffmpeg command how many values each file of the collection holds, and store its answers.

Run as `python -m tests.decoding.ask_ffmpeg`, after a change to the collection.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.decoding.case import ANSWERS, Case
from tests.decoding.collection import make_collection


def decode(path: Path, rate_hz: int, channels: int = 1) -> npt.NDArray[np.float32]:
    """Return what ffmpeg decodes from a file, at `rate_hz`, shape `(values, channels)`; empty if it finds no audio."""
    command = ["ffmpeg", "-v", "quiet", "-nostdin", "-i", str(path), "-vn", "-f", "f32le"]
    # An exit status other than 0 does not mean that ffmpeg decoded nothing: it reports the end of a cut file so.
    command += ["-ac", str(channels), "-ar", str(rate_hz), "-"]
    decoded = subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout
    return np.frombuffer(decoded, "<f4").reshape(-1, channels)


def ask_about(cases: tuple[Case, ...]) -> dict[str, int]:
    """Return ffmpeg's answer for each case, by name."""
    with tempfile.TemporaryDirectory() as folder:
        return {case.name: len(decode(case.write(Path(folder)), case.rate_hz)) for case in cases}


if __name__ == "__main__":
    ANSWERS.write_text(json.dumps(ask_about(make_collection()), indent=0, sort_keys=True) + "\n")
