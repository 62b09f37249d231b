"""Files that people reported: each stands for a kind of fault, and is heard whole or refused with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("av")

from block.audio import decode
from block.containers.structure import AudioCutOff
from tests.conftest import ROOT

CASES = ROOT.parent / "shared" / "cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the reported files aren't here")

FRAME_S = {".mp3": 0.072, ".ogg": 0.064, ".m4a": 0.064}  # a lossy codec may add or lose a frame


def find(name: str) -> Path:
    [path] = CASES.glob(f"*/{name}")
    return path


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        # the first bit rate says nothing about the length
        ("b23_vbr_noxing.mp3", 4.10), ("m06_vbr_noxing_quiet_first.mp3", 6.08), ("m07_vbr_noxing_loud_first.mp3", 6.08),
        # joined files and chained streams
        ("c02_mp3_concat_noxing.mp3", 8.20), ("c11_chained.ogg", 8.00),
        # tags aren't audio
        ("m01_cbr_noxing.mp3", 4.10), ("m03_cbr_noxing_ape.mp3", 4.10), ("m05_cbr_noxing_id3v2_4k.mp3", 4.10),
        # sizes of writers that couldn't know them
        ("a01_sox_pipe.wav", 4.00), ("s7fffff00.wav", 4.00), ("s7fffffd8.wav", 4.00),
        ("s0_riff0.wav", 4.00), ("s0_riffok.wav", 4.00), ("b25_flac_pipe.flac", 4.00),
        # a frame more or less
        ("b22_vbr.mp3", 4.00), ("c04_mp3_cut_last_frame.mp3", 4.00), ("m10_mp2.mp3", 4.02),
        # the content decides, not the ending
        ("b08_m4a_named.wav", 4.00), ("b09_phone.m4a", 4.00),
        # the first frame comes later
        ("c03_mp3_start_midframe.mp3", 4.06),
        # telephone recordings
        ("d02_gsm.wav", 4.00),
        # odd chunks
        ("a09_list_odd_nopad.wav", 4.00), ("a18_two_data_chunks.wav", 4.00),
    ],
)  # fmt: skip
def test_an_odd_recording_is_heard_whole_without_a_warning(name: str, seconds: float) -> None:
    audio = decode(find(name))
    assert audio.positions / audio.rate_hz == pytest.approx(seconds, abs=FRAME_S.get(Path(name).suffix, 0.064))
    assert audio.notes == ()


@pytest.mark.parametrize("name", ["n02_cut_half.aiff", "n04_rf64_cut_half.wav", "n08_ogg_cut_half.ogg"])
def test_a_copy_that_broke_off_is_refused_and_says_how_much_is_there(name: str) -> None:
    with pytest.raises(AudioCutOff, match=r"the audio is cut off: .*\d+.* bytes (that )?are there"):
        decode(find(name))


def test_what_a_header_does_not_count_is_left_out_with_a_warning() -> None:
    audio = decode(find("a08_4gb_wrapped_header.wav"))
    assert audio.positions / audio.rate_hz == 2.0
    assert len(audio.notes) == 1
    assert audio.notes[0].startswith("left out 64,000 bytes ")
