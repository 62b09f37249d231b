"""Recognize the format of an audio file by its content, and look at its structure."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from block.containers import asf
from block.containers.iff import inspect_aiff, inspect_au, inspect_caf
from block.containers.matroska import inspect_matroska
from block.containers.mp4 import FIRST_BOXES, inspect_mp4
from block.containers.mpeg import find_frames, inspect_mpeg
from block.containers.ogg import inspect_ogg
from block.containers.riff import find_layout, inspect_wav
from block.containers.streams import inspect_flac, inspect_frames, inspect_sphere, inspect_tta, inspect_wavpack, is_adts
from block.containers.structure import SeekableFile, Structure, find_size, read_at
from block.containers.tags import trim_tags
from block.recording import RecordingError, Span

HEAD_BYTES = 64 << 10  # of the file, after its tags; the first MPEG frame is searched in them
Inspect = Callable[[SeekableFile], Structure]
MAGIC: dict[bytes, Inspect] = {
    b"fLaC": inspect_flac,
    b"OggS": inspect_ogg,
    b"caff": inspect_caf,
    b".snd": inspect_au,
    b"\x1aE\xdf\xa3": inspect_matroska,
    asf.HEADER: asf.inspect_asf,
    b"#!AMR": partial(inspect_frames, "AMR", "amr"),
    b"\x0bw": partial(inspect_frames, "AC-3", "ac3"),
    b"wvpk": inspect_wavpack,
    b"TTA1": inspect_tta,
    b"NIST_1A": inspect_sphere,
}
# Other files that people have with the ending of an audio file, by their first bytes.
CONVERT = "; convert its audio, for example: ffmpeg -i FILE recording.wav"
OTHERS = {
    b"%PDF": "a PDF, not audio",
    b"PK\x03\x04": "a ZIP archive; unpack it",
    b"\x1f\x8b": "a gzip archive; unpack it",
    b"7z\xbc\xaf": "a 7-Zip archive; unpack it",
    b"Rar!": "a RAR archive; unpack it",
    b"\x89PNG": "a PNG picture, not audio",
    b"\xff\xd8\xff": "a JPEG picture, not audio",
    b"GIF8": "a GIF picture, not audio",
    b"\x7fELF": "a program, not audio",
    b"MThd": "MIDI: notes, not audio",
    b"SQLite format 3": "an SQLite database, not audio",
    b"version https://git-lfs": "a pointer of Git LFS, not audio; run git lfs pull",
    b"Creative Voice File": "a VOC" + CONVERT,
    b"\x00\x00\x01\xba": "an MPEG video" + CONVERT,
    b"FLV": "a Flash video" + CONVERT,
    b"G@": "an MPEG transport stream" + CONVERT,
}
RIFF_KINDS = {b"AVI ": "an AVI video" + CONVERT, b"WEBP": "a WebP picture, not audio"}


def inspect(file: SeekableFile) -> Structure:
    """Return the structure of an audio file, whatever its name. Raise RecordingError if it isn't one."""
    find = _choose(file)
    if find is None:
        raise RecordingError(f"the audio can't be decoded: the file is {_describe_other(file)}")
    return find(file)


def _choose(file: SeekableFile) -> Inspect | None:
    head = read_at(file, 0, 64)
    if (layout := find_layout(head)) is not None:
        return partial(inspect_wav, layout=layout)
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return inspect_aiff
    if head[4:8] in FIRST_BOXES:
        return inspect_mp4
    begin = trim_tags(file, Span(0, find_size(file))).start
    head = read_at(file, begin, HEAD_BYTES)
    for magic, find in MAGIC.items():
        if head.startswith(magic):
            return find
    if is_adts(head):
        return partial(inspect_frames, "AAC", "aac")
    return inspect_mpeg if find_frames(head) is not None else None


def _describe_other(file: SeekableFile) -> str:
    """Say what a file is if it isn't audio, and what to do about it, as the end of a sentence."""
    head = read_at(file, 0, 1024)
    if not head:
        return "empty"
    if head[:4] == b"RIFF":
        return RIFF_KINDS.get(head[8:12], "a RIFF without WAVE audio; it may be cut off")
    for magic, description in OTHERS.items():
        if head.startswith(magic):
            return description
    if b"<html" in head.lower() or head.lstrip()[:9].lower() == b"<!doctype":
        return "a web page (HTML), not audio; a download may have failed"
    if not any(head):
        return "zeros only; a copy may have failed"
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head):
        return "text, not audio"
    return f"in no known format; it begins with {head[:8].hex(' ')}{CONVERT}"
