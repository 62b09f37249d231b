"""The stored logits of a recording, and the key: what they depend on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from block import boundaries
from block.model.arithmetic import FIRST_SCORES_VERSION, SCORES_VERSION
from block.model.checkpoint import Checkpoint
from block.runtime.hashing import SHA256
from block.settings import EXACT, GRID, SCORE_FUNCTIONS, SOUND, WindowSettings

Errors = npt.NDArray[np.float32]
Embeddings = npt.NDArray[np.float16]
NO_EMBEDDINGS: Embeddings = np.zeros((0, 0), np.float16)

FORMAT = 1
SOUND_PLACEMENT = f"{SOUND} {boundaries.VERSION}"
USUAL = "the usual settings"
# Written only if they differ from what block 0.1.0 had, so that its files and new ones have the same key.
ADDED = {"config": "", "scores": FIRST_SCORES_VERSION, "placement": GRID}


@dataclass(frozen=True)
class Key:
    """What a recording's logits depend on.

    `checkpoint` is the SHA-256 of the weights in hexadecimal, `mode` is exact or fast, `dtype` is that of the weights
    on the device, such as float32. `fill` is pad or repeat, and the context if windows have any. `front_end` and
    `config` are JSON of what differs from the default front end and from the usual config.json; empty if nothing does.
    `scores` is the scores version, which stands for the block's own arithmetic. `placement` is where windows lie: grid
    means every stride. Windows between changes of the sound get the name and version of what finds these, so scores of
    other cuts don't mix with theirs.

    Block 0.1.0 recorded neither `config` nor `scores`. Its scores count as computed with the usual config.json, because
    all published checkpoints have that; with any other config.json, they aren't used.
    """

    checkpoint: str
    windows: WindowSettings
    fill: str
    mode: str
    dtype: str
    front_end: str = ""
    config: str = ""
    scores: str = SCORES_VERSION
    placement: str = GRID

    def __post_init__(self) -> None:
        if self.windows.boundaries == SOUND:
            if self.placement == GRID:
                object.__setattr__(self, "placement", SOUND_PLACEMENT)
        elif self.windows.size_ms == 0:  # one window over everything, whatever the stride
            object.__setattr__(self, "windows", WindowSettings(0, 0))

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, windows: WindowSettings, fill: str, mode: str, dtype: str) -> Key:
        """Return the key for a checkpoint on disk. `dtype` must be resolved (`Device.dtype_name`), not auto."""
        changes = checkpoint.front_end.changes
        return cls(checkpoint.sha256(), windows, fill, mode, dtype, changes, checkpoint.config)

    def to_json(self) -> str:
        """Return the key as it is written into files. Equal keys give equal text."""
        content = {name: value for name, value in asdict(self).items() if value != ADDED.get(name)}
        del content["windows"]["boundaries"]  # `placement` says it
        return json.dumps({"format": FORMAT, **content}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Key:
        """Return the key that `to_json` wrote. Raise ValueError for anything else."""
        try:
            content: dict[str, Any] = dict(json.loads(text))
            version = content.pop("format")
            if version != FORMAT:
                raise ValueError(f"the score store's format is {version!r}; expected {FORMAT}")
            placed = SOUND if str(content.get("placement", GRID)).startswith(f"{SOUND} ") else GRID
            windows = WindowSettings(**content.pop("windows"), boundaries=placed)
            if not all(isinstance(value, str) for value in content.values()):
                raise TypeError("its values must be text")
            return cls(**{**ADDED, **content, "windows": windows})
        except (KeyError, TypeError) as error:
            raise ValueError(f"not the key of a score store: {error}") from None

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that identify the key in file names."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    def __str__(self) -> str:
        text = f"checkpoint {self.checkpoint[:12]}, windows {self.windows}, {self.fill}, {self.mode}, {self.dtype}"
        if self.placement != GRID:
            text += f", placed by {self.placement}"
        return text if self.arithmetic == USUAL else f"{text}, {self.arithmetic}"

    @property
    def arithmetic(self) -> str:
        """Return the settings of config.json, of the front end and the scores version, as text."""
        parts = [f"config.json {self.config}"] if self.config else []
        parts += [f"front end {self.front_end}"] if self.front_end else []
        parts += [f"scores version {self.scores}"] if self.scores != FIRST_SCORES_VERSION else []
        return ", ".join(parts) or USUAL

    def differs_in_arithmetic(self, other: Key) -> bool:
        """Return True if these are the same windows of the same weights, but with other settings or other code."""
        same = replace(other, front_end=self.front_end, config=self.config, scores=self.scores)
        return self == same and self != other


class Rank(NamedTuple):
    """How good the scores of a recording are; the higher rank counts.

    It has the numbers of chunks, of chunks with embeddings, of exact windows, and of windows with known errors.
    """

    chunks: int = -1
    embedded: int = 0
    exact: int = 0
    known: int = 0

    @classmethod
    def of(cls, chunks: int, errors: Errors, embedded: int = 0) -> Rank:
        """Return the rank of scores with these `errors`, shape `(windows, 2)`."""
        return cls(chunks, embedded, int((~errors.any(axis=1)).sum()), int(np.isfinite(errors).all(axis=1).sum()))


@dataclass(frozen=True, eq=False)
class Scored:
    """One recording's logits.

    `content` is the SHA-256 of the file's bytes in hexadecimal. The recording has `values` values at `value_rate_hz`.
    `chunk_counts` is the number of chunks of each window, 0 for one that was skipped as silent. `levels_dbfs`, float32
    of shape `(windows,)`, is each window's RMS level relative to full scale. `logits` is float32 of shape `(chunks,
    classes)`, with the chunks of a window adjacent. `mode` is as in `LabeledRecording`. `errors`, float32 of shape
    `(windows, 2)`, is how far off the scores of any class may be, for each of `SCORE_FUNCTIONS`: 0 if a window is
    exact, infinity if unknown. Without them, fast scores have unknown errors. `cuts` are as in `Layout`. `embeddings`,
    float16 of shape `(chunks, values)`, are what the classifier turned into the logits, NaN where unknown, with no
    values if none are kept. Raise ValueError if these don't fit together.
    """

    content: str
    values: int
    value_rate_hz: Fraction
    chunk_counts: tuple[int, ...]
    levels_dbfs: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float32]
    mode: str = EXACT
    errors: Errors = field(default_factory=lambda: np.zeros((0, len(SCORE_FUNCTIONS)), np.float32))
    cuts: tuple[int, ...] | None = None
    embeddings: Embeddings = field(default_factory=lambda: NO_EMBEDDINGS)

    def __post_init__(self) -> None:
        if not len(self.errors):
            unknown = 0 if self.mode == EXACT else np.inf
            shape = (len(self.chunk_counts), len(SCORE_FUNCTIONS))
            object.__setattr__(self, "errors", np.full(shape, unknown, np.float32))
        if not self.embeddings.size:
            object.__setattr__(self, "embeddings", np.zeros((len(self.logits), 0), np.float16))
        if not SHA256.fullmatch(self.content):
            raise ValueError(f"the content is {self.content!r}; expected a SHA-256 in hexadecimal")
        if self.logits.ndim != 2 or len(self.logits) != sum(self.chunk_counts):
            raise ValueError(f"logits of shape {self.logits.shape} for {sum(self.chunk_counts)} chunks")
        if self.levels_dbfs.shape != (len(self.chunk_counts),):
            raise ValueError(f"levels of shape {self.levels_dbfs.shape} for {len(self.chunk_counts)} windows")
        if self.cuts is not None and len(self.cuts) + 1 != len(self.chunk_counts):
            raise ValueError(f"{len(self.cuts)} cuts for {len(self.chunk_counts)} windows")
        if self.errors.shape != (len(self.chunk_counts), len(SCORE_FUNCTIONS)):
            raise ValueError(f"errors of shape {self.errors.shape} for {len(self.chunk_counts)} windows")
        if self.embeddings.ndim != 2 or len(self.embeddings) != len(self.logits):
            raise ValueError(f"embeddings of shape {self.embeddings.shape} for {len(self.logits)} chunks")
        if self.embeddings.dtype != np.float16:
            raise ValueError(f"embeddings are {self.embeddings.dtype}; expected float16")
        for name, array in (("logits", self.logits), ("levels", self.levels_dbfs), ("errors", self.errors)):
            if array.dtype != np.float32:
                raise ValueError(f"{name} are {array.dtype}; expected float32")

    @property
    def windows(self) -> int:
        return len(self.chunk_counts)

    @property
    def chunks(self) -> int:
        return len(self.logits)

    @property
    def embedded(self) -> int:
        """The number of chunks with embeddings."""
        has_values = self.embeddings.shape[1] > 0
        return int((~np.isnan(self.embeddings).any(axis=1)).sum()) if has_values else 0

    @property
    def rank(self) -> Rank:
        return Rank.of(self.chunks, self.errors, self.embedded)
