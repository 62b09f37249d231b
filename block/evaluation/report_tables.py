"""The report's tables."""

from __future__ import annotations

from collections.abc import Sequence

from block.evaluation import charts
from block.evaluation.bootstrap import Estimate
from block.evaluation.evaluation import Evaluation
from block.evaluation.formatting import count, interval, number, signed
from block.evaluation.markup import Markup, tag
from block.evaluation.metrics import Difference
from block.evaluation.rates import Rates

PRF = ("precision", "recall", "F1")


def _cell(estimate: Estimate, places: int = 3, class_: str | None = None) -> Markup:
    span = interval(estimate, places)
    return tag("td", number(estimate.value, places), tag("small", span) if span else None, class_=class_)


def _rates(rates: Rates) -> list[Markup]:
    return [_cell(rates.precision, 2, "first"), _cell(rates.recall, 2), _cell(rates.f1, 2)]


def _scroll(*parts: Markup) -> Markup:
    return tag("div", tag("table", *parts), class_="scroll")


def _grouped(before: Sequence[str], groups: Sequence[str]) -> Markup:
    """A head of two rows: plain columns, then groups of precision, recall and F1."""
    return tag(
        "thead",
        tag("tr", [tag("th", name, rowspan=2, scope="col", class_=None if at else "left")
                   for at, name in enumerate(before)],
            [tag("th", name, colspan=3, scope="colgroup", class_="group") for name in groups]),
        tag("tr", [[tag("th", name, scope="col", class_="first" if not at else None) for at, name in enumerate(PRF)]
                   for _ in groups]),
    )  # fmt: skip


def label_table(evaluation: Evaluation) -> Markup:
    """Every figure of every judged label, and of all together."""
    found, truth = evaluation.first.figures, evaluation.truth
    rows = []
    for place, at in enumerate(found.columns):
        precision = found.average_precision.labels[place]
        rows.append(
            tag("tr", tag("th", truth.targets[at].name, scope="row"), tag("td", str(found.positives[place])),
                _cell(precision), tag("td", charts.interval(precision)), _cell(found.roc_auc.labels[place]),
                _cell(found.d_prime[place], 2),
                tag("td", ", ".join(f"{value:.4g}" for value in sorted(set(evaluation.thresholds(at))))),
                _rates(found.detector.labels[place]), _rates(found.decided.labels[place]))
        )  # fmt: skip
    rows.append(
        tag("tr", tag("th", "mean over labels", scope="row"), tag("td", ""), _cell(found.average_precision.mean),
            tag("td", charts.interval(found.average_precision.mean)), _cell(found.roc_auc.mean),
            _cell(found.mean_d_prime, 2), tag("td", ""), _rates(found.detector.macro), _rates(found.decided.macro),
            class_="sum")
    )  # fmt: skip
    rows.append(
        tag("tr", tag("th", "all answers together", scope="row"), [tag("td", "") for _ in range(6)],
            _rates(found.detector.micro), _rates(found.decided.micro))
    )  # fmt: skip
    head = _grouped(
        ("label", f"clips of {found.clips}", "AP", "", "ROC AUC", "d′", "threshold"),
        ("as detector", "as labelled"),
    )
    return _scroll(head, tag("tbody", rows))


def segment_table(evaluation: Evaluation) -> list[Markup]:
    """Segment-based figures, for strong labels."""
    found, truth = evaluation.first.figures, evaluation.truth
    detector, decided = found.detector_segments, found.decided_segments
    if detector is None or decided is None:
        return []
    counts = evaluation.first.answers.labelled
    assert counts is not None

    def row(name: str, segments: str, one: Rates, other: Rates, class_: str | None = None) -> Markup:
        return tag("tr", tag("th", name, scope="row"), tag("td", segments), _rates(one), _rates(other), class_=class_)

    rows = [
        row(truth.targets[at].name, f"{counts.there[:, at].sum():.0f}", detector.labels[place], decided.labels[place])
        for place, at in enumerate(found.columns)
    ]
    rows.append(row("mean over labels", "", detector.macro, decided.macro, "sum"))
    rows.append(row("all answers together", "", detector.micro, decided.micro))
    note = (
        f"Time is cut into segments of {evaluation.about.segment_s:g} s; a label is active in a segment if any of its "
        "events overlaps it, however little (sed_eval's segment-based metrics, Mesaros et al. 2016). Intervals are "
        f"over {count(found.clips, 'recording')}."
    )
    return [
        tag("p", note, class_="note"),
        _scroll(_grouped(("label", "segments with it"), ("as detector", "as labelled")), tag("tbody", rows)),
    ]


def confusion_table(evaluation: Evaluation) -> list[Markup]:
    """Rows: what is annotated. Columns: the label given, that of the part with the highest score."""
    found, truth = evaluation.first.figures, evaluation.truth
    names = [truth.targets[at].name for at in found.columns]
    head = tag(
        "thead",
        tag("tr", tag("th", "annotated ↓  given →", class_="left"),
            [tag("th", tag("span", target.name), scope="col") for target in truth.targets],
            tag("th", tag("span", evaluation.first.settings.other_label), scope="col")),
    )  # fmt: skip
    rows = []
    for row, name in enumerate([*names, "none of them"]):
        values = found.confusion[row]
        total = max(1, int(values.sum()))
        own = found.columns[row] if row < len(names) else len(truth.targets)
        cells = []
        for column, value in enumerate(values.tolist()):
            share = value / total
            classes = [
                name for name, on in (("zero", not value), ("strong", share > 0.55), ("same", column == own)) if on
            ]
            cells.append(tag("td", str(value), class_=" ".join(classes) or None, style=f"--share: {share:.3f}"))
        rows.append(tag("tr", tag("th", name, scope="row"), cells))
    return [
        tag("p", "How many clips with each label got which one. Where parts of a clip got several, the one with the "
            "highest score counts; a clip with several annotated labels stands in the row of each.", class_="note"),
        tag("div", tag("table", head, tag("tbody", rows), class_="confusion"), class_="scroll"),
    ]  # fmt: skip


