from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torchaudio.functional import resample as whole_resample

from block import audio
from block.audio import compute_stretch, decode
from block.audio_readers import open_pcm
from block.containers.inspect import inspect
from block.containers.structure import AudioCutOff
from block.recording import RecordingError, Waveform
from block.resampling import compute_context, compute_resampled_length, find_resampling_ratio, resample
from tests.conftest import ROOT
from tests.edge_impulse.scripted import Answer, envelope, scripted


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
    values = tone(440, 16000, 0.1)
    sound = decode(wav(values, 16000, subtype))
    assert sound.rate_hz == 16000
    assert sound.waveform.dtype == np.float32
    assert np.abs(sound.waveform - values).max() <= step


def test_several_channels_are_averaged() -> None:
    left, right = tone(440, 16000, 0.1), tone(880, 16000, 0.1)
    sound = decode(wav(np.stack([left, right, 0 * left], axis=1), subtype="DOUBLE"))
    assert sound.waveform == pytest.approx((left + right) / 3, abs=1e-6)


def test_a_long_file_of_two_channels_is_decoded_whole() -> None:
    left, right = tone(440, 48000, 5.0), tone(880, 48000, 5.0)
    sound = decode(wav(np.stack([left, right], axis=1), 48000), 48000)
    assert sound.positions == 240000
    assert sound.waveform == pytest.approx((left + right) / 2, abs=1e-4)


def test_a_header_that_claims_too_much_gives_the_data_in_the_file() -> None:
    data = bytearray(wav(tone(440, 16000, 0.5)))
    data[4:8] = data[40:44] = (0xFFFFFF00).to_bytes(4, "little")  # the RIFF and data chunks claim 4 GB
    assert len(decode(bytes(data)).waveform) == 8000
    with pytest.raises(AudioCutOff, match="cut off: 8000 of 16000 bytes are there"):
        decode(wav(tone(440, 16000, 0.5))[: 44 + 8000])
    sound = decode(wav(tone(440, 16000, 0.5))[: 44 + 8000], allow_truncated=True)
    assert (sound.positions, sound.missing) == (4000, "8000 of 16000 bytes are there")
    with pytest.raises(RecordingError, match="has 4000 values at 16000 Hz; the sample should have 8000"):
        compute_stretch(sound.positions, sound.rate_hz, 8000, 16000.0)


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"", "the file is empty"), (b"RIFF", "a RIFF without WAVE audio"), (b"hello, this is text", "is text"),
     (b"<!DOCTYPE html>\n<html>", "is a web page"), (bytes(1000), "is zeros only"), (b"PK\3\4" * 9, "is a ZIP archive"),
     (wav(np.zeros(100))[:30], r"no format \(an fmt chunk\) in its 30 bytes; it may be cut off")],
)  # fmt: skip
def test_data_that_is_not_audio_is_refused_with_what_it_is(data: bytes, message: str) -> None:
    with pytest.raises(RecordingError, match=message):
        decode(data)


def test_values_that_are_not_finite_are_refused_and_counted() -> None:
    values = tone(440, 16000, 0.1)
    values[[3, 5]] = np.nan, np.inf
    with pytest.raises(
        RecordingError, match=r"aren't finite numbers within .*: 2 of 1600, the first is nan at 0.0001875 s$"
    ):
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
    assert compute_stretch(positions, rate, values, frequency) == expected


@pytest.mark.parametrize(
    ("positions", "rate", "values", "frequency"),
    [(16161, 16000, 16000, 16000.0), (32100, 16000, 16000, 8000.0), (8000, 16000, 16000, 16000.0),
     (0, 16000, 16000, 16000.0), (8000, 16000, 16000, 0.0), (8000, 16000, 16000, float("nan"))],
)  # fmt: skip
def test_lengths_that_do_not_fit_fail_and_name_both(positions: int, rate: int, values: int, frequency: float) -> None:
    with pytest.raises(
        RecordingError, match=f"has {positions} values at {rate} Hz; the sample should have {values} values"
    ):
        compute_stretch(positions, rate, values, frequency)


