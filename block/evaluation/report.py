"""Render the report: one HTML file with all results, which a browser shows without a network."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from block.evaluation import charts, formatting
from block.evaluation.agreement import Agreement
from block.evaluation.evaluation import Evaluation, ReportFacts
from block.evaluation.examples import Moment
from block.evaluation.timelines import Timelines
from block.formatting import count
from block.palette import GRAY, assign_colors, format_css

if TYPE_CHECKING:
    import jinja2


@dataclass(frozen=True)
class CurvePair:
    """The two charts of a label; `place` is its position among the labels of the metrics."""

    place: int
    curve: charts.Curve
    histogram: charts.Histogram


def render_report(
    evaluation: Evaluation,
    mistakes: Sequence[Moment],
    uncertain: Sequence[Moment],
    project_colors: Mapping[str, int] = MappingProxyType({}),
    timelines: Sequence[Timelines] = (),
) -> str:
    """Return the report as HTML. Labels have the colors that the local Studio's project has given them, if any."""
    names = [target.name for target in evaluation.ground_truth.targets]
    page = load_environment().get_template("report.html")
    return page.render(
        facts=evaluation.facts,
        evaluation=evaluation,
        curve_pairs=_draw_curves(evaluation),
        most_confident_mistakes=mistakes,
        least_certain=uncertain,
        worst_timelines=timelines,
        colors=assign_colors(names, evaluation.first.settings.other_label, project_colors),
    )


def render_agreement(facts: ReportFacts, name_a: str, name_b: str, agreement: Agreement) -> str:
    """Return the report of a comparison without annotations as HTML."""
    page = load_environment().get_template("agreement.html")
    return page.render(facts=facts, name_a=name_a, name_b=name_b, agreement=agreement)


def _draw_curves(evaluation: Evaluation) -> list[CurvePair]:
    metrics = evaluation.first.metrics
    pairs = []
    for place, at in enumerate(metrics.columns):
        present, scores = evaluation.ground_truth.present[:, at], evaluation.first.detections.scores[:, at]
        if present.any():
            rates = metrics.as_detector.labels[place]
            curve = charts.draw_curve(present, scores, (rates.recall.value, rates.precision.value))
            histogram = charts.draw_histogram(present, scores, evaluation.thresholds(at))
            pairs.append(CurvePair(place, curve, histogram))
    return pairs


@functools.cache
def load_environment() -> jinja2.Environment:
    """Return the Jinja environment of the templates. It escapes all values, so that text never becomes markup."""
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("block.evaluation"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )

    @jinja2.pass_context
    def draw_swatch(context: jinja2.runtime.Context, label: str) -> Markup:
        return Markup('<span class="swatch c{}"></span>{}').format(context["colors"].get(label, GRAY), label)

    environment.filters |= {
        "axes": charts.draw_axes,
        "collars": formatting.describe_collars,
        "completeness": formatting.describe_completeness,
        "coordinate": lambda value: f"{value:.2f}".rstrip("0").rstrip("."),
        "count_of": count,
        "swatch": draw_swatch,
        "interval": formatting.format_interval,
        "number": formatting.format_number,
        "signed": formatting.format_change,
        "signed_interval": formatting.format_change_interval,
        "threshold_list": formatting.format_thresholds,
    }
    environment.globals["label_css"] = format_css()
    return environment
