"""Pictures of any part of a recording: its spectrogram on the mel scale as a PNG, and the peaks of its waveform.

Time and memory are bounded however long the recording is: a spectrogram takes a few frames for each of its columns,
read where they are; peaks take every value, except where there are too many for that.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from block.local_studio.data.wav import open_audio
from block.spectrogram import LOW_HZ, build_mel_bands, encode_png, hz_to_mel

WIDTHS, HEIGHTS = (16, 2400), (16, 256)  # pixels
FRAME_S = 0.025
FRAMES_A_COLUMN = 6
FRAMES_A_COLUMN_COMPRESSED = 1  # of FLAC and Ogg, where each place has to be searched for
RANGE_DB = 70.0
BATCH_BYTES = 16 << 20  # of a spectrum's working memory
BLOCK_VALUES = 1 << 20
MOST_VALUES, MOST_VALUES_COMPRESSED = 400_000_000, 20_000_000  # that peaks read one after another
PROBE_FRAMES = 2048  # that peaks read of a column otherwise
READ_ON_S = 30  # of an MP3, instead of seeking
TICKS_HZ = (20, 50, 100, 200, 500, 1000, 2000, 4000, 8000, 16000, 32000, 64000)
TICKS_APART = 0.075  # of the height

_at_once = threading.BoundedSemaphore(2)  # pictures; more would only share the processors, and need more memory


@dataclass(frozen=True)
class TimeSpan:
    """A part of a recording in seconds, drawn `width` pixels wide."""

    start_s: float
    end_s: float
    width: int


@dataclass(frozen=True)
class Peaks:
    """For each column the least and the greatest value of all channels, in -1…1 unless the file exceeds it.

    `is_exact` tells that every value was looked at.
    """

    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    is_exact: bool


@dataclass(frozen=True)
class Tick:
    """A frequency and where it lies, in parts of the picture's height from its top."""

    hz: int
    place: float


