"""Make the benchmark's default inputs: a full-size checkpoint and recordings, both from a fixed seed.

Speed depends neither on the weights nor on the sounds.
"""

from __future__ import annotations

import wave
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from bench.plan import BenchError
from block import audio
from block.model.checkpoint import Checkpoint, CheckpointError, find_checkpoint
from block.recording import RecordingError, Waveform

FULL_SIZE = "ast-full-size-random"
RATES_HZ = (16000, 44100)
SECONDS = (5, 8, 13, 21, 34, 60)  # of the generated recordings, each at both rates
BLOCK_S = 10


def full_size_checkpoint(folder: Path, like: Checkpoint, sizes: Mapping[str, int] | None = None) -> Checkpoint:
    """Return a checkpoint of the big model's size, with seeded random weights and the classes of `like`.

    Make it in `folder` unless a valid one is already there. `sizes` are settings of `ASTConfig` for another size.
    """
    place = folder / FULL_SIZE
    try:
        return find_checkpoint(str(place))
    except CheckpointError:
        pass
    import torch
    from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification
    from transformers.utils import logging

    logging.disable_progress_bar()
    names = dict(enumerate(like.class_names))
    config = ASTConfig(id2label=names, label2id={name: index for index, name in names.items()}, **(sizes or {}))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = ASTForAudioClassification(config)
        # transformers leaves them at zero, which would make all padding tokens the same.
        torch.nn.init.normal_(
            model.audio_spectrogram_transformer.embeddings.position_embeddings, std=config.initializer_range
        )
    model.save_pretrained(place)
    ASTFeatureExtractor().save_pretrained(place)
    return find_checkpoint(str(place))


def make_recordings(folder: Path, seconds: Sequence[int] = SECONDS) -> list[Path]:
    """Write 16-bit WAV files into `folder`, one per length and rate, and return their paths."""
    paths = []
    for number, (length_s, rate_hz) in enumerate((s, r) for s in seconds for r in RATES_HZ):
        paths.append(folder / f"{number:02}-{length_s}s-{rate_hz}.wav")
        write_recording(paths[-1], length_s, rate_hz, seed=number)
    return paths


def write_recording(path: Path, seconds: int, rate_hz: int, seed: int) -> None:
    """Write a 16-bit WAV file, block by block, with a sound that changes every second."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        for block in _sound(seconds, rate_hz, seed):
            file.writeframes((block.clip(-1, 1) * 32767).round().astype("<i2").tobytes())


def _sound(seconds: int, rate_hz: int, seed: int) -> Iterator[Waveform]:
    """Yield noise and a tone whose level and pitch change every second. Shape of each: `(values,)`, at most 10 s."""
    generator = np.random.default_rng(seed)
    for start in range(0, seconds, BLOCK_S):
        length = min(BLOCK_S, seconds - start)
        time = np.arange(length * rate_hz) / rate_hz
        pitch, level, noise = (np.repeat(generator.uniform(0, 1, length), rate_hz) for _ in range(3))
        tone = 0.4 * level * np.sin(2 * np.pi * (100 + 3000 * pitch) * time)
        yield (tone + 0.1 * noise * generator.standard_normal(len(time)).clip(-4, 4)).astype(np.float32)


def find_recordings(folder: Path) -> list[Path]:
    """Return the user's recordings in `folder`, by name. Raise BenchError if there are none."""
    if not folder.is_dir():
        raise BenchError(f"--audio {folder} is not a folder")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in audio.ENDINGS and path.is_file())
    if not paths:
        raise BenchError(f"--audio {folder} has no recordings; expected {', '.join(sorted(audio.ENDINGS))} files")
    return paths


def cut_windows(paths: Sequence[Path], values: int, count: int, rate_hz: int) -> list[Waveform]:
    """Return `count` windows of `values` values at `rate_hz` from the recordings, starting over at their end."""
    parts: list[Waveform] = []
    length = 0
    for path in paths:
        if length >= values * count:
            break
        try:
            parts.append(audio.decode(path, rate_hz).waveform)
        except RecordingError as error:
            raise BenchError(f"{path.name}: {error}") from None
        length += len(parts[-1])
    if not length:
        raise BenchError("the recordings are empty")
    whole = np.resize(np.concatenate(parts), values * count)
    return list(whole.reshape(count, values))
