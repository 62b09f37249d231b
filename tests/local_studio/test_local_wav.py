"""Convert audio files to WAV bytes, byte ranges and payload values."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from block.local_studio.api.app import parse_range
from block.local_studio.data import wav
from block.local_studio.data.wav import UnreadableAudio, read_wav

MakeWav = Callable[..., bytes]


def read_bytes(path: Path, part: slice = slice(None)) -> bytes:
    audio = read_wav(path, part)
    return audio.read_bytes() if isinstance(audio, Path) else audio


@pytest.fixture
def hundred(tmp_path: Path, audio_bytes: MakeWav) -> Path:
    """A WAV of 100 frames."""
    (tmp_path / "hundred.wav").write_bytes(audio_bytes(100))
    return tmp_path / "hundred.wav"


@pytest.mark.parametrize("subtype", wav.PLAIN_SUBTYPES)
@pytest.mark.parametrize("channels", [1, 2])
def test_a_plain_wav_is_served_unchanged(tmp_path: Path, audio_bytes: MakeWav, subtype: str, channels: int):
    data = audio_bytes(500, 22050, channels, subtype=subtype)
    (tmp_path / "a.wav").write_bytes(data)
    assert read_bytes(tmp_path / "a.wav") == data
    assert read_wav(tmp_path / "a.wav") == tmp_path / "a.wav"


@pytest.mark.parametrize(
    ("container", "subtype"), [("FLAC", "PCM_16"), ("AIFF", "PCM_16"), ("WAV", "ULAW"), ("WAV", "IMA_ADPCM")]
)
def test_anything_else_becomes_16_bit_pcm_with_its_own_rate_and_channels(
    tmp_path: Path, audio_bytes: MakeWav, container: str, subtype: str
):
    data = audio_bytes(70_000, 11025, 2, container=container, subtype=subtype)
    (tmp_path / "a").write_bytes(data)
    found = io.BytesIO(read_bytes(tmp_path / "a"))
    header = soundfile.info(found)
    assert (header.format, header.subtype, header.samplerate, header.channels) == ("WAV", "PCM_16", 11025, 2)
    found.seek(0)
    expected, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    values, _ = soundfile.read(found, dtype="float32")
    np.testing.assert_array_equal(values, expected)


def test_loud_compressed_audio_is_clipped_not_wrapped(tmp_path: Path):
    square = np.sign(np.sin(np.arange(16000) * 0.05)).astype("float32")
    soundfile.write(tmp_path / "a.ogg", square, 16000)
    peak = np.abs(soundfile.read(tmp_path / "a.ogg", dtype="float32")[0]).max()
    assert peak > 1
    values, _ = soundfile.read(io.BytesIO(read_bytes(tmp_path / "a.ogg")), dtype="float32")
    assert np.mean(values * square) > 0.9


@pytest.mark.parametrize("subtype", wav.PLAIN_SUBTYPES)
def test_a_slice_holds_the_same_values_in_the_same_width(tmp_path: Path, audio_bytes: MakeWav, subtype: str):
    data = audio_bytes(1000, subtype=subtype)
    (tmp_path / "a.wav").write_bytes(data)
    found = read_bytes(tmp_path / "a.wav", slice(100, 900))
    assert soundfile.info(io.BytesIO(found)).subtype == subtype
    whole, _ = soundfile.read(io.BytesIO(data), dtype="float64")
    np.testing.assert_array_equal(soundfile.read(io.BytesIO(found), dtype="float64")[0], whole[100:900])
    assert read_wav(tmp_path / "a.wav", slice(100, 900)) == found


@pytest.mark.parametrize(("part", "frames"), [(slice(10, None), 90), (slice(None, 10), 10)])
def test_a_slice_can_be_open_at_one_end(hundred: Path, part: slice, frames: int):
    found = read_bytes(hundred, part)
    assert soundfile.info(io.BytesIO(found)).frames == frames


@pytest.mark.parametrize("part", [slice(5, 5), slice(6, 5), slice(0, 101), slice(100, None), slice(None, 0)])
def test_a_slice_that_is_empty_or_too_long_is_refused(hundred: Path, part: slice):
    with pytest.raises(UnreadableAudio, match="expected 0 ≤ start < end ≤ 100"):
        read_wav(hundred, part)


def test_a_damaged_file_is_served_neither_whole_nor_in_slices(tmp_path: Path):
    (tmp_path / "a.wav").write_bytes(b"RIFFdamaged")
    for part in (slice(None), slice(0, 1)):
        with pytest.raises(UnreadableAudio, match="cannot be read as audio"):
            read_wav(tmp_path / "a.wav", part)


def test_payload_values_are_16_bit_integers_averaged_over_channels(tmp_path: Path):
    values = np.array([[0.5, 0.0], [-1.0, -1.0], [0.0, 0.0]])
    soundfile.write(tmp_path / "a.wav", values, 8000, "FLOAT")
    assert wav.read_first_values(tmp_path / "a.wav", 2) == [[8192], [-32768]]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-9", range(10)),
        ("bytes=90-", range(90, 100)),
        ("bytes=90-1000", range(90, 100)),
        ("bytes=-10", range(90, 100)),
        ("bytes=-1000", range(100)),
        ("bytes=-", None),
        ("bytes=9-3", None),
        ("bytes=0-1,5-6", None),
        ("frames=0-9", None),
        ("bytes=a-b", None),
    ],
)
def test_a_single_byte_range_is_parsed_and_others_are_ignored(header: str | None, expected: range | None):
    assert parse_range(header, 100) == expected


@pytest.mark.parametrize(("header", "size"), [("bytes=100-", 100), ("bytes=-0", 100), ("bytes=0-", 0)])
def test_a_range_outside_the_bytes_is_unsatisfiable(header: str, size: int):
    assert parse_range(header, size) is not None
    assert not parse_range(header, size)