def spectrogram(path: Path, span: TimeSpan, height: int) -> bytes:
    """A PNG of `span`, `height` mel bands high, over 70 dB down from its loudest place; black beyond the audio's end.

    Channels are averaged. Each column is the mean power of up to six frames of 25 ms, evenly spread over it.
    Raises wav.UnreadableAudio.
    """
    with _at_once, open_audio(path) as sound:
        rate = sound.samplerate
        size = max(16, round(FRAME_S * rate))
        fft = 1 << (size - 1).bit_length()
        step = (span.end_s - span.start_s) * rate / span.width
        most = FRAMES_A_COLUMN_COMPRESSED if _is_slow_to_seek(sound) and step > 4 * size else FRAMES_A_COLUMN
        each = max(1, min(most, math.ceil(2 * step / size)))
        middles = span.start_s * rate + (np.arange(span.width * each) + 0.5) * step / each
        starts = np.floor(middles - size / 2).astype(np.int64)
        bands = build_mel_bands(fft, rate, _low_hz(rate), height).T
        window = np.hanning(size)
        power = np.zeros((len(starts), height))
        batch = max(1, BATCH_BYTES // (8 * fft * 3))
        for first in range(0, len(starts), batch):
            frames = _frames(sound, starts[first : first + batch], size)
            power[first : first + batch] = np.square(np.abs(np.fft.rfft(frames * window, fft))) @ bands
    columns = power.reshape(span.width, each, height).mean(axis=1)
    decibels = 10 * np.log10(np.maximum(columns.T, 1e-12))
    return encode_png(
        np.clip((decibels - decibels.max()) / RANGE_DB + 1, 0, 1)[::-1] if columns.max() > 0 else decibels * 0
    )


def peaks(path: Path, span: TimeSpan) -> Peaks:
    """The waveform of `span`, 0 beyond the audio's end. Raises wav.UnreadableAudio."""
    with _at_once, open_audio(path) as sound:
        edges = np.floor(np.linspace(span.start_s, span.end_s, span.width + 1) * sound.samplerate).astype(np.int64)
        low, high = np.full(span.width, np.inf), np.full(span.width, -np.inf)
        most = MOST_VALUES_COMPRESSED if _is_slow_to_seek(sound) else MOST_VALUES
        is_exact = int(edges[-1] - edges[0]) * sound.channels <= most
        if is_exact:
            _stream(sound, edges, low, high)
        else:
            for column in range(span.width):
                middle = int(edges[column] + edges[column + 1]) // 2
                _take(
                    sound, middle - PROBE_FRAMES // 2, PROBE_FRAMES, low[column : column + 1], high[column : column + 1]
                )
    is_empty = low > high
    return Peaks(np.where(is_empty, 0, low), np.where(is_empty, 0, high), is_exact)


def ticks(rate_hz: float, height: int) -> list[Tick]:
    """Frequencies to write beside a spectrogram, the lowest first; those that would touch the next are left out."""
    low_hz = _low_hz(rate_hz)
    low, high = hz_to_mel([low_hz, rate_hz / 2])
    chosen: list[Tick] = []
    for hz in TICKS_HZ:
        # The middles of the lowest and the highest band lie one band inside both ends.
        place = 1 - (float(hz_to_mel(hz) - low) / float(high - low) * (height + 1) - 0.5) / height
        if 0.02 <= place <= 0.98 and (not chosen or chosen[-1].place - place >= TICKS_APART):
            chosen.append(Tick(hz, place))
    return chosen


def _low_hz(rate_hz: float) -> float:
    return min(LOW_HZ, rate_hz / 40)


def _is_slow_to_seek(sound: soundfile.SoundFile) -> bool:
    return sound.format not in ("WAV", "WAVEX", "AIFF", "RF64", "W64", "MP3")


def _go(sound: soundfile.SoundFile, frame: int) -> None:
    """Go on with `frame`. An MP3's decoder complains on stderr wherever it is set down, and reads on quickly."""
    ahead = frame - sound.tell()
    if sound.format == "MP3" and 0 <= ahead <= READ_ON_S * sound.samplerate:
        sound.read(ahead, dtype="float32")
    else:
        sound.seek(frame)


def _frames(sound: soundfile.SoundFile, starts: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.float64]:
    """The frames that begin at `starts`, ascending, zeros outside the audio. Shape: `(len(starts), size)`."""
    reach = int(starts[-1] - starts[0]) + size
    if reach <= 4 * len(starts) * size:  # then they are nearly all of what lies between them
        stretch = _mono(sound, int(starts[0]), reach)
        return np.asarray(stretch[(starts - starts[0])[:, None] + np.arange(size)])
    return np.array([_mono(sound, int(start), size) for start in starts])


def _mono(sound: soundfile.SoundFile, start: int, count: int) -> npt.NDArray[np.float64]:
    """The mean of all channels from `start` on, zeros outside the audio."""
    values = np.zeros(count)
    first, last = max(0, start), min(sound.frames, start + count)
    if first < last:
        _go(sound, first)
        read = sound.read(last - first, dtype="float32", always_2d=True)
        mean = read.mean(axis=1, dtype=np.float64) if sound.channels > 1 else read[:, 0]
        values[first - start : first - start + len(read)] = np.nan_to_num(mean, posinf=0, neginf=0)
    return values


def _stream(
    sound: soundfile.SoundFile,
    edges: npt.NDArray[np.int64],
    low: npt.NDArray[np.float64],
    high: npt.NDArray[np.float64],
) -> None:
    """Put the extremes of all values between `edges` in `low` and `high`, reading once from the first to the last."""
    at, end = int(edges[0]), min(int(edges[-1]), sound.frames)
    if at >= end:
        return
    _go(sound, at)
    kind, scale = ("int16", 1 / 32768) if sound.subtype in ("PCM_16", "PCM_S8", "PCM_U8") else ("float32", 1.0)
    while at < end:
        read = sound.read(min(max(1, BLOCK_VALUES // sound.channels), end - at), dtype=kind, always_2d=True)
        if not len(read):
            return
        if kind == "float32":
            read = np.nan_to_num(read, posinf=1, neginf=-1)
        # Columns narrower than a value begin where the one before does; reduceat gives them that value.
        first = min(int(np.searchsorted(edges, at)), int(np.searchsorted(edges, at, side="right")) - 1)
        last = int(np.searchsorted(edges, at + len(read), side="left"))
        begins = np.maximum(edges[first:last] - at, 0)
        for target, extreme in ((low, np.minimum), (high, np.maximum)):
            each = read[:, 0] if sound.channels == 1 else extreme.reduce(read, axis=1)
            found = extreme.reduceat(each, begins) * scale
            target[first:last] = extreme(target[first:last], found)
        at += len(read)


def _take(
    sound: soundfile.SoundFile, start: int, count: int, low: npt.NDArray[np.float64], high: npt.NDArray[np.float64]
) -> None:
    """Put the extremes of `count` frames from `start` on in `low` and `high`, which hold one column."""
    first, last = max(0, start), min(sound.frames, start + count)
    if first < last:
        _go(sound, first)
        read = np.nan_to_num(sound.read(last - first, dtype="float32"), posinf=1, neginf=-1)
        if read.size:
            low[0], high[0] = read.min(), read.max()
