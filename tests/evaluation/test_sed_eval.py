"""Events are counted as sed_eval counts them: its stored answers, and its answers today where it is installed."""

from __future__ import annotations

import importlib.util
import json
import math

import numpy as np
import pytest

from block.evaluation.bootstrap import Resamples
from block.evaluation.event_based import Collars, count_events
from block.evaluation.rates import compute_rates
from block.evaluation.segment_based import Event
from tests.evaluation.sed_eval_answers import ANSWERS, LABELS, ask_sed_eval, make_cases


def test_counts_equal_sed_evals_exactly_and_rates_to_rounding() -> None:
    cases, answers = list(make_cases()), json.loads(ANSWERS.read_text())
    assert len(cases) == len(answers)
    for at, (case, answer) in enumerate(zip(cases, answers, strict=True)):
        sides = ([[Event(*times) for times in clip] for clip in side] for side in (case.annotated, case.predicted))
        lengths = [math.inf] * len(case.annotated)
        counts = count_events(*sides, lengths, np.ones(len(LABELS), dtype=bool), Collars(*case.collars)).events
        found = np.stack([part.sum(axis=0) for part in (counts.correct, counts.predicted, counts.annotated)], axis=1)
        assert found.tolist() == answer["counts"], at
        rates = compute_rates(counts, Resamples(len(lengths), 0))
        for ours, theirs in zip((rates.micro.f1.value, rates.macro.f1.value), answer["f1"], strict=True):
            if theirs is not None and counts.annotated.any():
                assert ours == pytest.approx(theirs), at


def test_the_cases_tell_optimal_matching_and_rounding_apart() -> None:
    """Answers that any way of counting gives would prove nothing."""
    answers = json.loads(ANSWERS.read_text())
    assert sum(sum(label[0] for label in answer["counts"]) for answer in answers) > 1000
    greedy = exact = 0
    for case, answer in zip(make_cases(), answers, strict=True):
        seconds, share = case.collars
        for tolerance in (0.0, 1e-9):
            found = 0
            for annotated, predicted in zip(case.annotated, case.predicted, strict=True):
                free = list(predicted)
                for label, start, end in annotated:
                    limit = max(seconds, share * (end - start)) + tolerance
                    fits = [
                        event
                        for event in free
                        if event[0] == label
                        and abs(start - event[1]) <= seconds + tolerance
                        and abs(end - event[2]) <= limit
                    ]
                    if fits:
                        free.remove(fits[0])
                        found += 1
            correct = sum(label[0] for label in answer["counts"])
            greedy += tolerance == 0 and found < correct
            exact += tolerance > 0 and found > correct
    assert greedy >= 3
    assert exact >= 3


@pytest.mark.skipif(importlib.util.find_spec("sed_eval") is None, reason="sed_eval is not installed")
@pytest.mark.filterwarnings("ignore")
def test_the_stored_answers_are_those_of_the_installed_sed_eval() -> None:
    assert [ask_sed_eval(case) for case in make_cases()] == json.loads(ANSWERS.read_text())
