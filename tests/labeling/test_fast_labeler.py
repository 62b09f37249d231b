"""Fast mode: what is audited, what is recomputed, when it falls back to exact, and which labels stay."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from block.decisions import apply_score_function
from block.labeling.agreement import SHARE, draw_number
from block.labeling.fast_labeler import FastLabeler
from block.labeling.labeler import ExactLabeler, Logits
from block.labels import LabelOfInterest
from block.model.checkpoint import FrontEnd
from block.recording import RecordingError, Waveform, Window
from block.settings import EXACT, REPEAT, AuditSettings, DecisionSettings, WindowSettings
from block.windows import PreparedRecording, lay_out_windows

CLASSES = 4
LABELS = tuple(LabelOfInterest(i, name, name, 0.5, name) for i, name in enumerate(("dog", "rain")))
FAST = "merged"


@dataclass(frozen=True)
class StubLabeler(ExactLabeler):
    """A labeler that derives logits from the windows; the fast path adds `noise(window)` to them."""

    noise: Callable[[int], float] = lambda window: 0.0
    slow_s: float = 1e-3
    asked: list[tuple[str, int]] = field(default_factory=list)
    broken: set[int] = field(default_factory=set)

    def compute_logits(self, items: Sequence[tuple[Waveform, Window]], path: str = EXACT) -> Logits:
        logits = np.full((len(items), CLASSES), -9.0, np.float32)
        for row, (waveform, span) in zip(logits, items, strict=True):
            window = int(waveform[0]) * 10_000 + span.start // 100
            if window in self.broken:
                raise RecordingError("the model returned scores that aren't finite numbers")
            self.asked.append((path, window))
            row[:2] = true_logits(window)
            if path != EXACT:
                row[:2] += self.noise(window)
        if path == EXACT:
            time.sleep(self.slow_s * len(items))
        return logits


def true_logits(window: int) -> tuple[float, float]:
    generator = np.random.default_rng(window)
    dog, rain = generator.normal(0, 3, 2)
    return float(dog), float(rain)


def stub(noise: Callable[[int], float] = lambda window: 0.0, **more: Any) -> StubLabeler:
    classifier = SimpleNamespace(
        paths=(EXACT, FAST), batch_windows=8, checkpoint=SimpleNamespace(class_names=("dog", "rain", "c", "d"))
    )
    return StubLabeler(
        classifier,  # type: ignore[arg-type]
        SimpleNamespace(front_end=FrontEnd()),  # type: ignore[arg-type]
        WindowSettings(1000, 1000),
        DecisionSettings(LABELS, score_function="sigmoid", merge=False),
        lambda text: None,
        noise,
        **more,
    )


def recording(identity: int, windows: int = 10, stride: int = 100, silent: tuple[int, ...] = ()) -> PreparedRecording:
    layout = lay_out_windows(100 + stride * (windows - 1), 100, stride)
    counts = tuple(0 if index in silent else 1 for index in range(windows))
    spans = tuple(window for window, count in zip(layout.windows, counts, strict=True) if count)
    waveform = np.full(layout.values, identity, np.float32)
    return PreparedRecording(identity, f"r{identity}", 1.0, Fraction(16000), layout, waveform, spans, counts)


def told(labeled: Sequence[Any]) -> list[list[tuple[int, int, str]]]:
    return [[(one.start, one.end, one.label) for one in recording.segments] for recording in labeled]


def audited(labeler: StubLabeler, **settings: Any) -> tuple[FastLabeler, list[str]]:
    said: list[str] = []
    return FastLabeler(labeler, AuditSettings(**settings), said.append), said


def block(first: int, recordings: int = 50) -> list[PreparedRecording]:
    return [recording(identity) for identity in range(first, first + recordings)]


def test_a_path_that_agrees_is_used_and_audited_windows_stay_exact() -> None:
    labeler = stub(noise=lambda window: 1e-4, slow_s=3e-3)
    fast, said = audited(labeler)
    labeled = [fast.label(block(first)) for first in (1, 51, 101)]
    assert said[-1] == "fast mode: using merged"
    for first, got in zip((1, 51, 101), labeled, strict=True):
        assert told(got) == told(stub().label(block(first)))
        assert {one.mode for one in got} == {"fast merged"}
    exact = {window for path, window in labeler.asked if path == EXACT}
    both = exact & {window for path, window in labeler.asked if path == FAST}
    drawn = {
        identity * 10_000 + window
        for identity in range(51, 151)
        for window in range(10)
        if draw_number(identity, window, 0) < SHARE
    }
    assert len([window for window in both if window < 510_000]) >= 64
    assert drawn <= both
    assert len(exact) < 64 + len(drawn) + 30
    # Exact scores are bit-identical to those of the exact labeler.
    opening = next(window for window in both if window < 510_000)
    identity, at = divmod(opening, 10_000)
    kept = labeled[0][identity - 1].segments[at].score
    assert kept == stub().label([recording(identity)])[0].segments[at].score
    assert fast.fast_ids == list(range(1, 151))


def test_all_windows_of_a_short_run_are_exact() -> None:
    fast, said = audited(stub(noise=lambda window: 5.0))
    batches = [[recording(1)], [recording(2, windows=30), recording(3)]]
    for batch in batches:
        labeled = fast.label(batch)
        assert told(labeled) == told(stub().label(batch))
        assert {one.mode for one in labeled} == {EXACT}
    assert said == []
    assert fast.describe_audit() == ["fast mode: the opening audit computed all 50 windows exactly"]
    assert fast.fast_ids == []


def test_a_path_that_gives_other_labels_is_never_used() -> None:
    labeler = stub(noise=lambda window: 8.0 * (-1) ** window)
    fast, said = audited(labeler)
    labeled = fast.label(block(1))
    assert told(labeled) == told(stub().label(block(1)))
    assert {one.mode for one in labeled} == {EXACT}
    assert "no faster path passed the audit; labeling in exact mode" in said[-1]
    assert fast.batch_windows == labeler.batch_windows
    fast.label(block(51))
    assert all(window < 510_000 for path, window in labeler.asked if path == FAST)


def test_a_path_that_turns_bad_is_dropped_at_once_and_recordings_it_labeled_are_listed() -> None:
    fast, said = audited(stub(noise=lambda window: 1e-4 if window < 510_000 else 9.0 * (-1) ** window))
    good = fast.label(block(1))
    assert {one.mode for one in good} == {"fast merged"}
    first, fast_ids = 51, [one.id for one in good]
    while not fast.has_fallen_back:
        labeled = fast.label(block(first))
        fast_ids += [one.id for one in labeled if one.mode != EXACT]
        first += 50
        assert first < 1000, "the audit never noticed"
    assert told(labeled) == told(stub().label(block(first - 50)))
    assert {one.mode for one in labeled} == {EXACT}
    assert any("falls back to exact" in line for line in said)
    assert fast.fast_ids == fast_ids
    assert fast.batch_windows == 8


def test_windows_near_a_threshold_or_a_rival_are_recomputed() -> None:
    # The opening audit finds an error that is the same everywhere, so every label that it could change is exact.
    labeler = stub(noise=lambda window: 0.05)
    fast, _ = audited(labeler, min_agreement=0.0)
    fast.label(block(1))
    labeler.asked.clear()
    labeled = fast.label(block(51))
    assert told(labeled) == told(stub().label(block(51)))
    again = {window for path, window in labeler.asked if path == EXACT}
    assert 3 < len(again) < 60
    near = [window for window in again if draw_number(window // 10_000, window % 10_000, 0) >= SHARE]
    for window in near:
        dog, rain = apply_score_function(true_logits(window), "sigmoid")
        assert min(abs(dog - 0.5), abs(rain - 0.5), abs(dog - rain)) < 0.04, "why was it computed again?"
    assert "other windows were close to a threshold or another label and were recomputed" in fast.describe_audit()[0]


def test_overlapping_windows_are_all_exact_if_their_cell_is_uncertain() -> None:
    labeler = stub(noise=lambda window: 0.05)
    fast, _ = audited(labeler, min_agreement=0.0)
    batch = [recording(identity, windows=10, stride=50) for identity in range(1, 101)]
    assert told(fast.label(batch)) == told(stub().label(batch))


def test_silent_windows_are_neither_audited_nor_computed() -> None:
    labeler = stub(noise=lambda window: 1e-4)
    fast, _ = audited(labeler)
    batch = [recording(identity, silent=(0, 4)) for identity in range(1, 61)]
    batch.append(recording(61, silent=tuple(range(10))))
    labeled = fast.label(batch)
    assert told(labeled) == told(stub().label(batch))
    assert not [window for _, window in labeler.asked if window % 10_000 in (0, 4)]
    assert labeled[-1].mode == EXACT


def test_a_block_that_fails_leaves_no_trace() -> None:
    labeler = stub(noise=lambda window: 1e-4, broken={70_003})
    fast, said = audited(labeler)
    with pytest.raises(RecordingError):
        fast.label(block(1))
    assert (said, fast.fast_ids, fast.startup_s) == ([], [], 0.0)
    labeler.broken.clear()
    assert told(fast.label(block(1))) == told(stub().label(block(1)))
    assert "64 of 64 audited windows" in said[0]


def test_the_same_seed_audits_the_same_windows_for_any_block_size() -> None:
    def later(size: int, seed: int) -> set[int]:
        labeler = stub(noise=lambda window: 1e-7)
        fast, _ = audited(labeler, seed=seed)
        fast.label(block(1))
        labeler.asked.clear()
        for first in range(51, 251, size):
            fast.label(block(first, size))
        return {window for path, window in labeler.asked if path == EXACT}

    assert later(20, 0) == later(100, 0) != later(100, 1)


def test_without_a_faster_path_fast_mode_says_so_and_is_exact() -> None:
    labeler = stub()
    labeler.classifier.paths = (EXACT,)
    fast, said = audited(labeler)
    assert said == ["fast mode: this device has no faster path; labeling in exact mode"]
    assert {one.mode for one in fast.label(block(1))} == {EXACT}
    assert fast.describe_audit() == []


def test_repeated_windows_leave_no_padding_to_merge_and_the_log_says_so() -> None:
    fast, said = audited(stub(fill=REPEAT))
    assert said == ["fast mode: --fill repeat leaves no padding to merge; labeling in exact mode"]
    assert {one.mode for one in fast.label(block(1))} == {EXACT}
    assert (fast.describe_audit(), fast.fast_ids, fast.batch_windows) == ([], [], 8)

    labeler = stub(fill=REPEAT, slow_s=3e-3)
    labeler.classifier.paths = (EXACT, FAST, "merged-int8")
    fast, said = audited(labeler)
    fast.label(block(1))
    assert said[0] == "fast mode: --fill repeat leaves no padding to merge; trying only merged-int8"
    assert said[-1] == "fast mode: using merged-int8"
    assert {path for path, _ in labeler.asked} == {EXACT, "merged-int8"}


def test_a_label_of_several_classes_is_audited_by_its_own_score() -> None:
    either = (LabelOfInterest(0, "sound*", "sound", 0.5, "sound*", (0, 1)),)
    settings = DecisionSettings(either, score_function="sigmoid", merge=False)
    fast, said = audited(replace(stub(noise=lambda window: 1e-4, slow_s=3e-3), decisions=settings))
    got = fast.label(block(1))
    assert said[-1] == "fast mode: using merged"
    heard = [[one.label == "sound" for one in recording.segments] for recording in got]
    assert heard == [
        [max(true_logits(identity * 10_000 + window)) >= 0 for window in range(10)] for identity in range(1, 51)
    ]
