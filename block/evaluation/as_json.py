"""All figures as JSON, for other programs. NaN is null, an infinite d′ the text "inf"."""

from __future__ import annotations

import json
import math
from typing import Any

from block import __version__
from block.evaluation.agreement import Agreement
from block.evaluation.bootstrap import Estimate
from block.evaluation.evaluation import Evaluation, LabelingResult, ReportFacts
from block.evaluation.metrics import Difference
from block.evaluation.rates import Rates, RateTable


def as_json(evaluation: Evaluation) -> str:
    """The content of evaluation.json."""
    about, truth = evaluation.about, evaluation.truth
    content: dict[str, Any] = {
        "version": __version__,
        "settings": dict(about.facts),
        "exhaustive": about.exhaustive,
        "bootstrap": {"draws": evaluation.resamples.count, "seed": evaluation.resamples.seed, "interval": 0.95},
        "segment_s": about.segment_s,
        "labels_not_judged": [target.name for target, on in zip(truth.targets, truth.judged, strict=True) if not on],
        "annotated_and_missing": list(about.missing),
        "present_and_not_annotated": list(about.not_annotated),
        "failed": dict(about.failed),
        "figures": _result(evaluation, evaluation.first),
    }
    if evaluation.second is not None:
        content["compared"] = {
            "a": evaluation.first.name,
            "b": evaluation.second.name,
            "agreement": evaluation.agreement.to_json() if evaluation.agreement else None,
            "figures_b": _result(evaluation, evaluation.second),
            "differences": {
                kind.name: {
                    "labels": {
                        truth.targets[at].name: _difference(one)
                        for at, one in zip(evaluation.first.figures.columns, kind.labels, strict=True)
                    },
                    "mean": _difference(kind.together),
                }
                for kind in evaluation.compared
            },
        }
    if evaluation.fitted:
        content["fitted"] = [
            {
                "label": one.name,
                "threshold": one.fit.threshold,
                "left_because": one.fit.reason,
                "expected": None if one.fit.expected is None else _rates(one.fit.expected),
                "expected_as_labelled": None if one.fit.expected is None else _rates(one.labelled),
                "lines": list(one.lines),
            }
            for one in evaluation.fitted
        ]
    if evaluation.translated is not None:
        found = evaluation.translated
        content["translated"] = {
            "score_function": found.into,
            "windows": found.windows,
            "windows_with_another_label": found.differ,
            "labels": [
                {"label": label.name, "threshold": one.threshold, "reached": one.kept, "differ": one.differ,
                 "determined": one.determined, "line": line}
                for label, one, line in zip(evaluation.first.settings.labels, found.labels, found.lines, strict=True)
            ],
        }  # fmt: skip
    return _dump(content)


def agreement_as_json(about: ReportFacts, name_a: str, name_b: str, agreement: Agreement) -> str:
    """Return the content of evaluation.json where there are no annotations."""
    return _dump({
        "version": __version__,
        "settings": dict(about.facts),
        "failed": dict(about.failed),
        "compared": {"a": name_a, "b": name_b, "agreement": agreement.to_json()},
    })  # fmt: skip


def _dump(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _result(evaluation: Evaluation, result: LabelingResult) -> dict[str, Any]:
    found, truth = result.figures, evaluation.truth
    labels = {}
    for place, at in enumerate(found.columns):
        one = {
            "clips_with_it": found.positives[place],
            "thresholds": [result.settings.labels[member].threshold for member in truth.targets[at].members],
            "average_precision": _estimate(found.average_precision.labels[place]),
            "roc_auc": _estimate(found.roc_auc.labels[place]),
            "d_prime": _estimate(found.d_prime[place]),
        }
        labels[truth.targets[at].name] = one | {
            name: _rates(table.labels[place]) for name, table in _tables(result).items()
        }
    return {
        "clips": found.clips,
        "mean_average_precision": _estimate(found.average_precision.mean),
        "mean_roc_auc": _estimate(found.roc_auc.mean),
        "d_prime_of_mean_roc_auc": _estimate(found.mean_d_prime),
        "macro": {name: _rates(table.macro) for name, table in _tables(result).items()},
        "micro": {name: _rates(table.micro) for name, table in _tables(result).items()},
        "labels": labels,
        "confusion": {
            "rows": [truth.targets[at].name for at in found.columns] + [None],
            "columns": [target.name for target in truth.targets] + [None],
            "clips": found.confusion.tolist(),
        },
    }


def _tables(result: LabelingResult) -> dict[str, RateTable]:
    found = result.figures
    tables = {
        "as_detector": found.detector,
        "as_labelled": found.decided,
        "segments_as_detector": found.detector_segments,
        "segments_as_labelled": found.decided_segments,
    }
    return {name: table for name, table in tables.items() if table is not None}


def _rates(rates: Rates) -> dict[str, Any]:
    return {"precision": _estimate(rates.precision), "recall": _estimate(rates.recall), "f1": _estimate(rates.f1)}


def _difference(one: Difference) -> dict[str, Any]:
    return {"a": _number(one.first), "b": _number(one.second), "b_minus_a": _estimate(one.more)}


def _estimate(one: Estimate) -> dict[str, Any]:
    return {"value": _number(one.value), "low": _number(one.low), "high": _number(one.high)}


def _number(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else ("inf" if value > 0 else "-inf")
