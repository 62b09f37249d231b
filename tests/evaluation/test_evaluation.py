"""From logits to metrics without a model, compared with scikit-learn and with decisions made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from block.decisions import apply_score_function, compute_margins, decide_cells
from block.evaluation.bootstrap import Resamples
from block.evaluation.evaluation import evaluate_labels, fit_thresholds, translate_thresholds
from block.evaluation.event_based import Collars
from block.evaluation.examples import find_least_certain, find_mistakes
from block.evaluation.metrics import compare
from block.evaluation.predictions import find_detected_events, gather_detections, predict
from block.evaluation.segment_based import Event
from block.evaluation.thresholds import Goal
from block.explanation import explain
from block.labels import format_label_entry, parse_labels
from block.settings import WindowSettings
from block.windows import PreparedRecording
from tests.conftest import NAMES
from tests.evaluation.synthetic import make_clip, make_clips, make_settings, make_truth

sklearn = pytest.importorskip("sklearn.metrics")

RNG = np.random.default_rng(4)
LOW = -6.0


def logits(**high: float) -> np.ndarray:
    """Return the logits of all classes, low except for the named ones."""
    values = np.full(len(NAMES), LOW)
    for name, value in high.items():
        values[NAMES.index(name)] = value
    return values


@pytest.mark.parametrize("function", ["sigmoid", "softmax"])
def test_all_metrics_equal_scikit_learns(function: str) -> None:
    decisions = make_settings("Speech, Music (0.3), Dog, Male speech, man speaking (0.6)", score_function=function)
    clips, rows = make_clips(120, decisions)
    rows.append((rows[0][0], "Music"))
    truth = make_truth(rows, decisions)
    found = evaluate_labels("", clips, decisions, truth, Resamples(120, 50), None).metrics
    columns = [NAMES.index(label.class_name) for label in decisions.labels]
    scores = apply_score_function(np.stack([one.logits[0] for one in clips]), function)[:, columns]
    present = truth.present
    for at, label in enumerate(decisions.labels):
        there, values = present[:, at], scores[:, at]
        assert found.average_precision.labels[at].value == pytest.approx(sklearn.average_precision_score(there, values))
        assert found.roc_auc.labels[at].value == pytest.approx(sklearn.roc_auc_score(there, values))
        expected = sklearn.precision_recall_fscore_support(there, values >= label.threshold, average="binary")[:3]
        rates = found.as_detector.labels[at]
        assert [rates.precision.value, rates.recall.value, rates.f1.value] == pytest.approx(expected)
    mean = sklearn.average_precision_score(present, scores, average="macro")
    assert found.average_precision.mean.value == pytest.approx(mean)
    assert found.roc_auc.mean.value == pytest.approx(sklearn.roc_auc_score(present, scores, average="macro"))
    # After the single-label decision: the highest score at or above its own threshold.
    reached = scores >= [label.threshold for label in decisions.labels]
    winner = np.where(reached.any(axis=1), np.where(reached, scores, -1).argmax(axis=1), -1)
    given = winner[:, None] == np.arange(4)
    for at in range(4):
        assert found.as_labeled.labels[at].f1.value == pytest.approx(sklearn.f1_score(present[:, at], given[:, at]))
    one_label = present.sum(axis=1) == 1
    labels = np.where(one_label, present.argmax(axis=1), 4)
    expected = sklearn.confusion_matrix(labels[one_label], np.where(winner < 0, 4, winner)[one_label], labels=range(5))
    several = np.zeros((5, 5), int)
    for row in np.flatnonzero(present.sum(axis=1) > 1):
        several[np.flatnonzero(present[row]), winner[row]] += 1
    none = np.bincount(np.where(winner < 0, 4, winner)[present.sum(axis=1) == 0], minlength=5)
    expected[4] = none
    assert (found.confusion == expected + several).all()


def test_every_interval_contains_its_metric_and_every_mean_is_over_the_labels() -> None:
    decisions = make_settings()
    clips, rows = make_clips(150, decisions)
    found = evaluate_labels("", clips, decisions, make_truth(rows, decisions), Resamples(150, 300), None).metrics
    for one in (*found.average_precision.labels, *found.roc_auc.labels, *found.d_prime.labels, found.d_prime.mean):
        assert one.low < one.value < one.high
    for rates in (*found.as_detector.labels, *found.as_labeled.labels, found.as_detector.macro, found.as_labeled.micro):
        assert rates.f1.low < rates.f1.value < rates.f1.high
    assert found.average_precision.mean.value == pytest.approx(
        np.mean([one.value for one in found.average_precision.labels])
    )


def test_a_clip_has_the_highest_score_of_its_windows_and_the_labels_of_all_its_segments() -> None:
    decisions = make_settings("Speech, Music, Dog")
    windows = WindowSettings(1000, 1000)
    one = make_clip(np.stack([logits(Speech=1.0, Dog=0.5), logits(Music=2.0), logits()]), 3.0, windows)
    found = gather_detections([predict(one, decisions)], decisions)
    assert found.scores[0] == pytest.approx(apply_score_function(np.array([1.0, 2.0, 0.5]), "sigmoid"), abs=1e-6)
    assert found.is_detected[0].tolist() == [True, True, True]
    assert found.is_labeled[0].tolist() == [True, True, False]  # Dog reached its threshold, but Speech won
    assert found.top.tolist() == [1]


def test_a_silent_clip_gets_no_label_even_with_a_threshold_of_0() -> None:
    decisions = make_settings("Speech, Music", threshold=0.0)
    one = make_clip(logits(Speech=3.0))
    silent = replace(one, chunk_counts=(0,), logits=one.logits[:0])
    found = gather_detections([predict(silent, decisions)], decisions)
    assert not found.is_detected.any()
    assert not found.is_labeled.any()
    assert found.top.tolist() == [-1]


def test_strong_labels_are_compared_in_segments_as_detector_and_as_labeled() -> None:
    decisions = make_settings("Speech, Dog")
    windows = WindowSettings(1000, 1000)
    one = make_clip(np.stack([logits(Speech=2.0, Dog=1.0), logits(Dog=1.0), logits()]), 3.0, windows)
    truth = make_truth([("a", 0.5, 2.0, "Dog"), ("a", 2.5, 3.0, "Speech")], decisions)
    assert find_detected_events(predict(one, decisions)) == [
        Event(0, 0.0, 1.0), Event(1, 0.0, 1.0), Event(1, 1.0, 2.0)
    ]  # fmt: skip
    found = evaluate_labels("", [one], decisions, truth, Resamples(1, 100), 1.0).metrics
    assert found.segments_as_detector is not None
    assert found.segments_as_labeled is not None
    dog, labeled = found.segments_as_detector.labels[1], found.segments_as_labeled.labels[1]
    assert (dog.precision.value, dog.recall.value, dog.f1.value) == (1, 1, 1)
    assert (labeled.precision.value, labeled.recall.value) == (1, 0.5)
    assert found.segments_as_labeled.labels[0].recall.value == 0


def test_strong_labels_are_compared_in_time() -> None:
    decisions = make_settings("Speech, Dog")
    windows = WindowSettings(1000, 1000)
    one = make_clip(np.stack([logits(Dog=1.0), logits(Dog=1.0), logits(), logits(Speech=2.0)]), 4.0, windows)
    other = make_clip(np.stack([logits(), logits()]), 2.0, windows)
    rows = [("a", 0.1, 2.0, "Dog"), ("a", 2.5, 4.0, "Speech"), ("b", None, None, "")]
    truth = make_truth(rows, decisions)
    found = evaluate_labels("", [one, other], decisions, truth, Resamples(2, 100), 1.0)
    events = found.metrics.events
    assert events is not None
    assert [rates.f1.value for rates in events.rates.labels] == [0, 1]
    assert (events.rates.macro.f1.value, events.rates.micro.f1.value) == (0.5, 0.5)
    assert [one.value for one in events.onset.median.labels] == pytest.approx([0.5, 0.1])
    assert events.time_right.labels[0].value == pytest.approx(1 / 1.5)
    assert events.time_right.pooled.value == pytest.approx((6 - 0.1 - 0.5) / 6)
    wide = evaluate_labels("", [one, other], decisions, truth, Resamples(2, 100), 1.0, Collars(0.6, 0.0)).metrics.events
    assert wide is not None
    assert wide.rates.macro.f1.value == 1
    assert evaluate_labels("", [one, other], decisions, truth, Resamples(2, 100), None).metrics.events is None


def test_two_configurations_are_compared_in_time_and_less_of_an_error_is_better() -> None:
    decisions = make_settings("Speech, Dog")
    truth = make_truth([(name, 0.0, 1.0, "Dog") for name in "abc"], decisions)
    windows = WindowSettings(1000, 1000)
    exact = make_clip(np.stack([logits(Dog=1.0), logits()]), 2.0, windows)
    late = make_clip(np.stack([logits(Dog=1.0), logits(Dog=1.0)]), 2.0, windows)
    resamples = Resamples(3, 100)
    results = [evaluate_labels("", [one] * 3, decisions, truth, resamples, 1.0).metrics for one in (late, exact)]
    found = {one.name: one for one in compare(*results)}
    for name, change, is_error in [("event F1", 1, False), ("time right", 0.5, False), ("offset error", -1, True)]:
        assert found[name].pooled is not None
        assert found[name].pooled.change.value == pytest.approx(change)
        assert found[name].is_error is is_error
    assert found["AP"].pooled is None


def test_a_label_that_is_never_annotated_is_not_judged_and_never_a_mistake() -> None:
    decisions = make_settings("Speech, Music, Dog")
    clips = [make_clip(logits(Music=3.0)), make_clip(logits(Dog=3.0)), make_clip(logits(Speech=1.0, Dog=2.0))]
    rows = [("a", "Speech"), ("b", "Dog"), ("c", "Dog")]
    truth = make_truth(rows, decisions)
    found = evaluate_labels("", clips, decisions, truth, Resamples(3, 100), None)
    assert found.metrics.columns == (0, 2)
    assert found.metrics.confusion.tolist() == [[0, 1, 0, 0], [0, 0, 2, 0], [0, 0, 0, 0]]
    # Speech was missed in the first clip; Music, given there, may well be right.
    assert [(one.clip, one.label, one.annotated) for one in find_mistakes(found, truth)] == [(0, "Music", ("Speech",))]
    exhaustive = make_truth(rows, decisions, exhaustive=True)
    assert evaluate_labels("", clips, decisions, exhaustive, Resamples(3, 100), None).metrics.columns == (
        0,
        1,
        2,
    )


def test_the_most_confident_mistakes_come_first_and_missed_labels_last() -> None:
    decisions = make_settings("Speech, Dog")
    clips = [make_clip(logits(Dog=at)) for at in (1.0, 3.0, 2.0, -5.0, -1.0)]
    rows = [("a", "Speech"), ("b", "Speech"), ("c", "Dog"), ("d", "Dog"), ("e", "Dog")]
    truth = make_truth(rows, decisions)
    found = evaluate_labels("", clips, decisions, truth, Resamples(5, 100), None)
    assert [one.clip for one in find_mistakes(found, truth)] == [1, 0, 3, 4]
    assert [one.clip for one in find_least_certain(found, truth)][:2] == [0, 4]


def test_a_margin_is_the_smallest_change_of_one_score_that_changes_the_label() -> None:
    labels = make_settings("Speech (0.5), Music (0.3), Dog (0.4)").labels
    scores = np.random.default_rng(6).random((200, 3))
    heard = np.ones(1, dtype=bool)

    def winner(values: np.ndarray) -> str:
        return decide_cells(values[None], heard, labels, "other")[0].label

    given = [winner(values) for values in scores]
    for values, before, margin in zip(scores, given, compute_margins(scores, given, labels), strict=True):
        assert margin >= 0
        moves = np.concatenate((np.eye(3), -np.eye(3)))
        assert all(winner(values + move * (margin - 1e-9)) == before for move in moves)
        assert any(winner(values + move * (margin + 1e-9)) != before for move in moves)
    assert compute_margins(scores[:2, :0], ["other", "other"], ()).tolist() == [1, 1]


def test_details_and_report_have_the_same_margins_and_classes_with_the_same_name_do_not_compete() -> None:
    high = np.log(np.array([0.5, 0.4]) / np.array([0.5, 0.6]))
    for text, margin in (("Speech (0.2), Dog (0.2)", 0.1), ("Speech (sound, 0.2), Dog (sound, 0.2)", 0.3)):
        decisions = make_settings(text)
        one = make_clip(logits(Speech=high[0], Dog=high[1]))
        truth = make_truth([("a", "Speech")], decisions)
        found = evaluate_labels("", [one], decisions, truth, Resamples(1, 100), None)
        labeled = found.predictions[0].labeled
        prepared = PreparedRecording(
            1, "a", one.seconds, one.value_rate_hz, one.layout, np.zeros(0, np.float32), (), tuple(one.chunk_counts),
            np.array([-20.0], np.float32),
        )  # fmt: skip
        (detail,) = explain(labeled.segments, prepared, one.logits, decisions, NAMES)
        (moment,) = find_least_certain(found, truth)
        assert detail.margin == pytest.approx(margin, abs=1e-6)
        assert moment.margin == detail.margin


def test_comparisons_are_paired_so_a_configuration_never_differs_from_itself() -> None:
    decisions = make_settings()
    clips, rows = make_clips(80, decisions)
    truth, resamples = make_truth(rows, decisions), Resamples(80, 100)
    same = compare(*(evaluate_labels(name, clips, decisions, truth, resamples, None).metrics for name in "ab"))
    assert [kind.name for kind in same] == ["AP", "ROC AUC", "F1 as detector", "F1 as labeled"]
    for kind in same:
        for one in (*kind.labels, kind.mean):
            assert (one.change.value, one.change.low, one.change.high) == (0, 0, 0)
    worse = [replace(one, logits=one.logits + RNG.normal(0, 6, one.logits.shape).astype(np.float32)) for one in clips]
    noisy = compare(*(evaluate_labels("", ones, decisions, truth, resamples, None).metrics for ones in (clips, worse)))
    assert noisy[0].mean.change.high < 0
    assert noisy[0].mean.change.value == pytest.approx(noisy[0].mean.second - noisy[0].mean.first)


def test_suggested_lines_have_the_same_classes_and_names_and_the_new_threshold() -> None:
    names = ("Animal", "Dog", "Whimper (dog)", "Male speech, man speaking")
    text = "animal*, dog (my pet, 0.4), Whimper (dog) (0.1), Male speech, man speaking, Animal (beast)"
    labels = parse_labels(text, names, 0.2)
    again = parse_labels("\n".join(format_label_entry(label, 1 / 3) for label in labels), names, 0.9)
    for label, read in zip(labels, again, strict=True):
        assert (read.indices, read.name, read.threshold) == (label.indices, label.name, 1 / 3)
    assert [format_label_entry(label, 0.25) for label in labels][:2] == ["animal* (0.25)", "Dog (my pet, 0.25)"]


def test_every_label_gets_a_fitted_threshold_or_a_reason_for_keeping_its_own() -> None:
    decisions = make_settings("Speech, Music (tune), Dog (0.9), Whimper (tune), Silence")
    clips, rows = make_clips(120, make_settings("Speech, Music, Dog"))
    rows.append((rows[0][0], "Whimper"))
    truth = make_truth(rows, decisions)
    found = evaluate_labels("", clips, decisions, truth, Resamples(120, 50), None)
    fitted = {one.name: one for one in fit_thresholds(found, truth, Goal("f1"), Resamples(120, 50))}
    assert list(fitted) == ["Speech", "tune", "Dog", "Silence"]
    assert fitted["Silence"].fit.reason == "it is never annotated"
    assert fitted["Silence"].lines == ("Silence",)
    assert len(fitted["tune"].lines) == 2  # both classes with this new name
    labels = parse_labels("\n".join(line for one in fitted.values() for line in one.lines), NAMES, 0.5)
    assert {label.name: label.threshold for label in labels}["Dog"] == fitted["Dog"].fit.threshold != 0.9


@pytest.mark.parametrize(("function", "other"), [("sigmoid", "softmax"), ("softmax", "sigmoid")])
def test_translated_thresholds_keep_all_labels_if_one_class_at_a_time_scores_high(function: str, other: str) -> None:
    # With one class above the rest, softmax and sigmoid rank the windows in the same order.
    decisions = make_settings("Speech, Dog (0.7)", score_function=function)
    clips = [make_clip(logits(Speech=value)) for value in RNG.uniform(-8, 8, 40)]
    clips += [make_clip(logits(Dog=value)) for value in RNG.uniform(-8, 8, 40)]
    rows = [(f"{at}", "Speech" if at < 40 else "Dog") for at in range(80)]
    truth = make_truth(rows, decisions)
    before = evaluate_labels("", clips, decisions, truth, Resamples(80, 100), None)
    found = translate_thresholds(before)
    assert (found.score_function, found.differ, found.windows) == (other, 0, 80)
    assert all(one.is_determined and not one.differ for one in found.labels)
    labels = parse_labels("\n".join(found.lines), NAMES, 0.5)
    after = evaluate_labels(
        "", clips, replace(decisions, labels=labels, score_function=other), truth, Resamples(80, 100), None
    )
    assert (after.detections.is_labeled == before.detections.is_labeled).all()
