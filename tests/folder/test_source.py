"""Files that were cut off or damaged."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile

from block.folder.source import check_length, check_wav_length
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
    file = io.BytesIO(wav(size=size))
    check_wav_length(file)
    assert file.tell() == 0


@pytest.mark.parametrize("length", [46, 5000, 31000])
def test_a_wav_that_was_cut_off_is_refused_with_both_sizes(length: int) -> None:
    with pytest.raises(RecordingError, match=f"cut off: {length - 44} of 32000 bytes"):
        check_wav_length(io.BytesIO(wav()[:length]))


def test_a_few_missing_milliseconds_are_accepted() -> None:
    check_wav_length(io.BytesIO(wav()[:-300]))
    check_length(15900, 16000, 16000)
    with pytest.raises(RecordingError, match="15000 of the 16000 values"):
        check_length(15000, 16000, 16000)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"RIFF\0\0\0\0WAVE", b"fLaC" + b"\0" * 100, wav()[:20]])
def test_files_that_are_not_wav_are_left_to_the_decoder(content: bytes) -> None:
    check_wav_length(io.BytesIO(content))
