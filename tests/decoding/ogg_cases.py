"""Ogg and FLAC files."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from tests.decoding.case import Case
from tests.decoding.encode import encode
from tests.decoding.mp3_files import make_id3v1, make_id3v2
from tests.decoding.ogg_files import clear_end, set_serial, split_pages
from tests.decoding.sound import count_values
from tests.decoding.wav_cases import JUNK, REST, halve

FILES = Path(__file__).parent / "files"
PAGES = {"page_duration": "200000"}  # in µs, so that a short file has several pages


@cache
def vorbis(rate_hz: int = 44100, channels: int = 2, serial: int = 1) -> bytes:
    return set_serial(encode("ogg", "vorbis", rate_hz, channels, options=PAGES, codec_options={"strict": "-2"}), serial)


@cache
def opus(channels: int = 1, serial: int = 1) -> bytes:
    return set_serial(encode("ogg", "libopus", 48000, channels, options=PAGES), serial)


@cache
def ogg_flac(serial: int = 1) -> bytes:
    return set_serial(encode("ogg", "flac", 16000, options=PAGES), serial)


@cache
def flac(rate_hz: int = 16000, channels: int = 1, *, piped: bool = False) -> bytes:
    return encode("flac", "flac", rate_hz, channels, piped=piped)


def ogg_cases() -> list[Case]:
    """Return Ogg files: each codec, chained, without an end, and cut off."""
    unended = "no page is marked as the last: the recorder was killed, or the copy broke off"
    chained = "both links are heard"
    speex = (FILES / "speex.ogg").read_bytes
    files: dict[str, tuple[Callable[[], bytes], int, int, int, str]] = {
        "vorbis-44100.ogg": (vorbis, 44100, 2, 1024, ""),
        "vorbis-48000-named.oga": (lambda: vorbis(48000, 2), 48000, 2, 1024, ""),
        "opus-1.opus": (opus, 48000, 1, 960, ""),
        "opus-2.ogg": (lambda: opus(2), 48000, 2, 960, ""),
        "opus-6.opus": (lambda: opus(6), 48000, 6, 960, ""),
        "flac.oga": (ogg_flac, 16000, 1, 0, ""),
        "vorbis-named.wav": (vorbis, 44100, 2, 1024, "the ending is wrong"),
        "speex.spx": (speex, 8000, 1, 160, "ffmpeg's encoder wrote it: see files/README.md"),
        "vorbis-chained.ogg": (lambda: vorbis() + vorbis(serial=2), 44100, 2, 1024, chained),
        "vorbis-chained-same-serial.ogg": (lambda: vorbis() + vorbis(), 44100, 2, 1024, chained),
        "vorbis-chained-rates.ogg": (lambda: vorbis() + vorbis(22050, 2, 2), 44100, 2, 2048, chained),
        "vorbis-chained-three.ogg": (
            lambda: vorbis() + vorbis(serial=2) + vorbis(serial=3), 44100, 2, 2048, "all links are heard",
        ),
        "opus-chained.opus": (lambda: opus() + opus(serial=2), 48000, 1, 960, chained),
        "opus-chained-channels.opus": (lambda: opus() + opus(2, 2), 48000, 1, 960, chained),
        "flac-chained.oga": (lambda: ogg_flac() + ogg_flac(2), 16000, 1, 0, chained),
    }  # fmt: skip
    cases = [
        Case(name, make, rate, channels, tolerance=frame, note=note)
        for name, (make, rate, channels, frame, note) in files.items()
    ]
    both = Case(
        "vorbis-opus-chained.ogg", lambda: vorbis(48000) + opus(2, 2), 48000, 2,
        own_values=2 * count_values(48000), tolerance=1024, note="both links are heard",
    )  # fmt: skip
    junk = Case("vorbis-trailing-junk.ogg", lambda: vorbis() + JUNK, 44100, 2, tolerance=1024, warns=True, note=REST)
    cases += [both, junk]
    cut: dict[str, tuple[Callable[[], bytes], int, int, int, str]] = {
        "vorbis-half.ogg": (partial(halve, vorbis), 44100, 2, 1024, ""),
        "opus-half.opus": (partial(halve, opus), 48000, 1, 960, ""),
        "flac-half.oga": (partial(halve, ogg_flac), 16000, 1, 4608, ""),
        "speex-half.spx": (partial(halve, speex), 8000, 1, 160, ""),
        "vorbis-unended.ogg": (lambda: clear_end(vorbis()), 44100, 2, 1024, unended),
        "opus-unended.opus": (lambda: clear_end(opus()), 48000, 1, 960, unended),
        "vorbis-without-last-page.ogg": (lambda: b"".join(split_pages(vorbis())[:-1]), 44100, 2, 1024, unended),
        "vorbis-chained-half.ogg": (
            lambda: vorbis() + halve(lambda: vorbis(serial=2)), 44100, 2, 1024, "the second link is cut off",
        ),
        "vorbis-chained-first-half.ogg": (
            lambda: b"".join(split_pages(vorbis())[:5]) + vorbis(serial=2), 44100, 2, 1024,
            "the first link has no end",
        ),
    }  # fmt: skip
    cases += [
        Case(name, make, rate, channels, "cut off", tolerance=frame, note=note)
        for name, (make, rate, channels, frame, note) in cut.items()
    ]
    return cases


def zero_total(content: bytes) -> bytes:
    """Return the FLAC file with 0, which means unknown, as the count of values in its STREAMINFO block."""
    return content[:21] + bytes((content[21] & 0xF0,)) + bytes(4) + content[26:]


def pad(content: bytes, size: int) -> bytes:
    """Return the FLAC file with a block of padding behind its STREAMINFO block."""
    return content[:42] + b"\1" + size.to_bytes(3) + bytes(size) + content[42:]


def flac_cases() -> list[Case]:
    """Return FLAC files: of known and unknown length, with tags, and cut off."""
    cases = []
    for rate, channels in ((16000, 1), (44100, 2), (48000, 6)):
        make = partial(flac, rate, channels)
        cases.append(Case(f"flac-{rate}-{channels}.flac", make, rate, channels, own_values=count_values(rate)))
    files: dict[str, tuple[Callable[[], bytes], str]] = {
        "flac-pipe.flac": (lambda: flac(piped=True), "as ffmpeg writes it into a pipe"),
        "flac-total-0.flac": (lambda: zero_total(flac()), "its header does not say how long it is"),
        "flac-id3v2.flac": (lambda: make_id3v2(4096) + flac(), "a tag that does not belong there"),
        "flac-id3v1.flac": (lambda: flac() + make_id3v1(), "a tag that does not belong there"),
        "flac-id3v2-total-0.flac": (lambda: make_id3v2(266) + zero_total(flac()), ""),
        "flac-padding.flac": (lambda: pad(flac(), 60_000), "much room for tags before the audio"),
    }
    cases += [
        Case(name, make, 16000, own_values=count_values(16000), note=note) for name, (make, note) in files.items()
    ]
    cases += [
        Case("flac-trailing-junk.flac", lambda: flac() + JUNK, 16000, own_values=count_values(16000),
             note="FFmpeg takes what follows for the end of the last block, and ignores it"),
        Case("flac-half.flac", partial(halve, flac), 16000, 1, "cut off", tolerance=4608),
        Case("flac-total-0-half.flac", lambda: zero_total(halve(flac)), 16000, 1, "cut off", tolerance=4608,
             note="the last block is cut off"),
    ]  # fmt: skip
    return cases


def make_cases() -> list[Case]:
    """Return all of these files."""
    return [*ogg_cases(), *flac_cases()]
