"""What logits depend on besides the recording."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from block.model.checkpoint import Checkpoint, FrontEnd
from block.settings import WindowSettings

FORMAT = 1


@dataclass(frozen=True)
class Key:
    """What a recording's logits depend on.

    `checkpoint` is the SHA-256 of the weights in hexadecimal, `fill` is pad or repeat, `mode` exact or fast, `dtype`
    that of the weights on the device, float32 for example. `front_end` is empty for the usual one, else says what is
    unusual about it; `Key.of` knows.
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
    def of(cls, checkpoint: Checkpoint, windows: WindowSettings, fill: str, mode: str, dtype: str) -> Key:
        """The key for a checkpoint on disk; `dtype` is the resolved one (`Device.dtype_name`), not auto."""
        usual, found = asdict(FrontEnd()), asdict(checkpoint.front_end)
        unusual = {name: value for name, value in found.items() if value != usual[name]}
        front_end = json.dumps(unusual, sort_keys=True) if unusual else ""
        return cls(checkpoint.sha256(), windows, fill, mode, dtype, front_end)

    def to_json(self) -> str:
        """As written into files. Equal keys give equal text."""
        return json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Key:
        """The key that `to_json` wrote. Raises ValueError for anything else."""
        try:
            content: dict[str, Any] = dict(json.loads(text))
            version = content.pop("format")
            if version != FORMAT:
                raise ValueError(f"format {version!r}; this version reads {FORMAT}")
            return cls(**{**content, "windows": WindowSettings(**content["windows"])})
        except (KeyError, TypeError) as error:
            raise ValueError(f"no key of a score store: {error}") from None

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that tell keys apart, for names of files."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    def __str__(self) -> str:
        text = f"checkpoint {self.checkpoint[:12]}, windows {self.windows}, {self.fill}, {self.mode}, {self.dtype}"
        return f"{text}, front end {self.front_end}" if self.front_end else text
