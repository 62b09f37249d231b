"""Write all metrics as JSON for other programs. NaN becomes null; an infinite d′ becomes the text "inf"."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from typing import Any

from block import __version__
from block.evaluation.agreement import Agreement
from block.evaluation.evaluation import Evaluation, LabelingResult, ReportFacts
from block.evaluation.event_metrics import BorderMetric, EventMetrics, PooledMetric
from block.evaluation.metrics import Difference, MetricComparison


def as_json(evaluation: Evaluation) -> str:
    """Return the content of evaluation.json."""
    facts = evaluation.facts
    content: dict[str, Any] = {
        "version": __version__,
        "settings": dict(facts.settings),
        "exhaustive": facts.exhaustive,
        "bootstrap": {"draws": evaluation.resamples.count, "seed": evaluation.resamples.seed, "interval": 0.95},
        "segment_s": facts.segment_s,
        "labels_not_judged": evaluation.ground_truth.unjudged_names,
        "annotated_and_missing": facts.missing,
        "present_and_not_annotated": facts.not_annotated,
        "failed": dict(facts.failed),
        "figures": _list_metrics(evaluation, evaluation.first),
    }
    if facts.outside:
        content["outside_of_recordings"] = facts.outside
    if evaluation.first.metrics.events is not None:
        content["events"] = {
            "collar_s": facts.collars.seconds,
            "collar_share": facts.collars.share,
            **_list_events(evaluation.label_names, evaluation.first.metrics.events),
        }
    if evaluation.second is not None:
        content["compared"] = {
            "a": evaluation.first.name,
            "b": evaluation.second.name,
            "agreement": evaluation.agreement.to_json() if evaluation.agreement else None,
            "figures_b": _list_metrics(evaluation, evaluation.second),
            "differences": {one.name: _list_differences(evaluation, one) for one in evaluation.comparisons},
        }
        if evaluation.second.metrics.events is not None:
            content["compared"]["events_b"] = _list_events(evaluation.label_names, evaluation.second.metrics.events)
    if evaluation.fitted and evaluation.first.events is not None:
        content["fitted_rates"] = "of time"
    if evaluation.fitted:
        content["fitted"] = [
            {
                "label": one.name,
                "threshold": one.fit.threshold,
                "left_because": one.fit.reason,
                "expected": one.fit.expected,
                "expected_as_labelled": None if one.fit.expected is None else one.labeled,
                "lines": one.lines,
            }
            for one in evaluation.fitted
        ]
    if evaluation.translated is not None:
        found = evaluation.translated
        content["translated"] = {
            "score_function": found.score_function,
            "windows": found.windows,
            "windows_with_another_label": found.differ,
            "labels": [
                {
                    "label": label.name,
                    "threshold": one.threshold,
                    "reached": one.reached,
                    "differ": one.differ,
                    "determined": one.is_determined,
                    "line": line,
                }
                for label, one, line in zip(evaluation.first.settings.labels, found.labels, found.lines, strict=True)
            ],
        }
    return _dump(content)


def agreement_as_json(facts: ReportFacts, name_a: str, name_b: str, agreement: Agreement) -> str:
    """Return the content of evaluation.json for a comparison without annotations."""
    compared = {"a": name_a, "b": name_b, "agreement": agreement.to_json()}
    head = {"version": __version__, "settings": dict(facts.settings), "failed": dict(facts.failed)}
    return _dump({**head, "compared": compared})


def _list_metrics(evaluation: Evaluation, result: LabelingResult) -> dict[str, Any]:
    metrics = result.metrics
    targets = evaluation.ground_truth.targets
    tables = {"as_detector": metrics.as_detector, "as_labelled": metrics.as_labeled}
    if metrics.segments_as_detector and metrics.segments_as_labeled:
        tables["segments_as_detector"] = metrics.segments_as_detector
        tables["segments_as_labelled"] = metrics.segments_as_labeled
    labels = {}
    for place, name in enumerate(evaluation.label_names):
        members = targets[metrics.columns[place]].members
        labels[name] = {
            "clips_with_it": metrics.positives[place],
            "thresholds": [result.settings.labels[member].threshold for member in members],
            "average_precision": metrics.average_precision.labels[place],
            "roc_auc": metrics.roc_auc.labels[place],
            "d_prime": metrics.d_prime.labels[place],
            **{key: table.labels[place] for key, table in tables.items()},
        }
    return {
        "clips": metrics.clips,
        "mean_average_precision": metrics.average_precision.mean,
        "mean_roc_auc": metrics.roc_auc.mean,
        "d_prime_of_mean_roc_auc": metrics.d_prime.mean,
        "macro": {name: table.macro for name, table in tables.items()},
        "micro": {name: table.micro for name, table in tables.items()},
        "labels": labels,
        "confusion": {
            "rows": [*evaluation.label_names, None],
            "columns": [*(target.name for target in targets), None],
            "clips": metrics.confusion.tolist(),
        },
    }


def _list_events(names: Sequence[str], events: EventMetrics) -> dict[str, Any]:
    rates = events.rates
    metrics = {
        **{f"onset_error_s_{name}": metric for name, metric in _list_percentiles(events.onset)},
        **{f"offset_error_s_{name}": metric for name, metric in _list_percentiles(events.offset)},
        "time_right": events.time_right,
    }
    labels = {
        name: {
            "events": events.events[at],
            "paired": events.pairs[at],
            "rates": rates.labels[at],
            **{key: metric.labels[at] for key, metric in metrics.items()},
        }
        for at, name in enumerate(names)
    }
    return {
        "macro": {"rates": rates.macro, **{key: metric.mean for key, metric in metrics.items()}},
        "micro": {"rates": rates.micro, **{key: metric.pooled for key, metric in metrics.items()}},
        "labels": labels,
    }


def _list_percentiles(metric: BorderMetric) -> tuple[tuple[str, PooledMetric], ...]:
    return ("median", metric.median), ("90th_percentile", metric.high)


def _list_differences(evaluation: Evaluation, one: MetricComparison) -> dict[str, Any]:
    labels = dict(zip(evaluation.label_names, map(_describe, one.labels), strict=True))
    found = {"labels": labels, "mean": _describe(one.mean)}
    return found if one.pooled is None else {**found, "pooled": _describe(one.pooled)}


def _describe(one: Difference) -> dict[str, Any]:
    return {"a": one.first, "b": one.second, "b_minus_a": one.change}


def _dump(content: dict[str, Any]) -> str:
    return json.dumps(_plain(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    """Return `value` as JSON allows it: dataclasses as objects, numbers that JSON doesn't have as null or text."""
    if dataclasses.is_dataclass(value):
        value = vars(value)
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value
