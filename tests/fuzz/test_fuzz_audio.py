"""Any bytes decode to a waveform or raise RecordingError, with memory in proportion to their size."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import example, given
from hypothesis import strategies as st

from block.audio import LOUDEST, decode
from block.audio_readers import NonRaisingFile
from block.growing_waveform import ASK_BYTES, GrowingWaveform
from block.recording import RecordingError
from tests.conftest import ROOT
from tests.fuzz import riff
from tests.fuzz.drawn import examples, flipped

FORMATS = {
    "WAV": "PCM_16", "WAVEX": "FLOAT", "RF64": "PCM_24", "W64": "PCM_16", "AIFF": "PCM_16", "AU": "ULAW",
    "CAF": "ALAC_16", "FLAC": "PCM_16", "OGG": "VORBIS", "MP3": "MPEG_LAYER_III",
}  # fmt: skip


def encode(kind: str, values: int = 4000, channels: int = 1) -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (values, channels))
    soundfile.write(file, noise, 16000, format=kind, subtype=FORMATS[kind])
    return file.getvalue()


WHOLE = {kind: encode(kind) for kind in FORMATS} | {"FLAC of three": encode("FLAC", 2000, 3)}
WHOLE["OPUS"] = (
    lambda file: soundfile.write(file, np.zeros(4000), 16000, format="OGG", subtype="OPUS") or file.getvalue()
)(io.BytesIO())


def decode_and_check(data: bytes) -> None:
    """Decode `data`, and check the waveform or the error."""
    # Errors in libsndfile's callbacks are printed, not raised; pytest turns them into failures.
    try:
        sound = decode(data)
    except RecordingError as caught:
        problem = str(caught)
    else:
        problem = ""
    assert "\n" not in problem
    if problem:
        return
    assert sound.waveform.dtype == np.float32
    assert sound.waveform.ndim == 1
    assert np.isfinite(sound.waveform).all()
    assert np.abs(sound.waveform).max(initial=0) <= 10 * LOUDEST
    assert abs(len(sound.waveform) - sound.positions * sound.ratio) < 1


@examples(250)
@given(riff.wavs())
@example(riff.riff(riff.chunk(b"fmt ", riff.fmt(riff.PCM, 1, 8, 1, 8)), riff.chunk(b"data", bytes(600))))
@example(riff.rf64(2**40, bytes(1000)))
def test_a_wav_with_any_header_is_a_waveform_or_refused(data: bytes) -> None:
    decode_and_check(data)


@st.composite
def damaged(draw: Callable[[Any], Any]) -> bytes:
    return flipped(draw, WHOLE[draw(st.sampled_from(sorted(WHOLE)))])


@examples(200)
@given(damaged())
@example(bytes.fromhex("464f524d00001f6e41494646434f4d4d00000012000100000fa000"))  # libsndfile seeks to -1
def test_a_file_with_bytes_changed_is_a_waveform_or_refused(data: bytes) -> None:
    decode_and_check(data)


@examples(100)
@given(
    st.sampled_from([b"", b"RIFF", b"fLaC", b"OggS", b"ID3", b"FORM", b".snd", b"caff", b"\xff\xfb"]),
    st.binary(max_size=400),
)
def test_any_bytes_are_a_waveform_or_refused(start: bytes, rest: bytes) -> None:
    decode_and_check(start + rest)


def lying_flac(promised: int) -> bytes:
    """Return a FLAC file of 4,000 values whose header claims another number: the header's last 36 bits."""
    data = bytearray(WHOLE["FLAC"])
    numbers = int.from_bytes(data[18:26], "big")
    data[18:26] = (numbers >> 36 << 36 | promised).to_bytes(8, "big")
    return bytes(data)


def lying_ogg(promised: int) -> bytes:
    """Return an Ogg file whose last page claims another end (and so has a wrong checksum)."""
    data = bytearray(WHOLE["OGG"])
    at = data.rindex(b"OggS") + 6
    data[at : at + 8] = promised.to_bytes(8, "little")
    return bytes(data)


def claim_gigabytes() -> dict[str, bytes]:
    """Return small files at the model's rate that claim gigabytes or more."""
    pcm = riff.chunk(b"fmt ", riff.fmt(riff.PCM, 1, 16000, 2, 16))
    float64 = riff.chunk(b"fmt ", riff.fmt(riff.FLOAT, 1, 16000, 8, 64))
    wide = riff.chunk(b"fmt ", riff.fmt(riff.PCM, 1024, 16000, 2048, 16))
    body = bytes(8000)
    au = bytearray(WHOLE["AU"])
    au[8:12] = b"\xff\xff\xff\xfe"
    return {
        "WAV, 4 GB": riff.riff(pcm, riff.chunk(b"data", body, riff.FULL), size=riff.FULL),
        "WAV, 2 GB": riff.riff(pcm, riff.chunk(b"data", body, 2**31)),
        "WAV, 4 GB of doubles": riff.riff(float64, riff.chunk(b"data", body, riff.FULL)),
        "WAV, 1,024 channels": riff.riff(wide, riff.chunk(b"data", body, riff.FULL)),
        "WAV, a list of 4 GB": riff.riff(pcm, riff.chunk(b"LIST", b"INFO", riff.FULL), riff.chunk(b"data", body)),
        "RF64, 1 TB": riff.rf64(2**40, body),
        "AU, 4 GB": bytes(au),
        "FLAC, 2^28 values": lying_flac(2**28),
        "FLAC, 2^36 - 1 values": lying_flac(2**36 - 1),
        "FLAC, of unknown length": lying_flac(0),
        "OGG, 2^40 values": lying_ogg(2**40),
    }


