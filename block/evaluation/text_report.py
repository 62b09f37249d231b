"""Format the metrics for a terminal: plain tables, every metric with its interval."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from block.evaluation.bootstrap import Estimate
from block.evaluation.evaluation import Evaluation
from block.evaluation.formatting import (
    MOST_LISTED,
    describe_collars,
    describe_completeness,
    format_change,
    format_change_interval,
    format_interval,
    format_number,
    format_thresholds,
    list_names,
)
from block.evaluation.metrics import Difference
from block.evaluation.outside import describe_outside
from block.evaluation.rates import Rates, RateTable
from block.formatting import count, make_printable

RATES = ("precision", "recall", "F1")


def format_metrics(evaluation: Evaluation) -> str:
    """Return all metrics of the report."""
    metrics = evaluation.first.metrics
    parts = [describe_completeness(evaluation), _format_ranking(evaluation)]
    length = "" if evaluation.facts.segment_s is None else f"{evaluation.facts.segment_s:g} s segments"
    for title, rates in (
        ("as detector: every label that reaches its own threshold counts", metrics.as_detector),
        ("as labeled: one label at a time", metrics.as_labeled),
        (f"{length}, as detector", metrics.segments_as_detector),
        (f"{length}, as labeled", metrics.segments_as_labeled),
    ):
        if rates is not None:
            parts.append(_format_rates(evaluation, title, rates))
    parts += _format_events(evaluation)
    parts += [*_format_comparisons(evaluation), *_format_fitted(evaluation), *_format_translated(evaluation)]
    return "\n\n".join(parts)


def list_files(evaluation: Evaluation) -> list[str]:
    """Return one line for each kind of mismatch between annotations and recordings, long lists shortened."""
    facts = evaluation.facts
    lines = [describe_outside(facts.outside)] if facts.outside else []
    for noun, what, items in (
        ("file", "annotated but not in the folder", facts.missing),
        ("file", "in the folder but not annotated (ignored)", facts.not_annotated),
        ("file", "could not be read", tuple(file for file, _ in facts.failed)),
        ("label", "annotated but not of interest (ignored)", evaluation.ground_truth.unused_names),
    ):
        if items:
            more = ", see report.html" if len(items) > MOST_LISTED else ""
            lines.append(f"{count(len(items), noun)} {what}: {list_names(items)}{more}")
    return lines


def _format_ranking(evaluation: Evaluation) -> str:
    metrics = evaluation.first.metrics
    ranking = (metrics.average_precision, metrics.roc_auc, metrics.d_prime)
    names, positives = [*map(make_printable, evaluation.label_names), "mean"], [*map(str, metrics.positives), ""]
    columns = [
        [_format_estimate(one, places) for one in (*metric.labels, metric.mean)]
        for metric, places in zip(ranking, (3, 3, 2), strict=True)
    ]
    rows = list(zip(names, positives, *columns, strict=True))
    return format_table(("label", f"of {count(metrics.clips, 'clip')}", "AP", "ROC AUC", "d′"), rows)


def _format_rates(evaluation: Evaluation, title: str, rates: RateTable) -> str:
    rows = []
    for place, name in enumerate(evaluation.label_names):
        thresholds = format_thresholds(evaluation.thresholds(evaluation.first.metrics.columns[place]))
        rows.append([make_printable(name), thresholds, *_list_rates(rates.labels[place])])
    rows += [["mean", "", *_list_rates(rates.macro)], ["pooled", "", *_list_rates(rates.micro)]]
    return f"{title}\n{format_table(('label', 'threshold', *RATES), rows)}"


def _format_events(evaluation: Evaluation) -> list[str]:
    events = evaluation.first.metrics.events
    if events is None:
        return []
    title = f"events, as labeled: {describe_collars(evaluation.facts.collars)}"
    metrics = (
        events.onset.median, events.onset.high, events.offset.median, events.offset.high, events.time_right,
    )  # fmt: skip
    rows = [
        [
            make_printable(name),
            str(events.events[at]),
            str(events.pairs[at]),
            *_list_seconds(one.labels[at] for one in metrics),
        ]
        for at, name in enumerate(evaluation.label_names)
    ]
    rows.append(["mean", "", "", *_list_seconds(one.mean for one in metrics)])
    rows.append(
        ["pooled", str(sum(events.events)), str(sum(events.pairs)), *_list_seconds(one.pooled for one in metrics)]
    )
    head = ("label", "events", "paired", "onset error", "90 %", "offset error", "90 %", "time right")
    return [
        _format_rates(evaluation, title, events.rates),
        f"times: median and 90th percentile of errors, in s, and share of time right\n{format_table(head, rows)}",
    ]


def _list_seconds(estimates: Iterable[Estimate]) -> list[str]:
    return [_format_estimate(one, 2) for one in estimates]


def _list_rates(rates: Rates) -> list[str]:
    return [_format_estimate(one, 2) for one in (rates.precision, rates.recall, rates.f1)]


def _format_estimate(estimate: Estimate, places: int) -> str:
    interval = format_interval(estimate, places)
    return format_number(estimate.value, places) + (f" [{interval}]" if interval else "")


def _format_comparisons(evaluation: Evaluation) -> list[str]:
    if evaluation.second is None:
        return []
    parts = [f"A: {evaluation.first.name} (everything above)\nB: {evaluation.second.name}"]
    if evaluation.agreement:
        parts.append("\n".join(evaluation.agreement.lines()))
    names = [*map(make_printable, evaluation.label_names), "mean"]
    for one in evaluation.comparisons:
        rows = [[name, *_list_difference(each)] for name, each in zip(names, (*one.labels, one.mean), strict=True)]
        if one.pooled is not None:
            rows.append(["pooled", *_list_difference(one.pooled)])
        parts.append(format_table((one.name, "A", "B", "B − A"), rows))
    return parts


def _list_difference(one: Difference) -> list[str]:
    interval = format_change_interval(one.change)
    change = format_change(one.change.value) + (f" [{interval}]" if interval else "")
    return [format_number(one.first), format_number(one.second), change]


def _format_fitted(evaluation: Evaluation) -> list[str]:
    detector, labeled, left = [], [], []
    for one in evaluation.fitted:
        if one.fit.expected is None or one.fit.threshold is None:
            left.append(f"{make_printable(one.name)}: threshold unchanged: {one.fit.reason}")
            continue
        start = [make_printable(one.name), str(one.positives), f"{one.fit.threshold:.6g}"]
        detector.append([*start, *_list_rates(one.fit.expected)])
        labeled.append([*start, *_list_rates(one.labeled)])
    parts = []
    if detector:
        head = ("label", "clips", "threshold", *RATES)
        unit, of_time = ("clip", "") if evaluation.facts.segment_s is None else ("moment", " of time")
        title = f"suggested thresholds for {evaluation.goal}{of_time}; what to expect on other clips, as detector"
        parts.append(f"{title}\n{format_table(head, detector)}")
        parts.append(f"the same, as labeled: each {unit} gets one label\n{format_table(head, labeled)}")
    if left:
        parts.append("\n".join(left))
    if detector:
        parts.append(_format_lines(line for one in evaluation.fitted for line in one.lines))
    return parts


def _format_translated(evaluation: Evaluation) -> list[str]:
    found, settings = evaluation.translated, evaluation.first.settings
    if found is None:
        return []
    rows = []
    for label, one in zip(settings.labels, found.labels, strict=True):
        thresholds = [f"{label.threshold:.6g}", f"{one.threshold:.6g}"]
        rows.append([make_printable(label.name), *thresholds, str(one.reached), str(one.differ), one.note])
    head = ("label", settings.score_function, found.score_function, "windows that reach it", "that differ", "")
    return [
        f"thresholds for --score-function {found.score_function}; with all of them, {found.differ:,} of "
        f"{count(found.windows, 'window')} get a different label\n{format_table(head, rows)}",
        _format_lines(found.lines),
    ]


def _format_lines(lines: Iterable[str]) -> str:
    return "lines for --audioset-labels:\n\n" + "\n".join(lines)


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table with columns as wide as their widest cell, the first aligned left, the others right."""
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in lines
    )
