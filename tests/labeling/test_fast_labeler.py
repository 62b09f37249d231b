"""Fast mode: what is audited, what is recomputed, when it falls back to exact, and which labels stay."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from block.decisions import apply_score_function
from block.labeling.audit import OPENING_WINDOWS, SHARE, UNIFORM_SHARE, draw_number
from block.labeling.fast_labeler import FastLabeler
from block.labeling.labeler import ExactLabeler
from block.labeling.partial_logits import PartialLogits
from block.labels import LabelOfInterest
from block.model.checkpoint import FrontEnd
from block.model.classifier import Outputs
from block.recording import RecordingError, Waveform, Window
from block.score_store import Scored
from block.settings import EXACT, REPEAT, AuditSettings, DecisionSettings, WindowSettings
from block.uncertainty import find_uncertain_cells
from block.windows import PreparedRecording, lay_out_windows

CLASSES = 4
LABELS = tuple(LabelOfInterest(i, name, name, 0.5, name) for i, name in enumerate(("dog", "rain")))
FAST, FEWER = "merged", "merged-32"
WITHOUT_INT8 = (EXACT, FAST, FEWER)
ALL = (*WITHOUT_INT8, "merged-int8", "merged-int8-16")


@dataclass
class StubClassifier:
    """A classifier that only knows its paths, and which of them compute the same from `no_padding` frames on."""

    paths: tuple[str, ...]
    no_padding: int
    checkpoint: Any = field(default_factory=lambda: SimpleNamespace(class_names=("dog", "rain", "c", "d")))
    batch_windows: int = 8
    embedding_size: int = 0

    def find_twins(self, recorded: Iterable[int]) -> dict[str, str]:
        first = {"int8": "merged-int8", "": EXACT} if min(recorded) >= self.no_padding else {}
        return {path: first.get("int8" if "int8" in path else "", path) for path in self.paths}


@dataclass(frozen=True)
class StubLabeler(ExactLabeler):
    """A labeler that derives logits from the windows; fast paths add `noise(window)` to them, or their `path_noise`.

    A window takes `slow_s` seconds on the exact path, and `path_s` on the others; `spend` passes this time.
    """

    noise: Callable[[int], float] = lambda window: 0.0
    slow_s: float = 1e-3
    path_noise: dict[str, Callable[[int], float]] = field(default_factory=dict)
    path_s: dict[str, float] = field(default_factory=dict)
    spend: Callable[[float], None] = time.sleep
    asked: list[tuple[str, int]] = field(default_factory=list)
    broken: set[int] = field(default_factory=set)

    def compute_outputs(self, items: Sequence[tuple[Waveform, Window]], path: str = EXACT) -> Outputs:
        logits = np.full((len(items), CLASSES), -9.0, np.float32)
        for row, (waveform, span) in zip(logits, items, strict=True):
            window = int(waveform[0]) * 10_000 + span.start // 100
            if window in self.broken:
                raise RecordingError("the model returned scores that aren't finite numbers")
            self.asked.append((path, window))
            row[:2] = true_logits(window)
            if path != EXACT:
                row[:2] += self.path_noise.get(path, self.noise)(window)
        self.spend(len(items) * (self.slow_s if path == EXACT else self.path_s.get(path, 0.0)))
        return logits


def true_logits(window: int) -> tuple[float, float]:
    generator = np.random.default_rng(window)
    dog, rain = generator.normal(0, 3, 2)
    return float(dog), float(rain)


def stub(
    noise: Callable[[int], float] = lambda window: 0.0, paths: tuple[str, ...] = (EXACT, FAST),
    no_padding: int = FrontEnd().max_frames, **more: Any,
) -> StubLabeler:  # fmt: skip
    return StubLabeler(
        StubClassifier(paths, no_padding),  # type: ignore[arg-type]
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
        if draw_number(identity, window, 0) < UNIFORM_SHARE
    }
    assert len([window for window in both if window < 510_000]) == OPENING_WINDOWS
    assert drawn <= both
    assert len(exact) <= OPENING_WINDOWS + SHARE * 1000 + 10
    # Exact scores are bit-identical to those of the exact labeler.
    opening = next(window for window in both if window < 510_000)
    identity, at = divmod(opening, 10_000)
    kept = labeled[0][identity - 1].segments[at].score
    assert kept == stub().label([recording(identity)])[0].segments[at].score
    assert fast.fast_ids == list(range(1, 151))


def test_all_windows_of_a_short_run_are_exact() -> None:
    fast, said = audited(stub(noise=lambda window: 5.0))
    batches = [[recording(1)], [recording(2, windows=19), recording(3)]]
    for batch in batches:
        labeled = fast.label(batch)
        assert told(labeled) == told(stub().label(batch))
        assert {one.mode for one in labeled} == {EXACT}
    assert said == []
    assert fast.describe_audit() == ["fast mode: the opening audit computed all 39 windows exactly"]
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
    windows = [identity * 10_000 + window for identity in range(51, 101) for window in range(10)]
    scores = apply_score_function(np.array([true_logits(one) for one in windows]) + 0.05, "sigmoid")
    is_near = find_uncertain_cells(scores, np.ones(500, dtype=bool), LABELS, np.full(500, 0.011))
    near = set(np.array(windows)[is_near].tolist())
    assert 3 < len(near) < 60
    assert near <= again
    assert len(again - near) <= 20, "the others are the audit's"
    assert "were close to another label and were recomputed exactly" in fast.describe_audit()[0]


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
    assert "40 of 40 windows" in said[0]


def test_the_same_seed_draws_the_same_uniform_share_for_any_block_size() -> None:
    def later(size: int, seed: int) -> set[int]:
        labeler = stub(noise=lambda window: 1e-7)
        fast, _ = audited(labeler, seed=seed)
        fast.label(block(1))
        labeler.asked.clear()
        for first in range(51, 251, size):
            fast.label(block(first, size))
        return {window for path, window in labeler.asked if path == EXACT}

    def uniform(seed: int) -> set[int]:
        named = ((recording, window) for recording in range(51, 251) for window in range(10))
        return {one * 10_000 + window for one, window in named if draw_number(one, window, seed) < UNIFORM_SHARE}

    assert uniform(0) != uniform(1)
    for size, seed in ((20, 0), (100, 0), (100, 1)):
        assert uniform(seed) <= later(size, seed)
        assert len(later(size, seed)) <= SHARE * 2000 + 20


def test_after_easy_windows_the_first_bad_block_is_still_noticed_and_computed_exactly() -> None:
    """Every third window of the second block is wrong, far from any threshold."""

    def noise(window: int) -> float:
        is_wrong = window > 510_000 and window % 3 == 0
        return 1e-4 if not is_wrong else -30.0 if max(true_logits(window)) > 0 else 30.0

    for seed in range(3):
        labeler = stub(noise=noise, slow_s=3e-3)
        fast, said = audited(labeler, seed=seed)
        fast.label(block(1))
        labeled = fast.label(block(51))
        assert fast.has_fallen_back
        assert told(labeled) == told(stub().label(block(51)))
        assert "falls back to exact" in said[-1]
        assert "labeled by merged do" in fast.describe_audit()[0]


def test_a_path_without_any_error_in_the_opening_is_still_audited() -> None:
    labeler = stub(noise=lambda window: 0.0 if window < 510_000 else -60.0, slow_s=3e-3)
    fast, _ = audited(labeler)
    assert {one.mode for one in fast.label(block(1))} == {"fast merged"}
    assert told(fast.label(block(51))) == told(stub().label(block(51)))
    assert fast.has_fallen_back


def test_the_last_lines_say_how_many_windows_they_sampled_and_each_label_or_too_few_to_tell() -> None:
    fast, _ = audited(stub(noise=lambda window: 1e-4, slow_s=3e-3))
    for first in range(1, 201, 50):
        fast.label(block(first))
    total, by_label = fast.describe_audit()
    drawn = sum(draw_number(one, window, 0) < UNIFORM_SHARE for one in range(1, 201) for window in range(10))
    assert f"{drawn} of {drawn} windows drawn at random got the same label" in total
    assert f"so at least {0.05 ** (1 / drawn) * 100:.1f} % of the 2,000 windows labeled by merged do" in total
    assert "(too few to tell)" in by_label
    assert "dog " in by_label
    assert "rain " in by_label


def test_a_path_of_which_most_windows_are_recomputed_is_dropped() -> None:
    """One window that is far off makes the labels of all others uncertain."""
    labeler = stub(noise=lambda window: 1e-4 if window < 510_000 else -30.0 * (window % 10 == 0), slow_s=3e-3)
    fast, said = audited(labeler, min_agreement=0.0)
    fast.label(block(1))
    labeled = fast.label(block(51))
    assert told(labeled) == told(stub().label(block(51)))
    assert fast.has_fallen_back
    assert "windows had to be recomputed, because scores differ by up to 1.00" in said[-1]


def test_silent_windows_are_not_drawn() -> None:
    labeler = stub(noise=lambda window: 1e-4, slow_s=3e-3)
    fast, said = audited(labeler)
    fast.label([recording(identity, windows=100, silent=tuple(range(95))) for identity in range(1, 101)])
    assert "40 of 40 windows got the same label" in said[0]
    assert len({window for path, window in labeler.asked if path == FAST}) == 500
    assert "of the 500 windows labeled by merged" in fast.describe_audit()[0]
    drawn = sum(draw_number(one, window, 0) < UNIFORM_SHARE for one in range(1, 101) for window in range(95, 100))
    assert fast._state.findings.uniform.windows == drawn


def test_cells_of_which_some_windows_are_exact_are_recomputed_if_the_others_could_change_them() -> None:
    """Each cell has two windows; one is exact in the store, the other is off by its error."""
    prepared = recording(1, windows=10, stride=50)
    logits = np.full((10, CLASSES), -9.0, np.float32)
    logits[:, 0] = 0.002  # just above the threshold, 0.5
    errors = np.where(np.arange(10)[:, None] % 2, 0.01, 0).astype(np.float32).repeat(2, axis=1)
    stored = Scored(
        "0" * 64, prepared.layout.values, prepared.value_rate_hz, (1,) * 10, np.zeros(10, np.float32), logits,
        "fast merged", errors,
    )  # fmt: skip
    labeler = stub()
    fast, _ = audited(labeler)
    partial = PartialLogits(prepared, CLASSES, stored)
    (labeled,) = fast.complete([partial])
    assert [path for path, _ in labeler.asked] == [EXACT] * 5
    assert np.array_equal(partial.logits[::2], logits[::2])
    assert not np.isclose(partial.logits[1::2, 0], 0.002).any()
    assert labeled.mode == EXACT


def test_without_a_faster_path_fast_mode_says_so_and_is_exact() -> None:
    labeler = stub(paths=(EXACT,))
    fast, said = audited(labeler)
    assert said == ["fast mode: this device has no faster path; labeling in exact mode"]
    assert {one.mode for one in fast.label(block(1))} == {EXACT}
    assert fast.describe_audit() == []


def test_repeated_windows_leave_no_padding_to_merge_and_the_log_says_so() -> None:
    fast, said = audited(stub(fill=REPEAT))
    assert said == ["fast mode: --fill repeat leaves no padding to merge; labeling in exact mode"]
    assert {one.mode for one in fast.label(block(1))} == {EXACT}
    assert (fast.describe_audit(), fast.fast_ids, fast.batch_windows) == ([], [], 8)

    labeler = stub(fill=REPEAT, slow_s=3e-3, paths=ALL)
    fast, said = audited(labeler)
    fast.label(block(1))
    assert said[0] == "fast mode: --fill repeat leaves no padding to merge; trying only merged-int8"
    assert said[-1] == "fast mode: using merged-int8"
    assert {path for path, _ in labeler.asked} == {EXACT, "merged-int8"}


@pytest.fixture
def spend(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return a function that passes time on the only clock that the audit sees, in seconds."""
    now = [0.0]

    def pass_time(seconds: float) -> None:
        now[0] += seconds

    clock = SimpleNamespace(perf_counter=lambda: now[0])
    monkeypatch.setattr("block.labeling.fast_labeler.time", clock)
    monkeypatch.setattr("block.labeling.window_batch.time", clock)
    return pass_time


