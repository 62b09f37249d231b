from __future__ import annotations

import io
from fractions import Fraction

import numpy as np
import pytest
import soundfile
import torch

from block.audio import decode, resample, resampling_ratio, stretch
from block.recording import RecordingError


def wav(values: np.ndarray, rate: int = 16000, subtype: str = "PCM_16", kind: str = "WAV") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, values, rate, format=kind, subtype=subtype)
    return file.getvalue()


def tone(hz: float, rate: int, seconds: float, level: float = 0.5) -> np.ndarray:
    return level * np.sin(2 * np.pi * hz * np.arange(round(rate * seconds)) / rate)


@pytest.mark.parametrize(
    ("subtype", "step"),
    [("PCM_U8", 2**-7), ("PCM_16", 2**-15), ("PCM_24", 2**-23), ("PCM_32", 2**-24), ("FLOAT", 2**-24),
     ("DOUBLE", 2**-24)],
)  # fmt: skip
def test_any_pcm_width_and_float_decode_to_the_same_values(subtype: str, step: float) -> None:
    values = tone(440, 8000, 0.1)
    sound = decode(wav(values, 8000, subtype))
    assert sound.rate_hz == 8000
    assert sound.waveform.dtype == np.float32
    assert np.abs(sound.waveform - values).max() <= step


def test_several_channels_are_averaged() -> None:
    left, right = tone(440, 16000, 0.1), tone(880, 16000, 0.1)
    sound = decode(wav(np.stack([left, right, 0 * left], axis=1), subtype="DOUBLE"))
    assert sound.waveform == pytest.approx((left + right) / 3, abs=1e-6)


def test_a_long_file_of_two_channels_is_decoded_whole() -> None:
    left, right = tone(440, 48000, 5.0), tone(880, 48000, 5.0)
    sound = decode(wav(np.stack([left, right], axis=1), 48000))
    assert sound.waveform == pytest.approx((left + right) / 2, abs=1e-4)


def test_a_header_that_promises_more_than_there_is_gives_what_there_is() -> None:
    data = bytearray(wav(tone(440, 16000, 0.5)))
    data[4:8] = data[40:44] = (0xFFFFFF00).to_bytes(4, "little")  # 4 GB, say the RIFF and the data chunk
    assert len(decode(bytes(data)).waveform) == 8000
    with pytest.raises(RecordingError, match="holds 4000 values at 16000 Hz, the sample is said to have 8000"):
        sound = decode(wav(tone(440, 16000, 0.5))[: 44 + 8000])
        stretch(len(sound.waveform), sound.rate_hz, 8000, 16000.0)


@pytest.mark.parametrize("data", [b"", b"RIFF", b"hello, this is text", wav(np.zeros(100))[:30]])
def test_what_is_no_audio_is_refused_with_its_size(data: bytes) -> None:
    with pytest.raises(RecordingError, match=rf"cannot be decoded \({len(data)} bytes\)"):
        decode(data)


def test_values_that_are_not_finite_are_refused_and_counted() -> None:
    values = tone(440, 16000, 0.1)
    values[[3, 5]] = np.nan, np.inf
    with pytest.raises(RecordingError, match="2 values that are not finite"):
        decode(wav(values, subtype="FLOAT"))


@pytest.mark.parametrize(
    ("positions", "rate", "values", "frequency", "expected"),
    [
        (16000, 16000, 16000, 16000.0, Fraction(1)),
        (16160, 16000, 16000, 16000.0, Fraction(1)),  # 10 ms more
        (15840, 16000, 16000, 16000.0, Fraction(1)),
        (16000, 16000, 8000, 8000.0, Fraction(2)),  # delivered at twice the rate
        (44100, 44100, 16000, 16000.0, Fraction(441, 160)),
        (32016, 16000, 16000, 8000.0, Fraction(32016, 16000)),  # 0.05 % off
    ],
)
def test_lengths_fit_within_10_ms_or_in_the_ratio_of_the_rates(
    positions: int, rate: int, values: int, frequency: float, expected: Fraction
) -> None:
    assert stretch(positions, rate, values, frequency) == expected


@pytest.mark.parametrize(
    ("positions", "rate", "values", "frequency"),
    [(16161, 16000, 16000, 16000.0), (32100, 16000, 16000, 8000.0), (8000, 16000, 16000, 16000.0),
     (0, 16000, 16000, 16000.0), (8000, 16000, 16000, 0.0), (8000, 16000, 16000, float("nan"))],
)  # fmt: skip
def test_lengths_that_do_not_fit_fail_and_name_both(positions: int, rate: int, values: int, frequency: float) -> None:
    with pytest.raises(RecordingError, match=f"{positions} values at {rate} Hz, .* {values} values"):
        stretch(positions, rate, values, frequency)


@pytest.mark.parametrize(
    ("rate", "expected"),
    [(16000, Fraction(1)), (8000, Fraction(2)), (44100, Fraction(160, 441)), (22050, Fraction(320, 441)),
     (48000, Fraction(1, 3)), (11025, Fraction(640, 441)), (192000, Fraction(1, 12))],
)  # fmt: skip
def test_common_rates_are_resampled_exactly(rate: int, expected: Fraction) -> None:
    assert resampling_ratio(rate, 16000) == expected


@pytest.mark.parametrize("rate", [44101, 12345, 7919, 16001, 15999, 47999])
def test_an_odd_rate_gets_the_closest_ratio_with_terms_up_to_2000(rate: int) -> None:
    near = resampling_ratio(rate, 16000)
    assert max(near.numerator, near.denominator) <= 2000
    exact = Fraction(16000, rate)
    best = min(abs(Fraction(round(exact * d), d) - exact) for d in range(1, 2001) if round(exact * d) <= 2000)
    assert abs(near - exact) <= best * (1 + Fraction(1, 100))
    assert abs(near / exact - 1) <= Fraction(1, 1000)


@pytest.mark.parametrize("rate", [3, 100_000_007])
def test_a_rate_that_no_small_ratio_reaches_fails(rate: int) -> None:
    with pytest.raises(RecordingError, match=f"{rate} Hz cannot be brought to 16000 Hz"):
        resampling_ratio(rate, 16000)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 44101])
def test_a_tone_keeps_its_pitch_and_its_level(rate: int) -> None:
    out = resample(torch.from_numpy(tone(1000, rate, 1.0).astype(np.float32)), resampling_ratio(rate, 16000)).numpy()
    assert abs(len(out) - 16000) <= 3
    middle = slice(2000, 14000)
    assert out[middle] == pytest.approx(tone(1000, 16000, 1.1)[: len(out)][middle], abs=0.01)


def test_what_lies_above_the_new_band_is_taken_out() -> None:
    out = resample(torch.from_numpy(tone(12000, 48000, 1.0).astype(np.float32)), Fraction(1, 3)).numpy()
    assert np.abs(out[1000:-1000]).max() < 0.01
