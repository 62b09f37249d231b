"""A labeler with a store: stored windows aren't computed again, and no label or score depends on the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from block.decisions import label_recording, score_labels
from block.labeling import labeler as labeler_module
from block.labeling.cached_labeler import CachedLabeler
from block.labeling.fast_labeler import FastLabeler
from block.labeling.partial_logits import PartialLogits
from block.model.checkpoint import CheckpointError, find_checkpoint
from block.model.classifier import Classifier, Logits
from block.model.device import choose_device
from block.recording import LabeledRecording, Recording, RecordingError
from block.score_store import Key, Scored, ScoreStore, relabel
from block.settings import EXACT, AuditSettings, ComputeSettings, WindowSettings
from tests.labeling.test_fast_labeler import FAST, StubLabeler, recording, stub, told
from tests.score_store.labelers import Counting, decisions, key, make_labeler, sound

SOUNDS = [sound(4.3), sound(0.4, identity=2), sound(5.0, 8000, 3), sound(3.05, 22050, 4), sound(2.2, identity=5)]
MEMORY: dict[bytes, Logits] = {}
BATCHES = ((0, 1), (2,), (3, 4))


@pytest.fixture
def make(tmp_path: Path, checkpoint_folder: Path) -> Callable[..., tuple[CachedLabeler, Counting]]:
    """Return a labeler with small windows and a store in a folder with this name."""

    def labeler(name: str, windows: WindowSettings = WindowSettings(1000, 800), **settings: object) -> object:
        own = make_labeler(checkpoint_folder, windows, decisions(checkpoint_folder, **settings))
        store = ScoreStore(tmp_path / name, key(own), own.classifier.checkpoint.class_names)
        return CachedLabeler(own, store), own

    return labeler  # type: ignore[return-value]


def run(labeler: CachedLabeler | Counting, sounds: Sequence[Recording] = SOUNDS) -> list[LabeledRecording]:
    """Label in batches of several recordings, like a run."""
    labeled = []
    for batch in BATCHES:
        prepared = [labeler.prepare(sounds[at]) for at in batch if at < len(sounds)]
        labeled += labeler.label(prepared) if prepared else []
    if isinstance(labeler, CachedLabeler):
        labeler.store.close()
    return labeled


def test_a_store_that_is_empty_full_or_half_full_changes_no_label_and_no_bit_of_a_score(
    make: Callable[..., tuple[CachedLabeler, Counting]],
) -> None:
    stored, own = make("empty")
    expected = run(own)
    own.asked.clear()
    assert run(stored) == expected
    windows = sum(own.asked)
    assert (stored.found_windows, stored.computed_windows) == (0, windows)
    # Full.
    stored, own = make("empty")
    assert run(stored) == expected
    assert own.asked == []
    assert (stored.found_windows, stored.computed_windows) == (windows, 0)
    # Half full: different recordings of each batch are stored.
    for held in ((0, 3), (1, 4), (2,), (1, 2, 3)):
        name = f"half {held}"
        before, _ = make(name)
        before.label([before.prepare(SOUNDS[at]) for at in held])
        before.store.close()
        stored, own = make(name)
        assert run(stored) == expected
        assert 0 < sum(own.asked) < windows
        assert stored.computed_windows == sum(own.asked)
        assert make(name)[0].store.contents() == {one.content for one in SOUNDS}


@pytest.mark.parametrize("reached", [1, 2, 3])
def test_a_resumed_run_gives_bit_identical_results(
    make: Callable[..., tuple[CachedLabeler, Counting]], reached: int
) -> None:
    whole, own = make("whole")
    batch = [own.prepare(one) for one in SOUNDS[:4]]
    whole.label(batch[:1])
    whole.label(batch)  # the first is stored, so three are computed together
    assert whole.found_windows > 0
    cut, counted = make("cut")
    for one in SOUNDS[:reached]:  # what was on the disk when the process was killed
        scored = whole.store.find(one.content)
        assert scored is not None
        cut.store.add(scored)
    cut.label(batch)
    assert counted.asked == [sum(len(one.chunks) for one in batch[reached:])]
    for one in SOUNDS[:4]:
        found, expected = cut.store.find(one.content), whole.store.find(one.content)
        assert found is not None
        assert expected is not None
        assert np.array_equal(found.logits, expected.logits)
        assert found.mode == expected.mode == EXACT
    counted.asked.clear()
    cut.label([batch[1], own.prepare(SOUNDS[4])])
    assert counted.asked == [len(own.prepare(SOUNDS[4]).chunks)], "once computed, a recording is taken from the store"
    assert cut.store.contents() == {one.content for one in SOUNDS}


@pytest.mark.parametrize(("then", "now"), [(-40.0, None), (None, -40.0), (-40.0, -15.0), (-15.0, -90.0)])
def test_windows_stored_as_silent_are_computed_and_windows_that_are_silent_now_are_ignored(
    make: Callable[..., tuple[CachedLabeler, Counting]], then: float | None, now: float | None
) -> None:
    run(make("one", silence_dbfs=then)[0])
    stored, own = make("one", silence_dbfs=now)
    expected = run(make_like(own))
    assert run(stored) == expected
    silent = {
        level: [own.prepare(one).chunk_counts.count(0) for one in SOUNDS]
        for own, level in ((make("one", silence_dbfs=then)[1], "then"), (own, "now"))
    }
    assert sum(own.asked) == max(0, sum(silent["then"]) - sum(silent["now"]))
    # Windows that weren't silent in either run are stored now.
    third, own = make("one", silence_dbfs=then if then is None or now is None else max(then, now))
    assert run(third) == run(make_like(own))
    assert third.computed_windows == 0
    both, own = make("one", silence_dbfs=None if None in (then, now) else min(then or 0, now or 0))
    assert run(both) == run(make_like(own))
    assert both.computed_windows == 0


def make_like(labeler: Counting) -> Counting:
    """Label without a store, with one batch for each kind."""
    return replace(labeler, asked=[], memory=MEMORY)


def test_long_windows_are_stored_chunk_by_chunk(make: Callable[..., tuple[CachedLabeler, Counting]]) -> None:
    windows, long = WindowSettings(11000, 6000), [sound(13.0, 8000, 6), SOUNDS[1]]
    stored, own = make("long", windows)
    expected = run(make_like(own), long)
    assert run(stored, long) == expected
    scored = make("long", windows)[0].store.find(long[0].content)
    assert scored is not None
    assert scored.chunk_counts == (2, 2)
    stored, own = make("long", windows)
    assert run(stored, long) == expected
    assert own.asked == []


def test_a_file_with_another_value_count_is_recomputed(
    make: Callable[..., tuple[CachedLabeler, Counting]],
) -> None:
    run(make("one")[0])
    stored, own = make("one")
    cut = [replace(SOUNDS[0], values=SOUNDS[0].values - 20)]
    assert run(stored, cut) == run(make_like(own), cut)
    assert stored.found_windows == 0


def test_recordings_of_unknown_content_are_labeled_and_not_stored(
    make: Callable[..., tuple[CachedLabeler, Counting]],
) -> None:
    stored, own = make("none")
    unknown = [replace(one, content="") for one in SOUNDS]
    assert run(stored, unknown) == run(make_like(own), unknown)
    assert make("none")[0].store.contents() == set()


def test_a_store_whose_disk_is_full_changes_nothing(
    make: Callable[..., tuple[CachedLabeler, Counting]], monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, own = make("full")
    expected = run(make_like(own))

    def full(*anything: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("block.score_store.store.write_shard", full)
    monkeypatch.setattr("block.score_store.store.FLUSH_CHUNKS", 4)
    said: list[str] = []
    monkeypatch.setattr(stored.store, "_warn", said.append)
    assert run(stored) == expected
    assert len(said) == 1


def test_a_batch_that_fails_is_not_stored(
    make: Callable[..., tuple[CachedLabeler, Counting]], monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, _ = make("bad")
    broken = replace(SOUNDS[1], waveform=np.full_like(SOUNDS[1].waveform, np.nan))
    prepared = [stored.prepare(one) for one in (SOUNDS[0], broken)]
    with pytest.raises(RecordingError, match="aren't finite"):
        stored.label(prepared)
    assert stored.store.contents() == set()
    stored.label(prepared[:1])
    assert stored.store.contents() == {SOUNDS[0].content}


def test_decide_gives_the_same_labels_as_a_run(make: Callable[..., tuple[CachedLabeler, Counting]]) -> None:
    stored, own = make("one")
    expected = run(stored)
    scored = stored.store.find(SOUNDS[0].content)
    assert scored is not None
    decided = relabel.decide(scored, own.windows, own.decisions)
    assert replace(decided, id=1, name="r1") == expected[0]


def test_the_model_is_loaded_when_it_is_needed_and_not_before(
    make: Callable[..., tuple[CachedLabeler, Counting]], checkpoint_folder: Path
) -> None:
    run(make("one")[0])
    classifier = Classifier(
        find_checkpoint(str(checkpoint_folder)), choose_device(ComputeSettings("cpu")), for_store=True
    )
    stored, own = make("one")
    stored.labeler = replace(own, classifier=classifier)
    assert stored.batch_windows == 8
    assert run(stored) == run(make_like(own))
    assert classifier._loaded is None
    stored.labeler.label([own.prepare(SOUNDS[1])])
    assert classifier._loaded is not None
    assert classifier.capacity == 1
    assert classifier.paths == (EXACT,)
    assert not hasattr(classifier, "nonsense")


def test_a_model_that_turns_out_unusable_is_not_blamed_on_a_recording(
    make: Callable[..., tuple[CachedLabeler, Counting]], monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, own = make("one")

    def unusable(*anything: object) -> None:
        raise CheckpointError("it can't be loaded")

    monkeypatch.setattr("block.model.classifier.load_model", unusable)
    unloaded = Classifier(own.classifier.checkpoint, own.classifier.device, for_store=True)
    stored.labeler = replace(own, classifier=unloaded)
    with pytest.raises(CheckpointError, match="it can't be loaded"):
        stored.label([stored.prepare(SOUNDS[0])])


# Fast mode, with synthetic logits.


def fast(folder: Path, labeler: StubLabeler) -> CachedLabeler:
    wide = Key("0" * 64, WindowSettings(1000, 1000), "pad", "fast", "float32")
    store = ScoreStore(folder, wide, ("dog", "rain", "c", "d"))
    return CachedLabeler(FastLabeler(labeler, AuditSettings(), lambda text: None), store)


def block(first: int, count: int = 50, **more: object) -> list[object]:
    made = [recording(identity, **more) for identity in range(first, first + count)]  # type: ignore[arg-type]
    return [
        replace(one, content=f"{one.recording_id:064x}", levels_dbfs=np.zeros(len(one.chunk_counts), np.float32))
        for one in made
    ]


def test_a_fast_store_returns_recordings_with_their_mode_and_scores(tmp_path: Path) -> None:
    labeler = stub(noise=lambda window: 0.05)
    plain = FastLabeler(stub(noise=lambda window: 0.05), AuditSettings(min_agreement=0.0), lambda text: None)
    stored = fast(tmp_path, labeler)
    stored.labeler.settings = AuditSettings(min_agreement=0.0)  # type: ignore[union-attr]
    batches = [block(1), block(51, silent=(0, 4)), block(101)]
    expected = [plain.label(batch) for batch in batches]  # type: ignore[arg-type]
    first = [stored.label(batch) for batch in batches]  # type: ignore[arg-type]
    assert first == expected
    modes = {one.mode for batch in first for one in batch}
    assert f"fast {FAST}" in modes
    stored.store.close()
    labeler.asked.clear()
    again = fast(tmp_path, labeler)
    assert [again.label(batch) for batch in batches] == expected  # type: ignore[arg-type]
    assert labeler.asked == []
    assert isinstance(again.labeler, FastLabeler)
    assert again.labeler.fast_ids == plain.fast_ids
    (line,) = again.labeler.describe_audit()
    assert "windows kept the stored scores of a fast path, which this run didn't audit" in line


def test_logits_stored_in_fast_mode_are_the_ones_behind_the_scores(tmp_path: Path) -> None:
    labeler = stub(noise=lambda window: 0.05)
    audited = FastLabeler(labeler, AuditSettings(min_agreement=0.0), lambda text: None)
    batches = [block(1), block(51, silent=(3,)), block(101, count=2, silent=tuple(range(10)))]
    for batch in batches:
        partials = [PartialLogits(one, 4) for one in batch]  # type: ignore[arg-type]
        for one, labeled in zip(partials, audited.complete(partials), strict=True):
            prepared = one.prepared
            if not len(one.logits):
                assert {segment.label for segment in labeled.segments} == {"other"}
                continue
            scores = score_labels(one.logits, prepared.chunk_counts, labeler.decisions)
            assert replace(labeled, content="") == label_recording(
                prepared.recording_id, prepared.name, prepared.value_rate_hz, prepared.layout, prepared.chunk_counts,
                scores, labeler.decisions, one.mode,
            )  # fmt: skip


def test_stored_fast_scores_give_exact_labels_at_another_threshold(tmp_path: Path) -> None:
    """The error is the same everywhere, so the audit knows it."""

    def at(threshold: float) -> StubLabeler:
        labels = tuple(replace(one, threshold=threshold) for one in stub().decisions.labels)
        settings = replace(stub().decisions, labels=labels)
        return replace(stub(noise=lambda window: 0.3, slow_s=2e-3), decisions=settings, asked=[])

    for threshold in (0.5, 0.7241, 0.31, 0.5):
        labeler = at(threshold)
        stored = fast(tmp_path, labeler)
        labeled = [one for first in (1, 51, 101) for one in stored.label(block(first))]  # type: ignore[arg-type]
        stored.store.close()
        exact = [one for first in (1, 51, 101) for one in at(threshold).label(block(first))]  # type: ignore[arg-type]
        assert told(labeled) == told(exact)
        assert f"fast {FAST}" in {one.mode for one in labeled}
    assert labeler.asked == [], "the first run computed all that this threshold needs"


def test_after_a_fall_back_stored_scores_of_the_fast_path_are_not_used(tmp_path: Path) -> None:
    noise, wrong = (lambda window: 1e-4), (lambda window: 9.0 * (-1) ** window)
    before = fast(tmp_path, stub(noise=noise, slow_s=3e-3))
    before.label(block(1))  # type: ignore[arg-type]
    assert before.labeler.fast_ids
    before.store.close()
    labeler = stub(noise=lambda window: noise(window) if window < 1_010_000 else wrong(window), slow_s=3e-3)
    stored = fast(tmp_path, labeler)
    stored.label(block(51))  # type: ignore[arg-type]
    stored.label(block(101))  # type: ignore[arg-type]
    assert stored.has_fallen_back
    labeled = stored.label(block(1))  # type: ignore[arg-type]
    assert {one.mode for one in labeled} == {EXACT}
    assert labeled == stub().label(block(1))  # type: ignore[arg-type]
    stored.store.close()
    again = fast(tmp_path, stub())
    assert {again.store.find(f"{at:064x}").mode for at in range(1, 51)} == {EXACT}  # type: ignore[union-attr]


def test_fast_scores_of_unknown_error_are_computed_again(tmp_path: Path) -> None:
    (one,) = block(1, count=1)
    unknown = Scored(
        f"{1:064x}", 1000, one.value_rate_hz, (1,) * 10, np.zeros(10, np.float32),  # type: ignore[attr-defined]
        np.zeros((10, 4), np.float32), "fast merged",
    )  # fmt: skip
    stored = fast(tmp_path, labeler := stub())
    stored.store.add(unknown)
    (labeled,) = stored.label([one])  # type: ignore[list-item]
    assert len(labeler.asked) >= 10
    assert labeled.mode == EXACT, "so few windows are all in the opening audit"
    assert stored.store.find(unknown.content).mode == EXACT  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("path", "mode"),
    [("merged", "fast merged and merged-int8"), ("merged-32", "fast merged and merged-32 and merged-int8")],
)
def test_the_mode_names_each_path_once(path: str, mode: str) -> None:
    (one,) = block(1, count=1)
    errors = np.full((10, 2), 0.01, np.float32)
    errors[:5] = np.inf
    stored = Scored(
        f"{1:064x}", 1000, one.value_rate_hz, (1,) * 10, np.zeros(10, np.float32),  # type: ignore[attr-defined]
        np.zeros((10, 4), np.float32), "fast merged and merged-int8", errors,
    )  # fmt: skip
    partial = PartialLogits(one, 4, stored)  # type: ignore[arg-type]
    partial.replace(partial.outputs, np.full((10, 2), 0.01, np.float32), path)
    assert partial.mode == mode


def test_silent_recordings_are_stored_in_fast_mode_too(tmp_path: Path) -> None:
    stored = fast(tmp_path, stub())
    silent = block(1, count=3, silent=tuple(range(10)))
    stored.label(silent)  # type: ignore[arg-type]
    stored.store.close()
    assert len(fast(tmp_path, stub()).store.contents()) == 3


def test_a_store_of_another_mode_is_refused(tmp_path: Path, checkpoint_folder: Path) -> None:
    stored = fast(tmp_path, stub())
    with pytest.raises(ValueError, match="the store has mode fast; expected the labeler's mode, exact"):
        CachedLabeler(stub(), stored.store)


def test_scores_between_changes_of_the_sound_are_reused_and_those_of_other_cuts_are_not(
    make: Callable[..., tuple[CachedLabeler, Counting]], monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = WindowSettings(boundaries="sound")
    stored, own = make("sound", windows)
    expected = run(stored)
    computed = stored.computed_windows
    assert computed > len(SOUNDS)
    stored, own = make("sound", windows)
    assert run(stored) == expected
    assert own.asked == []
    assert stored.found_windows == computed
    # As many windows, but elsewhere.
    monkeypatch.setattr(labeler_module, "find_boundaries", lambda waveform, rate_hz: [len(waveform) // 3])
    stored, own = make("cuts", windows)
    run(stored)
    monkeypatch.setattr(labeler_module, "find_boundaries", lambda waveform, rate_hz: [len(waveform) // 2])
    stored, own = make("cuts", windows)
    run(stored)
    assert (stored.found_windows, stored.computed_windows) == (0, 2 * len(SOUNDS))


def test_a_fast_run_between_changes_of_the_sound_is_decided_again_from_its_scores(
    tmp_path: Path, checkpoint_folder: Path
) -> None:
    classifier = Classifier(find_checkpoint(str(checkpoint_folder)), choose_device(ComputeSettings("cpu")), fast=True)
    own = make_labeler(checkpoint_folder, WindowSettings(boundaries="sound"), decisions(checkpoint_folder), classifier)
    store = ScoreStore(tmp_path / "scores", key(own, mode="fast"), classifier.checkpoint.class_names)
    sounds = [sound(7.3, identity=identity) for identity in range(7)]
    with store:
        fast = CachedLabeler(FastLabeler(own, AuditSettings(0.5), lambda text: None), store)
        labeled = fast.label([fast.prepare(one) for one in sounds])
    names = [relabel.NamedRecording(one.id, one.name, one.content) for one in sounds]
    again = relabel.relabel(store, names, own.decisions)
    assert [one.segments for one in again] == [one.segments for one in labeled]
    assert sum(one.windows for one in again) > 40