@pytest.mark.parametrize(
    ("rate", "expected"),
    [(16000, Fraction(1)), (8000, Fraction(2)), (44100, Fraction(160, 441)), (22050, Fraction(320, 441)),
     (48000, Fraction(1, 3)), (11025, Fraction(640, 441)), (192000, Fraction(1, 12))],
)  # fmt: skip
def test_common_rates_are_resampled_exactly(rate: int, expected: Fraction) -> None:
    assert find_resampling_ratio(rate, 16000) == expected


@pytest.mark.parametrize("rate", [44101, 12345, 7919, 16001, 15999, 47999])
def test_an_odd_rate_gets_the_closest_ratio_with_terms_up_to_2000(rate: int) -> None:
    near = find_resampling_ratio(rate, 16000)
    assert max(near.numerator, near.denominator) <= 2000
    exact = Fraction(16000, rate)
    best = min(abs(Fraction(round(exact * d), d) - exact) for d in range(1, 2001) if round(exact * d) <= 2000)
    assert abs(near - exact) <= best * (1 + Fraction(1, 100))
    assert abs(near / exact - 1) <= Fraction(1, 1000)


@pytest.mark.parametrize("rate", [3, 100_000_007])
def test_a_rate_without_a_close_small_ratio_fails(rate: int) -> None:
    with pytest.raises(RecordingError, match=f"{rate} Hz can't be resampled to 16000 Hz"):
        find_resampling_ratio(rate, 16000)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 44101])
def test_a_tone_keeps_its_pitch_and_its_level(rate: int) -> None:
    sound = decode(wav(tone(1000, rate, 1.0), rate, "FLOAT"))
    assert sound.ratio == find_resampling_ratio(rate, 16000)
    assert (sound.rate_hz, sound.positions) == (rate, rate)
    out = sound.waveform
    assert abs(len(out) - 16000) <= 3
    middle = slice(2000, 14000)
    assert out[middle] == pytest.approx(tone(1000, 16000, 1.1)[: len(out)][middle], abs=0.01)


def test_frequencies_above_the_new_band_are_removed() -> None:
    out = decode(wav(tone(12000, 48000, 1.0), 48000, "FLOAT")).waveform
    assert np.abs(out[1000:-1000]).max() < 0.01


def noise(length: int, seed: int = 0) -> Waveform:
    return np.random.default_rng(seed).uniform(-1, 1, length).astype(np.float32)


def reader(values: Waveform) -> Callable[[Waveform], int]:
    position = 0

    def read(out: Waveform) -> int:
        nonlocal position
        got = min(len(out), len(values) - position)
        out[:got] = values[position : position + got]
        position += got
        return got

    return read


def in_blocks(values: Waveform, ratio: Fraction, block: int) -> Waveform:
    return np.concatenate([part.copy() for part in resample(reader(values), ratio, block)])


def in_one(values: Waveform, ratio: Fraction) -> Waveform:
    """Resample at once with torchaudio. The added silence keeps torchaudio from rounding the length."""
    padded = np.concatenate([values, np.zeros(ratio.denominator + 100, np.float32)])
    whole = whole_resample(torch.from_numpy(padded), ratio.denominator, ratio.numerator).numpy()
    return whole[: compute_resampled_length(len(values), ratio)]


RATES = [8000, 11025, 22050, 44100, 48000, 96000, 192000, 4410, 7350, 15999, 16001, 44101, 12345]


@settings(max_examples=25)
@given(rate=st.sampled_from(RATES), length=st.integers(1, 12000), block=st.sampled_from([500, 1999, 4096, 20000]))
@example(rate=44100, length=1, block=500)
@example(rate=44100, length=441 * 3, block=441)
@example(rate=48000, length=3 * 1000 + 19, block=3000)  # the context after the last block is the end of the file
@example(rate=8000, length=1, block=1)
@example(rate=15999, length=8000, block=1)
def test_resampling_in_blocks_equals_resampling_at_once(rate: int, length: int, block: int) -> None:
    ratio = find_resampling_ratio(rate, 16000)
    got, expected = in_blocks(noise(length), ratio, block), in_one(noise(length), ratio)
    assert len(got) == len(expected)
    assert np.abs(got - expected).max() <= 1e-6


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("length", [1, 100, 4000])
def test_short_recordings_get_as_many_values_as_torchaudio_gives(rate: int, length: int) -> None:
    ratio = find_resampling_ratio(rate, 16000)
    whole = whole_resample(torch.from_numpy(noise(length)), ratio.denominator, ratio.numerator)
    assert len(whole) == compute_resampled_length(length, ratio)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 192000, 44101])
