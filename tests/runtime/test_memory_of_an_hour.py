"""How much memory an hour of audio takes on its way from Edge Impulse to the model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

# Decodes a WAV of noise, 16 bit at 44.1 kHz, as a sample's audio is decoded, and prints the peak of memory in MB.
MEASURE = """
import os, re, struct, sys
from block.audio import decode_wav
from block.runtime.memory_file import MemoryFile

size = 88200 * int(sys.argv[1])
form = struct.pack("<IHHIIHH", 16, 1, 1, 44100, 88200, 2, 16)
wav = MemoryFile(struct.pack("<4sI8s20s4sI", b"RIFF", size + 36, b"WAVEfmt ", form, b"data", size))
block = os.urandom(1 << 16)
while wav.size < size + 44:
    wav.write(block[: size + 44 - wav.size])
wav.compute_sha256()
assert decode_wav(wav).positions == size // 2
print(int(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1]) / 1000)
"""


def measure_mb(seconds: int) -> float:
    """Return the peak of memory of a process that decodes so many seconds, in MB."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(seconds)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux reports the memory of a process")
def test_an_hour_takes_at_most_400_mb_more_than_a_minute() -> None:
    assert measure_mb(3600) - measure_mb(60) <= 400
