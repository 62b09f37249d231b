"""Compose tracks: scenes of up to ten seconds from the bank, stored as log-mel frames with the teacher's scores.

Training draws windows, levels and spectral changes from the tracks, so each track is used many times and the expensive
steps (augmentation, filter banks, teacher) run once.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
import torchaudio

from .arrays import Bools, Floats
from .augment import RATE, augment, compress, wander, with_peak
from .bank import Bank, read_bank
from .labels import read_labels
from .noises import make_noise
from .sources import FINAL, SELECT, TRAIN
from .teacher import Teacher

LONGEST = 160 * 1023 + 400  # values that fill 1024 frames

# How often each kind of scene is composed.
SCENES = {
    "esc": 0.26,
    "esc+esc": 0.05,
    "effect": 0.18,
    "effect+noise": 0.05,
    "speech": 0.14,
    "digit": 0.07,
    "speech+other": 0.05,
    "music": 0.12,
    "music+other": 0.03,
    "speech+music": 0.01,
    "noise": 0.05,
}


@dataclass(frozen=True)
class Source:
    """One sound of a scene, with the level and length it has there."""

    waveform: Floats
    classes: tuple[str, ...]
    clean: bool  # certainly without speech and music


def fbank(waveform: Floats) -> Floats:
    """Return AST's log-mel frames before padding and normalization. Shape: (values,) → (frames, 128), float32."""
    frames: torch.Tensor = torchaudio.compliance.kaldi.fbank(
        torch.from_numpy(np.ascontiguousarray(waveform))[None],
        sample_frequency=RATE,
        window_type="hanning",
        num_mel_bins=128,
    )
    return frames.numpy()


def active_frames(waveform: Floats, frames: int) -> Bools:
    """Return which frames are within 30 dB of the loud ones and not digital silence. Shape: (frames,), bool."""
    squared = np.concatenate([[0.0], np.cumsum(waveform.astype(np.float64) ** 2)])
    starts = 160 * np.arange(frames)
    power = (squared[np.minimum(starts + 400, len(waveform))] - squared[np.minimum(starts, len(waveform))]) / 400
    return np.asarray(power > max(np.percentile(power, 95) * 1e-3, 1e-10))


class Composer:
    """Compose random scenes from the bank, for the split TRAIN or FINAL."""

    def __init__(self, bank: Bank, split: str, seed: list[int]) -> None:
        self.bank, self.rng = bank, np.random.default_rng(seed)
        self._by_class: dict[str, list[int]] = {}
        for k in bank.indices("esc10", TRAIN) + (bank.indices("esc10", SELECT) if split == FINAL else []):
            self._by_class.setdefault(bank.sounds[k].classes[0], []).append(k)
        self._groups: dict[str, list[list[int]]] = {}
        for kind in ("effect", "scene", "digit", "speech", "music"):
            groups: dict[str, list[int]] = {}
            for k in bank.indices(kind, TRAIN):
                groups.setdefault(bank.sounds[k].group, []).append(k)
            self._groups[kind] = list(groups.values())

    def _pick(self, kind: str) -> int:
        groups = self._groups[kind]
        return int(self.rng.choice(groups[self.rng.integers(len(groups))]))

    def _sequence(self, members: list[int], length: int, gap_s: float) -> Floats:
        """Join random sounds of `members`, with random gaps, up to `length` values."""
        out = np.zeros(length, dtype=np.float32)
        at = int(self.rng.uniform(0, 0.5) * RATE) if gap_s else 0
        for _ in range(40):
            sound = self.bank.waveform(int(self.rng.choice(members)))
            take = sound[: length - at]
            out[at : at + len(take)] += take * self.rng.uniform(0.4, 1.0)
            at += len(sound) + int(self.rng.exponential(gap_s) * RATE) if gap_s else len(sound)
            if at >= length - 800:
                break
        return out

    def _esc(self) -> Source:
        label = list(self._by_class)[self.rng.integers(len(self._by_class))]
        members = self._by_class[label]
        waveform = self.bank.waveform(int(self.rng.choice(members)))
        if self.rng.random() < 0.3:  # a second clip of the same class fills the longer windows
            waveform = np.concatenate([waveform, self.bank.waveform(int(self.rng.choice(members)))])
        return Source(augment(waveform, self.rng), (label,), True)

    def _effect(self) -> Source:
        index = self._pick("scene" if self.rng.random() < 0.03 and self._groups["scene"] else "effect")
        sound = self.bank.sounds[index]
        same = [k for group in self._groups["effect"] if index in group for k in group] or [index]
        if self.rng.random() < 0.4:  # a single sound, however short
            waveform = self.bank.waveform(index)
        else:
            waveform = self._sequence(same, int(self.rng.uniform(2, 10) * RATE), 0.6)
        return Source(augment(waveform, self.rng), sound.classes, sound.clean)

    def _speech(self) -> Source:
        index = self._pick("speech")
        waveform = self.bank.waveform(index)
        start = int(self.rng.integers(0, max(1, len(waveform) - 8 * RATE)))
        return Source(self._lively(waveform[start : start + 11 * RATE]), self.bank.sounds[index].classes, False)

    def _lively(self, voice: Floats) -> Floats:
        """Change a voice more than other sounds, because few of the voices are real."""
        return augment(wander(voice, self.rng) if self.rng.random() < 0.5 else voice, self.rng, 0.15)

    def _digits(self) -> Source:
        groups = self._groups["digit"]
        group = groups[self.rng.integers(len(groups))]
        waveform = self._sequence(group, int(self.rng.uniform(2, 10) * RATE), float(self.rng.choice([0.05, 0.15, 0.5])))
        return Source(self._lively(waveform), self.bank.sounds[group[0]].classes, False)

    def _music(self) -> Source:
        index = self._pick("music")
        waveform = self.bank.waveform(index)
        start = int(self.rng.integers(0, max(1, len(waveform) - 8 * RATE)))
        return Source(
            augment(waveform[start : start + 11 * RATE], self.rng, 0.08),
            self.bank.sounds[index].classes,
            False,
        )

    def _noise(self, length: int) -> Source:
        noise = make_noise(length, self.rng)
        return Source(noise.waveform, noise.classes, True)

    def _other(self, length: int) -> Source:
        source = (self._esc(), self._effect(), self._noise(length))[self.rng.integers(3)]
        return Source(np.resize(source.waveform, length), source.classes, source.clean)

    def scene(self, kind: str) -> tuple[Floats, list[Source]]:
        """Return a waveform of at most LONGEST values, and its sources."""
        make = {"esc": self._esc, "esc+esc": self._esc, "effect": self._effect, "effect+noise": self._effect,
                "speech": self._speech, "speech+other": self._speech, "speech+music": self._speech,
                "digit": self._digits, "music": self._music, "music+other": self._music}  # fmt: skip
        if kind == "noise":
            source = self._noise(int(self.rng.uniform(1, 10) * RATE))
            return source.waveform, [source]
        first = make[kind]()
        first = Source(with_peak(first.waveform[:LONGEST], -6.0), first.classes, first.clean)
        sources, length = [first], len(first.waveform)
        if "+" in kind or (kind in ("speech", "digit", "music") and self.rng.random() < 0.5):
            snr_db = self.rng.uniform(-3, 15) if "+" in kind else self.rng.uniform(8, 38)
            second = {"esc+esc": self._esc, "speech+music": self._music}.get(kind, lambda: self._other(length))()
            if "+" not in kind or kind == "effect+noise":
                second = self._noise(length)
            waveform = np.resize(second.waveform, length)
            rms = np.sqrt(np.mean(waveform**2)) + 1e-9
            wanted = np.sqrt(np.mean(first.waveform**2)) * 10 ** (-snr_db / 20)
            sources.append(
                Source(
                    (waveform * wanted / rms).astype(np.float32),
                    second.classes if snr_db < 10 else (),
                    second.clean,
                )
            )
        mixed = with_peak(np.sum([source.waveform for source in sources], axis=0), float(self.rng.uniform(-15, -1)))
        return (compress(mixed, self.rng) if self.rng.random() < 0.3 else mixed), sources


