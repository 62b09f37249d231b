"""Cut short excerpts with picture and sound from recordings, as data: URIs, so that the report stays one file."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np

from block.recording import Waveform
from block.spectrogram import LOW_HZ, compute_mel_levels, encode_png

EXCERPT_S = 6.0
AROUND_S = 0.5  # context before and after a short span


@dataclass(frozen=True)
class Excerpt:
    """`seconds` of a recording from `start_s` on. `image`, from `low_hz` to `high_hz`, and `sound` are data: URIs."""

    start_s: float
    seconds: float
    low_hz: float
    high_hz: float
    image: str
    sound: str


def cut_excerpt(waveform: Waveform, rate_hz: int, start_s: float, end_s: float) -> Excerpt:
    """Cut a span from a waveform in ±1, with up to 0.5 s of context at each end; its loudest 6 s if it is longer."""
    start, end = round(start_s * rate_hz), min(round(end_s * rate_hz), len(waveform))
    most = round(EXCERPT_S * rate_hz)
    if end - start > most:
        start += find_loudest(waveform[start:end], most, rate_hz)
        end = start + most
    around = min(round(AROUND_S * rate_hz), (most - (end - start)) // 2)
    start, end = max(0, start - around), min(len(waveform), end + around)
    part = waveform[start:end]
    image, sound = encode_png(compute_mel_levels(part, rate_hz)[::-1]), _encode_flac(part, rate_hz)
    uris = (_to_uri("image/png", image), _to_uri("audio/flac", sound))
    return Excerpt(start / rate_hz, len(part) / rate_hz, LOW_HZ, rate_hz / 2, *uris)


def find_loudest(waveform: Waveform, length: int, rate_hz: int) -> int:
    """Return the start of the `length` values with the most energy, in steps of a tenth of a second."""
    energy = np.concatenate(([0.0], np.cumsum(np.square(waveform, dtype=np.float64))))
    starts = np.arange(0, len(waveform) - length + 1, max(1, rate_hz // 10))
    return int(starts[(energy[starts + length] - energy[starts]).argmax()])


def _encode_flac(waveform: Waveform, rate_hz: int) -> bytes:
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, np.clip(waveform, -1, 1), rate_hz, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def _to_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
