"""The bank: all source sounds, real and generated, at 16 kHz with their labels, in one file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import soundfile

from .arrays import Floats, Ints
from .augment import resample, with_peak
from .music import SOUNDFONTS, Score, compose, render, synthesize
from .sources import REPORT, SELECT, TRAIN, all_clips
from .speech import VOICES, sentences, speak

LONGEST_S = 40
# The compressed second soundfont takes ten times as long to render as the others.
SHARES = (0.72, 0.05, 0.23)


@dataclass(frozen=True)
class Sound:
    """The labels of a source sound."""

    kind: str  # esc10, effect, scene, digit, speech or music
    split: str
    classes: tuple[str, ...]  # certainly present
    clean: bool  # certainly without speech and music
    group: str  # a voice, a speaker, an instrument set, or the recordings of one source


@dataclass(frozen=True)
class Bank:
    """Sounds and their mono 16 kHz waveforms as int16."""

    sounds: list[Sound]
    values: Ints
    starts: Ints  # (sounds + 1,)

    def waveform(self, index: int) -> Floats:
        """Return the waveform of one sound in ±1, float32."""
        return self.values[self.starts[index] : self.starts[index + 1]].astype(np.float32) / 32768

    def indices(self, kind: str, split: str) -> list[int]:
        """Return the indices of the sounds of one kind and split."""
        return [k for k, sound in enumerate(self.sounds) if (sound.kind, sound.split) == (kind, split)]


Made = tuple[Sound, Floats]


def _real(audio: Path) -> Iterator[Made]:
    for clip in all_clips(audio):
        waveform, rate = soundfile.read(clip.path, dtype="float32", always_2d=True)
        waveform = waveform[: LONGEST_S * rate].mean(axis=1)
        yield Sound(clip.kind, clip.split, clip.classes, clip.clean, clip.group), resample(waveform, rate)


def _spoken(job: tuple[int, int]) -> list[Made]:
    voice_index, count = job
    voice, rng = VOICES[voice_index], np.random.default_rng([1, voice_index])
    gender = "Female speech, woman speaking" if voice.female else "Male speech, man speaking"
    classes = ("Speech", "Speech synthesizer", gender)
    made = []
    for _ in range(count):
        waveform, rate = speak(voice, sentences(voice.language, int(rng.integers(1, 5)), rng), rng)
        waveform = resample(waveform[: LONGEST_S * rate], rate)
        made.append((Sound("speech", voice.split, classes, False, f"{voice.engine} {voice.name}"), waveform))
    return made


def _played(job: tuple[str, int]) -> Made:
    split, number = job
    rng = np.random.default_rng([2, number])
    length_s = float(rng.uniform(12, LONGEST_S))
    score: Score = compose(split, length_s, rng)
    fonts = SOUNDFONTS[split]
    plain = rng.random() < 0.12
    waveform = (
        synthesize(score, length_s, rng)
        if plain
        else render(score, str(rng.choice(fonts, p=SHARES[: len(fonts)] if len(fonts) > 1 else None)))
    )
    classes = ("Music", "Synthesizer") if plain else score.classes
    loud = np.flatnonzero(np.abs(waveform) > 1e-3)
    waveform = waveform[loud[0] if len(loud) else 0 :][: int(length_s * 16000)]
    return Sound("music", split, classes, False, "synthesizer" if plain else "soundfont"), waveform


def build_bank(audio: Path, file: Path, utterances: int, pieces: int, workers: int) -> None:
    """Decode the real recordings, generate `utterances` per voice and `pieces` of music, and write one .npz file."""
    made = list(_real(audio))
    splits = [TRAIN] * pieces + [SELECT] * (pieces // 8) + [REPORT] * (pieces // 8)
    # A forked child would inherit PyTorch's thread locks and hang.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for some in pool.map(_spoken, [(k, utterances) for k in range(len(VOICES))]):
            made += some
        made += pool.map(_played, [(split, k) for k, split in enumerate(splits)], chunksize=4)
    # Every track gets new random levels, so the bank can use all 16 bits.
    values = [np.round(32767 * with_peak(waveform, -1.0)).astype(np.int16) for _, waveform in made]
    starts = np.cumsum([0] + [len(v) for v in values])
    meta = json.dumps([asdict(sound) for sound, _ in made])
    np.savez(file, values=np.concatenate(values), starts=starts, meta=np.array(meta))


def read_bank(file: Path) -> Bank:
    """Read a file that `build_bank` wrote."""
    with np.load(file) as data:
        sounds = [Sound(**{**row, "classes": tuple(row["classes"])}) for row in json.loads(str(data["meta"]))]
        return Bank(sounds, data["values"], data["starts"])
