"""Compare the speed of decoding with that of libsndfile by itself: python -m bench.decoding

Both read the same files in turns, mix them down and resample them with the same filter. A ratio above 1 means that the
block is faster.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import soundfile

from block.audio import BLOCK_VALUES, decode
from block.recording import Waveform
from block.resampling import find_resampling_ratio, resample

MODEL_HZ = 16000
SECONDS, TURNS = 300, 7
FORMATS = {"WAV": "PCM_16", "FLAC": "PCM_16", "MP3": "MPEG_LAYER_III"}


def main() -> None:
    """Print one line for each format, rate and number of channels."""
    print(f"{SECONDS} s of noise, the median of {TURNS} turns; seconds, and libsndfile's over the block's")
    with tempfile.TemporaryDirectory() as folder:
        for kind, subtype in FORMATS.items():
            for rate_hz, channels in ((16000, 1), (44100, 1), (44100, 2)):
                path = Path(folder, f"noise.{kind.lower()}")
                noise = np.random.default_rng(0).normal(0, 0.1, (SECONDS * rate_hz, channels))
                soundfile.write(path, noise.clip(-1, 1), rate_hz, subtype, format=kind)
                peer_s, block_s = compare(lambda: read(path), lambda: decode(path).waveform)  # noqa: B023
                print(f"{kind:4} {rate_hz} Hz × {channels}: {peer_s:.3f} {block_s:.3f} {peer_s / block_s:.2f}")


def compare(*contenders: Callable[[], Waveform]) -> list[float]:
    """Return the median seconds of each contender. They run in turns, after one turn that isn't counted."""
    seconds: list[list[float]] = [[] for _ in contenders]
    for turn in range(TURNS + 1):
        for taken, run in zip(seconds, contenders, strict=True):
            start = time.perf_counter()
            run()
            if turn:
                taken.append(time.perf_counter() - start)
    return [median(taken) for taken in seconds]


def read(path: Path) -> Waveform:
    """Decode with libsndfile by itself, which trusts the file's header."""
    with soundfile.SoundFile(path) as sound:
        ratio = find_resampling_ratio(sound.samplerate, MODEL_HZ)

        def read_mono(out: Waveform) -> int:
            block = sound.read(len(out), dtype="float32", always_2d=True)
            out[: len(block)] = block[:, 0] if sound.channels == 1 else block.mean(axis=1, dtype=np.float64)
            return len(block)

        if ratio == 1:
            out = np.empty(sound.frames, np.float32)
            read_mono(out)
            return out
        return np.concatenate(list(resample(read_mono, ratio, int(BLOCK_VALUES / ratio))))


if __name__ == "__main__":
    main()
