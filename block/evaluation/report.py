"""The report: one HTML file with everything that was found out, to be read in a browser without a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from block.evaluation import charts
from block.evaluation.bootstrap import Estimate
from block.evaluation.evaluation import Evaluation
from block.evaluation.examples import Moment
from block.evaluation.excerpts import Excerpt
from block.evaluation.formatting import completeness, count, interval, number
from block.evaluation.markup import Markup, tag
from block.evaluation.page import page
from block.evaluation.report_tables import (
    compared_table,
    confusion_table,
    fitted_table,
    label_table,
    segment_table,
    translated_table,
)

LISTED = 500
AXIS_LEFT, AXIS_BOTTOM, PICTURE_WIDTH, PICTURE_HEIGHT = 34, 20, 360, 120


@dataclass(frozen=True)
class Heard:
    """A moment and what is shown of it; no excerpt where the recording could not be read again."""

    moment: Moment
    excerpt: Excerpt | None


def report(evaluation: Evaluation, mistakes: Sequence[Heard], uncertain: Sequence[Heard]) -> str:
    """The whole page."""
    about, truth = evaluation.about, evaluation.truth
    return page(
        about.title,
        [tag("dl", [[tag("dt", name), tag("dd", text)] for name, text in about.facts], class_="facts"),
         tag("p", completeness(evaluation), class_="note")],
        [
            ("summary", "Summary", _summary(evaluation)),
            ("labels", "Label by label", [label_table(evaluation)]),
            ("segments", "In segments", segment_table(evaluation)),
            ("comparison", "Side by side", compared_table(evaluation)),
            ("thresholds", "Thresholds chosen on these clips", fitted_table(evaluation)),
            ("translation", "Thresholds for the other score function", translated_table(evaluation)),
            ("curves", "Curves and scores", _curves(evaluation)),
            ("confusion", "Confusion", confusion_table(evaluation)),
            ("mistakes", "Most confident mistakes", _moments(
                mistakes, truth.files,
                "Labels given where they are not noted, the highest score first; after these, clips in which a noted "
                "label was missed. One a clip. Some of them may be gaps in the annotations.")),
            ("uncertain", "Least certain segments", _moments(
                uncertain, truth.files,
                "Where the smallest change of the scores would give another label, one a clip. The first to listen to "
                "when labels are checked by hand.")),
            ("files", "Files", _files(evaluation)),
        ],
    )  # fmt: skip


def _summary(evaluation: Evaluation) -> list[Markup]:
    found = evaluation.first.figures
    cards = [
        _card("mAP, mean average precision", found.average_precision.mean),
        _card("mean ROC AUC", found.roc_auc.mean),
        _card("d′ of the mean AUC", found.mean_d_prime, 2),
        _card("mean F1 as detector", found.detector.macro.f1),
        _card("mean F1 as labelled", found.decided.macro.f1),
    ]
    if found.decided_segments is not None:
        cards.append(_card("mean segment F1 as labelled", found.decided_segments.macro.f1))
    draws = evaluation.resamples
    judged = count(len(found.columns), "label")
    return [
        tag("div", cards, class_="cards"),
        tag("p", f"Means are over {judged}; {count(found.clips, 'clip')} stand behind them. Ranges in small print are "
            f"95 % bootstrap intervals: {draws.count} draws of the clips with replacement, seed {draws.seed}. "
            "As detector, each label is held to its own threshold alone; as labelled, one label is given to each part "
            "of a recording, and a label counts for a clip if a part of it got it.", class_="note"),
    ]  # fmt: skip


def _card(name: str, estimate: Estimate, places: int = 3) -> Markup:
    span = interval(estimate, places)
    return tag("div", tag("span", name), tag("b", number(estimate.value, places)),
               tag("span", span or "no interval"), class_="card")  # fmt: skip


def _curves(evaluation: Evaluation) -> list[Markup]:
    way, truth = evaluation.first, evaluation.truth
    figures = []
    for place, at in enumerate(way.figures.columns):
        present, scores = truth.present[:, at], way.answers.scores[:, at]
        if not present.any():
            continue
        rates = way.figures.detector.labels[place]
        figures.append(
            tag("figure", tag("h3", truth.targets[at].name),
                tag("div", charts.precision_recall(present, scores, (rates.recall.value, rates.precision.value)),
                    charts.histogram(present, scores, evaluation.thresholds(at)), class_="pair"),
                tag("figcaption", f"AP {number(way.figures.average_precision.labels[place].value)} · "
                    f"{count(int(present.sum()), 'clip')} with it, {int((~present).sum())} without", class_="note"),
                class_="panel", style="margin: 0")
        )  # fmt: skip
    if not figures:
        return []
    return [
        tag("p", "Left: precision against recall over all thresholds; the dot is the threshold in use, the dotted line "
            "what guessing gives. Right: how scores are spread, in shares of the clips with the label (up) and without "
            "it (down), and the threshold. The axis is that of log-odds.", class_="note"),
        tag("div", figures, class_="grid"),
    ]  # fmt: skip


def _moments(moments: Sequence[Heard], files: Sequence[str], note: str) -> list[Markup]:
    if not moments:
        return []
    return [tag("p", note, class_="note"), tag("div", [_moment(one, files) for one in moments], class_="moments")]


def _moment(heard: Heard, files: Sequence[str]) -> Markup:
    moment, excerpt = heard.moment, heard.excerpt
    noted = ", ".join(moment.annotated) or "none of the labels"
    if excerpt is None:
        shown = [tag("p", "The recording could not be read again.", class_="note")]
    else:
        shown = [
            _spectrogram(excerpt, (moment.start_s, moment.end_s)),
            tag("audio", controls=True, preload="metadata", src=excerpt.sound),
        ]
    return tag(
        "article",
        tag("h3", f"{moment.label} · {moment.score:.3f}"),
        tag("p", f"annotated: {noted}"),
        tag("p", f"{files[moment.clip]} · {moment.start_s:.1f}–{moment.end_s:.1f} s · "
            f"{moment.margin:.3f} from another label", class_="file"),
        shown,
        class_="panel moment",
    )  # fmt: skip


def _spectrogram(excerpt: Excerpt, bounds: Sequence[float]) -> Markup:
    """The picture with its axes: seconds of the recording below, kHz on the mel scale to the left.

    `bounds` are where the part that was judged begins and ends, in seconds; a line marks those that are in sight.
    """

    def mel(hz: float) -> float:
        return float(np.log1p(hz / 700))

    low, high = mel(excerpt.low_hz), mel(excerpt.high_hz)
    parts = [
        tag("image", href=excerpt.image, x=AXIS_LEFT, y=2, width=PICTURE_WIDTH, height=PICTURE_HEIGHT,
            preserveAspectRatio="none")
    ]  # fmt: skip
    for khz in (0.5, 1, 2, 4, 8, 16):
        if khz * 1000 < excerpt.high_hz * 0.99:
            y = 2 + PICTURE_HEIGHT * (1 - (mel(khz * 1000) - low) / (high - low))
            parts.append(tag("text", f"{khz:g}", x=AXIS_LEFT - 5, y=y + 4, text_anchor="end"))
    parts.append(tag("text", "kHz", x=AXIS_LEFT - 5, y=11, text_anchor="end"))
    step = next(step for step in (0.1, 0.2, 0.5, 1, 2, 5, 10) if excerpt.seconds / step <= 7)
    first = int(np.ceil(excerpt.start_s / step - 1e-9))
    for tick in range(first, int((excerpt.start_s + excerpt.seconds) / step + 1e-9) + 1):
        x = AXIS_LEFT + (tick * step - excerpt.start_s) / excerpt.seconds * PICTURE_WIDTH
        at_end = x > AXIS_LEFT + PICTURE_WIDTH - 14
        parts.append(tag("text", f"{tick * step:.{0 if step >= 1 else 1}f} s", x=x, y=PICTURE_HEIGHT + 15,
                         text_anchor="end" if at_end else "middle"))  # fmt: skip
    for bound in bounds:
        x = AXIS_LEFT + (bound - excerpt.start_s) / excerpt.seconds * PICTURE_WIDTH
        if AXIS_LEFT + 2 < x < AXIS_LEFT + PICTURE_WIDTH - 2:
            parts.append(tag("line", x1=x, x2=x, y1=2, y2=2 + PICTURE_HEIGHT, class_="bound"))
    parts.append(tag("line", x1=AXIS_LEFT, x2=AXIS_LEFT, y1=2, y2=2 + PICTURE_HEIGHT, class_="head"))
    return tag(
        "svg", parts, viewBox=f"0 0 {AXIS_LEFT + PICTURE_WIDTH + 4} {PICTURE_HEIGHT + AXIS_BOTTOM}", role="img",
        aria_label="spectrogram", data_left=AXIS_LEFT, data_width=PICTURE_WIDTH, data_seconds=f"{excerpt.seconds:.4f}",
    )  # fmt: skip


def _files(evaluation: Evaluation) -> list[Markup]:
    about = evaluation.about
    lists = [
        ("annotated, and not in the folder", about.missing),
        ("in the folder, and not annotated", about.not_annotated),
        ("could not be read", tuple(f"{file}: {reason}" for file, reason in about.failed)),
        ("names annotated that no label of interest stands for", evaluation.truth.not_asked),
    ]
    shown = []
    for name, items in lists:
        if items:
            more = [tag("li", f"and {len(items) - LISTED} more")] if len(items) > LISTED else []
            shown.append(tag("details", tag("summary", f"{len(items)} {name}"),
                             tag("ul", [tag("li", item) for item in items[:LISTED]], more)))  # fmt: skip
    return shown or [tag("p", "Every annotated file is there, and every file is annotated.", class_="note")]
