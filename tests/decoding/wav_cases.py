"""WAV files: every coding, every form, sizes that say too little, too much or nothing, and chunks in odd places."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from tests.decoding.case import Case
from tests.decoding.encode import encode
from tests.decoding.riff_files import FULL, make_chunk, make_fmt, make_rf64, make_w64, make_wav
from tests.decoding.sound import Coding, Order, count_values, encode_pcm, make_sound

REST = "what follows is not a chunk"
JUNK = bytes(range(1, 256)) * 100
LIST = make_chunk(b"LIST", b"INFO" + make_chunk(b"INAM", b"A name\0\0"))
# What programs write as the size of data whose end they can't know, by the last digits of the case's name.
UNKNOWN = {
    0: "killed before it wrote the size", FULL: "ffmpeg", 0x7FFFF000: "SoX, espeak", 0x7FFFFF00: "arecord",
    0x7FFFFFD8: "", 0xFFFFFFF0: "", 0x80000000: "", 0x7FFFFFFF: "", 0xFFFFFFDB: "", 0x7FFF0000: "64 KiB below 2³¹",
}  # fmt: skip


def pcm_wav(
    rate_hz: int = 16000, channels: int = 1, coding: Coding = "s16", order: Order = "<", *, extensible: bool = False
) -> bytes:
    data = encode_pcm(make_sound(rate_hz, channels), coding, order)
    form = b"RIFF" if order == "<" else b"RIFX"
    fmt = make_fmt(rate_hz, channels, coding, order, extensible=extensible)
    return make_wav(data, fmt, form=form, order=order)


def changed_wav(change: Callable[[bytes, bytes], bytes], rate_hz: int = 16000, channels: int = 1) -> bytes:
    """Return what `change` makes of data and the content of `fmt `."""
    return change(encode_pcm(make_sound(rate_hz, channels)), make_fmt(rate_hz, channels))


def halve(make: Callable[[], bytes]) -> bytes:
    """Return the first half of a file, as a copy that broke off leaves it."""
    content = make()
    return content[: len(content) // 2]


def plain_cases() -> list[Case]:
    """Return WAV files that any reader takes."""
    cases = []
    variants: list[tuple[Coding, int, int]] = [
        ("u8", 8000, 1), ("s16", 16000, 1), ("s16", 44100, 2), ("s24", 48000, 2), ("s32", 22050, 1), ("f32", 48000, 1),
        ("f64", 11025, 2), ("s16", 48000, 6),
    ]  # fmt: skip
    for coding, rate, channels in variants:
        values = count_values(rate)
        make = partial(pcm_wav, rate, channels, coding)
        cases.append(Case(f"wav-{coding}-{rate}-{channels}.wav", make, rate, channels, own_values=values))
    for coding, rate, channels in variants[2:]:
        make = partial(pcm_wav, rate, channels, coding, extensible=True)
        name = f"wav-extensible-{coding}-{rate}-{channels}.wav"
        cases.append(Case(name, make, rate, channels, own_values=count_values(rate)))
    for coding, rate, channels in (variants[1], variants[3], variants[5]):
        name = f"rifx-{coding}-{rate}-{channels}.wav"
        make = partial(pcm_wav, rate, channels, coding, ">")
        cases.append(Case(name, make, rate, channels, own_values=count_values(rate)))
    return cases


def form_cases() -> list[Case]:
    """Return RF64, BW64 and W64 files, whole, of unknown size, and cut off."""
    values = count_values(44100)

    def make(writer: Callable[[bytes, bytes], bytes]) -> partial[bytes]:
        return partial(changed_wav, writer, 44100, 2)

    bw64 = make(lambda data, fmt: make_rf64(data, fmt, values, form=b"BW64"))
    rf64 = make(lambda data, fmt: make_rf64(data, fmt, values))
    w64 = make(make_w64)
    whole = {
        "rf64.wav": rf64, "bw64.wav": bw64, "w64.w64": w64, "w64-named.wav": w64,
        "rf64-pipe.wav": make(lambda data, fmt: make_rf64(data, fmt, values, stated=0)),
        "w64-pipe.w64": make(lambda data, fmt: make_w64(data, fmt, data_size=2**63 - 1, riff_size=2**64 - 1)),
        "riff-with-room-for-ds64.wav": make(
            lambda data, fmt: make_wav(data, fmt, before=make_chunk(b"JUNK", bytes(28)))
        ),
    }  # fmt: skip
    notes = {
        "rf64-pipe.wav": "as ffmpeg writes it into a pipe: ds64 is all 0",
        "w64-pipe.w64": "as ffmpeg writes it into a pipe",
    }
    cases = [Case(name, w, 44100, 2, own_values=values, note=notes.get(name, "")) for name, w in whole.items()]
    # Without a size, its padding looks like its audio.
    cases = [replace(case, tolerance=1) if case.name == "w64-pipe.w64" else case for case in cases]
    half = make(lambda data, fmt: make_rf64(data[: 2 * values], fmt, values // 2) + data[2 * values :])
    cases.append(Case("rf64-says-half.wav", half, 44100, 2, own_values=values // 2, warns=True, note=REST))
    for name, writer, head in (("rf64", rf64, 80), ("bw64", bw64, 80), ("w64", w64, 104)):
        size = head + 4 * values + (-4 * values % 8 if name == "w64" else 0)
        there = (size // 2 - head) // 4
        cases.append(Case(f"{name}-half.wav", partial(halve, writer), 44100, 2, "cut off", there))
    return cases


def size_cases() -> list[Case]:
    """Return WAV files whose sizes are not those of the file."""
    values = count_values(16000)
    sizes = {**UNKNOWN, 0x7FFFF000 // 3 * 3: "SoX with 24-bit values"}
    cases = []
    for size, writer in sizes.items():
        for riff_size in (0, size + 36 & FULL) if size in (0, FULL, 0x7FFFF000) else (size + 36 & FULL,):
            make = partial(changed_wav, partial(make_wav, data_size=size, riff_size=riff_size))
            name = f"wav-size-{size:08x}-riff-{riff_size:08x}.wav"
            cases.append(Case(name, make, 16000, own_values=values, note=writer))
    bad_riff = {"zero": 0, "full": FULL, "small": 1000, "larger": 2 * values + 5000}
    for name, riff_size in bad_riff.items():
        make = partial(changed_wav, partial(make_wav, riff_size=riff_size))
        note = "the size of the data is right, that of the file is not"
        cases.append(Case(f"wav-riff-{name}.wav", make, 16000, own_values=values, note=note))
    short = partial(changed_wav, lambda data, fmt: make_wav(data, fmt, data_size=values, riff_size=values + 36))
    cases += [
        Case("wav-says-half.wav", short, 16000, own_values=values // 2, warns=True, note=REST),
        Case(
            "wav-trailing-junk.wav", lambda: pcm_wav() + JUNK, 16000, own_values=values, warns=True,
            note=REST,
        ),
        Case("wav-trailing-list.wav", partial(changed_wav, partial(make_wav, after=LIST)), 16000, own_values=values),
        Case(
            "wav-trailing-list-outside-riff.wav", lambda: pcm_wav() + LIST, 16000, own_values=values,
            note="a chunk behind the end that the RIFF header states",
        ),
        Case("wav-trailing-zeros.wav", lambda: pcm_wav() + bytes(3), 16000, own_values=values, note="padding"),
        Case(
            "wav-cut-in-list.wav", lambda: changed_wav(partial(make_wav, after=LIST))[:-5], 16000, own_values=values,
            note="only the name is cut off, the audio is whole",
        ),
        Case("wav-half.wav", partial(halve, pcm_wav), 16000, 1, "cut off", values // 2 - 11),
        Case("rifx-half.wav", partial(halve, partial(pcm_wav, order=">")), 16000, 1, "cut off", values // 2 - 11),
        Case(
            "wav-one-value-short.wav", lambda: pcm_wav()[:-2], 16000, 1, own_values=values - 1, warns=True,
            note="less than 10 ms are missing",
        ),
        Case(
            "wav-half-of-3-gb.wav", partial(changed_wav, partial(make_wav, data_size=3_000_000_000)), 16000, 1,
            "cut off", values, note="no program writes this size for unknown",
        ),
        Case(
            "wav-only-a-header.wav", lambda: changed_wav(lambda _, fmt: make_wav(b"", fmt)), 16000, 1, "refused", 0,
            note="the recording is empty",
        ),
    ]  # fmt: skip
    return cases


def chunk_cases() -> list[Case]:
    """Return WAV files with chunks in odd places."""
    values = count_values(16000)
    odd = b"LIST" + struct.pack("<I", 25) + b"INFOINAM" + struct.pack("<I", 13) + b"an odd name!!"

    def two_data(data: bytes, fmt: bytes) -> bytes:
        middle = values // 2 * 2
        return make_wav(data[:middle], fmt, after=LIST + make_chunk(b"data", data[middle:]))

    bext = make_chunk(b"bext", bytes(602))
    fmt_18 = make_fmt(16000, more=b"\0\0")
    fmt_40 = make_fmt(16000, more=struct.pack("<H", 22) + bytes(22))
    files: dict[str, tuple[Callable[[bytes, bytes], bytes], str]] = {
        "odd-without-padding": (lambda data, fmt: make_wav(data, fmt, between=odd), "many writers forget it"),
        "odd-with-padding": (lambda data, fmt: make_wav(data, fmt, between=odd + b"\0"), ""),
        "two-data": (two_data, "both are heard"),
        "list-behind-data": (partial(make_wav, after=LIST + bext), ""),
        "junk-before-fmt": (partial(make_wav, before=make_chunk(b"JUNK", bytes(92))), ""),
        "bext-list-cue": (partial(make_wav, before=bext, between=LIST + make_chunk(b"cue ", bytes(28))), ""),
        "fmt-18": (lambda data, fmt: make_wav(data, fmt_18), ""),
        "fmt-40-plain": (lambda data, fmt: make_wav(data, fmt_40), ""),
        "big-junk": (partial(make_wav, before=make_chunk(b"JUNK", bytes(70000))), ""),
    }
    return [
        Case(f"wav-{name}.wav", partial(changed_wav, change), 16000, own_values=values, note=note)
        for name, (change, note) in files.items()
    ]


def codec_cases() -> list[Case]:
    """Return WAV files of other codecs than PCM."""
    codecs: dict[str, tuple[str, int, int, int]] = {
        "alaw": ("pcm_alaw", 8000, 1, 0), "mulaw": ("pcm_mulaw", 8000, 2, 0), "adpcm-ms": ("adpcm_ms", 16000, 1, 2036),
        "adpcm-ima": ("adpcm_ima_wav", 22050, 2, 2041), "mp3": ("libmp3lame", 16000, 1, 576),
        "g722": ("g722", 16000, 1, 2), "g726": ("g726", 8000, 1, 2), "mp2": ("mp2", 48000, 2, 1152),
        "ac3": ("ac3", 48000, 2, 1536),
    }  # fmt: skip
    cases = []
    for name, (codec, rate, channels, frame) in codecs.items():
        make = partial(encode, "wav", codec, rate, channels)
        cases.append(Case(f"wav-{name}.wav", make, rate, channels, tolerance=frame))
        if name in ("alaw", "adpcm-ms", "mp3"):
            make_half = partial(halve, make)
            cases.append(Case(f"wav-{name}-half.wav", make_half, rate, channels, "cut off", tolerance=frame))
    return cases


def make_cases() -> list[Case]:
    """Return all WAV files of the collection."""
    return [*plain_cases(), *form_cases(), *size_cases(), *chunk_cases(), *codec_cases()]
