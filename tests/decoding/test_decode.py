"""Every file of the collection is heard whole, or refused by name; and so is every beginning of one."""

from __future__ import annotations

import io
import os
import socket
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("av")

import av

from block.audio import DecodedAudio, decode, decode_wav
from block.containers.riff import find_layout
from block.containers.structure import AudioCutOff, note_rest
from block.recording import RecordingError
from block.runtime.memory_file import MemoryFile
from tests.decoding.case import STEP, Case
from tests.decoding.collection import make_collection
from tests.decoding.cuts import cut, make_holes
from tests.decoding.encode import encode
from tests.decoding.mp3_files import make_ape, make_id3v1, make_id3v2, make_lyrics3, split_frames
from tests.decoding.ogg_cases import vorbis
from tests.decoding.ogg_files import split_pages
from tests.decoding.sound import make_sound
from tests.fuzz.drawn import examples

CASES = make_collection()
WHOLE = [case for case in CASES if case.outcome == "whole"]
# One or more of each container that states its size or its end. Raw frames don't, nor do sizes that are left open.
STATING = (
    "wav-s16-16000-1.wav", "wav-s24-48000-2.wav", "wav-f64-11025-2.wav", "wav-mulaw.wav", "wav-adpcm-ms.wav",
    "wav-gsm.wav", "wav-mp3.wav", "rifx-s16-16000-1.wav", "rf64.wav", "bw64.wav", "w64.w64", "aiff-16.aiff",
    "aifc-sowt.aifc", "aifc-ima4.aifc", "caf-be.caf", "caf-float-le.caf", "caf-aac.caf", "caf-alac.caf", "au-16.au",
    "au-mulaw.au", "sphere.sph", "mp3-vbr-xing-44100-2.mp3", "mp3-cbr-xing-22050-2.mp3", "mp3-id3v2-cover-xing.mp3",
    "vorbis-44100.ogg", "opus-2.ogg", "flac.oga", "speex.spx", "vorbis-chained.ogg", "flac-16000-1.flac",
    "flac-48000-6.flac", "flac-id3v2.flac", "m4a-16000.m4a", "m4a-index-first.m4a", "m4a-alac.m4a", "3gp-amr.3gp",
    "mp4-opus.mp4", "matroska-flac.mka", "matroska-aac.mka", "webm-opus.webm", "webm-vorbis.webm", "wma-2.wma",
    "wavpack.wv", "tta.tta",
)  # fmt: skip

# Containers that show a hole: by numbered pages, checksums, sizes or times.
SHOWING_HOLES = (
    "vorbis-44100.ogg", "opus-2.ogg", "flac.oga", "speex.spx", "vorbis-chained.ogg", "flac-16000-1.flac",
    "flac-48000-6.flac", "m4a-16000.m4a", "m4a-index-first.m4a", "m4a-alac.m4a", "matroska-flac.mka",
    "matroska-aac.mka", "webm-opus.webm", "webm-vorbis.webm", "webm-opus-live.webm", "wavpack.wv", "tta.tta",
)  # fmt: skip
LARGEST_HOLE_S = 0.1


def name(case: Case) -> str:
    return case.name


@pytest.mark.parametrize("case", WHOLE, ids=name)
def test_a_whole_file_is_heard_to_its_end_whatever_its_header_says(case: Case) -> None:
    audio = decode(case.content, case.rate_hz)
    assert (audio.rate_hz, audio.missing) == (case.rate_hz, "")
    assert audio.positions == len(audio.waveform) == pytest.approx(case.values, abs=case.tolerance)
    assert bool(audio.notes) == case.warns
    if case.sound is not None:
        mono = case.sound.mean(axis=1)
        assert np.abs(audio.waveform - mono).max() < STEP


