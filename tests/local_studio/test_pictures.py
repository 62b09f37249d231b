"""The pictures of a recording: tones where they sound, peaks of all values, and silence after the end."""

from __future__ import annotations

import itertools
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from block.local_studio.data.wav import open_wav
from block.local_studio.web import pictures
from block.local_studio.web.pictures import TimeSpan, peaks, spectrogram, ticks
from block.recording import RecordingError
from block.spectrogram import COLORS

RATE = 16000
NUMBERS = itertools.count()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty folder, where `write_wav` writes its files."""
    monkeypatch.chdir(tmp_path)


def write_wav(values: npt.ArrayLike, rate: int = RATE, subtype: str = "PCM_16") -> Path:
    path = Path(str(next(NUMBERS)))
    soundfile.write(path, np.asarray(values, dtype=np.float32), rate, format="WAV", subtype=subtype)
    return path


def tone(hz: float, seconds: float, rate: int = RATE) -> npt.NDArray[np.float64]:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


def pixels(picture: bytes) -> npt.NDArray[np.uint8]:
    """Return the palette indices of a PNG written by `encode_png`: 0 is quiet, 255 is loud."""
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    columns, rows = struct.unpack(">II", picture[16:24])
    at, body = 8, b""
    while at < len(picture):
        length, kind = struct.unpack(">I4s", picture[at : at + 8])
        body += picture[at + 8 : at + 8 + length] if kind == b"IDAT" else b""
        at += length + 12
    return np.frombuffer(zlib.decompress(body), np.uint8).reshape(rows, columns + 1)[:, 1:]


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 96000])
def test_a_tone_is_drawn_beside_its_frequency_on_the_axis(rate: int) -> None:
    places = {tick.hz: tick.place for tick in ticks(rate, 128)}
    shown = pixels(spectrogram(write_wav(tone(1000, 2, rate), rate), TimeSpan(0, 2, 100), 128))
    assert abs(int(shown[:, 50].argmax()) + 0.5 - 128 * places[1000]) <= 2


def test_a_tone_is_drawn_only_at_the_time_when_it_sounds() -> None:
    values = np.concatenate([np.zeros(RATE), tone(1000, 1), np.zeros(2 * RATE)])
    loudest = pixels(spectrogram(write_wav(values), TimeSpan(0, 4, 400), 64)).max(axis=0)
    assert loudest[102:198].min() > 240
    assert max(loudest[:98].max(), loudest[202:].max()) == 0


def test_a_part_of_a_recording_is_drawn_at_the_right_time() -> None:
    values = np.concatenate([tone(500, 2), tone(4000, 2)])
    shown = pixels(spectrogram(write_wav(values), TimeSpan(1.5, 2.5, 100), 64)).astype(int)
    low, high = shown[:, 20].argmax(), shown[:, 80].argmax()
    assert low > high + 20
    assert shown[:, :45].argmax(axis=0).min() == low
    assert shown[:, 55:].argmax(axis=0).max() == high


def test_time_after_the_end_is_drawn_as_silence() -> None:
    data = write_wav(tone(1000, 1))
    assert pixels(spectrogram(data, TimeSpan(0, 2, 100), 32))[:, 55:].max() == 0
    drawn = peaks(data, TimeSpan(0, 2, 100))
    assert drawn.high[51:].max() == 0
    assert drawn.high[:49].min() > 0.49


def test_digital_silence_is_drawn_quiet_and_not_loud() -> None:
    assert pixels(spectrogram(write_wav(np.zeros(RATE)), TimeSpan(0, 1, 50), 32)).max() == 0


def test_the_picture_has_the_requested_size_and_the_palette_of_the_report() -> None:
    picture = spectrogram(write_wav(tone(440, 0.2)), TimeSpan(0, 0.2, 321), 77)
    assert pixels(picture).shape == (77, 321)
    assert bytes(COLORS[0]) in picture


def test_a_spectrogram_of_a_long_recording_reads_a_bounded_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", 8000, 1, "PCM_16") as file:
        for _ in range(60):
            file.write(np.full(8000 * 60, 0.1, dtype=np.float32))
    with open_wav(path) as sound:
        read = []
        original = sound.read
        sound.read = lambda frames, **options: read.append(frames) or original(frames, **options)
        pictures._read_frames(sound, np.arange(0, 8000 * 3600, 8000 * 3), 200)
    assert sum(read) == 1200 * 200


def test_peaks_are_the_extremes_of_every_value_in_a_column() -> None:
    values = np.random.default_rng(1).uniform(-1, 1, 48000)
    exact = soundfile.read(write_wav(values))[0]
    drawn = peaks(write_wav(values), TimeSpan(0, 3, 37))
    edges = np.floor(np.linspace(0, 3, 38) * RATE).astype(int)
    for column, (start, end) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        assert drawn.low[column] == exact[start:end].min()
        assert drawn.high[column] == exact[start:end].max()
    assert drawn.is_exact


def test_peaks_do_not_depend_on_the_blocks_in_which_the_file_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_wav(np.random.default_rng(2).uniform(-1, 1, (20000, 2)))
    whole = peaks(data, TimeSpan(0.1, 1.2, 111))
    monkeypatch.setattr(pictures, "BLOCK_VALUES", 1234)
    blocks = peaks(data, TimeSpan(0.1, 1.2, 111))
    np.testing.assert_array_equal(whole.low, blocks.low)
    np.testing.assert_array_equal(whole.high, blocks.high)


def test_columns_narrower_than_a_value_show_that_value() -> None:
    values = np.array([0.5, -0.5, 0.25, 0.0])
    drawn = peaks(write_wav(values, rate=4), TimeSpan(0, 1, 16))
    np.testing.assert_array_equal(drawn.high, np.repeat(values, 4))
    np.testing.assert_array_equal(drawn.low, np.repeat(values, 4))


def test_peaks_include_each_channel_even_if_the_channels_cancel_out() -> None:
    half = tone(100, 1)
    drawn = peaks(write_wav(np.stack([half, -half], axis=1)), TimeSpan(0, 1, 10))
    assert drawn.high.min() > 0.49
    assert drawn.low.max() < -0.49


def test_too_many_values_are_probed_and_marked_as_inexact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MOST_VALUES", 1000)
    drawn = peaks(write_wav(tone(440, 2)), TimeSpan(0, 2, 16))
    assert not drawn.is_exact
    assert drawn.high.min() > 0.4


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_every_sample_format_is_drawn_at_its_own_level(subtype: str) -> None:
    drawn = peaks(write_wav(tone(440, 0.5), subtype=subtype), TimeSpan(0, 0.5, 4))
    np.testing.assert_allclose(drawn.high, 0.5, atol=0.01)


def test_values_that_are_not_finite_do_not_affect_their_surroundings() -> None:
    values = tone(440, 1)
    values[8000] = np.nan
    values[8001] = np.inf
    data = write_wav(values, subtype="FLOAT")
    assert pixels(spectrogram(data, TimeSpan(0, 1, 50), 32))[:, 10].max() > 200
    assert np.isfinite(peaks(data, TimeSpan(0, 1, 50)).high).all()


@pytest.mark.parametrize("rate", [40, 100, 192000])
def test_unusual_rates_can_be_drawn(rate: int) -> None:
    assert pixels(spectrogram(write_wav(tone(rate / 8, 2, rate), rate), TimeSpan(0, 2, 20), 32)).max() == 255
    assert all(0 <= tick.place <= 1 for tick in ticks(rate, 32))


def test_damaged_audio_is_an_error_not_silence() -> None:
    Path("damaged").write_bytes(b"RIFF but no audio")
    for draw in (lambda data: peaks(data, TimeSpan(0, 1, 16)), lambda data: spectrogram(data, TimeSpan(0, 1, 16), 32)):
        with pytest.raises(RecordingError, match="the audio can't be decoded"):
            draw(Path("damaged"))


def test_ticks_rise_and_do_not_overlap() -> None:
    chosen = ticks(48000, 128)
    assert [tick.hz for tick in chosen] == sorted(tick.hz for tick in chosen)
    places = [tick.place for tick in chosen]
    assert min(np.diff(places[::-1])) >= pictures.TICKS_APART
    assert 16000 in [tick.hz for tick in chosen]
