"""Draw mel spectrograms as PNG images."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt

from block.recording import Waveform

HOP_S, FRAME_S = 0.01, 0.025
BINS = 96
LOW_HZ = 50.0
RANGE_DB = 70.0
# From quiet to loud, evenly spaced; colors in between are interpolated.
COLORS = ((10, 8, 24), (58, 20, 96), (134, 32, 110), (206, 62, 76), (246, 132, 46), (252, 214, 110), (255, 252, 220))


def compute_mel_levels(waveform: Waveform, rate_hz: int) -> npt.NDArray[np.float64]:
    """Return the levels of mel bands, lowest band first; 0…1 covers the top 70 dB. Shape: `(bands, frames)`."""
    size, hop = round(FRAME_S * rate_hz), round(HOP_S * rate_hz)
    padded = np.pad(np.asarray(waveform, dtype=np.float64), (0, max(0, size - len(waveform))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop] * np.hanning(size)
    fft = 1 << (size - 1).bit_length()
    power = np.square(np.abs(np.fft.rfft(frames, fft)))
    bands = power @ build_mel_bands(fft, rate_hz).T
    decibels = 10 * np.log10(np.maximum(bands, 1e-12))
    return np.asarray(np.clip((decibels.T - decibels.max()) / RANGE_DB + 1, 0, 1))


def hz_to_mel(hz: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return frequencies on O'Shaughnessy's mel scale, 1127·ln(1 + f/700)."""
    return np.asarray(1127 * np.log1p(np.asarray(hz, dtype=np.float64) / 700))


def build_mel_bands(fft: int, rate_hz: int, low_hz: float = LOW_HZ, bins: int = BINS) -> npt.NDArray[np.float64]:
    """Return triangular filters on the mel scale, from `low_hz` to half the rate. Shape: `(bins, fft / 2 + 1)`."""
    low, high = hz_to_mel([low_hz, rate_hz / 2])
    edges = np.linspace(low, high, bins + 2)
    at = hz_to_mel(np.arange(fft // 2 + 1) * rate_hz / fft)
    rising = (at - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - at) / (edges[2:] - edges[1:-1])[:, None]
    bands = np.clip(np.minimum(rising, falling), 0, None)
    # The lowest bands may be narrower than a bin of the spectrum; these get the nearest bin.
    for band in np.flatnonzero(bands.sum(axis=1) == 0):
        bands[band, np.abs(at - edges[band + 1]).argmin()] = 1
    return np.asarray(bands)


def encode_png(levels: npt.NDArray[np.float64]) -> bytes:
    """Return a PNG image (RFC 2083) of levels in 0…1, shape `(rows, columns)`, with the first row on top."""
    rows, columns = levels.shape
    stops = np.linspace(0, 255, len(COLORS))
    palette = np.stack([np.interp(np.arange(256), stops, band) for band in np.array(COLORS).T], axis=1)
    pixels = np.zeros((rows, columns + 1), dtype=np.uint8)  # each row starts with its filter type, 0 for none
    pixels[:, 1:] = np.round(levels * 255)
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0)),
        (b"PLTE", palette.round().astype(np.uint8).tobytes()),
        (b"IDAT", zlib.compress(pixels.tobytes(), 9)),
        (b"IEND", b""),
    )
    chunks = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
