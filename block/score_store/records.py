"""The stored logits of a recording, and the key: what they depend on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from block.model.checkpoint import Checkpoint, FrontEnd
from block.runtime.hashing import SHA256
from block.settings import WindowSettings

FORMAT = 1


@dataclass(frozen=True)
class Key:
    """What a recording's logits depend on.

    `checkpoint` is the SHA-256 of the weights in hexadecimal, `fill` is pad or repeat, `mode` is exact or fast, `dtype`
    is that of the weights on the device, such as float32. `front_end` is JSON of what differs from the default front
    end; empty if nothing does.
    """

    checkpoint: str
    windows: WindowSettings
    fill: str
    mode: str
    dtype: str
    front_end: str = ""

    def __post_init__(self) -> None:
        if self.windows.size_ms == 0:  # one window over everything, whatever the stride
            object.__setattr__(self, "windows", WindowSettings(0, 0))

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, windows: WindowSettings, fill: str, mode: str, dtype: str) -> Key:
        """Return the key for a checkpoint on disk. `dtype` must be resolved (`Device.dtype_name`), not auto."""
        default = asdict(FrontEnd())
        changed = {name: value for name, value in asdict(checkpoint.front_end).items() if value != default[name]}
        front_end = json.dumps(changed, sort_keys=True) if changed else ""
        return cls(checkpoint.sha256(), windows, fill, mode, dtype, front_end)

    def to_json(self) -> str:
        """Return the key as it is written into files. Equal keys give equal text."""
        return json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Key:
        """Return the key that `to_json` wrote. Raise ValueError for anything else."""
        try:
            content: dict[str, Any] = dict(json.loads(text))
            version = content.pop("format")
            if version != FORMAT:
                raise ValueError(f"the score store's format is {version!r}; expected {FORMAT}")
            return cls(**{**content, "windows": WindowSettings(**content["windows"])})
        except (KeyError, TypeError) as error:
            raise ValueError(f"not the key of a score store: {error}") from None

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that identify the key in file names."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    def __str__(self) -> str:
        text = f"checkpoint {self.checkpoint[:12]}, windows {self.windows}, {self.fill}, {self.mode}, {self.dtype}"
        return f"{text}, front end {self.front_end}" if self.front_end else text


@dataclass(frozen=True, eq=False)
class Scored:
    """One recording's logits.

    `content` is the SHA-256 of the file's bytes in hexadecimal. The recording has `values` values at `value_rate_hz`.
    `chunk_counts` is the number of chunks of each window, 0 for one that was skipped as silent. `levels_dbfs`, float32
    of shape `(windows,)`, is each window's RMS level relative to full scale. `logits` is float32 of shape `(chunks,
    classes)`, with the chunks of a window adjacent. `mode` is as in `LabeledRecording`. Raise ValueError if these don't
    fit together.
    """

    content: str
    values: int
    value_rate_hz: Fraction
    chunk_counts: tuple[int, ...]
    levels_dbfs: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float32]
    mode: str = "exact"

    def __post_init__(self) -> None:
        if not SHA256.fullmatch(self.content):
            raise ValueError(f"the content is {self.content!r}; expected a SHA-256 in hexadecimal")
        if self.logits.ndim != 2 or len(self.logits) != sum(self.chunk_counts):
            raise ValueError(f"logits of shape {self.logits.shape} for {sum(self.chunk_counts)} chunks")
        if self.levels_dbfs.shape != (len(self.chunk_counts),):
            raise ValueError(f"levels of shape {self.levels_dbfs.shape} for {len(self.chunk_counts)} windows")
        for name, array in (("logits", self.logits), ("levels", self.levels_dbfs)):
            if array.dtype != np.float32:
                raise ValueError(f"{name} are {array.dtype}; expected float32")

    @property
    def windows(self) -> int:
        return len(self.chunk_counts)

    @property
    def chunks(self) -> int:
        return len(self.logits)
