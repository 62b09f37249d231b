"""Ask the ffmpeg command how many values each file of the collection holds, and store its answers.

Run as `python -m tests.decoding.ask_ffmpeg`, after a change to the collection.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

from tests.decoding.case import ANSWERS, Case
from tests.decoding.collection import make_collection


def ask_ffmpeg(path: Path, rate_hz: int) -> int:
    """Return how many values per channel ffmpeg decodes from a file, at `rate_hz`; 0 if it finds no audio."""
    command = ["ffmpeg", "-v", "quiet", "-nostdin", "-i", str(path), "-vn", "-f", "f32le", "-ac", "1"]
    # An exit status other than 0 does not mean that ffmpeg decoded nothing: it reports the end of a cut file so.
    decoded = subprocess.run([*command, "-ar", str(rate_hz), "-"], stdout=subprocess.PIPE, check=False).stdout
    return len(decoded) // 4


def ask_about(cases: tuple[Case, ...]) -> dict[str, int]:
    """Return ffmpeg's answer for each case, by name."""
    with tempfile.TemporaryDirectory() as folder:
        return {case.name: ask_ffmpeg(case.write(Path(folder)), case.rate_hz) for case in cases}


if __name__ == "__main__":
    ANSWERS.write_text(json.dumps(ask_about(make_collection()), indent=0, sort_keys=True) + "\n")
