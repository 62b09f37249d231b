"""AIFF, AIFC, CAF, AU and NIST Sphere files."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.decoding.aac_files import make_caf_aac
from tests.decoding.case import Case
from tests.decoding.encode import encode
from tests.decoding.pcm_files import make_aiff, make_au, make_caf, make_sphere
from tests.decoding.riff_files import FULL, make_chunk
from tests.decoding.sound import Coding, Order, count_values, encode_pcm, make_sound
from tests.decoding.wav_cases import JUNK, REST, halve

NAME = make_chunk(b"NAME", b"A name", order=">")


def pcm(rate_hz: int = 16000, channels: int = 1, coding: Coding = "s16", order: Order = ">") -> bytes:
    return encode_pcm(make_sound(rate_hz, channels), coding, order)


def aiff_cases() -> list[Case]:
    """Return AIFF and AIFC files, whole, of unknown size, and cut off."""
    values = count_values(16000)

    def aiff(**sizes: Any) -> Callable[[], bytes]:
        return lambda: make_aiff(pcm(), 16000, **sizes)

    files: dict[str, tuple[Callable[[], bytes], str]] = {
        "aiff-16.aiff": (aiff(), ""),
        "aiff-8.aif": (lambda: make_aiff(pcm(coding="s8"), 16000, bits=8), ""),
        "aiff-24.aiff": (lambda: make_aiff(pcm(coding="s24"), 16000, bits=24), ""),
        "aiff-32.aiff": (lambda: make_aiff(pcm(coding="s32"), 16000, bits=32), ""),
        "aifc-none.aifc": (lambda: make_aiff(pcm(), 16000, compression=b"NONE"), ""),
        "aifc-sowt.aifc": (lambda: make_aiff(pcm(order="<"), 16000, compression=b"sowt"), "the other byte order"),
        "aifc-fl32.aifc": (lambda: make_aiff(pcm(coding="f32"), 16000, bits=32, compression=b"fl32"), ""),
        "aiff-name-behind.aiff": (lambda: make_aiff(pcm(), 16000, after=NAME), ""),
        "aiff-size-0.aiff": (
            aiff(values=0, data_size=0, form_size=0),
            "as ffmpeg writes it into a pipe",
        ),
        "aiff-size-full.aiff": (aiff(values=FULL, data_size=FULL, form_size=FULL), "unknown"),
        "aiff-data-0.aiff": (aiff(data_size=0), "the count of values in COMM is right"),
        "aiff-sox-pipe.aiff": (
            aiff(values=0x3F800000, data_size=0x7F000008, form_size=0x7F00002E),
            "as SoX writes it into a pipe: 0x7F000000 bytes, 16 MiB below 2³¹",
        ),
    }
    cases = [Case(name, make, 16000, own_values=values, note=note) for name, (make, note) in files.items()]
    stereo = partial(lambda: make_aiff(pcm(44100, 2), 44100, 2))
    cases.append(Case("aiff-44100-2.aiff", stereo, 44100, 2, own_values=count_values(44100)))
    cases.append(Case("aiff-half.aiff", partial(halve, aiff()), 16000, 1, "cut off", values // 2 - 14))
    sowt = partial(halve, files["aifc-sowt.aifc"][0])
    cases.append(Case("aifc-sowt-half.aifc", sowt, 16000, 1, "cut off", values // 2 - 18))
    behind = Case("aiff-trailing-junk.aiff", lambda: aiff()() + JUNK, 16000, own_values=values, warns=True, note=REST)
    cases.append(behind)
    for name, codec, rate, tolerance in (
        ("alaw", "pcm_alaw", 8000, 0), ("mulaw", "pcm_mulaw", 8000, 0), ("ima4", "adpcm_ima_qt", 22050, 64),
    ):  # fmt: skip
        cases.append(Case(f"aifc-{name}.aifc", partial(encode, "aiff", codec, rate), rate, tolerance=tolerance))
    return cases


def caf_cases() -> list[Case]:
    """Return CAF files of linear PCM and of other codecs."""
    values = count_values(48000)
    cases = []
    variants: list[tuple[str, Coding, Order]] = [
        ("be", "s16", ">"), ("le", "s16", "<"), ("24", "s24", ">"), ("24-le", "s24", "<"), ("float", "f32", ">"),
        ("float-le", "f32", "<"), ("double-le", "f64", "<"),
    ]  # fmt: skip
    for name, coding, order in variants:
        for size in (None, -1):

            def make(coding: Coding = coding, order: Order = order, size: int | None = size) -> bytes:
                return make_caf(pcm(48000, 1, coding, order), 48000, 1, coding, little=order == "<", data_size=size)

            note = "a size of -1 means to the end of the file" if size else ""
            ending = "-open" if size else ""
            cases.append(Case(f"caf-{name}{ending}.caf", make, 48000, own_values=values, note=note))
    half = partial(halve, cases[0].make)
    cases.append(Case("caf-half.caf", half, 48000, 1, "cut off", values // 2 - 17))
    info = b"info" + struct.pack(">qI", 4, 0)
    behind = partial(lambda: make_caf(pcm(48000), 48000, after=info))
    junk = partial(lambda: make_caf(pcm(48000), 48000, after=JUNK))
    cases.append(Case("caf-info-behind.caf", behind, 48000, own_values=values))
    cases.append(Case("caf-trailing-junk.caf", junk, 48000, own_values=values, warns=True, note=REST))

    def aac() -> bytes:
        return make_caf_aac(encode("adts", "aac", 44100, 2), 44100, 2, count_values(44100))

    def alac() -> bytes:
        return encode("caf", "alac", 44100, 2)

    cases += [
        Case(
            "caf-aac.caf",
            aac,
            44100,
            2,
            own_values=count_values(44100),
            tolerance=1024,
            note="the pakt chunk has priming and remainder",
        ),
        Case("caf-aac-half.caf", partial(halve, aac), 44100, 2, "cut off", tolerance=1024),
        Case("caf-alac.caf", alac, 44100, 2, own_values=count_values(44100)),
        Case("caf-alac-half.caf", partial(halve, alac), 44100, 2, "cut off", 0, note="the packets' sizes are missing"),
        Case("caf-mulaw.caf", partial(encode, "caf", "pcm_mulaw", 8000), 8000),
        Case("caf-ima4.caf", partial(encode, "caf", "adpcm_ima_qt", 22050), 22050, tolerance=64),
    ]
    return cases


def au_cases() -> list[Case]:
    """Return AU and NIST Sphere files."""
    values = count_values(22050)
    cases = []
    codings: dict[int, tuple[str, Coding]] = {2: ("8", "s8"), 3: ("16", "s16"), 4: ("24", "s24"), 6: ("float", "f32")}
    for encoding, (name, coding) in codings.items():
        for size in (None, FULL):

            def make(encoding: int = encoding, coding: Coding = coding, size: int | None = size) -> bytes:
                return make_au(pcm(22050, 2, coding), 22050, 2, encoding, size)

            cases.append(Case(f"au-{name}{'-pipe' if size else ''}.au", make, 22050, 2, own_values=values))
    cases += [
        Case(
            "au-trailing-junk.au",
            lambda: cases[2].make() + JUNK,
            22050,
            2,
            own_values=values,
            warns=True,
            note="the header states where the audio ends",
        ),
        Case("au-half.au", partial(halve, cases[2].make), 22050, 2, "cut off", values // 2 - 4),
        Case("au-mulaw.au", lambda: make_au(encode("mulaw", "pcm_mulaw", 8000), 8000, 1, 1), 8000),
        Case("au-alaw.au", lambda: make_au(encode("alaw", "pcm_alaw", 8000), 8000, 1, 27), 8000),
        Case("sphere.sph", lambda: make_sphere(pcm(order="<"), 16000), 16000, own_values=count_values(16000)),
    ]
    return cases


def make_cases() -> list[Case]:
    """Return all of these files."""
    return [*aiff_cases(), *caf_cases(), *au_cases()]