@pytest.mark.parametrize("case", [case for case in CASES if case.outcome == "cut off"], ids=name)
def test_a_file_that_is_cut_off_is_refused_unless_that_is_allowed(case: Case) -> None:
    with pytest.raises(RecordingError, match="the audio is cut off: ") as caught:
        decode(case.content)
    if not isinstance(caught.value, AudioCutOff) or case.values == 0:
        return  # none of it can be decoded
    audio = decode(case.content, case.rate_hz, allow_truncated=True)
    assert audio.missing
    assert audio.positions == pytest.approx(case.values, abs=case.tolerance)


@pytest.mark.parametrize("case", [case for case in CASES if case.outcome == "refused"], ids=name)
def test_a_file_without_audio_is_refused_with_the_reason(case: Case) -> None:
    problem = decode_or_refuse(case.content)
    if isinstance(problem, DecodedAudio):
        assert problem.positions == 0  # which is refused later, as an empty recording
    else:
        assert problem.startswith(("the audio can't be decoded", "the MP4 has no audio"))


def decode_or_refuse(content: bytes) -> DecodedAudio | str:
    try:
        return decode(content)
    except RecordingError as error:
        return str(error)


def decode_wav_or_refuse(content: bytes) -> DecodedAudio | str:
    try:
        return decode_wav(MemoryFile(content))
    except RecordingError as error:
        return str(error)


@pytest.mark.parametrize("case", [case for case in CASES if find_layout(case.content[:64]) is not None], ids=name)
def test_a_wav_from_the_platform_is_read_like_one_from_a_folder_or_refused(case: Case) -> None:
    from_folder, from_platform = decode_or_refuse(case.content), decode_wav_or_refuse(case.content)
    if isinstance(from_platform, str):
        assert from_platform == from_folder or "the WAV is compressed" in from_platform
    else:
        assert isinstance(from_folder, DecodedAudio)
        assert from_platform.positions == from_folder.positions
        assert np.array_equal(from_platform.waveform, from_folder.waveform)


@pytest.mark.parametrize("case", [case for case in WHOLE if case.name in STATING], ids=name)
def test_a_file_cut_anywhere_is_not_labeled_as_whole(case: Case) -> None:
    few = 20 if os.environ.get("FUZZ") is None else 200
    for beginning in cut(case.content, few):
        try:
            audio = decode(beginning, case.rate_hz)
        except RecordingError:
            continue
        short = case.values - audio.positions
        assert short <= case.tolerance or (audio.notes and short <= case.rate_hz / 100), f"{len(beginning)} bytes"


@pytest.mark.parametrize("case", [case for case in WHOLE if case.name in SHOWING_HOLES], ids=name)
def test_a_file_with_a_hole_is_refused_or_gets_a_warning(case: Case) -> None:
    few = 20 if os.environ.get("FUZZ") is None else 200
    for number, damaged in enumerate(make_holes(case.content, few)):
        try:
            audio = decode(damaged, case.rate_hz)
        except RecordingError:
            continue
        lost = case.values - audio.positions
        assert lost <= max(case.tolerance, LARGEST_HOLE_S * case.rate_hz) or audio.notes, f"hole {number}"


def test_the_cuts_and_holes_cover_every_container() -> None:
    assert {case.name for case in WHOLE} >= {*STATING, *SHOWING_HOLES}


def test_an_ogg_without_a_page_in_its_middle_is_refused_and_says_how_many() -> None:
    pages = split_pages(vorbis())
    with pytest.raises(AudioCutOff, match="the audio is cut off: 2 of 10 pages are missing or damaged"):
        decode(b"".join(pages[:5] + pages[7:]))
    damaged = bytearray(pages[5])
    damaged[-1] ^= 1  # FFmpeg skips a page with a wrong checksum
    with pytest.raises(AudioCutOff, match="the audio is cut off: 1 of 10 pages are missing or damaged"):
        decode(b"".join([*pages[:5], bytes(damaged), *pages[6:]]))