def compared_table(evaluation: Evaluation) -> list[Markup]:
    """Both ways and their difference, figure by figure."""
    if evaluation.second is None:
        return []
    truth, columns = evaluation.truth, evaluation.first.figures.columns
    kinds = evaluation.compared
    names = [*(truth.targets[at].name for at in columns), "mean over labels"]
    rows = [
        tag("tr", tag("th", name, scope="row"),
            [_difference(kind.labels[row] if row < len(columns) else kind.together) for kind in kinds],
            class_="sum" if row == len(columns) else None)
        for row, name in enumerate(names)
    ]  # fmt: skip
    head = tag(
        "thead",
        tag("tr", tag("th", "label", rowspan=2, scope="col", class_="left"),
            [tag("th", kind.name, colspan=3, scope="colgroup", class_="group") for kind in kinds]),
        tag("tr", [[tag("th", "A", scope="col", class_="first"), tag("th", "B", scope="col"),
                    tag("th", "B − A", scope="col")] for _ in kinds]),
    )  # fmt: skip
    return [
        tag("p", f"A: {evaluation.first.name}. B: {evaluation.second.name}. Both on the same "
            f"{count(evaluation.first.figures.clips, 'clip')}; the intervals of the differences are paired, over the "
            "same draws of the clips. A difference whose interval leaves out 0 is coloured. Everything above is A. "
            "F1 depends on the thresholds, which mean something else under other scores; AP and AUC do not.",
            class_="note"),
        _scroll(head, tag("tbody", rows)),
    ]  # fmt: skip


def _difference(one: Difference) -> list[Markup]:
    class_ = "better" if one.more.low > 0 else "worse" if one.more.high < 0 else None
    span = "…".join(signed(end) for end in (one.more.low, one.more.high)) if interval(one.more) else ""
    return [
        tag("td", number(one.first), class_="first"), tag("td", number(one.second)),
        tag("td", tag("span", signed(one.more.value), class_=class_), tag("small", span) if span else None),
    ]  # fmt: skip


def fitted_table(evaluation: Evaluation) -> list[Markup]:
    """Thresholds to take, and what to expect of them."""
    if not evaluation.fitted:
        return []
    rows = []
    for one in evaluation.fitted:
        expected = one.fit.expected
        left = tag("td", f"left as it is: {one.fit.reason}", colspan=6, class_="left first")
        rows.append(
            tag("tr", tag("th", one.name, scope="row"), tag("td", str(one.positives)),
                tag("td", "–" if one.fit.threshold is None else f"{one.fit.threshold:.6g}"),
                left if expected is None else [_rates(expected), _rates(one.labelled)], _rates(one.before))
        )  # fmt: skip
    lines = "\n".join(line for one in evaluation.fitted for line in one.lines)
    any_fitted = any(one.fit.threshold is not None for one in evaluation.fitted)
    return [
        tag("p", f"Chosen for {evaluation.goal}, as detector, by stratified five-fold cross-validation. What to expect "
            "comes from clips that a threshold was not chosen on; as labelled, each clip gets one label. Clips "
            "cut from one recording make it look better than it is."
            + (" For --audioset-labels:" if any_fitted else ""), class_="note"),
        tag("pre", lines) if any_fitted else Markup(""),
        _scroll(_grouped(("label", "clips with it", "threshold"),
                         ("to expect as detector", "to expect as labelled", "now as detector, on all clips")),
                tag("tbody", rows)),
    ]  # fmt: skip


def translated_table(evaluation: Evaluation) -> list[Markup]:
    """Thresholds for the other score function."""
    found = evaluation.translated
    if found is None:
        return []
    labels = evaluation.first.settings.labels
    rows = []
    for label, one in zip(labels, found.labels, strict=True):
        note = "" if one.determined else f"{'no' if not one.kept else 'every'} window reaches it: not determined"
        rows.append(
            tag("tr", tag("th", label.name, scope="row"), tag("td", f"{label.threshold:.6g}"),
                tag("td", f"{one.threshold:.6g}"), tag("td", str(one.kept)), tag("td", str(one.differ)),
                tag("td", note, class_="left"))
        )  # fmt: skip
    columns = ("label", evaluation.first.settings.score_function, found.into, "windows that reach it",
               "windows that differ", "")  # fmt: skip
    cells = [tag("th", name, scope="col", class_=None if at else "left") for at, name in enumerate(columns)]
    return [
        tag("p", f"The thresholds for --score-function {found.into} that agree with those in use on most of the "
            f"{count(found.windows, 'window')}; with all of them, {found.differ} get another label. For "
            "--audioset-labels:", class_="note"),
        tag("pre", "\n".join(found.lines)),
        _scroll(tag("thead", tag("tr", cells)), tag("tbody", rows)),
    ]  # fmt: skip
