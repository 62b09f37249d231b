"""MP4 and its kin, Matroska and WebM, ASF, and files of lossless codecs."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from tests.decoding.case import Case
from tests.decoding.encode import encode
from tests.decoding.sound import count_values
from tests.decoding.wav_cases import JUNK, REST, halve

FILES = Path(__file__).parent / "files"
STRICT = {"strict": "-2"}
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "500000"}


@cache
def m4a(**options: str) -> bytes:
    return encode("ipod", "aac", 44100, 2, options=options)


@cache
def fragments() -> bytes:
    return encode("mp4", "aac", 44100, 2, options=FRAGMENTS, piped=True)


@cache
def webm(*, piped: bool = False) -> bytes:
    """Return WebM; `piped` as browsers record it, with unknown sizes of the segment and its clusters."""
    options = {"live": "1", "cluster_time_limit": "500"} if piped else {"cluster_time_limit": "500"}
    return encode("webm", "libopus", 48000, 1, options=options, piped=piped)


@cache
def wma() -> bytes:
    return encode("asf", "wmav2", 44100, 2, bit_rate=96000)


def open_audio(content: bytes) -> bytes:
    """Return an MP4 file with the audio at its end, whose size is stated as 0."""
    at = content.index(b"mdat") - 4
    return content[:at] + bytes(4) + content[at + 4 :]


def widen_audio(content: bytes) -> bytes:
    """Return an MP4 file whose audio states its size in 64 bits, where an empty box of 8 bytes left room for that."""
    at = content.index(b"mdat") - 12
    assert content[at : at + 8] == b"\0\0\0\x08free"
    size = int.from_bytes(content[at + 8 : at + 12]) + 8
    return content[:at] + b"\0\0\0\1mdat" + size.to_bytes(8) + content[at + 16 :]


def mp4_cases() -> list[Case]:
    """Return MP4 files: index at either end, fragments, video beside the audio, and cut off."""
    fast = partial(m4a, movflags="faststart")
    codecs: dict[str, tuple[str, str, int, int, int]] = {
        "m4a-16000.m4a": ("ipod", "aac", 16000, 1, 1024), "mp4-aac-6.mp4": ("mp4", "aac", 48000, 6, 1024),
        "mp4-aac-22050.mp4": ("mp4", "aac", 22050, 1, 1024), "m4a-alac.m4a": ("ipod", "alac", 44100, 2, 4096),
        "3gp-amr.3gp": ("3gp", "libopencore_amrnb", 8000, 1, 160), "3gp-aac.3gp": ("3gp", "aac", 44100, 1, 1024),
        "mov-pcm.mov": ("mov", "pcm_s16le", 44100, 2, 0), "mov-aac.mov": ("mov", "aac", 44100, 2, 1024),
        "mp4-mp3.mp4": ("mp4", "libmp3lame", 44100, 2, 1152), "mp4-opus.mp4": ("mp4", "libopus", 48000, 2, 960),
    }  # fmt: skip
    cases = [
        Case(name, partial(encode, file_format, codec, rate, channels), rate, channels, tolerance=frame)
        for name, (file_format, codec, rate, channels, frame) in codecs.items()
    ]
    video = partial(encode, "mp4", "aac", 44100, 1, video=True)
    cases += [
        Case("m4a-index-last.m4a", m4a, 44100, 2, tolerance=1024),
        Case("m4a-index-first.m4a", fast, 44100, 2, tolerance=1024),
        Case("m4a-fragments.m4a", fragments, 44100, 2, tolerance=1024),
        Case("mp4-with-video.mp4", video, 44100, 1, tolerance=1024, note="the audio track is heard"),
        Case("m4a-audio-to-the-end.m4a", lambda: open_audio(fast()), 44100, 2, tolerance=1024,
             note="a size of 0 means to the end of the file"),
        Case("m4a-audio-64-bit.m4a", lambda: widen_audio(m4a()), 44100, 2, tolerance=1024,
             note="the size of the audio is a 64-bit number"),
        Case("m4a-trailing-junk.m4a", lambda: m4a() + JUNK, 44100, 2, tolerance=1024, warns=True, note=REST),
        Case("m4a-named.wav", m4a, 44100, 2, tolerance=1024, note="the ending is wrong"),
        Case("m4a-index-first-half.m4a", partial(halve, fast), 44100, 2, "cut off", tolerance=1024),
        Case("m4a-fragments-half.m4a", partial(halve, fragments), 44100, 2, "cut off", tolerance=1024),
        Case(
            "m4a-index-last-half.m4a", partial(halve, m4a), 44100, 2, "cut off", 0,
            note="the index is what is missing: none of the audio can be read",
        ),
    ]  # fmt: skip
    return cases


def matroska_cases() -> list[Case]:
    """Return Matroska and WebM files of known and unknown sizes."""
    codecs: dict[str, tuple[str, int, int, int]] = {
        "pcm.mka": ("pcm_s16le", 16000, 1, 0), "flac.mka": ("flac", 22050, 1, 0), "aac.mka": ("aac", 44100, 2, 1024),
    }  # fmt: skip
    cases = [
        Case(f"matroska-{name}", partial(encode, "matroska", codec, rate, channels), rate, channels, tolerance=frame)
        for name, (codec, rate, channels, frame) in codecs.items()
    ]
    mp3 = partial(encode, "matroska", "libmp3lame", 16000)
    video = partial(encode, "matroska", "libopus", 48000, 1, video=True)
    vorbis = partial(encode, "webm", "vorbis", 44100, 2, codec_options=STRICT)
    live = partial(webm, piped=True)
    others: dict[str, Callable[[], bytes]] = {
        "avi-mp3.avi": partial(encode, "avi", "libmp3lame", 44100, 2, video=True),
        "flv-aac.flv": partial(encode, "flv", "aac", 44100, 2),
        "mpegts-aac.ts": partial(encode, "mpegts", "aac", 44100, 2),
        "voc.voc": partial(encode, "voc", "pcm_u8", 8000),
        "gsm.gsm": (FILES / "gsm.gsm").read_bytes,
    }
    note = "a video, or a rare format that may not say what it is: it has to be converted"
    return [
        *cases,
        *(Case(name, make, 44100, 1, "refused", 0, note=note) for name, make in others.items()),
        Case("matroska-mp3.mka", mp3, 16000, own_values=count_values(16000), tolerance=576,
             note="the encoder's delay stands in the file"),
        Case("matroska-with-video.mkv", video, 48000, 1, tolerance=960),
        Case("webm-opus.webm", webm, 48000, 1, tolerance=960),
        Case("webm-opus-live.webm", live, 48000, 1, tolerance=960, note="sizes are unknown, as browsers record it"),
        Case("webm-vorbis.webm", vorbis, 44100, 2, tolerance=1024),
        Case("webm-opus-half.webm", partial(halve, webm), 48000, 1, "cut off", tolerance=960),
        Case("webm-opus-live-half.webm", partial(halve, live), 48000, 1, "cut off", tolerance=960,
             note="cut in the middle of a block, whose size is known"),
        Case("matroska-pcm-half.mka", partial(halve, cases[0].make), 16000, 1, "cut off", tolerance=1024),
    ]  # fmt: skip


def other_cases() -> list[Case]:
    """Return ASF, WavPack, TTA, AVI and GSM files."""
    wavpack = partial(encode, "wv", "wavpack", 44100, 2)
    tta = partial(encode, "tta", "tta", 16000)
    gsm = (FILES / "gsm.wav").read_bytes
    files: dict[str, tuple[Callable[[], bytes], int, int, int]] = {
        "wma-2.wma": (wma, 44100, 2, 2048),
        "wma-1.wma": (partial(encode, "asf", "wmav2", 22050, bit_rate=32000), 22050, 1, 1024),
        "wma-v1.wma": (partial(encode, "asf", "wmav1", 44100, 2, bit_rate=96000), 44100, 2, 2048),
        "wavpack.wv": (wavpack, 44100, 2, 0),
        "tta.tta": (tta, 16000, 1, 0),
        "wav-gsm.wav": (gsm, 8000, 1, 320),
    }
    cases = [Case(name, make, rate, channels, tolerance=frame) for name, (make, rate, channels, frame) in files.items()]
    return [
        *cases,
        Case("wma-half.wma", partial(halve, wma), 44100, 2, "cut off", tolerance=2048),
        Case("wavpack-half.wv", partial(halve, wavpack), 44100, 2, "cut off", tolerance=22050),
        Case("tta-half.tta", partial(halve, tta), 16000, 1, "cut off", 0, note="the first frame, of 1.04 s, is cut"),
        Case("wav-gsm-half.wav", partial(halve, gsm), 8000, 1, "cut off", tolerance=320),
    ]


def make_cases() -> list[Case]:
    """Return all of these files."""
    return [*mp4_cases(), *matroska_cases(), *other_cases()]