def test_a_group_depends_only_on_its_context(rate: int) -> None:
    ratio = find_resampling_ratio(rate, 16000)
    group, width = ratio.denominator, compute_context(ratio)
    start = group * -(-(width + 1) // group)
    end = start + group
    values = np.zeros(end + width + 1, np.float32)
    reached = []
    for place in (start - width - 1, start - width // 2, end + width // 2, end + width):
        values[:] = 0
        values[place] = 1e6
        reached.append(bool(in_one(values, ratio)[int(start * ratio) : int(end * ratio)].any()))
    assert reached == [False, True, True, False]


@pytest.mark.parametrize("rate", [16000, 44100, 48000, 8000])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_a_file_of_several_blocks_equals_resampling_at_once(
    monkeypatch: pytest.MonkeyPatch, rate: int, channels: int
) -> None:
    monkeypatch.setattr(audio, "READ_VALUES", 4096)
    monkeypatch.setattr(audio, "BLOCK_VALUES", 10_000)
    values = noise(33_333 * channels).reshape(-1, channels)
    mono = values[:, 0] if channels == 1 else values.mean(axis=1, dtype=np.float64).astype(np.float32)
    sound = decode(wav(values, rate, "FLOAT"))
    assert sound.positions == 33_333
    if rate == 16000:
        assert (sound.waveform == mono).all()
    else:
        expected = in_one(mono, Fraction(16000, rate))
        assert len(sound.waveform) == len(expected)
        assert np.abs(sound.waveform - expected).max() <= 1e-6


@pytest.mark.parametrize("rate", [16000, 44100])
def test_values_that_are_not_finite_are_counted_in_every_block(monkeypatch: pytest.MonkeyPatch, rate: int) -> None:
    monkeypatch.setattr(audio, "READ_VALUES", 1000)
    values = tone(440, rate, 1.0)
    values[[3, 5000, len(values) - 1]] = np.nan, np.inf, -np.inf
    with pytest.raises(RecordingError, match=rf": 3 of {rate}, the first is nan at "):
        decode(wav(values, rate, "FLOAT"))


@pytest.mark.parametrize(
    ("values", "first"), [([np.inf], "inf"), ([-np.inf], "-inf"), ([2e12], "2e+12"), ([1e300], "inf")]
)
def test_the_first_unusable_value_is_reported_with_its_time(values: list[float], first: str) -> None:
    sound = tone(440, 16000, 1.0)
    sound[8000:8001] = values
    with pytest.raises(RecordingError, match=rf": 1 of 16000, the first is {re.escape(first)} at 0\.5 s$"):
        decode(wav(sound, subtype="DOUBLE"))


def test_opposite_infinities_in_two_channels_are_reported_without_a_warning() -> None:
    sound = np.stack([tone(440, 16000, 0.1)] * 2, axis=1)
    sound[160] = np.inf, -np.inf
    with pytest.raises(RecordingError, match=r": 1 of 1600, the first is nan at 0\.01 s$"):
        decode(wav(sound, subtype="FLOAT"))


@pytest.mark.parametrize("level", [3.0, 32768.0, 1e12, 1e-40])
def test_values_of_any_finite_level_are_decoded_as_they_are(level: float) -> None:
    values = tone(440, 16000, 0.1, level)
    assert decode(wav(values, subtype="FLOAT")).waveform == pytest.approx(values.astype(np.float32), rel=1e-6)


def test_a_low_rate_is_resampled_in_blocks_of_the_same_size(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    def watched(read: Callable[[Waveform], int], ratio: Fraction, block: int) -> Iterator[Waveform]:
        for part in resample(read, ratio, block):
            sizes.append(len(part))
            yield part

    monkeypatch.setattr(audio, "resample", watched)
    sound = decode(wav(np.zeros(2000), 8))
    assert len(sound.waveform) == sum(sizes) == 2000 * 2000
    assert max(sizes) <= audio.BLOCK_VALUES


@pytest.mark.parametrize("rate", [16000, 44100])
def test_an_empty_file_gives_an_empty_waveform(rate: int) -> None:
    sound = decode(wav(np.zeros(0), rate))
    assert (len(sound.waveform), sound.positions) == (0, 0)


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_bytes_a_path_and_an_open_file_decode_to_the_same_values(tmp_path: Path, kind: str) -> None:
    subtype = {"OGG": "VORBIS", "MP3": "MPEG_LAYER_III"}.get(kind, "PCM_16")
    data = wav(np.stack([tone(440, 44100, 2.0), tone(880, 44100, 2.0)], axis=1), 44100, subtype, kind)
    path = tmp_path / f"a.{kind.lower()}"
    path.write_bytes(data)
    expected = decode(data)
    assert expected.positions == 88200
    with path.open("rb") as file:
        file.read(10)
        for sound in (decode(path), decode(str(path)), decode(file)):
            assert (sound.waveform == expected.waveform).all()


def test_a_file_that_cannot_be_read_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="can't be read: No such file"):
        decode(tmp_path / "none.wav")
    (tmp_path / "text.wav").write_text("hello")
    with pytest.raises(RecordingError, match="the file is text, not audio"):
        decode(tmp_path / "text.wav")


def test_decoding_refuses_a_rate_that_cannot_be_resampled() -> None:
    with pytest.raises(RecordingError, match="3 Hz can't be resampled to 16000 Hz"):
        decode(wav(np.zeros(100), 3))


def test_decoding_at_the_models_rate_needs_no_torch() -> None:
    code = "import sys; from block.audio import decode; decode(sys.stdin.buffer.read()); print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, input=wav(tone(440, 16000, 0.1)), capture_output=True, timeout=60
    )
    assert done.stdout.strip() == b"False", done.stderr


# Fetch like a run, over HTTP and in a thread, in a separate process. VmHWM is getrusage's ru_maxrss, without the memory
# of the parent process.
FETCH = """
import re, sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
import torchaudio
from block.model.checkpoint import FrontEnd
from block.labeling.labeler import ExactLabeler
from block.settings import DecisionSettings, WindowSettings
from block.edge_impulse.client import StudioClient
from block.edge_impulse.label_policy import LabelPolicy
from block.edge_impulse.project import Project, ProjectSettings

project = Project(StudioClient(sys.argv[1], "ei_k"), ProjectSettings(1, {}, LabelPolicy("", "other")), print, print)
banks = SimpleNamespace(front_end=FrontEnd())
labeler = ExactLabeler(None, banks, WindowSettings(2000, 2000), DecisionSettings(()), print)
with ThreadPoolExecutor(4) as pool:
    prepared = pool.submit(lambda: labeler.prepare(project.fetch(7, lambda values: None))).result()
print(len(prepared.waveform), re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1])
"""


def peak_bytes(seconds: int, rate: int, channels: int) -> int:
    """Return the peak memory of a process that fetches and prepares a recording of 16-bit noise."""
    block = (8000 * noise(rate * channels)).astype(np.int16).reshape(rate, channels)
    data = wav(np.tile(block, (seconds, 1)), rate)
    sample = {"filename": "a", "valuesCount": seconds * rate, "frequency": rate, "sensors": [{"units": "wav"}]}
    with scripted(Answer(body=envelope(sample=sample)), Answer(body=data)) as server:
        done = subprocess.run(
            [sys.executable, "-c", FETCH, server.url], cwd=ROOT, capture_output=True, text=True, timeout=600
        )
    length, peak_kib = map(int, done.stdout.split())
    assert length == seconds * 16000, done.stderr
    return peak_kib * 1024


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (44100, 1), (44100, 2)])
def test_an_hour_needs_memory_for_its_file_its_waveform_and_a_few_mb(rate: int, channels: int) -> None:
    file_bytes, waveform_bytes = 3600 * rate * channels * 2, 3600 * 16000 * 4
    more = peak_bytes(3600, rate, channels) - peak_bytes(60, rate, channels)
    assert more <= file_bytes + waveform_bytes + 50e6


def test_compressed_audio_is_not_opened_as_uncompressed(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(1000), 16000)
    with path.open("rb") as file:
        structure = replace(inspect(file), pcm=None)
        with pytest.raises(RecordingError, match=r"the audio is compressed \(.*\); expected uncompressed WAV"):
            with open_pcm(file, structure):
                pass
