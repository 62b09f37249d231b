"""The Python API: label sound files and arrays."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile

from block.audio import DecodedAudio, decode
from block.labeling.engine import Engine
from block.labeling.job import Job
from block.labels import describe_unreachable_labels, parse_labels
from block.model.checkpoint import DEFAULT, find_checkpoint
from block.model.device import choose_device
from block.recording import Recording, RecordingError
from block.settings import (
    BACKENDS,
    DTYPES,
    GRID,
    SCORE_FUNCTIONS,
    TORCH,
    AuditSettings,
    Boundaries,
    ComputeSettings,
    DecisionSettings,
    ScoreFunction,
    SettingsError,
    WindowSettings,
)

Audio = str | os.PathLike[str] | npt.NDArray[Any]
ENCODINGS = {"int16": "PCM_16", "int32": "PCM_32", "float32": "FLOAT", "float64": "DOUBLE"}


class TimeSegment(NamedTuple):
    """A span of a recording with one label: `start` and `end` in seconds, `score` in 0…1."""

    start: float
    end: float
    label: str
    score: float


class Labeler:
    """Label recordings in exact mode with one model, which is loaded once.

    `labels` are class names, or one text as in `--audioset-labels`. The other options have the same names on the
    command line. Raise SettingsError, LabelError or CheckpointError for invalid arguments.
    """

    def __init__(
        self,
        labels: str | Sequence[str],
        *,
        model: str | os.PathLike[str] = DEFAULT,
        win_size_ms: int = 2000,
        win_stride_ms: int = 2000,
        boundaries: Boundaries = GRID,
        min_confidence: float = 0.2,
        score_function: ScoreFunction = "softmax",
        other_label: str = "other",
        device: str = "auto",
        dtype: str = "auto",
        backend: str = TORCH,
    ) -> None:
        if not 0 <= min_confidence <= 1:
            raise SettingsError(f"min_confidence is {min_confidence!r}; expected a number from 0 to 1")
        for name, value, choices in (
            ("score_function", score_function, SCORE_FUNCTIONS),
            ("dtype", dtype, DTYPES),
            ("backend", backend, BACKENDS),
        ):
            if value not in choices:
                raise SettingsError(f"{name} is {value!r}; expected {' or '.join(choices)}")
        checkpoint = find_checkpoint(os.fspath(model))
        text = labels if isinstance(labels, str) else "\n".join(labels)
        chosen = parse_labels(text, checkpoint.class_names, min_confidence)
        for line in describe_unreachable_labels(chosen):
            warnings.warn(line, stacklevel=2)
        compute = ComputeSettings(device, dtype, backend=backend)
        decisions = DecisionSettings(chosen, other_label, score_function)
        job = Job(
            checkpoint, WindowSettings(win_size_ms, win_stride_ms, boundaries), decisions, compute, AuditSettings()
        )
        engine = Engine(job, choose_device(compute), checkpoint.sha256())
        self._rate_hz = checkpoint.front_end.rate_hz
        # `stored` makes the scores of a window independent of the rest of its batch.
        self._labeler = engine.load_labeler(_WarningsNotifier(), stored=True)

    def label(self, recording: Audio, rate_hz: int | None = None) -> list[TimeSegment]:
        """Return the segments of a recording, in order, from its start to its end.

        `recording` is the path of a sound file, or an array of shape `(values,)` or `(values, channels)` at `rate_hz`:
        float in ±1, or int16 or int32. Raise RecordingError if it can't be labeled, or CheckpointError or SettingsError
        if the model, which the first call loads, can't be loaded.
        """
        sound = _decode(recording, rate_hz, self._rate_hz)
        one = Recording(1, "", sound.rate_hz, sound.positions, sound.waveform, ratio=sound.ratio)
        [labeled] = self._labeler.label([self._labeler.prepare(one)])
        return [
            TimeSegment(part.start / sound.rate_hz, part.end / sound.rate_hz, part.label, part.score)
            for part in labeled.segments
        ]

    def label_all(self, recordings: Iterable[Audio], rate_hz: int | None = None) -> list[list[TimeSegment]]:
        """Return the segments of each recording, in order. `rate_hz` applies to all arrays. Raise RecordingError."""
        return [
            self.label(recording, None if isinstance(recording, (str, os.PathLike)) else rate_hz)
            for recording in recordings
        ]


def label(
    recording: Audio, labels: str | Sequence[str], rate_hz: int | None = None, **options: Any
) -> list[TimeSegment]:
    """Return the segments of one recording. `options` are those of `Labeler`.

    For several recordings, use a `Labeler`: it loads the model only once.
    """
    return Labeler(labels, **options).label(recording, rate_hz)


class _WarningsNotifier:
    """Issue lines for the user as Python warnings."""

    def say(self, line: str) -> None:
        warnings.warn(line, stacklevel=2)

    warn_once = say


def _decode(recording: Audio, rate_hz: int | None, to_hz: int) -> DecodedAudio:
    """Decode a file or an array into a mono waveform at `to_hz`. Raise RecordingError if that fails."""
    if not isinstance(recording, (str, os.PathLike)):
        return decode(_as_file(np.asarray(recording), rate_hz), to_hz)
    if rate_hz is not None:
        raise RecordingError(f"rate_hz is {rate_hz} for {recording}, but a file has its own rate; leave rate_hz out")
    try:
        with open(recording, "rb") as file:
            sound = decode(file, to_hz)
    except OSError as error:
        raise RecordingError(f"{recording} can't be read: {error.strerror or error}") from None
    except RecordingError as error:
        raise RecordingError(f"{recording}: {error}") from None
    for note in sound.notes:
        warnings.warn(f"{recording}: {note}", stacklevel=4)
    return sound


def _as_file(values: npt.NDArray[Any], rate_hz: int | None) -> bytes:
    """Return an array as a sound file, so that arrays and files are decoded the same way."""
    if rate_hz is None or rate_hz <= 0 or rate_hz != int(rate_hz):
        raise RecordingError(f"rate_hz is {rate_hz} for an array; expected a whole number of values per second")
    if values.dtype.name not in ENCODINGS:
        raise RecordingError(f"the array has the type {values.dtype}; expected {', '.join(ENCODINGS)}")
    if values.ndim not in (1, 2) or not values.size or (values.ndim == 2 and values.shape[0] < values.shape[1]):
        raise RecordingError(f"the array has the shape {values.shape}; expected (values,) or (values, channels)")
    file = io.BytesIO()
    soundfile.write(file, values, int(rate_hz), ENCODINGS[values.dtype.name], format="RF64")
    return file.getvalue()
