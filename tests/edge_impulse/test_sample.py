"""What a sample's description allows its answers to be."""

from __future__ import annotations

from typing import Any

import pytest

from block.edge_impulse.sample import Sample
from block.recording import RecordingError

MIB = 1 << 20


def read(sample_id: int = 7, **fields: Any) -> Sample:
    return Sample.from_answer({"sample": {"valuesCount": 16000, "frequency": 16000, **fields}}, sample_id)


@pytest.fixture(autouse=True)
def plenty(monkeypatch: pytest.MonkeyPatch) -> None:
    has_free(monkeypatch, 1 << 40)


def has_free(monkeypatch: pytest.MonkeyPatch, free_bytes: int) -> None:
    monkeypatch.setattr("block.edge_impulse.sample.find_available_bytes", lambda: free_bytes)


@pytest.mark.parametrize(
    ("fields", "bytes_per_value"),
    [
        ({}, 8 * 3),  # eight bytes, at 48 kHz
        ({"frequency": 48000}, 8),
        ({"frequency": 96000}, 8),
        ({"frequency": 44100}, 8 * 2),
        ({"frequency": 16000, "sensors": [{"units": "wav"}, {"units": "g"}]}, 8 * 3 * 2),
        ({"frequency": 16000, "sensors": []}, 8 * 3),
        ({"frequency": 0}, 8 * 6),  # as at 8 kHz
        ({"frequency": -5}, 8 * 6),
        ({"frequency": float("nan")}, 8 * 6),
        ({"frequency": float("inf")}, 8),
        ({"frequency": 5e-324}, 8 * 48),
    ],
)
def test_the_length_of_a_sample_explains_the_size_of_its_audio(fields: dict[str, Any], bytes_per_value: int) -> None:
    assert read(**fields).longest_wav_bytes == MIB + 16000 * bytes_per_value


def test_audio_may_take_a_quarter_of_the_free_memory_but_always_64_mib(monkeypatch: pytest.MonkeyPatch) -> None:
    long = read(valuesCount=1 << 30)
    assert long.longest_wav_bytes == MIB + (1 << 30) * 24
    has_free(monkeypatch, 1000 * MIB)
    assert long.longest_wav_bytes == 250 * MIB
    has_free(monkeypatch, 0)
    assert long.longest_wav_bytes == 64 * MIB


def test_a_sample_that_cannot_fit_into_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    has_free(monkeypatch, 1000 * MIB)
    read(valuesCount=250 * MIB).check_memory()
    for values in (250 * MIB + 1, 10**15, 10**400):
        with pytest.raises(RecordingError, match=f"should have {values} values, .* 1.0 GB are free, shared by 4"):
            read(valuesCount=values).check_memory()
    has_free(monkeypatch, 0)
    read(valuesCount=64 * MIB).check_memory()


@pytest.mark.parametrize("described", [{}, {"id": 1}, {"id": None}])
def test_a_description_of_the_sample_or_without_an_id_is_accepted(described: dict[str, Any]) -> None:
    assert read(1, **described).id == 1


@pytest.mark.parametrize(
    ("described", "quoted"),
    [(2, "2"), (True, "True"), (1.0, "1.0"), ("1", "1"), ("\x1b[2J", r"\?\[2J"), ([1], "without a number")],
)
def test_a_description_of_another_sample_is_refused(described: object, quoted: str) -> None:
    with pytest.raises(RecordingError, match=f"describes sample {quoted}; expected 1; label it in a later run"):
        read(1, id=described)
