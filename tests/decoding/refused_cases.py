"""Files that hold no audio, and audio behind a wrong ending."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import partial

from tests.decoding.case import Case
from tests.decoding.container_cases import m4a
from tests.decoding.encode import encode
from tests.decoding.mp3_cases import mp3
from tests.decoding.ogg_cases import vorbis
from tests.decoding.sound import count_values
from tests.decoding.wav_cases import pcm_wav


def make_png() -> bytes:
    """Return a picture of one pixel."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")


def make_zip() -> bytes:
    """Return a ZIP archive with a WAV file."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("a.wav", pcm_wav(8000))
    return target.getvalue()


def silent_video() -> bytes:
    """Return an MP4 file that holds a video track alone."""
    return encode("mp4", None, 16000, video=True)


def make_cases() -> list[Case]:
    """Return all of these files."""
    page = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Please sign in.</body></html>\n"
    refused: dict[str, tuple[Callable[[], bytes], str]] = {
        "html-named.wav": (lambda: page, "what a web server answers instead of a file"),
        "html-named.mp3": (lambda: page * 40, "what a web server answers instead of a file"),
        "text-named.wav": (lambda: b"This is a note about the recordings.\n" * 30, ""),
        "text-named.mp3": (lambda: b"This is a note about the recordings.\n" * 30, ""),
        "csv-named.wav": (lambda: b"start,end,label\n0,1,dog\n", ""),
        "json-named.ogg": (lambda: b'{"message": "not found"}', ""),
        "png-named.wav": (make_png, "to FFmpeg's libraries, a video of one frame"),
        "zip-named.wav": (make_zip, ""),
        "empty.wav": (lambda: b"", "0 bytes"),
        "empty.mp3": (lambda: b"", "0 bytes"),
        "one-byte.wav": (lambda: b"R", ""),
        "zeros.wav": (lambda: bytes(5000), ""),
        "riff-avi.wav": (lambda: b"RIFF" + struct.pack("<I", 4) + b"AVI ", ""),
        "only-id3v2.mp3": (lambda: b"ID3\3\0\0\0\0\0\x0a" + bytes(10), "a tag alone"),
        "video-without-audio.mp4": (silent_video, ""),
        "git-lfs-pointer.wav": (
            lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 123456\n",
            "a file that was not fetched",
        ),
    }  # fmt: skip
    cases = [Case(name, make, 16000, 1, "refused", 0, note=note) for name, (make, note) in refused.items()]
    named = "the ending is wrong"
    return [
        *cases,
        Case("mp3-named.wav", mp3, 16000, tolerance=576, note=named),
        Case("wav-named.mp3", pcm_wav, 16000, own_values=count_values(16000), note=named),
        Case("vorbis-named.mp3", vorbis, 44100, 2, tolerance=1024, note=named),
        Case("m4a-named.mp3", m4a, 44100, 2, tolerance=1024, note=named),
        Case("wav-named.ogg", partial(pcm_wav, 44100, 2), 44100, 2, own_values=count_values(44100), note=named),
    ]
