"""The collection covers what it says, and ffmpeg's stored answers are those of the ffmpeg command."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av")

from tests.decoding.ask_ffmpeg import decode
from tests.decoding.case import MISREAD, STEP, Case, stored_answers
from tests.decoding.collection import make_collection
from tests.decoding.cuts import cut
from tests.decoding.mp3_cases import mp3
from tests.decoding.mp3_files import split_frames
from tests.decoding.ogg_cases import vorbis
from tests.decoding.ogg_files import LAST_PAGE, clear_end, compute_checksum, split_pages

CASES = make_collection()


def test_every_file_has_an_answer_that_is_right_unless_ffmpeg_misreads_it() -> None:
    assert len(CASES) >= 90
    assert {case.name for case in CASES} >= MISREAD.keys()
    assert [name for name, count in Counter(case.name for case in CASES).items() if count > 1] == []
    assert stored_answers().keys() == {case.name for case in CASES}
    for case in CASES:
        if case.name in MISREAD:
            assert case.own_values is not None
        elif case.outcome != "refused":  # ffmpeg may read more formats
            assert abs(stored_answers()[case.name] - case.values) <= case.tolerance, case.name
        assert case.values == 0 if case.outcome == "refused" else case.values > 0 or case.note, case.name


def test_every_kind_of_outcome_rate_and_channels_is_there() -> None:
    assert Counter(case.outcome for case in CASES).keys() == {"whole", "cut off", "refused"}
    assert {8000, 11025, 16000, 22050, 44100, 48000} <= {case.rate_hz for case in CASES}
    assert {case.channels for case in CASES} == {1, 2, 6}
    assert sum(case.warns for case in CASES) >= 5


def test_all_files_together_are_small() -> None:
    assert sum(len(case.content) for case in CASES) < 40e6


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_ffmpeg_answers_as_stored_to_a_frame_of_the_codec(case: Case, tmp_path: Path) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    answer = len(decode(case.write(tmp_path), case.rate_hz))
    assert answer == pytest.approx(stored_answers()[case.name], abs=case.tolerance)


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.sound is not None and case.outcome != "refused" and case.name not in MISREAD],
    ids=lambda case: case.name,
)
def test_lossless_files_hold_the_sound_from_their_beginning(case: Case, tmp_path: Path) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    heard = decode(case.write(tmp_path), case.rate_hz, case.channels)
    assert case.sound is not None
    assert heard.shape == case.sound.shape
    assert np.abs(heard - case.sound).max(initial=0) < STEP


def test_an_mp3_of_variable_bit_rate_varies_so_that_its_first_frame_says_nothing_of_its_length() -> None:
    sizes = [len(frame) for frame in split_frames(mp3(vbr=True))]
    assert len(set(sizes)) > 3
    assert len(mp3(vbr=True)) / sizes[0] < 0.8 * len(sizes)
    assert not any(b"Xing" in mp3(vbr=vbr)[:200] or b"Info" in mp3(vbr=vbr)[:200] for vbr in (True, False))
    assert b"Info" in mp3(xing=True)[:200]


def test_ogg_pages_keep_valid_checksums_and_lose_their_end() -> None:
    pages = split_pages(clear_end(vorbis()))
    assert len(pages) > 5
    assert [page[5] & LAST_PAGE for page in split_pages(vorbis())][-2:] == [0, LAST_PAGE]
    assert not any(page[5] & LAST_PAGE for page in pages)
    for page in pages:
        blank = page[:22] + bytes(4) + page[26:]
        assert compute_checksum(blank) == int.from_bytes(page[22:26], "little")


def test_cuts_are_different_beginnings_of_the_file() -> None:
    content = bytes(range(256)) * 40
    beginnings = cut(content, 200)
    assert len(set(beginnings)) == 200
    assert all(content.startswith(beginning) and len(beginning) < len(content) for beginning in beginnings)
    assert cut(content, 200) == beginnings
    assert cut(b"ab", 200) == [b"", b"a"]
