"""Pictures of any part of a plain WAV: its spectrogram on the mel scale as a PNG, and the peaks of its waveform.

Time and memory are bounded however long the recording is: a spectrogram reads a few frames for each column; peaks read
every value unless there are too many.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from block.local_studio.data.wav import open_wav
from block.spectrogram import LOW_HZ, build_mel_bands, encode_png, hz_to_mel

WIDTHS, HEIGHTS = (16, 2400), (16, 256)  # pixels
FRAME_S = 0.025
FRAMES_A_COLUMN = 6
RANGE_DB = 70.0
BATCH_BYTES = 16 << 20  # of working memory for spectra
BLOCK_VALUES = 1 << 20  # read at a time for peaks
MOST_VALUES = 400_000_000  # up to which peaks read every value
PROBE_FRAMES = 2048  # in the middle of a column, which peaks read otherwise
TICKS_HZ = (20, 50, 100, 200, 500, 1000, 2000, 4000, 8000, 16000, 32000, 64000)
TICKS_APART = 0.075  # of the height

_drawing_slots = threading.BoundedSemaphore(2)  # more would only share the processors, and need more memory


@dataclass(frozen=True)
class TimeSpan:
    """A part of a recording in seconds, drawn `width` pixels wide."""

    start_s: float
    end_s: float
    width: int


@dataclass(frozen=True)
class Peaks:
    """The lowest and the highest value of all channels in each column, in -1…1 unless the file exceeds it.

    `is_exact` is True if every value was read.
    """

    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    is_exact: bool


@dataclass(frozen=True)
class Tick:
    """A frequency and its place: the distance from the picture's top as a fraction of its height."""

    hz: int
    place: float


def spectrogram(path: Path, span: TimeSpan, height: int) -> bytes:
    """Return a PNG of `span`, `height` mel bands high, over 70 dB down from its maximum; black after the audio's end.

    Channels are averaged. Each column is the mean power of up to six frames of 25 ms, evenly spread over it.
    Raise RecordingError.
    """
    with _drawing_slots, open_wav(path) as sound:
        rate = sound.samplerate
        size = max(16, round(FRAME_S * rate))
        fft = 1 << (size - 1).bit_length()
        step = (span.end_s - span.start_s) * rate / span.width
        each = max(1, min(FRAMES_A_COLUMN, math.ceil(2 * step / size)))
        centers = span.start_s * rate + (np.arange(span.width * each) + 0.5) * step / each
        starts = np.floor(centers - size / 2).astype(np.int64)
        bands = build_mel_bands(fft, rate, _low_hz(rate), height).T
        window = np.hanning(size)
        power = np.zeros((len(starts), height))
        batch = max(1, BATCH_BYTES // (8 * fft * 3))
        for first in range(0, len(starts), batch):
            frames = _read_frames(sound, starts[first : first + batch], size)
            power[first : first + batch] = np.square(np.abs(np.fft.rfft(frames * window, fft))) @ bands
    columns = power.reshape(span.width, each, height).mean(axis=1)
    decibels = 10 * np.log10(np.maximum(columns.T, 1e-12))
    levels = np.clip((decibels - decibels.max()) / RANGE_DB + 1, 0, 1) if columns.max() > 0 else np.zeros_like(decibels)
    return encode_png(levels[::-1])


def peaks(path: Path, span: TimeSpan) -> Peaks:
    """Return the peaks of `span`, 0 after the audio's end. Raise RecordingError."""
    with _drawing_slots, open_wav(path) as sound:
        edges = np.floor(np.linspace(span.start_s, span.end_s, span.width + 1) * sound.samplerate).astype(np.int64)
        extremes = np.tile([[np.inf], [-np.inf]], span.width)
        is_exact = int(edges[-1] - edges[0]) * sound.channels <= MOST_VALUES
        if is_exact:
            _find_extremes(sound, edges, extremes)
        else:
            for i in range(span.width):
                start = int(edges[i] + edges[i + 1]) // 2 - PROBE_FRAMES // 2
                probe = np.array([max(0, start), start + PROBE_FRAMES])
                _find_extremes(sound, probe, extremes[:, i : i + 1])
    low, high = extremes
    return Peaks(np.where(low > high, 0, low), np.where(low > high, 0, high), is_exact)


def ticks(rate_hz: float, height: int) -> list[Tick]:
    """Return the frequencies to write beside a spectrogram, the lowest first, without those that would overlap."""
    low, high = hz_to_mel([_low_hz(rate_hz), rate_hz / 2])
    chosen: list[Tick] = []
    for hz in TICKS_HZ:
        # The centers of the lowest and the highest band lie one band inside both ends.
        place = 1 - (float(hz_to_mel(hz) - low) / float(high - low) * (height + 1) - 0.5) / height
        if 0.02 <= place <= 0.98 and (not chosen or chosen[-1].place - place >= TICKS_APART):
            chosen.append(Tick(hz, place))
    return chosen


def _low_hz(rate_hz: float) -> float:
    return min(LOW_HZ, rate_hz / 40)


def _read_frames(sound: soundfile.SoundFile, starts: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.float64]:
    """Read the frames that begin at `starts`, ascending, zeros outside the audio. Shape: `(len(starts), size)`."""
    reach = int(starts[-1] - starts[0]) + size
    if reach <= 4 * len(starts) * size:  # the frames cover much of it, so it is read in one piece
        stretch = _read_mono(sound, int(starts[0]), reach)
        return np.asarray(stretch[(starts - starts[0])[:, None] + np.arange(size)])
    return np.array([_read_mono(sound, int(start), size) for start in starts])


def _read_mono(sound: soundfile.SoundFile, start: int, count: int) -> npt.NDArray[np.float64]:
    """Read the mean of all channels from `start` on, zeros outside the audio."""
    values = np.zeros(count)
    first, last = max(0, start), min(sound.frames, start + count)
    if first < last:
        sound.seek(first)
        read = sound.read(last - first, dtype="float32", always_2d=True)
        mean = read.mean(axis=1, dtype=np.float64) if sound.channels > 1 else read[:, 0]
        values[first - start : first - start + len(read)] = np.nan_to_num(mean, posinf=0, neginf=0)
    return values


def _find_extremes(sound: soundfile.SoundFile, edges: npt.NDArray[np.int64], extremes: npt.NDArray[np.float64]) -> None:
    """Read the columns between `edges` and widen `extremes`, shape `(2, columns)`: the lowest and highest values."""
    at, end = int(edges[0]), min(int(edges[-1]), sound.frames)
    if at >= end:
        return
    sound.seek(at)
    kind, scale = ("int16", 1 / 32768) if sound.subtype in ("PCM_16", "PCM_U8") else ("float32", 1.0)
    while at < end:
        read = sound.read(min(max(1, BLOCK_VALUES // sound.channels), end - at), dtype=kind, always_2d=True)
        if not len(read):
            return
        if kind == "float32":
            read = np.nan_to_num(read, posinf=1, neginf=-1)
        # A column narrower than a value begins where the one before does; reduceat gives it that value.
        first = min(int(np.searchsorted(edges, at)), int(np.searchsorted(edges, at, side="right")) - 1)
        last = int(np.searchsorted(edges, at + len(read), side="left"))
        begins = np.maximum(edges[first:last] - at, 0)
        for target, extreme in zip(extremes, (np.minimum, np.maximum), strict=True):
            each = read[:, 0] if sound.channels == 1 else extreme.reduce(read, axis=1)
            target[first:last] = extreme(target[first:last], extreme.reduceat(each, begins) * scale)
        at += len(read)
