"""Embeddings are kept on request: beside the logits, which stay the same to the last bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from block.labeling.audit import OPENING_WINDOWS
from block.labeling.cached_labeler import CachedLabeler
from block.labeling.fast_labeler import FastLabeler
from block.labeling.labeler import ExactLabeler
from block.labeling.partial_logits import PartialLogits
from block.model.checkpoint import find_checkpoint
from block.model.classifier import Classifier
from block.model.device import choose_device
from block.model.features import FilterBanks
from block.model.transformers_loader import load_model
from block.score_store import Scored, ScoreStore
from block.score_store.shard import Shard, list_shards
from block.settings import EXACT, AuditSettings, ComputeSettings, WindowSettings
from block.windows import PreparedRecording
from tests.conftest import EMBEDDED
from tests.score_store.labelers import decisions, key, sound
from tests.score_store.scores import KEY, NAMES, add_embeddings, is_same, make_scores

WINDOWS = WindowSettings(1000, 1000)


def make_labeler(keep: bool, silence_dbfs: float | None = None, fast: bool = False) -> ExactLabeler:
    checkpoint = find_checkpoint(str(EMBEDDED))
    device = choose_device(ComputeSettings("cpu"))
    classifier = Classifier(checkpoint, device, fast=fast, for_store=not fast, keep_embeddings=keep)
    settings = decisions(EMBEDDED, silence_dbfs=silence_dbfs)
    return ExactLabeler(classifier, FilterBanks(checkpoint.front_end, device.device), WINDOWS, settings, print)


def score(labeler: ExactLabeler | FastLabeler, folder: Path, prepared: Sequence[PreparedRecording]) -> list[Scored]:
    """Return the scores in `folder` after labeling, in the order of the recordings."""
    exact = labeler if isinstance(labeler, ExactLabeler) else labeler.labeler
    with ScoreStore(folder, key(exact, labeler.mode), exact.class_names) as store:
        CachedLabeler(labeler, store).label(prepared)
        found = [store.find(one.content) for one in prepared]
    assert all(found)
    return [one for one in found if one is not None]


def test_an_embedding_is_what_transformers_gives_the_classifier() -> None:
    checkpoint, device = find_checkpoint(str(EMBEDDED)), choose_device(ComputeSettings("cpu"))
    inputs = torch.randn(2, checkpoint.front_end.max_frames, checkpoint.front_end.mel_bins)
    classifier = Classifier(checkpoint, device, keep_embeddings=True)
    outputs = Classifier.collect([classifier.begin(inputs)])
    model = load_model(checkpoint, device)
    with torch.inference_mode():
        expected = model.audio_spectrogram_transformer(inputs).pooler_output
        logits = model.classifier(expected)
    classes = len(checkpoint.class_names)
    assert outputs.shape == (2, classes + classifier.embedding_size)
    assert np.abs(outputs[:, classes:] - expected.numpy()).max() < 1e-4
    assert np.abs(outputs[:, :classes] - logits.numpy()).max() < 1e-4
    assert classifier.logits(inputs).shape == (2, classes)


def test_keeping_embeddings_changes_no_bit_of_the_logits(tmp_path: Path) -> None:
    without, kept = (
        score(labeler, tmp_path / str(labeler.embedding_size), [labeler.prepare(sound(7))])[0]
        for labeler in (make_labeler(False), make_labeler(True))
    )
    assert kept.logits.tobytes() == without.logits.tobytes()
    assert (without.embedded, kept.embedded) == (0, kept.chunks)
    assert kept.embeddings.shape == (kept.chunks, find_checkpoint(str(EMBEDDED)).model_config.hidden_size)


def test_no_path_changes_a_bit_of_its_logits(tmp_path: Path) -> None:
    without, kept = make_labeler(False, fast=True).classifier, make_labeler(True, fast=True).classifier
    front_end = without.checkpoint.front_end
    inputs = torch.randn(2, front_end.max_frames, front_end.mel_bins)
    for path in kept.paths:
        outputs = Classifier.collect([kept.begin(inputs, 100, path)])
        expected = without.logits(inputs, 100, path)
        assert outputs[:, : expected.shape[1]].tobytes() == expected.tobytes()
        assert outputs.shape[1] == expected.shape[1] + kept.embedding_size


def test_fast_mode_keeps_the_embedding_of_every_window_whichever_path_computed_it(tmp_path: Path) -> None:
    labeler = FastLabeler(make_labeler(True, fast=True), AuditSettings(), print)
    [scored] = score(labeler, tmp_path, [labeler.prepare(sound(OPENING_WINDOWS + 8))])
    assert scored.embedded == scored.chunks == OPENING_WINDOWS + 8


def test_scores_without_embeddings_are_computed_again_only_if_embeddings_are_requested(tmp_path: Path) -> None:
    prepared = make_labeler(keep=False).prepare(sound(5))
    [before] = score(make_labeler(keep=False), tmp_path, [prepared])
    assert PartialLogits(prepared, before.logits.shape[1], before).windows == 5
    plain = PartialLogits(prepared, before.logits.shape[1], before)
    needing = PartialLogits(prepared, before.logits.shape[1], before, embedding_size=8)
    assert (plain.found_windows, needing.found_windows, len(needing.missing)) == (5, 0, 5)
    [after] = score(make_labeler(keep=True), tmp_path, [prepared])
    assert after.embedded == after.chunks == 5
    assert after.logits.tobytes() == before.logits.tobytes()
    size = after.embeddings.shape[1]
    assert PartialLogits(prepared, before.logits.shape[1], after, size).found_windows == 5
    [again] = score(make_labeler(keep=False), tmp_path, [prepared])
    assert is_same(again, after)


def test_windows_that_are_heard_later_get_embeddings_later(tmp_path: Path) -> None:
    recording = sound(5)
    quiet, loud = make_labeler(True, silence_dbfs=-60), make_labeler(False)
    [first] = score(quiet, tmp_path, [quiet.prepare(recording)])
    assert first.chunks == first.embedded < 5
    [second] = score(loud, tmp_path, [loud.prepare(recording)])
    assert (second.chunks, second.embedded) == (5, first.embedded)
    kept = second.embeddings[~np.isnan(second.embeddings).any(axis=1)]
    assert kept.tobytes() == first.embeddings.tobytes()
    both = make_labeler(True)
    [third] = score(both, tmp_path, [both.prepare(recording)])
    assert third.embedded == 5


def test_silent_windows_keep_their_scores_when_embeddings_are_added(tmp_path: Path) -> None:
    recording = sound(5)
    loud, quiet = make_labeler(False), make_labeler(True, silence_dbfs=-60)
    [first] = score(loud, tmp_path, [loud.prepare(recording)])
    [second] = score(quiet, tmp_path, [quiet.prepare(recording)])
    assert second.chunks == 5
    assert 0 < second.embedded < 5
    assert second.logits.tobytes() == first.logits.tobytes()
    assert not second.errors.any()


def test_embeddings_come_back_to_the_last_bit_from_files_with_and_without(tmp_path: Path) -> None:
    partly = add_embeddings(make_scores(4))
    partly.embeddings[1] = np.nan
    rows = [make_scores(1), add_embeddings(make_scores(2)), add_embeddings(make_scores(3, windows=700)), partly,
            make_scores(5, windows=2, silent=(0, 1))]  # fmt: skip
    with ScoreStore(tmp_path, KEY, NAMES) as store:
        for row in rows:
            store.add(row)
    again = ScoreStore(tmp_path, KEY, NAMES)
    for row in rows:
        assert is_same(again.find(row.content), row)
    assert [row.embedded for row in rows] == [0, 5, 700, 4, 0]


def test_files_without_embeddings_have_the_columns_they_always_had(tmp_path: Path) -> None:
    for name, rows in (("without", [make_scores(1)]), ("with", [make_scores(1), add_embeddings(make_scores(2))])):
        with ScoreStore(tmp_path / name, KEY, NAMES) as store:
            for row in rows:
                store.add(row)
    from pyarrow import parquet

    columns = {name: parquet.read_schema(list_shards(tmp_path / name)[0]).names for name in ("without", "with")}
    assert columns["without"] == [
        "content", "values", "rate_numerator", "rate_denominator", "mode", "pieces", "piece_counts", "levels_dbfs",
        "logits",
    ]  # fmt: skip
    assert [name for name in columns["with"] if name not in columns["without"]] == ["embedded", "embeddings"]


def test_of_two_rows_with_equal_chunks_the_one_with_embeddings_counts(tmp_path: Path) -> None:
    plain = make_scores(1, mode=EXACT)
    rich = add_embeddings(plain)
    for first, second in ((plain, rich), (rich, plain)):
        folder = tmp_path / str(first.embedded)
        for row in (first, second):
            with ScoreStore(folder, KEY, NAMES) as store:
                store.add(row)
        assert is_same(ScoreStore(folder, KEY, NAMES).find(plain.content), rich)
    assert {row.rank.embedded for row in Shard(list_shards(folder)[-1]).rows} == {5}


@pytest.mark.parametrize(
    ("embeddings", "problem"),
    [(np.zeros((2, 6), np.float16), "2, 6"), (np.zeros((5, 6), np.float32), "float32"), (np.ones(5, np.float16), "5,")],
)
def test_embeddings_that_do_not_fit_are_refused(embeddings: np.ndarray, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        replace(make_scores(1), embeddings=embeddings)
