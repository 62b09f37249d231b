"""Files that were cut off or damaged."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile

from block.audio import decode
from block.containers.structure import AudioCutOff
from block.recording import RecordingError


def wav(values: int = 16000, **changes: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(values), 16000, format="WAV", subtype="PCM_16")
    content = bytearray(file.getvalue())
    if "size" in changes:
        at = content.index(b"data") + 4
        content[at : at + 4] = struct.pack("<I", changes["size"])
    return bytes(content)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF, 32000])
def test_whole_files_and_files_written_to_a_pipe_pass(size: int) -> None:
    assert decode(wav(size=size)).positions == 16000


@pytest.mark.parametrize("length", [46, 5000, 31000])
def test_a_wav_that_was_cut_off_is_refused_with_both_sizes(length: int) -> None:
    with pytest.raises(AudioCutOff, match=f"cut off: {length - 44} of 32000 bytes"):
        decode(wav()[:length])


def test_a_few_missing_milliseconds_are_accepted_with_a_warning() -> None:
    audio = decode(wav()[:-300])
    assert audio.positions == 15850
    assert audio.notes == ("its header claims 32000 bytes of audio; 31700 are there",)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"RIFF\0\0\0\0WAVE", b"fLaC" + b"\0" * 100, wav()[:20]])
def test_files_without_audio_are_refused(content: bytes) -> None:
    with pytest.raises(RecordingError):
        decode(content)
