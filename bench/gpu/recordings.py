"""Recordings for the proof: the user's PCM WAV files, or the demo's, and generated ones for speed."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

import numpy as np
import torch

from block import audio
from block.recording import LabeledRecording, Recording, RecordingError, Waveform

DEMO = Path(__file__).resolve().parents[2] / "demo" / "recordings"


def find_wavs(folder: Path) -> list[Path]:
    """Return the WAV files in `folder` and its subfolders, by path. Raise ValueError if there are none."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".wav", ".wave") and path.is_file())
    if not paths:
        raise ValueError(f"{folder} has no .wav files; give a folder of uncompressed WAV recordings: AUDIO=DIR")
    return paths


def cut_windows(paths: Sequence[Path], values: int, stride: int, rate_hz: int, most: int) -> list[Waveform]:
    """Return up to `most` windows of `values` values every `stride` values, recording by recording, in order.

    Recordings that can't be decoded, or are shorter than a window, are left out.
    """
    windows: list[Waveform] = []
    for waveform in decode_all(paths, rate_hz):
        for start in range(0, len(waveform) - values + 1, stride):
            windows.append(waveform[start : start + values])
            if len(windows) == most:
                return windows
    return windows


def decode_all(paths: Sequence[Path], rate_hz: int) -> Iterator[Waveform]:
    """Yield the waveform of each recording that can be decoded."""
    for path in paths:
        try:
            yield audio.decode(path, rate_hz).waveform
        except RecordingError:
            continue


def stack(windows: Sequence[Waveform]) -> torch.Tensor:
    """Return windows of equal length as one tensor."""
    return torch.from_numpy(np.stack(windows))


class WavFiles:
    """WAV files as a run's source. Recording `i` is file `i` of `paths`, starting over at the end."""

    def __init__(self, paths: Sequence[Path], rate_hz: int) -> None:
        self._paths, self._rate_hz = paths, rate_hz

    def fetch(self, recording_id: int, expect: Callable[[int], None]) -> Recording:
        path = self._paths[recording_id % len(self._paths)]
        sound = audio.decode(path, self._rate_hz, expect)
        return Recording(recording_id, path.name, sound.rate_hz, sound.positions, sound.waveform, ratio=sound.ratio)


class LabelLines:
    """A run's sink: one line of JSON per recording. `labels` are the label and times of each segment, by recording."""

    def __init__(self, file: TextIO) -> None:
        self.labels: dict[int, list[tuple[int, int, str]]] = {}
        self._file = file
        self._lock = threading.Lock()

    def write(self, labeled: LabeledRecording) -> LabeledRecording:
        segments = [(one.start, one.end, one.label) for one in labeled.segments]
        line = json.dumps({"id": labeled.id, "segments": segments})
        with self._lock:
            self.labels[labeled.id] = segments
            self._file.write(line + "\n")
        return labeled

    def give_up(self, recording_id: int) -> None:
        pass
