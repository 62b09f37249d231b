"""The report: one HTML file with everything that was found out, to be read in a browser without a network."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from block.evaluation import charts, formatting
from block.evaluation.agreement import Agreement
from block.evaluation.evaluation import Evaluation, ReportFacts
from block.evaluation.examples import Moment
from block.evaluation.excerpts import Excerpt

if TYPE_CHECKING:
    import jinja2


@dataclass(frozen=True)
class ReportExample:
    """A moment and what is shown of it; no excerpt where the recording could not be read again."""

    moment: Moment
    excerpt: Excerpt | None


@dataclass(frozen=True)
class CurvePair:
    """Both drawings of one label, with its average precision and how many clips have it and do not."""

    name: str
    curve: charts.Curve
    histogram: charts.Histogram
    average_precision: float
    positives: int
    negatives: int


def report(evaluation: Evaluation, mistakes: Sequence[ReportExample], uncertain: Sequence[ReportExample]) -> str:
    """Return the whole page."""
    return environment().get_template("report.html").render(
        about=evaluation.about, evaluation=evaluation, curve_pairs=_curve_pairs(evaluation),
        most_confident_mistakes=mistakes, least_certain=uncertain,
    )  # fmt: skip


def agreement_report(about: ReportFacts, name_a: str, name_b: str, agreement: Agreement) -> str:
    """Return the page where there are no annotations to compare with."""
    page = environment().get_template("agreement.html")
    return page.render(about=about, name_a=name_a, name_b=name_b, agreement=agreement)


def _curve_pairs(evaluation: Evaluation) -> list[CurvePair]:
    first, truth = evaluation.first, evaluation.truth
    pairs = []
    for place, at in enumerate(first.figures.columns):
        present, scores = truth.present[:, at], first.answers.scores[:, at]
        if present.any():
            rates = first.figures.detector.labels[place]
            pairs.append(CurvePair(
                truth.targets[at].name,
                charts.precision_recall(present, scores, (rates.recall.value, rates.precision.value)),
                charts.histogram(present, scores, evaluation.thresholds(at)),
                first.figures.average_precision.labels[place].value, int(present.sum()), int((~present).sum()),
            ))  # fmt: skip
    return pairs


@functools.cache
def environment() -> jinja2.Environment:
    """Return the templates with the filters that they use; text in them never becomes markup."""
    import jinja2

    found = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, auto_reload=False,
    )  # fmt: skip
    found.filters |= {
        "axes": charts.spectrogram_axes,
        "completeness": formatting.completeness,
        "coordinate": lambda value: f"{value:.2f}".rstrip("0").rstrip("."),
        "count_of": formatting.count,
        "interval": formatting.interval,
        "number": formatting.number,
        "signed": formatting.signed,
        "signed_interval": formatting.signed_interval,
        "threshold_list": formatting.threshold_list,
    }
    return found


def _template(name: str) -> str:
    return resources.files(__package__).joinpath("templates", name).read_text(encoding="utf-8")