def test_a_recording_of_a_broadcast_is_heard_with_a_warning() -> None:
    pages = split_pages(vorbis())
    audio = decode(b"".join(pages[:2] + pages[4:]))
    assert audio.notes[0].startswith("2 pages before its first audio are missing: it's part of a broadcast")


def test_a_pause_in_the_times_of_a_recording_is_named() -> None:
    audio = decode(encode("matroska", "pcm_s16le", 16000, pause=8000), 16000)
    assert (audio.missing, audio.positions) == ("", len(make_sound(16000, 1)))
    assert audio.notes == (
        "its time jumps forward by 0.50 s in all, first at 1.02 s: nothing was recorded there, or it was lost; labels "
        "count only the audio that is there",
    )


@pytest.mark.parametrize("kind", ["m3u8", "sdp", "concat", "mov reference"])
def test_no_file_makes_the_decoder_open_another_or_connect_anywhere(kind: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        connected = threading.Event()

        def accept() -> None:
            try:
                server.accept()
                connected.set()
            except OSError:
                pass

        threading.Thread(target=accept, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/secret.ts"
        secret = WHOLE[0].write(tmp_path)
        content = {
            "m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{url}\n#EXT-X-ENDLIST\n",
            "sdp": f"v=0\nc=IN IP4 127.0.0.1\nm=audio {server.getsockname()[1]} RTP/AVP 0\n",
            "concat": f"ffconcat version 1.0\nfile {secret}\n",
            "mov reference": f"\0\0\0\x14ftypqt  \0\0\0\0qt  \0\0\1\0moov{url}".ljust(300, "\0"),
        }[kind]
        with pytest.raises(RecordingError):
            decode(content.encode("latin-1"))
        server.shutdown(socket.SHUT_RDWR)
    assert not connected.is_set()


def test_a_warning_about_other_bytes_agrees_with_their_number() -> None:
    assert [note_rest(size) for size in (0, 1, 2000)] == [
        (),
        ("left out 1 byte that the file's structure doesn't count as audio",),
        ("left out 2,000 bytes that the file's structure doesn't count as audio",),
    ]


def test_nothing_that_a_decoder_prints_reaches_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    for case in CASES:
        if case.outcome == "cut off" or case.warns:
            try:
                decode(case.content, allow_truncated=True)
            except RecordingError:
                continue
    assert capfd.readouterr() == ("", "")


def test_a_size_beyond_32_bits_is_read_to_the_end_without_reading_the_file() -> None:
    from block.containers.riff import RIFF, inspect_wav
    from block.recording import Span

    header = next(case for case in WHOLE if case.name == "wav-s16-16000-1.wav").content[:44]
    size = (1 << 32) + 64_000

    class Huge(io.BytesIO):
        """A WAV of more than 4 GiB of zeros, behind a header that states the remainder."""

        def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
            self.at = {os.SEEK_SET: 0, os.SEEK_END: 44 + size}.get(whence, 0) + offset
            return self.at

        def read(self, count: int | None = -1, /) -> bytes:
            assert count is not None
            assert 0 <= count <= 1 << 16
            whole = header[:40] + (64_000).to_bytes(4, "little")
            part = whole[self.at : self.at + count]
            return part + bytes(min(count, 44 + size - self.at) - len(part))

    structure = inspect_wav(Huge(), RIFF)
    assert structure.spans == (Span(44, 44 + size),)
    assert (structure.missing, structure.notes) == ("", ())


TAGS = {
    "ID3v2, small": lambda: make_id3v2(266), "ID3v2, a cover": lambda: make_id3v2(120_000),
    "APEv2": lambda: make_ape(3000), "Lyrics3": make_lyrics3, "ID3v1": make_id3v1,
}  # fmt: skip


@examples(60)
@given(
    st.sampled_from(["mp3-cbr-44100-2.mp3", "mp3-vbr-xing-44100-2.mp3", "mp2-48000.mp2", "flac-16000-1.flac",
                     "adts-44100.aac", "vorbis-44100.ogg", "wavpack.wv", "tta.tta"]),
    st.lists(st.sampled_from(["ID3v2, small", "ID3v2, a cover", "APEv2"]), max_size=3),
    st.lists(st.sampled_from(["APEv2", "Lyrics3"]), max_size=2),
    st.booleans(),
)  # fmt: skip
def test_tags_before_and_after_the_audio_change_nothing(
    chosen: str, before: list[str], after: list[str], has_id3v1: bool
) -> None:
    [case] = [one for one in WHOLE if one.name == chosen]
    if "Lyrics3" in after:
        after, has_id3v1 = [*(tag for tag in after if tag != "Lyrics3"), "Lyrics3"], True
    if chosen.endswith((".wv", ".tta", ".ogg")):
        before = []
    parts = [*(TAGS[tag]() for tag in before), case.content, *(TAGS[tag]() for tag in after)]
    tagged = decode(b"".join([*parts, *([make_id3v1()] if has_id3v1 else [])]), case.rate_hz)
    plain = decode(case.content, case.rate_hz)
    assert np.array_equal(tagged.waveform, plain.waveform)
    assert tagged.notes == ()


def get_content(name: str) -> bytes:
    return next(case.content for case in CASES if case.name == name)


def flip_in_packets(content: bytes, which: slice) -> bytes:
    """Return the file with one byte of each of these packets changed: its checksum tells a decoder of FLAC."""
    damaged = bytearray(content)
    with av.open(io.BytesIO(content)) as container:
        for packet in [packet for packet in container.demux() if packet.size][which]:
            assert packet.pos is not None
            damaged[packet.pos + packet.size // 2] ^= 0x55
    return bytes(damaged)


def spoil_frame(frames: list[bytes], at: int) -> list[bytes]:
    """Return the frames of an MP3 with one that can be found but not decoded."""
    return [*frames[:at], frames[at][:4].ljust(len(frames[at]), b"\xff"), *frames[at + 1 :]]


@pytest.mark.parametrize(("at", "notes"), [
    (0, ()),  # the recording of a stream may begin within a frame
    (20, ("left out 1 frame from 0.72 s on, which can't be decoded",)),
])  # fmt: skip
def test_a_damaged_frame_of_an_mp3_is_left_out_with_a_warning_unless_it_is_the_first(
    at: int, notes: tuple[str, ...]
) -> None:
    frames = split_frames(get_content("mp3-cbr-16000-1.mp3"))
    audio = decode(b"".join(spoil_frame(frames, at)))
    assert audio.notes == notes
    assert audio.positions == decode(b"".join(frames)).positions - 576


def test_an_mp3_that_is_cut_off_gets_no_warning_about_its_damaged_frames() -> None:
    frames = split_frames(get_content("mp3-vbr-xing-16000-1.mp3"))
    audio = decode(b"".join(spoil_frame(frames, 10)[:30]), allow_truncated=True)
    assert (audio.missing, audio.notes) == ("17 of 47 frames are missing", ())


def test_damage_in_a_format_other_than_a_row_of_frames_is_refused() -> None:
    damaged = flip_in_packets(get_content("matroska-flac.mka"), slice(3, 5))
    with pytest.raises(RecordingError, match=r"^the audio is damaged: 2 frames from 0\.\d\d s on can't be decoded$"):
        decode(damaged)


def test_damage_at_the_end_of_a_format_other_than_a_row_of_frames_is_refused() -> None:
    damaged = flip_in_packets(get_content("matroska-flac.mka"), slice(-2, None))
    with pytest.raises(RecordingError, match=r"^the audio is damaged: 2 frames from .* s on, at its end, can't be"):
        decode(damaged)


def test_one_changed_byte_of_a_flac_file_is_noticed() -> None:
    content = bytearray(get_content("flac-16000-1.flac"))
    content[len(content) // 2] ^= 0x55
    with pytest.raises(AudioCutOff):
        decode(bytes(content))
