"""Random events, and what sed_eval 0.2.1 says about them, stored so that tests can compare without sed_eval.

To store them again, in an environment with sed_eval: python -m tests.evaluation.sed_eval_answers
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ANSWERS = Path(__file__).with_suffix(".json")
LABELS = ("a", "b", "c")
COLLARS = ((0.2, 0.2), (0.2, 0.5), (0.1, 0.0), (0.5, 0.3), (1.0, 1.0))
CASES = 400

Times = list[tuple[int, float, float]]  # label, start and end in seconds


@dataclass(frozen=True)
class Case:
    """The annotated and the predicted events of each recording, and the collars: seconds and share of length."""

    annotated: list[Times]
    predicted: list[Times]
    collars: tuple[float, float]


def make_cases() -> Iterator[Case]:
    """Yield the same cases everywhere: only `random()` and integer arithmetic, which no version of Python changes.

    Times are in steps of 100, 50 or 10 ms, or not in steps, so many differences are a collar, give or take rounding.
    Events overlap, touch, repeat, have no length, or come in great numbers; some recordings have none.
    """
    source = random.Random(21)

    def below(limit: int) -> int:
        return int(source.random() * limit)

    def draw_time(span_s: float, steps: int) -> float:
        value = source.random() * span_s
        return int(value * steps) / steps if steps else value

    for at in range(CASES):
        steps = (10, 20, 100, 0)[at % 4]
        span_s = (2.0, 5.0, 20.0)[at // 4 % 3]
        sides: tuple[list[Times], list[Times]] = ([], [])
        for _ in range(1 + below(3)):
            count = below(25) if at % 10 == 0 else below(7)
            starts = [draw_time(span_s, steps) for _ in range(count)]
            annotated = [(below(3), start, start + draw_time(2.0, steps)) for start in starts]
            predicted = []
            for label, start, end in annotated:
                if source.random() < 0.8:
                    begins = max(0.0, start + draw_time(0.8, steps) - 0.4)
                    label = label if source.random() < 0.9 else below(3)
                    predicted.append((label, begins, max(begins, end + draw_time(0.8, steps) - 0.4)))
            for _ in range(below(3)):
                start = draw_time(span_s, steps)
                predicted.append((below(3), start, start + draw_time(1.0, steps)))
            predicted.sort(key=lambda event: event[1:])
            sides[0].append(annotated)
            sides[1].append(predicted)
        yield Case(*sides, COLLARS[at % len(COLLARS)])


def ask_sed_eval(case: Case) -> dict[str, Any]:
    """Return the counts of each label, correct, predicted and annotated, and the pooled and the mean F1."""
    import sed_eval

    metrics = sed_eval.sound_event.EventBasedMetrics(
        list(LABELS), t_collar=case.collars[0], percentage_of_length=case.collars[1],
        event_matching_type="optimal", empty_system_output_handling="zero_score",
    )  # fmt: skip
    for annotated, predicted in zip(case.annotated, case.predicted, strict=True):
        metrics.evaluate(
            *(
                [{"event_label": LABELS[label], "onset": start, "offset": end} for label, start, end in side]
                for side in (annotated, predicted)
            )
        )
    counts = [[int(metrics.class_wise[name][key]) for key in ("Ntp", "Nsys", "Nref")] for name in LABELS]
    mean = metrics.results_class_wise_average_metrics()["f_measure"]["f_measure"]
    pooled = metrics.results_overall_metrics()["f_measure"]["f_measure"]
    return {"counts": counts, "f1": [None if value != value else value for value in (pooled, mean)]}


if __name__ == "__main__":
    lines = [json.dumps(ask_sed_eval(case)) for case in make_cases()]
    ANSWERS.write_text("[\n" + ",\n".join(lines) + "\n]\n")