def compose_shard(job: tuple[Path, Path, Path, Path, str, int, int]) -> Path:
    """Compose `count` tracks, write them to one .npz file for `windows.Tracks`, and return its path."""
    bank_file, teacher_file, labels_folder, out, split, number, count = job
    torch.set_num_threads(1)
    composer = Composer(read_bank(bank_file), split, [3 if split == TRAIN else 4, number, 5])
    labels, teacher = read_labels(labels_folder), Teacher(teacher_file)
    names, weights = list(SCENES), np.array(list(SCENES.values()))
    mels: list[Floats] = []
    logits: list[Floats] = []
    embeddings: list[Floats] = []
    actives: list[Bools] = []
    truths: list[Bools] = []
    cleans: list[bool] = []
    offsets, patch_offsets = [0], [0]
    while len(truths) < count:
        waveform, sources = composer.scene(str(composer.rng.choice(names, p=weights / weights.sum())))
        if len(waveform) < 1600:
            continue
        mel = fbank(waveform[:LONGEST])
        # Quiet sounds would vanish below the offset in the teacher's logarithm, so it gets all tracks at one level.
        opinion = teacher(with_peak(waveform, -6.0) if np.abs(waveform).max() > 1e-3 else waveform)
        active = np.zeros((len(mel), 2), dtype=bool)
        truth = np.zeros((2, len(labels.names)), dtype=bool)
        for k, source in enumerate(sources):
            active[:, k] = active_frames(source.waveform, len(mel)) | ("Silence" in source.classes)
            truth[k] = labels.vector(source.classes, parent=0.0) > 0
        mels.append(mel.astype(np.float16))
        logits.append(opinion.logits.astype(np.float16))
        embeddings.append(opinion.embedding.astype(np.float16))
        actives.append(active)
        truths.append(truth)
        cleans.append(all(source.clean for source in sources))
        offsets.append(offsets[-1] + len(mel))
        patch_offsets.append(patch_offsets[-1] + len(opinion.logits))
    file = out / f"{split}-{number:03d}.npz"
    partial = file.with_suffix(".part.npz")
    np.savez(partial, mel=np.concatenate(mels), logits=np.concatenate(logits), embedding=np.concatenate(embeddings),
             active=np.concatenate(actives), truth=np.stack(truths), clean=np.array(cleans), offsets=np.array(offsets),
             patch_offsets=np.array(patch_offsets))  # fmt: skip
    partial.rename(file)
    return file


def build_tracks(
    bank: Path, teacher: Path, labels: Path, out: Path, split: str, shards: int, count: int, workers: int
) -> None:
    """Compose `shards` files of `count` tracks each, in parallel; keep existing files."""
    out.mkdir(parents=True, exist_ok=True)
    jobs = [
        (bank, teacher, labels, out, split, number, count)
        for number in range(shards)
        if not (out / f"{split}-{number:03d}.npz").exists()
    ]
    # A forked child would inherit PyTorch's thread locks and hang.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for file in pool.map(compose_shard, jobs):
            print("wrote", file.name, flush=True)