@pytest.mark.parametrize(("fewer_noise", "chosen"), [(1e-4, FEWER), (8.0, FAST)])
def test_the_path_with_fewer_groups_is_used_if_it_agrees_and_otherwise_the_one_with_more(
    spend: Callable[[float], None], fewer_noise: float, chosen: str
) -> None:
    noise = {FEWER: lambda window: fewer_noise * (-1) ** window}
    labeler = stub(
        noise=lambda window: 1e-4, path_noise=noise, path_s={FAST: 3e-4, FEWER: 2e-4}, spend=spend, paths=WITHOUT_INT8
    )
    fast, said = audited(labeler)
    labeled = fast.label(block(1))
    assert [line.split(":")[0] for line in said[:2]] == [f"opening audit of {FAST}", f"opening audit of {FEWER}"]
    assert said[-1] == f"fast mode: using {chosen}"
    assert told(labeled) == told(stub().label(block(1)))
    assert {one.mode for one in labeled} == {f"fast {chosen}"}


def test_more_groups_are_used_if_fewer_would_need_too_many_windows_computed_again(
    spend: Callable[[float], None],
) -> None:
    """Both agree, but an error of 0.1 puts many windows close to another label."""
    noise = {FEWER: lambda window: 0.4}
    labeler = stub(
        noise=lambda window: 1e-4, path_noise=noise, path_s={FAST: 3e-4, FEWER: 2.9e-4}, spend=spend, paths=WITHOUT_INT8
    )
    fast, said = audited(labeler, min_agreement=0.0)
    fast.label(block(1))
    assert said[-1] == f"fast mode: using {FAST}"


