"""The pace of a run and the audio it has left: what the terminal and the local Studio's pages estimate with."""

from __future__ import annotations

import pytest

from block.labeling.pace import OBSERVATIONS, AudioLeft, Pace


def test_the_pace_is_measured_from_the_first_recording_on() -> None:
    pace = Pace()
    assert pace.estimate(60.0, 100.0) is None
    pace.observe(60.0, 10.0)  # a minute to start, and one recording of ten seconds
    assert pace.estimate(60.0, 90.0) is None
    pace.observe(61.0, 10.0)
    pace.observe(64.0, 30.0)
    assert pace.estimate(64.0, 70.0) == pytest.approx(14.0)
    assert pace.estimate(66.0, 70.0) == pytest.approx(12.0)
    assert pace.estimate(99.0, 70.0) == 0


def test_the_pace_follows_the_last_observations() -> None:
    pace = Pace()
    for second in range(1, 100):
        pace.observe(second, second)
    for turn in range(1, OBSERVATIONS + 1):
        pace.observe(99 + 10 * turn, 99 + turn)
    assert pace.estimate(99 + 10 * OBSERVATIONS, 7.0) == pytest.approx(70.0)


def test_a_long_recording_counts_by_its_size_until_its_length_is_known() -> None:
    audio = AudioLeft(3, {1: 100, 2: 100, 3: 9800})
    assert (audio.seconds, audio.percent) == (0, 0)
    audio.label([1], 10.0)
    assert audio.seconds == pytest.approx(990.0)
    audio.settle(1)
    audio.settle(2)  # it failed, so it takes no time
    assert audio.seconds == pytest.approx(980.0)
    assert audio.percent == 2
    audio.label([3], 500.0)  # compressed: shorter than its size made one think
    audio.settle(3)
    assert (audio.seconds, audio.percent, audio.labeled_s) == (0, 100, 510.0)


def test_without_sizes_all_recordings_count_the_same() -> None:
    audio = AudioLeft(10, {})
    audio.label([1, 2], 30.0)
    assert audio.seconds == pytest.approx(120.0)
    audio.add(-3)
    assert audio.seconds == pytest.approx(75.0)


def test_a_recording_without_a_size_counts_as_the_mean_of_the_others() -> None:
    audio = AudioLeft(3, {1: 100, 2: 300, 3: 0})
    audio.label([1], 1.0)
    assert audio.seconds == pytest.approx(5.0)


def test_a_recording_whose_labels_could_not_be_written_counts_once() -> None:
    audio = AudioLeft(4, {})
    audio.label([1, 2], 20.0)
    audio.settle(1)
    audio.settle(2)
    assert audio.seconds == pytest.approx(20.0)
