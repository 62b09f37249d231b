"""Encode sound with FFmpeg's libraries."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.decoding.sound import SECONDS, make_sound

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
PICTURES_HZ = 25


class Pipe(io.RawIOBase):
    """A target that can't go back, like the pipe into which a stream is recorded."""

    def __init__(self) -> None:
        self.content = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.content += data
        return len(data)


def encode(
    file_format: str, codec: str | None, rate_hz: int, channels: int = 1, *, options: dict[str, str] | None = None,
    codec_options: dict[str, str] | None = None, bit_rate: int | None = None, piped: bool = False, video: bool = False,
    pause: int = 0,
) -> bytes:  # fmt: skip
    """Return the sound of the collection as a file of `file_format`, encoded by `codec`; None leaves it out.

    `piped`: write without going back to earlier places, as a browser or a recorder does. `video`: put a moving picture
    before the audio. `pause`: what comes after the first second plays that many values later. Raise av.FFmpegError if
    the libraries lack the format or the codec.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        pipe = Pipe()
        with av.open(pipe if piped else str(path), "w", format=file_format, options=options or {}) as container:
            picture: Any = None
            audio: Any = None
            if video:
                picture = container.add_stream("mpeg4", rate=PICTURES_HZ, width=64, height=64, pix_fmt="yuv420p")
            if codec:
                audio = container.add_stream(codec, rate=rate_hz, layout=LAYOUTS[channels], options=codec_options or {})
                if bit_rate:
                    audio.bit_rate = bit_rate
            for image in (*make_pictures(), None) if video else ():
                container.mux(picture.encode(image))
            for frame in (*make_frames(rate_hz, channels, pause), None) if codec else ():
                container.mux(audio.encode(frame))
        return bytes(pipe.content) if piped else path.read_bytes()


def make_frames(rate_hz: int, channels: int, pause: int = 0) -> Iterator[av.AudioFrame]:
    """Yield the sound of the collection; what comes after its first second plays `pause` values later."""
    sound = make_sound(rate_hz, channels).astype("f4")
    for start in range(0, len(sound), 4096):
        part = np.ascontiguousarray(sound[start : start + 4096].T)
        frame = av.AudioFrame.from_ndarray(part, "fltp", LAYOUTS[channels])
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, start, Fraction(1, rate_hz)
        if start > rate_hz:
            frame.pts += pause
        yield frame


def make_pictures() -> Iterator[av.VideoFrame]:
    """Yield pictures that grow brighter."""
    for number in range(int(SECONDS * PICTURES_HZ)):
        yield av.VideoFrame.from_ndarray(np.full((64, 64, 3), number * 4, "u1"), "rgb24")