def test_paths_that_compute_the_same_are_not_tried_twice(spend: Callable[[float], None]) -> None:
    """Without padding, only 8-bit integers differ from the exact path."""
    labeler = stub(noise=lambda window: 1e-4, spend=spend, paths=ALL, no_padding=0)
    fast, said = audited(labeler)
    fast.label(block(1))
    assert {path for path, _ in labeler.asked} == {EXACT, "merged-int8"}
    assert len(said) == 2
    assert said[-1] == "fast mode: using merged-int8"

    labeler = stub(spend=spend, paths=WITHOUT_INT8, no_padding=0)
    fast, said = audited(labeler)
    assert {one.mode for one in fast.label(block(1))} == {EXACT}
    assert {path for path, _ in labeler.asked} == {EXACT}
    assert said == ["fast mode: there is too little padding to merge; labeling in exact mode"]


def test_a_path_that_computes_the_same_in_a_part_of_the_opening_is_judged_by_all_of_it(
    spend: Callable[[float], None],
) -> None:
    """The windows of the first batch have no padding. Those of the second have some."""
    noise = {FEWER: lambda window: 1e-3}
    labeler = stub(
        noise=lambda window: 1e-4, path_noise=noise, path_s={FAST: 3e-4, FEWER: 2e-4}, spend=spend, paths=WITHOUT_INT8,
        no_padding=0,
    )  # fmt: skip
    fast, said = audited(labeler)
    fast.label([recording(1)])
    assert {path for path, _ in labeler.asked} == {EXACT}
    labeler.classifier.no_padding = FrontEnd().max_frames  # type: ignore[attr-defined]
    fast.label(block(2))
    assert len([path for path, _ in labeler.asked if path == FAST]) == OPENING_WINDOWS - 10
    assert [line for line in said if "40 of 40 windows" in line] == said[:2]
    assert said[-1] == f"fast mode: using {FEWER}"


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
