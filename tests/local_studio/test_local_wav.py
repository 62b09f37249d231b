"""Audio files → WAV bytes, ranges of bytes, payload values."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from block.local_studio.api import app
from block.local_studio.api.app import ByteRange, Unsatisfiable
from block.local_studio.data import wav
from block.local_studio.data.wav import Slice, UnreadableAudio

MakeWav = Callable[..., bytes]


def served(audio: wav.Bytes) -> bytes:
    return b"".join(audio.read(0, audio.size))


@pytest.mark.parametrize("subtype", wav.PLAIN_SUBTYPES)
@pytest.mark.parametrize("channels", [1, 2])
def test_a_plain_wav_travels_as_it_is(tmp_path: Path, audio_bytes: MakeWav, subtype: str, channels: int):
    data = audio_bytes(500, 22050, channels, subtype=subtype)
    (tmp_path / "a.wav").write_bytes(data)
    assert served(wav.of_file(tmp_path / "a.wav")) == data


@pytest.mark.parametrize(
    ("container", "subtype"), [("FLAC", "PCM_16"), ("AIFF", "PCM_16"), ("WAV", "ULAW"), ("WAV", "IMA_ADPCM")]
)
def test_anything_else_becomes_16_bit_pcm_with_its_own_rate_and_channels(
    tmp_path: Path, audio_bytes: MakeWav, container: str, subtype: str
):
    data = audio_bytes(70_000, 11025, 2, container=container, subtype=subtype)
    (tmp_path / "a").write_bytes(data)
    found = io.BytesIO(served(wav.of_file(tmp_path / "a")))
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
    values, _ = soundfile.read(io.BytesIO(served(wav.of_file(tmp_path / "a.ogg"))), dtype="float32")
    assert np.mean(values * square) > 0.9


@pytest.mark.parametrize("subtype", wav.PLAIN_SUBTYPES)
def test_a_slice_holds_the_same_values_in_the_same_width(tmp_path: Path, audio_bytes: MakeWav, subtype: str):
    data = audio_bytes(1000, subtype=subtype)
    (tmp_path / "a.wav").write_bytes(data)
    found = served(wav.of_file(tmp_path / "a.wav", Slice(100, 900)))
    assert soundfile.info(io.BytesIO(found)).subtype == subtype
    whole, _ = soundfile.read(io.BytesIO(data), dtype="float64")
    np.testing.assert_array_equal(soundfile.read(io.BytesIO(found), dtype="float64")[0], whole[100:900])
    assert served(wav.of_bytes(data, Slice(100, 900))) == found


@pytest.mark.parametrize(("part", "frames"), [(Slice(10, None), 90), (Slice(None, 10), 10)])
def test_a_slice_may_be_open_at_one_end(audio_bytes: MakeWav, part: Slice, frames: int):
    found = served(wav.of_bytes(audio_bytes(100), part))
    assert soundfile.info(io.BytesIO(found)).frames == frames


@pytest.mark.parametrize("part", [Slice(5, 5), Slice(6, 5), Slice(0, 101), Slice(100, None), Slice(None, 0)])
def test_a_slice_that_is_empty_or_too_long_is_refused(audio_bytes: MakeWav, part: Slice):
    with pytest.raises(UnreadableAudio, match="expected 0 ≤ start < end ≤ 100"):
        wav.of_bytes(audio_bytes(100), part)


def test_damaged_bytes_are_served_whole_but_not_in_slices():
    assert served(wav.of_bytes(b"RIFFdamaged")) == b"RIFFdamaged"
    with pytest.raises(UnreadableAudio, match="cannot be read as audio"):
        wav.of_bytes(b"RIFFdamaged", Slice(0, 1))


def test_payload_values_are_16_bit_integers_averaged_over_channels():
    target = io.BytesIO()
    soundfile.write(target, np.array([[0.5, 0.0], [-1.0, -1.0], [0.0, 0.0]]), 8000, "FLOAT", format="WAV")
    target.seek(0)
    assert wav.first_values(target, 2) == [[8192], [-32768]]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-9", ByteRange(0, 10)),
        ("bytes=90-", ByteRange(90, 100)),
        ("bytes=90-1000", ByteRange(90, 100)),
        ("bytes=-10", ByteRange(90, 100)),
        ("bytes=-1000", ByteRange(0, 100)),
        ("bytes=-", None),
        ("bytes=9-3", None),
        ("bytes=0-1,5-6", None),
        ("frames=0-9", None),
        ("bytes=a-b", None),
    ],
)
def test_one_range_of_bytes_is_understood_and_others_are_ignored(header: str | None, expected: ByteRange | None):
    assert app.requested(header, 100) == expected


@pytest.mark.parametrize(("header", "size"), [("bytes=100-", 100), ("bytes=-0", 100), ("bytes=0-", 0)])
def test_a_range_outside_the_bytes_is_unsatisfiable(header: str, size: int):
    with pytest.raises(Unsatisfiable):
        app.requested(header, size)
