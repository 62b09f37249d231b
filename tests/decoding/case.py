"""One file of the collection, and what every reader must find in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Literal

from tests.decoding.sound import Values, make_sound

# whole: read to the end. cut off: what is there can be read, but the file says that there was more. refused: no audio.
Outcome = Literal["whole", "cut off", "refused"]
STEP = 1 / 128  # of 8 bits, the coarsest coding
# Files that the ffmpeg command, version 5.1, misreads, and how; their cases have `own_values`.
_NO_END = "refuses it, although ffmpeg itself writes such files into a pipe"
_SWAPPED = "finds as many values, but swaps their bytes and hears noise"
_DELAY = "does not cut off the encoder's delay, which stands in the file"
MISREAD = {
    "rifx-s16-16000-1.wav": _SWAPPED, "rifx-s24-48000-2.wav": _SWAPPED, "rifx-f32-48000-1.wav": _SWAPPED,
    "rifx-half.wav": _SWAPPED,
    "rf64-pipe.wav": "finds no values, although ffmpeg itself writes such files into a pipe",
    "w64-pipe.w64": _NO_END, "aiff-size-0.aiff": _NO_END, "aiff-size-full.aiff": "refuses it",
    "aiff-data-0.aiff": "refuses it",
    "wav-odd-without-padding.wav": "refuses it",
    "wav-two-data.wav": "reads the last of the two alone",
    "au-trailing-junk.au": "reads on behind the end that the header states",
    "vorbis-opus-chained.ogg": "reads the first link alone",
    "mp3-joined-with-tags.mp3": "takes the tags for frames, and loses the audio around them",
    "caf-aac.caf": _DELAY, "matroska-mp3.mka": _DELAY,
}  # fmt: skip
ANSWERS = Path(__file__).parent / "ffmpeg_answers.json"


@dataclass(frozen=True)
class Case:
    """A file of the collection; `name` is unique and has the file's ending.

    `own_values` is the number of values per channel where the case knows it, and None where ffmpeg's answer is the
    measure. The number may differ from `values` by `tolerance`: 0 for PCM and
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

    @property
    def sound(self) -> Values | None:
        """Return what a reader hears, shape `(values, channels)`, within `STEP`; None if the codec is lossy."""
        if self.own_values is None or self.tolerance:
            return None
        return make_sound(self.rate_hz, self.channels)[: self.own_values]


@cache
def stored_answers() -> dict[str, int]:
    """Return how many values the ffmpeg command found in each case, by name; 0 where it found no audio."""
    answers: dict[str, int] = json.loads(ANSWERS.read_text())
    return answers
