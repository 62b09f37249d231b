"""The figures on a terminal: plain tables, every figure with its interval."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from block.evaluation.evaluation import Evaluation
from block.evaluation.formatting import (
    completeness,
    count,
    number,
    signed,
    signed_interval,
    threshold_list,
    with_interval,
)
from block.evaluation.metrics import Difference
from block.evaluation.rates import Rates, RateTable
from block.recording import make_printable

LISTED = 10


def text(evaluation: Evaluation) -> str:
    """Everything that the report says in figures."""
    parts = [completeness(evaluation), _ranking(evaluation)]
    found = evaluation.first.figures
    parts.append(_rates(evaluation, "as detector, each label's own threshold alone", found.detector))
    parts.append(_rates(evaluation, "as labelled, one label at a time", found.decided))
    if found.detector_segments and found.decided_segments:
        length = f"segments of {evaluation.about.segment_s:g} s"
        parts.append(_rates(evaluation, f"{length}, as detector", found.detector_segments))
        parts.append(_rates(evaluation, f"{length}, as labelled", found.decided_segments))
    parts += [*_compared(evaluation), *_fitted(evaluation), *_translated(evaluation)]
    return "\n\n".join(parts)


def files(evaluation: Evaluation) -> list[str]:
    """What does not fit between annotations and folder, a line each; long lists cut, the report has more."""
    about = evaluation.about
    lines = []
    for name, items in (
        ("annotated, and not in the folder", about.missing),
        ("in the folder, and not annotated: left out", about.not_annotated),
        ("could not be read", tuple(file for file, _ in about.failed)),
        ("named in the annotations, and no label of interest", evaluation.truth.not_asked),
    ):
        if items:
            more = f" and {len(items) - LISTED} more, all in evaluation.json" if len(items) > LISTED else ""
            shown = ", ".join(make_printable(item) for item in items[:LISTED])
            lines.append(f"{len(items)} {name}: {shown}{more}")
    return lines


def _names(evaluation: Evaluation) -> list[str]:
    return [make_printable(evaluation.truth.targets[at].name) for at in evaluation.first.figures.columns]


def _ranking(evaluation: Evaluation) -> str:
    found = evaluation.first.figures
    rows = [
        [name, str(positives), with_interval(precision), with_interval(area), with_interval(d_prime, 2)]
        for name, positives, precision, area, d_prime in zip(
            _names(evaluation), found.positives, found.average_precision.labels, found.roc_auc.labels, found.d_prime,
            strict=True,
        )
    ]  # fmt: skip
    mean = ["mean", "", with_interval(found.average_precision.mean), with_interval(found.roc_auc.mean),
            with_interval(found.mean_d_prime, 2)]  # fmt: skip
    return table(("label", f"of {found.clips}", "AP", "ROC AUC", "d′"), [*rows, mean])


def _rates(evaluation: Evaluation, title: str, rates: RateTable) -> str:
    rows = []
    for place, name in enumerate(_names(evaluation)):
        thresholds = threshold_list(evaluation.thresholds(evaluation.first.figures.columns[place]))
        rows.append([name, thresholds, *_three(rates.labels[place])])
    rows += [["mean", "", *_three(rates.macro)], ["all together", "", *_three(rates.micro)]]
    return f"{title}\n{table(('label', 'threshold', 'precision', 'recall', 'F1'), rows)}"


def _three(rates: Rates) -> list[str]:
    return [with_interval(one, 2) for one in (rates.precision, rates.recall, rates.f1)]


def _compared(evaluation: Evaluation) -> list[str]:
    if evaluation.second is None:
        return []
    parts = [f"A: {evaluation.first.name} (all of the above)\nB: {evaluation.second.name}"]
    if evaluation.agreement:
        parts.append("\n".join(evaluation.agreement.lines()))
    names = [*_names(evaluation), "mean"]
    for kind in evaluation.compared:
        rows = [[name, *_difference(one)] for name, one in zip(names, (*kind.labels, kind.together), strict=True)]
        parts.append(table((kind.name, "A", "B", "B − A"), rows))
    return parts


def _difference(one: Difference) -> list[str]:
    span = signed_interval(one.more)
    return [number(one.first), number(one.second), signed(one.more.value) + (f" [{span}]" if span else "")]


def _fitted(evaluation: Evaluation) -> list[str]:
    if not evaluation.fitted:
        return []
    detector, labelled, left = [], [], []
    for one in evaluation.fitted:
        if one.fit.expected is None or one.fit.threshold is None:
            left.append(f"{make_printable(one.name)}: left as it is: {one.fit.reason}")
            continue
        start = [make_printable(one.name), str(one.positives), f"{one.fit.threshold:.6g}"]
        detector.append([*start, *_three(one.fit.expected)])
        labelled.append([*start, *_three(one.labelled)])
    parts = []
    if detector:
        head = ("label", "clips", "threshold", "precision", "recall", "F1")
        title = f"thresholds for {evaluation.goal}, and what to expect on other clips as detector"
        parts.append(f"{title}\n{table(head, detector)}")
        parts.append(f"the same where each clip gets one label\n{table(head, labelled)}")
    if left:
        parts.append("\n".join(left))
    if detector:
        parts.append(_lines(line for one in evaluation.fitted for line in one.lines))
    return parts


def _translated(evaluation: Evaluation) -> list[str]:
    found = evaluation.translated
    if found is None:
        return []
    labels = evaluation.first.settings.labels
    rows = [
        [make_printable(label.name), f"{label.threshold:.6g}", f"{one.threshold:.6g}", str(one.kept), str(one.differ),
         one.note]
        for label, one in zip(labels, found.labels, strict=True)
    ]  # fmt: skip
    head = ("label", evaluation.first.settings.score_function, found.into, "windows that reach it", "that differ", "")
    return [
        f"thresholds for --score-function {found.into}; with all of them {found.differ} of "
        f"{count(found.windows, 'window')} get another label\n{table(head, rows)}",
        _lines(found.lines),
    ]


def _lines(lines: Iterable[str]) -> str:
    return "for --audioset-labels:\n\n" + "\n".join(lines)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as what stands in them, the first to the left, the others to the right."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
