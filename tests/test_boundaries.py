"""Where the sound changes: what is cut, what isn't, and that the cuts depend on nothing but the sound."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from block import boundaries
from block.boundaries import APART_FRAMES, QUIETER_DB, add_quieter, find_boundaries
from block.recording import Waveform, Window

RATE_HZ = 16_000
HOP = 160


def noise(seconds: float, level: float = 0.1, seed: int = 0) -> Waveform:
    return np.random.default_rng(seed).normal(0, level, round(seconds * RATE_HZ)).astype(np.float32)


def brown_noise(seconds: float) -> Waveform:
    """Return noise whose amplitude falls with frequency, above 20 Hz."""
    spectrum = np.fft.rfft(noise(seconds))
    hz = np.fft.rfftfreq(round(seconds * RATE_HZ), 1 / RATE_HZ)
    return np.fft.irfft(np.where(hz > 20, spectrum * 20 / np.maximum(hz, 1), 0)).astype(np.float32)


def tone(seconds: float, hz: float, level: float = 0.2) -> Waveform:
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (level * np.sin(2 * np.pi * hz * time)).astype(np.float32)


def silence(seconds: float) -> Waveform:
    return np.zeros(round(seconds * RATE_HZ), np.float32)


def barks(seconds: float, on_s: float = 0.25, off_s: float = 0.15) -> Waveform:
    """Return noise that stops for `off_s` after each `on_s`, and ends with the last full burst."""
    count = round((seconds + off_s) / (on_s + off_s))
    parts = [part for at in range(count) for part in (noise(on_s, 0.2, at), silence(off_s))]
    return np.concatenate(parts[:-1])


def find_s(*parts: Waveform) -> list[float]:
    return [at / RATE_HZ for at in find_boundaries(np.concatenate(parts), RATE_HZ)]


@pytest.mark.parametrize(
    "steady",
    [silence(20), noise(20), noise(20, 1e-3), brown_noise(20), tone(20, 440),
     tone(20, 440) + noise(20, 0.01)],
    ids=["silence", "white noise", "quiet noise", "brown noise", "tone", "tone over noise"],
)  # fmt: skip
def test_steady_sound_is_not_cut(steady: Waveform) -> None:
    assert find_boundaries(steady, RATE_HZ) == []


@pytest.mark.parametrize(
    ("before", "event", "after"),
    [
        (silence(2.5), noise(1.5), silence(2)),
        (silence(2.5), tone(1.5, 900), silence(2)),
        (noise(2.5, 0.02, 1), noise(1.5), noise(2, 0.02, 2)),  # 14 dB above the background
        (tone(2.5, 300), tone(1.5, 3000), tone(2, 300)),  # as loud as what surrounds it
        (noise(2.5, 0.02, 1), noise(1.5, 0.02, 3) + tone(1.5, 1000, 0.3), noise(2, 0.02, 2)),
    ],
    ids=["noise in silence", "tone in silence", "noise in noise", "tone between tones", "tone over noise"],
)
def test_a_sound_is_cut_where_it_begins_and_ends(before: Waveform, event: Waveform, after: Waveform) -> None:
    found = find_s(before, event, after)
    assert found == pytest.approx([2.5, 4.0], abs=0.03)


def test_short_pauses_within_a_sound_are_not_cut() -> None:
    found = find_s(silence(2), barks(2.65), silence(2))
    assert found == pytest.approx([2.0, 4.65], abs=0.02)


def test_a_long_pause_between_two_sounds_is_cut() -> None:
    found = find_s(silence(1), noise(2), silence(1.5), noise(2, seed=1), silence(1))
    assert found == pytest.approx([1, 3, 4.5, 6.5], abs=0.02)


def test_a_louder_recording_has_the_same_boundaries() -> None:
    sound = np.concatenate([noise(2, 0.01), barks(2), noise(1.5, 0.01, 5), tone(2, 500), noise(1, 0.01, 6)])
    found = find_boundaries(sound, RATE_HZ)
    assert len(found) == 4
    assert find_boundaries(sound / 7, RATE_HZ) == found


@pytest.mark.parametrize("values", [0, 1, 399, 400, 1599])
def test_a_recording_of_less_than_100_ms_is_not_cut(values: int) -> None:
    loud = noise(1)[:values]
    loud[: values // 2] = 0
    assert find_boundaries(loud, RATE_HZ) == []


@st.composite
def waveforms(draw: st.DrawFn) -> Waveform:
    """Return a few stretches of silence, noise and tones, down to single values."""
    parts = draw(st.lists(st.tuples(st.sampled_from("snt"), st.integers(1, 30_000), st.integers(0, 9)), max_size=7))
    made = [
        np.zeros(length, np.float32) if kind == "s"
        else noise(2, 10.0 ** -(seed % 4), seed)[:length] if kind == "n"
        else tone(2, 100 * (seed + 1))[:length]
        for kind, length, seed in parts
    ]  # fmt: skip
    return np.concatenate([np.zeros(0, np.float32), *made])


@given(waveforms())
@settings(max_examples=40)
def test_boundaries_are_in_order_on_frames_and_at_least_50_ms_apart(waveform: Waveform) -> None:
    found = find_boundaries(waveform, RATE_HZ)
    assert all(at % HOP == 0 for at in found)
    edges = [0, *found, len(waveform)]
    if found:
        assert np.diff(edges).min() >= APART_FRAMES * HOP


@pytest.mark.parametrize("block_frames", [1, 7, 61, 500])
def test_boundaries_do_not_depend_on_where_blocks_begin(monkeypatch: pytest.MonkeyPatch, block_frames: int) -> None:
    sound = np.concatenate([noise(1, 0.01), barks(1.5), tone(1.1, 800), noise(0.7), silence(0.6), barks(0.8)])
    found = find_boundaries(sound, RATE_HZ)
    assert len(found) >= 3
    monkeypatch.setattr(boundaries, "BLOCK_FRAMES", block_frames)
    assert find_boundaries(sound, RATE_HZ) == found


def test_what_comes_much_later_does_not_move_a_boundary() -> None:
    first = np.concatenate([silence(2), noise(2), silence(3)])
    found = find_boundaries(first, RATE_HZ)
    assert find_boundaries(np.concatenate([first, barks(20), silence(70)]), RATE_HZ)[: len(found)] == found


def test_memory_does_not_grow_with_the_recording() -> None:
    peaks = []
    for minutes in (1, 3):
        sound = np.tile(noise(10), 6 * minutes)
        sound[:: 8 * RATE_HZ] = 1  # clicks: candidates
        tracemalloc.start()
        find_boundaries(sound, RATE_HZ)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


def tile(*lengths: int) -> list[Window]:
    ends = np.cumsum(lengths).tolist()
    return [Window(end - length, end) for length, end in zip(lengths, ends, strict=True)]


@pytest.mark.parametrize(
    ("lengths", "levels_dbfs", "at", "heard"),
    [
        ((50, 10, 50), (-60, -20, -60), 1, (45, 65)),  # five values on both sides
        ((3, 10, 50), (-60, -20, -60), 1, (0, 20)),  # all of the left, the rest from the right
        ((50, 10, 3), (-60, -20, -60), 1, (43, 63)),
        ((4, 10, 3), (-60, -20, -60), 1, (0, 17)),  # there is no more
        ((50, 20, 50), (-60, -20, -60), 1, (50, 70)),  # long enough
        ((50, 10, 50), (-60, -60, -20), 1, (50, 60)),  # neither is 3 dB quieter
        ((50, 10, 50), (-60, -20, -22), 1, (40, 60)),  # only the left one is
        ((2, 2, 10, 50), (-10, -40, -20, -22), 2, (2, 14)),  # a louder one ends what is heard
        ((2, 2, 10, 50), (-60, -40, -20, -22), 2, (0, 14)),
        ((50, 10, 50), (-np.inf, -20, -20), 1, (40, 60)),
        ((10,), (-20,), 0, (0, 10)),
    ],
)
def test_a_short_stretch_is_heard_with_what_is_quieter_around_it(
    lengths: tuple[int, ...], levels_dbfs: tuple[float, ...], at: int, heard: tuple[int, int]
) -> None:
    assert add_quieter(tile(*lengths), levels_dbfs, at, 20) == Window(*heard)


@given(
    st.lists(st.tuples(st.integers(1, 30), st.floats(-90, 0)), min_size=1, max_size=12), st.integers(1, 60), st.data()
)
def test_what_is_heard_has_the_stretch_and_nothing_as_loud(
    stretches: list[tuple[int, float]], length: int, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(stretches) - 1))
    lengths, levels_dbfs = zip(*stretches, strict=True)
    tiles = tile(*lengths)
    heard = add_quieter(tiles, levels_dbfs, at, length)
    assert heard.start <= tiles[at].start
    assert heard.end >= tiles[at].end
    assert tiles[at].length <= heard.length <= max(length, tiles[at].length)
    touched = [one for one in range(len(tiles)) if tiles[one].start < heard.end and tiles[one].end > heard.start]
    assert all(levels_dbfs[one] <= levels_dbfs[at] - QUIETER_DB for one in touched if one != at)
    # If it's shorter than it could be, it ends at a stretch that isn't quiet enough, or at an end of the recording.
    if heard.length < length:
        beside = [one for one in (touched[0] - 1, touched[-1] + 1) if 0 <= one < len(tiles)]
        assert (heard.start, heard.end) == (tiles[touched[0]].start, tiles[touched[-1]].end)
        assert all(levels_dbfs[one] > levels_dbfs[at] - QUIETER_DB for one in beside)
