"""One file of the collection, and what every reader must find in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Literal

# whole: read to the end. cut off: what is there can be read, but the file says that there was more. refused: no audio.
Outcome = Literal["whole", "cut off", "refused"]
ANSWERS = Path(__file__).parent / "ffmpeg_answers.json"


@dataclass(frozen=True)
class Case:
    """A file of the collection; `name` is unique and has the file's ending.

    `own_values` is the number of values per channel where the case knows better than the ffmpeg command, for the reason
    in `note`, and None where ffmpeg's answer stands. The number may differ from `values` by `tolerance`: 0 for PCM and
    lossless codecs, otherwise one frame of the codec. `warns`: bytes are left over after the audio, and a warning
    says so.
    """

    name: str
    make: Callable[[], bytes]
    rate_hz: int
    channels: int = 1
    outcome: Outcome = "whole"
    own_values: int | None = None
    tolerance: int = 0
    warns: bool = False
    note: str = ""

    @cached_property
    def content(self) -> bytes:
        return self.make()

    def write(self, folder: Path) -> Path:
        """Write the file into `folder` and return its path."""
        path = folder / self.name
        path.write_bytes(self.content)
        return path

    @property
    def values(self) -> int:
        """Return how many values per channel a reader finds, at `rate_hz`."""
        return stored_answers()[self.name] if self.own_values is None else self.own_values


@cache
def stored_answers() -> dict[str, int]:
    """Return how many values the ffmpeg command found in each case, by name; 0 where it found no audio."""
    answers: dict[str, int] = json.loads(ANSWERS.read_text())
    return answers
