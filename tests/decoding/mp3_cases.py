"""MP3 and the other codecs whose files are frames one after the other: MP2, ADTS AAC, AC-3, AMR."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

from tests.decoding.aac_files import split_adts
from tests.decoding.case import Case, stored_answers
from tests.decoding.encode import encode
from tests.decoding.mp3_files import make_ape, make_id3v1, make_id3v2, make_lyrics3, split_frames
from tests.decoding.wav_cases import JUNK, halve

VBR = {"flags": "+qscale", "global_quality": "472"}


@cache
def mp3(rate_hz: int = 16000, channels: int = 1, *, vbr: bool = False, xing: bool = False) -> bytes:
    """Return an MP3 without tags."""
    options = {"write_xing": str(int(xing)), "id3v2_version": "0"}
    return encode("mp3", "libmp3lame", rate_hz, channels, options=options, codec_options=VBR if vbr else {})


def mp3_cases() -> list[Case]:
    """Return plain MP3 files, joined ones, ones that begin or end in the middle of a frame, and tags."""
    cases = []
    plain = [(8000, 1), (11025, 1), (16000, 1), (22050, 2), (24000, 1), (32000, 2), (44100, 2), (48000, 2), (44100, 1)]
    for rate, channels in plain:
        frame = 1152 if rate >= 32000 else 576
        for varies, xing in (
            ((False, False), (True, False), (True, True)) if rate in (16000, 44100) else ((False, True),)
        ):
            name = f"mp3-{'vbr' if varies else 'cbr'}{'-xing' if xing else ''}-{rate}-{channels}.mp3"
            make = partial(mp3, rate, channels, vbr=varies, xing=xing)
            cases.append(Case(name, make, rate, channels, tolerance=frame))
    vbr = partial(mp3, 16000, vbr=True)
    marked = partial(mp3, xing=True)
    files: dict[str, tuple[Callable[[], bytes], str]] = {
        "mp3-joined.mp3": (lambda: mp3() + vbr() + mp3(), ""),
        "mp3-joined-xing.mp3": (lambda: marked() + marked(), "the first header covers the first part"),
        "mp3-joined-xing-first.mp3": (lambda: marked() + mp3(), "the header covers the first part"),
        "mp3-joined-xing-second.mp3": (lambda: mp3() + marked(), ""),
        "mp3-joined-rates.mp3": (
            lambda: mp3() + mp3(22050), "FFmpeg's libraries give the rate of the second part for the first frame",
        ),
        "mp3-joined-channels.mp3": (lambda: mp3() + mp3(16000, 2), "the second part has 2 channels"),
        "mp3-id3v2-266.mp3": (lambda: make_id3v2(266) + mp3(), ""),
        "mp3-id3v2-4096.mp3": (lambda: make_id3v2(4096) + mp3(), ""),
        "mp3-id3v2-cover.mp3": (lambda: make_id3v2(120_000) + vbr(), ""),
        "mp3-id3v2-cover-xing.mp3": (lambda: make_id3v2(120_000) + marked(), ""),
        "mp3-id3v2-twice.mp3": (lambda: make_id3v2(266) + make_id3v2(4096) + mp3(), ""),
        "mp3-id3v1.mp3": (lambda: mp3() + make_id3v1(), ""),
        "mp3-ape.mp3": (lambda: mp3() + make_ape(3000), ""),
        "mp3-ape-before.mp3": (lambda: make_ape(3000) + mp3(), ""),
        "mp3-lyrics3.mp3": (lambda: mp3() + make_lyrics3() + make_id3v1(), ""),
        "mp3-all-tags.mp3": (
            lambda: make_id3v2(4096) + marked() + make_ape(3000) + make_lyrics3() + make_id3v1(), "",
        ),
        "mp3-mid-frame.mp3": (lambda: mp3()[100:], "begins in the middle of a frame"),
        "mp3-mid-frame-vbr.mp3": (lambda: vbr()[700:], "begins in the middle of a frame"),
        "mp3-id3v2-zeros.mp3": (lambda: make_id3v2(266) + bytes(3000) + mp3(), "zeros behind the tag"),
        "mp3-zeros-behind.mp3": (lambda: mp3() + bytes(3000), "zeros behind the last frame"),
        "mp3-last-frame-cut.mp3": (lambda: mp3()[:-50], "no damage"),
        "mp3-last-frame-cut-xing.mp3": (lambda: marked()[:-50], "no damage"),
        "mp3-half.mp3": (partial(halve, mp3), "whole: nothing says how long it was"),
        "mp3-vbr-half.mp3": (partial(halve, vbr), "whole: nothing says how long it was"),
    }  # fmt: skip
    cases += [Case(name, make, 16000, tolerance=576, note=note) for name, (make, note) in files.items()]
    cases += [
        Case(
            "mp3-joined-with-tags.mp3",
            lambda: make_id3v2(4096) + marked() + make_id3v1() + make_id3v2(4096) + marked() + make_id3v1(),
            16000, own_values=stored_answers()["mp3-joined-xing.mp3"], tolerance=576,
            note="tags in the middle, as `cat *.mp3` leaves them",
        ),
        Case("mp3-trailing-junk.mp3", lambda: mp3() + JUNK, 16000, tolerance=576, warns=True, note="no frame, no tag"),
        Case("mp3-xing-half.mp3", partial(halve, marked), 16000, 1, "cut off", tolerance=576),
        Case(
            "mp3-xing-half-tags.mp3", lambda: make_id3v2(4096) + halve(marked) + make_id3v1(), 16000, 1, "cut off",
            tolerance=576, note="half of the frames between two whole tags",
        ),
        Case(
            "mp3-xing-44100-half.mp3", partial(halve, partial(mp3, 44100, 2, xing=True)), 44100, 2, "cut off",
            tolerance=1152,
        ),
        Case(
            "mp3-xing-two-frames-short.mp3", lambda: b"".join(split_frames(marked())[:-2]), 16000, 1, "cut off",
            tolerance=576, note="cut at a border of frames",
        ),
    ]  # fmt: skip
    return cases


def stream_cases() -> list[Case]:
    """Return files of other codecs that state neither a length nor an end."""
    adts = partial(encode, "adts", "aac", 44100, 2)
    codecs: dict[str, tuple[str, str, int, int, int]] = {
        "mp2-48000.mp2": ("mp2", "mp2", 48000, 2, 1152), "mp2-16000.mp2": ("mp2", "mp2", 16000, 1, 1152),
        "adts-16000.aac": ("adts", "aac", 16000, 1, 1024), "adts-44100.aac": ("adts", "aac", 44100, 2, 1024),
        "ac3.ac3": ("ac3", "ac3", 48000, 6, 1536), "eac3.eac3": ("eac3", "eac3", 48000, 2, 1536),
        "amr.amr": ("amr", "libopencore_amrnb", 8000, 1, 160),
    }  # fmt: skip
    cases = [
        Case(name, partial(encode, file_format, codec, rate, channels), rate, channels, tolerance=frame)
        for name, (file_format, codec, rate, channels, frame) in codecs.items()
    ]
    none = "whole: nothing says how long it was"
    cases += [
        Case("adts-half.aac", partial(halve, adts), 44100, 2, tolerance=1024, note=none),
        Case("adts-id3v2.aac", lambda: make_id3v2(4096) + adts(), 44100, 2, tolerance=1024),
        Case("adts-joined.aac", lambda: adts() + adts(), 44100, 2, tolerance=1024),
        Case("adts-frames-half.aac", lambda: b"".join(split_adts(adts())[:40]), 44100, 2, tolerance=1024, note=none),
        Case("mp2-half.mp2", partial(halve, partial(encode, "mp2", "mp2", 48000, 2)), 48000, 2, tolerance=1152,
             note=none),
    ]  # fmt: skip
    return cases


def make_cases() -> list[Case]:
    """Return all of these files."""
    return [*mp3_cases(), *stream_cases()]
