"""Audio files as WAVs, parts of them, and payload values."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from block.audio import decode
from block.local_studio.data import wav
from block.local_studio.data.wav import AudioContent, WavMaker
from block.recording import RecordingError
from block.runtime.hashing import compute_sha256

MakeWav = Callable[..., bytes]
ALL = slice(None)


@pytest.fixture
def maker() -> Iterator[WavMaker]:
    maker = WavMaker()
    yield maker
    maker.cache.close()


def content(path: Path, values: int = 0) -> AudioContent:
    return AudioContent(path, compute_sha256(path), values)


def read_bytes(maker: WavMaker, path: Path, part: slice = ALL) -> bytes:
    audio = content(path)
    return (maker.get_wav(audio) if part == ALL else maker.get_slice(audio, part)).read_bytes()


@pytest.fixture
def hundred(tmp_path: Path, audio_bytes: MakeWav) -> Path:
    """A WAV of 100 frames."""
    (tmp_path / "hundred.wav").write_bytes(audio_bytes(100))
    return tmp_path / "hundred.wav"


@pytest.mark.parametrize("subtype", wav.WIDTHS)
@pytest.mark.parametrize("channels", [1, 2])
def test_a_plain_wav_is_served_unchanged(
    maker: WavMaker, tmp_path: Path, audio_bytes: MakeWav, subtype: str, channels: int
):
    data = audio_bytes(500, 22050, channels, subtype=subtype)
    (tmp_path / "a.wav").write_bytes(data)
    assert read_bytes(maker, tmp_path / "a.wav") == data
    assert maker.get_wav(content(tmp_path / "a.wav")) == tmp_path / "a.wav"


@pytest.mark.parametrize(
    ("container", "subtype"), [("FLAC", "PCM_16"), ("AIFF", "PCM_16"), ("WAV", "ULAW"), ("WAV", "IMA_ADPCM")]
)
def test_anything_else_becomes_16_bit_pcm_with_its_own_rate_and_channels(
    maker: WavMaker, tmp_path: Path, audio_bytes: MakeWav, container: str, subtype: str
):
    data = audio_bytes(70_000, 11025, 2, container=container, subtype=subtype)
    (tmp_path / "a").write_bytes(data)
    found = io.BytesIO(read_bytes(maker, tmp_path / "a"))
    header = soundfile.info(found)
    assert (header.format, header.subtype, header.samplerate, header.channels) == ("WAV", "PCM_16", 11025, 2)
    found.seek(0)
    expected, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    values, _ = soundfile.read(found, dtype="float32")
    np.testing.assert_array_equal(values, expected)


def test_compressed_audio_louder_than_full_scale_keeps_its_peaks(maker: WavMaker, tmp_path: Path):
    square = np.sign(np.sin(np.arange(16000) * 0.05)).astype("float32")
    soundfile.write(tmp_path / "a.ogg", square, 16000)
    expected = decode(tmp_path / "a.ogg").waveform
    assert np.abs(expected).max() > 1.1
    for served in (maker.get_wav(content(tmp_path / "a.ogg")), maker.get_playable(content(tmp_path / "a.ogg"))):
        values, _ = soundfile.read(served, dtype="float32")
        np.testing.assert_array_equal(values, expected)


def test_values_beyond_full_scale_are_clipped_not_wrapped():
    values = np.array([-2, -1, 0, 0.99999, 1, 2, np.inf, -np.inf, np.nan], np.float32)
    assert wav.to_pcm16(values).tolist() == [-32768, -32768, 0, 32767, 32767, 32767, 32767, -32768, 0]


@pytest.mark.parametrize(("subtype", "played"), [("PCM_32", "PCM_16"), ("DOUBLE", "PCM_16"), ("PCM_24", "PCM_24")])
def test_a_wav_too_wide_for_browsers_is_played_with_16_bits(
    maker: WavMaker, tmp_path: Path, audio_bytes: MakeWav, subtype: str, played: str
):
    (tmp_path / "a.wav").write_bytes(audio_bytes(500, channels=2, subtype=subtype))
    playable = maker.get_playable(content(tmp_path / "a.wav"))
    assert soundfile.info(playable).subtype == played
    expected = soundfile.read(tmp_path / "a.wav")[0]
    np.testing.assert_allclose(soundfile.read(playable)[0], expected, atol=0.5 / 32768)


@pytest.mark.parametrize(
    ("container", "subtype", "served"),
    [("AIFF", "PCM_24", "PCM_24"), ("AIFF", "PCM_S8", "PCM_U8"), ("CAF", "DOUBLE", "DOUBLE"), ("AU", "FLOAT", "FLOAT"),
     ("W64", "PCM_32", "PCM_32"), ("RF64", "PCM_16", "PCM_16")],
)  # fmt: skip
def test_other_uncompressed_audio_keeps_its_width(
    maker: WavMaker, tmp_path: Path, audio_bytes: MakeWav, container: str, subtype: str, served: str
):
    (tmp_path / "a").write_bytes(audio_bytes(300_001, channels=2, container=container, subtype=subtype))
    found = maker.get_wav(content(tmp_path / "a"))
    assert (soundfile.info(found).format, soundfile.info(found).subtype) == ("WAV", served)
    np.testing.assert_array_equal(soundfile.read(found)[0], soundfile.read(tmp_path / "a")[0])


def test_a_file_that_changed_after_it_was_listed_is_not_served_as_the_earlier_one(
    maker: WavMaker, tmp_path: Path, audio_bytes: MakeWav
):
    path = tmp_path / "a.flac"
    path.write_bytes(audio_bytes(500, container="FLAC"))
    listed = content(path)
    path.write_bytes(audio_bytes(600, container="FLAC"))
    with pytest.raises(RecordingError, match="has changed since it was listed; restart the local Studio"):
        maker.get_wav(listed)


def test_more_audio_than_a_wav_can_hold_becomes_an_rf64(
    maker: WavMaker, tmp_path: Path, audio_bytes: MakeWav, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(wav, "LARGEST_WAV", 999)
    (tmp_path / "a.flac").write_bytes(audio_bytes(500, container="FLAC"))
    found = maker.get_wav(content(tmp_path / "a.flac", 500))
    assert (soundfile.info(found).format, decode(found).positions) == ("RF64", 500)


def test_a_full_disk_is_named(tmp_path: Path, audio_bytes: MakeWav):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    (tmp_path / "a.wav").write_bytes(audio_bytes(1000))
    with wav.open_wav(tmp_path / "a.wav") as sound:
        with pytest.raises(RecordingError, match="can't write a WAV of it to /dev: .*; make room there, or set TMPDIR"):
            wav._copy(sound, Path("/dev/full"), "PCM_16", 0, 1000)


@pytest.mark.parametrize("subtype", wav.WIDTHS)
def test_a_slice_holds_the_same_values_in_the_same_width(
    maker: WavMaker, tmp_path: Path, audio_bytes: MakeWav, subtype: str
):
    data = audio_bytes(1000, subtype=subtype)
    (tmp_path / "a.wav").write_bytes(data)
    found = read_bytes(maker, tmp_path / "a.wav", slice(100, 900))
    assert soundfile.info(io.BytesIO(found)).subtype == subtype
    whole, _ = soundfile.read(io.BytesIO(data), dtype="float64")
    np.testing.assert_array_equal(soundfile.read(io.BytesIO(found), dtype="float64")[0], whole[100:900])


@pytest.mark.parametrize(("part", "frames"), [(slice(10, None), 90), (slice(None, 10), 10)])
def test_a_slice_can_be_open_at_one_end(maker: WavMaker, hundred: Path, part: slice, frames: int):
    found = read_bytes(maker, hundred, part)
    assert soundfile.info(io.BytesIO(found)).frames == frames


@pytest.mark.parametrize("part", [slice(5, 5), slice(6, 5), slice(0, 101), slice(100, None), slice(None, 0)])
def test_a_slice_that_is_empty_or_too_long_is_refused(maker: WavMaker, hundred: Path, part: slice):
    with pytest.raises(RecordingError, match="expected 0 ≤ start < end ≤ 100"):
        maker.get_slice(content(hundred), part)


def test_a_damaged_file_is_served_neither_whole_nor_in_slices(maker: WavMaker, tmp_path: Path):
    (tmp_path / "a.wav").write_bytes(b"RIFFdamaged!")
    for part in (ALL, slice(0, 1)):
        with pytest.raises(RecordingError, match="the audio can't be decoded: the file is a RIFF without WAVE"):
            read_bytes(maker, tmp_path / "a.wav", part)


def test_a_decoded_recording_has_the_same_bytes_in_each_server(maker: WavMaker, tmp_path: Path, audio_bytes: MakeWav):
    (tmp_path / "loud.au").write_bytes(audio_bytes(1000, container="AU", subtype="FLOAT"))
    written = read_bytes(maker, tmp_path / "loud.au")
    at = written.index(b"PEAK") + 12
    assert written[at : at + 4] == bytes(4)  # libsndfile writes the time


def test_payload_values_are_16_bit_integers_averaged_over_channels(tmp_path: Path):
    values = np.array([[0.5, 0.0], [-1.0, -1.0], [0.0, 0.0]])
    soundfile.write(tmp_path / "a.wav", values, 8000, "FLOAT")
    assert wav.read_first_values(tmp_path / "a.wav", 2) == [[8192], [-32768]]


def test_the_payload_of_a_long_recording_needs_only_its_first_block(
    tmp_path: Path, audio_bytes: MakeWav, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "a.flac").write_bytes(audio_bytes(200_000, container="FLAC"))
    read: list[int] = []
    original = wav.to_pcm16
    monkeypatch.setattr(wav, "to_pcm16", lambda values: read.append(len(values)) or original(values))
    values = soundfile.read(tmp_path / "a.flac", dtype="int16")[0]
    assert wav.read_first_values(tmp_path / "a.flac", 3) == [[int(value)] for value in values[:3]]
    assert read == [3]
    assert len(wav.read_first_values(tmp_path / "a.flac", 150_000)) == 150_000
    assert len(wav.read_first_values(tmp_path / "a.flac", 300_000)) == 200_000
