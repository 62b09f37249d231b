"""Make scenes with known events, to measure where labels begin and end.

    python -m bench.scenes TABLE OUT [--folds 1,2,3] [--ambience FILE …]

TABLE is a CSV file with the columns file, fold and label; files are relative to it. A scene is 30 s long. Events are
stretches of clips, 1 to 5 s long, with gaps of 0.3 to 3 s. Every other scene lies over real ambience, 15 dB below its
events. The same seed makes the same scenes. OUT gets WAV files at 16 kHz and `annotations.csv` with the events.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
import torchaudio

from block.recording import Waveform

RATE_HZ = 16_000
SCENES, SCENE_S = 40, 30.0
EVENT_S, GAP_S = (1.0, 5.0), (0.3, 3.0)
LEVEL_DBFS, SPREAD_DB = -23.0, 6.0  # of events; ± the spread
AMBIENCE_DB = -15.0  # below the events of a scene
FADE_S = 0.01
# A clip's event is its longest stretch without a pause. ESC-10's clips are padded with digital silence.
PAUSE_S, PAUSE_DB, FRAME_S, SHORTEST_S = 0.3, -50.0, 0.02, 0.25


@dataclass(frozen=True)
class Clip:
    """A file with one kind of sound."""

    path: Path
    fold: int
    label: str


@dataclass(frozen=True)
class Event:
    """A sound in a scene, from `start_s` to `end_s`."""

    start_s: float
    end_s: float
    label: str


@dataclass(frozen=True, eq=False)
class Scene:
    """A scene at 16 kHz, mono in ±1, and its events in order."""

    waveform: Waveform
    events: tuple[Event, ...]


def read_clips(table: Path, folds: Sequence[int]) -> list[Clip]:
    """Return the clips of `folds` in a CSV file with the columns file, fold and label; files are relative to it."""
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        Clip(table.parent / row["file"], int(row["fold"]), row["label"]) for row in rows if int(row["fold"]) in folds
    ]


def read_mono(path: Path) -> Waveform:
    """Return a sound file at 16 kHz, mono, shape `(values,)`."""
    waveform, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    mono = torch.from_numpy(waveform.mean(axis=1))
    return np.asarray(torchaudio.functional.resample(mono, rate_hz, RATE_HZ).numpy(), np.float32)


def find_event(clip: Waveform) -> Waveform:
    """Return the longest stretch of `clip` without a pause: 0.3 s that are 50 dB below its loudest 20 ms."""
    size = round(FRAME_S * RATE_HZ)
    frames = clip[: len(clip) // size * size].reshape(-1, size)
    power = np.square(frames, dtype=np.float64).mean(axis=1)
    loud = np.flatnonzero(power > power.max() * 10 ** (PAUSE_DB / 10))
    breaks = np.flatnonzero(np.diff(loud) > PAUSE_S / FRAME_S)
    starts, ends = loud[[0, *(breaks + 1)]], loud[[*breaks, len(loud) - 1]] + 1
    longest = int((ends - starts).argmax())
    return clip[starts[longest] * size : ends[longest] * size]


def measure_rms(waveform: Waveform) -> float:
    """Return the root of the mean square."""
    return float(np.sqrt(np.square(waveform, dtype=np.float64).mean()))


def place(event: Waveform, level_dbfs: float) -> Waveform:
    """Return `event` at a level, limited to full scale, with both ends faded over 10 ms."""
    gain = min(10 ** (level_dbfs / 20) / max(measure_rms(event), 1e-9), 0.98 / max(float(np.abs(event).max()), 1e-9))
    ramp = np.minimum(1.0, np.arange(1, len(event) + 1) / (FADE_S * RATE_HZ))
    return np.asarray(event * gain * ramp * ramp[::-1], np.float32)


def make_scene(clips: Sequence[Clip], ambience: Waveform | None, draw: np.random.Generator) -> Scene:
    """Return a scene of clips in random order, over `ambience` if given, which repeats if it's too short."""
    total = round(SCENE_S * RATE_HZ)
    waveform = np.zeros(total, np.float32)
    events: list[Event] = []
    at = round(draw.uniform(*GAP_S) * RATE_HZ)
    for index in draw.permutation(len(clips)):
        sound = find_event(read_mono(clips[index].path))
        length = min(len(sound), round(draw.uniform(*EVENT_S) * RATE_HZ))
        start = int(draw.integers(0, len(sound) - length + 1))
        level_dbfs = LEVEL_DBFS + draw.uniform(-SPREAD_DB, SPREAD_DB)
        if length < SHORTEST_S * RATE_HZ:
            continue
        if at + length > total - GAP_S[0] * RATE_HZ:
            break
        waveform[at : at + length] = place(sound[start : start + length], level_dbfs)
        events.append(Event(at / RATE_HZ, (at + length) / RATE_HZ, clips[index].label))
        at += length + round(draw.uniform(*GAP_S) * RATE_HZ)
    if ambience is not None:
        offset = int(draw.integers(0, len(ambience)))
        looped = np.take(ambience, np.arange(offset, offset + total), mode="wrap")
        sounding = np.concatenate([waveform[round(e.start_s * RATE_HZ) : round(e.end_s * RATE_HZ)] for e in events])
        waveform += looped * np.float32(10 ** (AMBIENCE_DB / 20) * measure_rms(sounding) / measure_rms(looped))
    return Scene(np.clip(waveform, -1, 1), tuple(events))


def make_scenes(
    clips: Sequence[Clip], ambience: Sequence[Waveform], count: int = SCENES, seed: int = 0
) -> Iterator[Scene]:
    """Yield `count` scenes; those of odd number lie over one of `ambience` in turn, if there is any."""
    for number in range(count):
        below = ambience[number // 2 % len(ambience)] if ambience and number % 2 else None
        yield make_scene(clips, below, np.random.default_rng([seed, number]))


def write_scenes(folder: Path, scenes: Iterator[Scene]) -> None:
    """Write scenes as 16-bit WAV files, and their events as `annotations.csv`, into a new or existing folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "annotations.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "start_s", "end_s", "label"])
        for number, scene in enumerate(scenes):
            name = f"scene-{number:02}.wav"
            soundfile.write(folder / name, scene.waveform, RATE_HZ, subtype="PCM_16")
            writer.writerows([name, round(e.start_s, 4), round(e.end_s, 4), e.label] for e in scene.events)


def main() -> int:
    """Write scenes into a folder. Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.scenes", description="Make scenes with known events.")
    parser.add_argument("table", type=Path, metavar="TABLE", help="CSV file with the columns file, fold and label")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for the scenes and annotations.csv")
    parser.add_argument("--folds", default="1,2,3,4", help="folds whose clips to use (default: %(default)s)")
    parser.add_argument("--ambience", type=Path, nargs="*", default=[], metavar="FILE", help="sounds to put below")
    parser.add_argument("--count", type=int, default=SCENES, help="number of scenes (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    options = parser.parse_args()
    clips = read_clips(options.table, [int(fold) for fold in options.folds.split(",")])
    ambience = [read_mono(path) for path in options.ambience]
    write_scenes(options.out, make_scenes(clips, ambience, options.count, options.seed))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
