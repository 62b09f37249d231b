"""One list of endings for all commands; what isn't installed is reported once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("av")

from block.audio import ENDINGS, decode
from block.audio_readers import describe_missing_decoder
from block.folder.source import warn_without_decoder
from block.recording import RecordingError
from tests.conftest import ROOT
from tests.decoding.collection import make_collection

WAV, MP3 = (
    next(case for case in make_collection() if case.name == name) for name in ("aiff-16.aiff", "mp3-cbr-16000-1.mp3")
)


@pytest.fixture
def no_pyav(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    assert MP3.content  # made with PyAV
    monkeypatch.setitem(sys.modules, "av", None)
    describe_missing_decoder.cache_clear()
    yield
    describe_missing_decoder.cache_clear()


def test_the_page_of_folders_lists_every_ending_and_the_collection_has_most_of_them() -> None:
    page = (ROOT / "docs" / "folders.md").read_text(encoding="utf-8")
    assert [ending for ending in ENDINGS if f"`{ending}`" not in page] == []
    tried = {Path(case.name).suffix for case in make_collection() if case.outcome == "whole"}
    assert len(tried & set(ENDINGS)) >= 20


@pytest.mark.usefixtures("no_pyav")
def test_without_pyav_uncompressed_audio_is_read_and_the_rest_refused_with_what_to_do() -> None:
    assert decode(WAV.content).positions == WAV.values
    with pytest.raises(RecordingError, match=r"^MP3 can't be read: PyAV can't be imported .*locked/folder.txt"):
        decode(MP3.content)


@pytest.mark.usefixtures("no_pyav")
def test_a_missing_decoder_is_reported_once_and_only_if_a_file_may_need_it() -> None:
    warnings: list[str] = []
    warn_without_decoder(["a.wav", "b.WAV"], warnings.append)
    assert warnings == []
    warn_without_decoder(["a.wav", "b.mp3", "c.m4a"], warnings.append)
    assert len(warnings) == 1
    assert warnings[0].startswith("only uncompressed audio can be read: PyAV can't be imported")