# Prints by how many KiB each file raised the peaks of address space and of memory.
MEASURE = """
import json, re, sys
from pathlib import Path
from block.audio import decode
from block.recording import RecordingError

def peaks():
    text = open("/proc/self/status").read()
    return [int(re.search(rf"{name}:\\s*(\\d+)", text)[1]) for name in ("VmPeak", "VmHWM")]

folder = Path(sys.argv[1])
decode((folder / "warm").read_bytes())
found = {}
for path in sorted(folder.iterdir()):
    before = peaks()
    try:
        said = len(decode(path.read_bytes()).waveform)
    except RecordingError as error:
        said = str(error)
    found[path.name] = [said, *(now - then for now, then in zip(peaks(), before))]
print(json.dumps(found))
"""


def measure(folder: Path, *limits: str) -> dict[str, Any]:
    code = [*limits, MEASURE]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(code), str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux reports the memory of a process")
def test_a_header_that_claims_gigabytes_takes_no_memory(tmp_path: Path) -> None:
    files = claim_gigabytes()
    for name, data in {**files, "warm": encode("FLAC")}.items():
        (tmp_path / name).write_bytes(data)
    found = measure(tmp_path)
    for name, (said, address_kib, memory_kib) in found.items():
        assert max(address_kib, memory_kib) < 32 << 10, (name, said)
    # The data is read in full if its end can be found without the header's claim.
    assert found["WAV, 4 GB"][0] == 4000
    assert found["RF64, 1 TB"][0] == f"the audio is cut off: 8000 of {2**40} bytes are there"
    assert found["WAV, 2 GB"][0] == 4000


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux limits the memory of a process")
def test_a_small_file_that_decodes_to_more_than_memory_is_refused(tmp_path: Path) -> None:
    with soundfile.SoundFile(tmp_path / "bomb", "w", 16000, 1, "PCM_16", format="FLAC") as file:
        for _ in range(64):
            file.write(np.zeros(1 << 20, np.int16))
    assert (tmp_path / "bomb").stat().st_size < 1 << 20  # decodes to a waveform of 256 MB
    (tmp_path / "warm").write_bytes(encode("FLAC"))
    limit = "import numpy, resource, soundfile; resource.setrlimit(resource.RLIMIT_DATA, (192 << 20,) * 2)"
    assert "the waveform needs at least" in measure(tmp_path, limit)["bomb"][0]
    unaware = "from block.runtime import limits; limits.PROCESS_LIMITS.clear()"
    assert "not enough memory" in measure(tmp_path, limit, unaware)["bomb"][0]
    assert measure(tmp_path)["bomb"][0] == 64 << 20


def test_a_waveform_grows_and_keeps_its_values() -> None:
    growing = GrowingWaveform()
    for number in range(100):
        growing.reserve(1000)[:700] = number
        growing.length += 700
    assert growing.finish().tolist() == [number for number in range(100) for _ in range(700)]


def test_a_waveform_that_needs_more_than_is_free_is_refused_before_memory_is_taken() -> None:
    values = ASK_BYTES // 4
    with pytest.raises(RecordingError, match=r"needs at least 0\.1 GB of memory; 0\.0 GB are free"):
        GrowingWaveform(values + 1, free=lambda: ASK_BYTES // 2)
    growing = GrowingWaveform(free=lambda: ASK_BYTES // 2)
    growing.reserve(1000)
    with pytest.raises(RecordingError, match="GB are free"):
        growing.reserve(values + 1)
    GrowingWaveform(values + 1, free=lambda: 5 * ASK_BYTES)


def test_a_disk_that_fails_midway_is_reported_as_such() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 2000:
                raise OSError(5, "Input/output error")
            return super().read(size)

    with pytest.raises(RecordingError, match="^the audio can't be read: Input/output error$"):
        decode(Failing(encode("WAV", 40_000)))


def test_a_seek_out_of_the_file_is_refused_as_in_c_and_has_no_effect() -> None:
    file = NonRaisingFile(io.BytesIO(b"12345"))
    file.seek(3)
    assert file.seek(-1) == file.tell() == -1
    assert file.seek(2**70) == -1
    assert (file.tell(), file.tell(), file.read()) == (-1, 3, b"45")
