"""The report is complete and well formed and loads nothing, whatever the names in it."""

from __future__ import annotations

import base64
import html
import io
import json
import math
import re
import struct
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
import soundfile

from block.evaluation.as_json import as_json
from block.evaluation.bootstrap import Resamples
from block.evaluation.charts import draw_curve, draw_histogram
from block.evaluation.evaluation import (
    Evaluation,
    ReportFacts,
    evaluate_labels,
    fit_thresholds,
    translate_thresholds,
)
from block.evaluation.examples import find_least_certain, find_mistakes
from block.evaluation.excerpts import cut_excerpt, find_loudest
from block.evaluation.formatting import format_change, format_interval, format_number
from block.evaluation.report import load_environment, render_report
from block.evaluation.text_report import format_metrics, list_files
from block.evaluation.thresholds import Goal
from block.evaluation.timelines import find_timelines
from block.spectrogram import compute_mel_levels, encode_png
from tests.conftest import NAMES
from tests.evaluation.synthetic import make_clip, make_clips, make_settings, make_truth

pytest.importorskip("sklearn")

VOID = ("meta",)  # elements without an end tag
HOSTILE = '<script src="//x.example/y.js">alert(1)</script> & "\'<b>'
RNG = np.random.default_rng(1)


class Reader(HTMLParser):
    """Record every tag, and check that each one is closed by its own end tag."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.seen: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def evaluation() -> Evaluation:
    decisions = make_settings(f"Speech, Music (0.4), Dog (my {HOSTILE}), Silence")
    clips, rows = make_clips(90, make_settings())
    rows = [(f"{HOSTILE}/{file}", label) for file, label in rows]
    truth, resamples = make_truth(rows, decisions), Resamples(90, 100)
    first = evaluate_labels(f"A {HOSTILE}", clips, decisions, truth, resamples, 1.0)
    facts = ReportFacts(
        f"Labels {HOSTILE}", (("model", HOSTILE),), False, 1.0, (HOSTILE,), (HOSTILE,), ((HOSTILE, HOSTILE),)
    )
    goal = Goal("f1")
    return Evaluation(
        facts, truth, resamples, first, first, None, goal,
        fit_thresholds(first, truth, goal, resamples), translate_thresholds(first),
    )  # fmt: skip


@pytest.fixture(scope="module")
def found() -> Evaluation:
    return evaluation()


@pytest.fixture(scope="module")
def page(found: Evaluation) -> str:
    sound = RNG.normal(0, 0.1, 48000).astype(np.float32)
    examples = [
        [
            replace(moment, excerpt=cut_excerpt(sound, 16000, 0.5, 1.5) if at else None)
            for at, moment in enumerate(moments)
        ]
        for moments in (
            find_mistakes(found.first, found.ground_truth),
            find_least_certain(found.first, found.ground_truth),
        )
    ]
    return render_report(found, *examples, timelines=find_timelines([found.first], found.ground_truth))


def test_the_page_is_well_formed_and_loads_nothing_from_anywhere(page: str) -> None:
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    for tag_name, name, value in reader.attributes:
        if name in ("src", "href", "xlink:href", "action", "data", "srcset", "poster"):
            assert value.startswith(("data:image/png;base64,", "data:audio/flac;base64,", "#")), (
                tag_name,
                name,
                value[:80],
            )
        assert not name.startswith("on"), "scripts in attributes"
        if name == "style":
            assert "url" not in value
    outside = re.findall(r"url\(|@import|https?:|fetch\(|XMLHttp|import\(", re.sub(r"base64,[^\"]*", "", page))
    assert outside == []
    policy = next(value for _, name, value in reader.attributes if name == "content" and "default-src" in value)
    assert policy.startswith("default-src 'none';")
    assert reader.seen.count("script") == 1, "scripts besides the report's own"
    assert reader.seen.count("audio") == 18


def test_names_are_escaped_and_never_become_markup(page: str) -> None:
    assert HOSTILE not in page
    reader = Reader()
    reader.feed(page)
    assert "".join(reader.text).count(HOSTILE) > 20


def test_the_page_has_all_sections_and_a_link_to_each(page: str) -> None:
    anchors = set(re.findall(r'<section id="(\w+)"', page))
    assert set(re.findall(r'href="#(\w+)"', page)) == anchors
    assert anchors == {
        "summary", "labels", "segments", "events", "timelines", "comparison", "thresholds", "translation", "curves",
        "confusion", "mistakes", "uncertain", "files",
    }  # fmt: skip


def test_the_times_of_the_worst_recordings_are_drawn_and_written() -> None:
    decisions = make_settings(f"Speech, Dog (my {HOSTILE})")
    truth = make_truth([(HOSTILE, 0.0, 1.0, "Dog"), (HOSTILE, 0.5, 2.0, "Speech")], decisions)
    found = evaluate_labels("", [make_clip(np.full((1, len(NAMES)), -6.0))], decisions, truth, Resamples(1, 100), 1.0)
    facts = ReportFacts("Labels", (), segment_s=1.0)
    lines = find_timelines([found], truth)
    page = render_report(Evaluation(facts, truth, Resamples(1, 100), found), [], [], timelines=lines)
    reader = Reader()
    reader.feed(page)
    drawn = [value for tag, name, value in reader.attributes if name == "style" and "--lane:" in value]
    assert drawn == ["left: 0%; width: 50%; --lane: 0", "left: 25%; width: 75%; --lane: 1"]
    text = "".join(reader.text)
    assert f"my {HOSTILE}, 0.00–1.00 s, no match" in text
    assert "Speech, 0.50–2.00 s, no match" in text
    assert HOSTILE not in page


def test_the_terminal_output_says_what_was_judged_and_what_was_ignored(found: Evaluation) -> None:
    text = format_metrics(found)
    assert "Labels that never occur in the annotations are not judged: Silence" in text
    for name in (
        "as detector",
        "as labeled",
        "B − A",
        "lines for --audioset-labels:",
        "thresholds for --score-function",
    ):
        assert name in text
    assert [line.partition(":")[0] for line in list_files(found)] == [
        "1 file annotated but not in the folder", "1 file in the folder but not annotated (ignored)",
        "1 file could not be read",
    ]  # fmt: skip


def test_the_json_has_the_same_metrics_and_is_valid(found: Evaluation) -> None:
    content = json.loads(as_json(found), parse_constant=lambda name: pytest.fail(name))
    speech = content["figures"]["labels"]["Speech"]
    assert speech["average_precision"]["value"] == found.first.metrics.average_precision.labels[0].value
    assert content["labels_not_judged"] == ["Silence"]
    assert content["compared"]["differences"]["AP"]["mean"]["b_minus_a"]["value"] == 0
    assert sum(map(sum, content["figures"]["confusion"]["clips"])) == 90


def svg(macro: str, chart: object) -> str:
    """Return the SVG of a chart."""
    return str(getattr(load_environment().get_template("charts.html").module, macro)(chart))


def test_the_curve_of_a_separable_label_is_flat_at_1_for_any_number_of_clips() -> None:
    for clips in (20, 2000):
        truth = np.arange(clips) < clips // 2
        drawn = draw_curve(truth, np.where(truth, 0.6, 0.2) + RNG.uniform(0, 0.1, clips), (1.0, 1.0))
        points = [pair.split(",") for pair in re.search(r'points="([^"]+)"', svg("precision_recall", drawn))[1].split()]
        assert len(points) <= 800
        assert {y for x, y in points if x != "290.0"} == {"18.0"}, "the upper end of the axis"
        assert (points[0][0], points[-1][0]) == ("290.0", "40.0")


def test_the_current_threshold_lies_on_the_curve() -> None:
    truth = np.arange(300) % 3 == 0
    scores = np.clip(RNG.normal(0.3 + 0.2 * truth, 0.2), 0, 1)
    for threshold in (0.05, 0.3, 0.6):
        kept = scores >= threshold
        point = (float((kept & truth).sum() / truth.sum()), float((kept & truth).sum() / kept.sum()))
        drawn = svg("precision_recall", draw_curve(truth, scores, point))
        points = [tuple(map(float, pair.split(","))) for pair in re.search(r'points="([^"]+)"', drawn)[1].split()]
        x, y = (float(re.search(rf'<circle[^>]* {name}="([\d.]+)"', drawn)[1]) for name in ("cx", "cy"))
        assert any(
            min(a[0], b[0]) - 0.1 <= x <= max(a[0], b[0]) + 0.1 and min(a[1], b[1]) - 0.1 <= y <= max(a[1], b[1]) + 0.1
            for a, b in pairwise(points)
        )


def test_bars_show_shares_of_each_group_with_the_threshold_between_them() -> None:
    truth = np.array([True] * 4 + [False] * 12)
    drawn = svg("histogram", draw_histogram(truth, np.where(truth, 0.9, 0.1), [0.5]))
    bars = re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="[\d.]+" height="([\d.]+)" class="(\w+)"', drawn)
    assert [(name, height) for _, height, name in bars] == [("with", bars[0][1]), ("without", bars[0][1])]
    threshold = float(re.search(r'<line x1="([\d.]+)"[^>]+class="threshold"', drawn)[1])
    assert float(bars[1][0]) < threshold < float(bars[0][0])
    assert svg("histogram", draw_histogram(truth, np.zeros(16), [0.0, 1.0])).count('class="threshold"') == 2


def swatches(page: str) -> dict[str, str]:
    found = re.findall(r'<span class="swatch (c\d)"></span>([^<]*)', page)
    assert len({label: color for color, label in found}) == len(set(found))  # one color a label
    return {html.unescape(label): color for color, label in found}


def test_labels_have_the_colors_of_the_project_and_the_other_label_is_gray(found: Evaluation) -> None:
    colors = swatches(render_report(found, [], []))
    assert (colors["Speech"], colors["Music"], colors["other"]) == ("c0", "c1", "c8")
    colors = swatches(render_report(found, [], [], {"Music": 5, "bark": 0}))
    assert (colors["Music"], colors["Speech"], colors["other"]) == ("c5", "c1", "c8")
    assert ".c8 { --label: #dddddd;" in render_report(found, [], [])


def test_templates_escape_values_but_not_markup() -> None:
    def render(source: str, **values: object) -> str:
        return load_environment().from_string(source).render(**values)

    assert render('<p title="{{ title }}">{{ text }}</p>', title='"x"', text="<&>") == (
        '<p title="&#34;x&#34;">&lt;&amp;&gt;</p>'
    )
    assert render("{% macro b(x) %}<b>{{ x }}</b>{% endmacro %}<p>{{ b('x') }}</p>") == "<p><b>x</b></p>"
    assert render("{{ 1.0|coordinate }} {{ 0.126|coordinate }} {{ 10|coordinate }}") == "1 0.13 10"
    assert render("{{ parts|join }}", parts=["<", "<"]) == "&lt;&lt;"


def test_numbers_changes_and_intervals_are_formatted() -> None:
    from block.evaluation.bootstrap import Estimate

    assert [format_number(value) for value in (0.5, -0.0001, math.nan, math.inf, -math.inf, -0.5)] == [
        "0.500", "0.000", "–", "∞", "−∞", "−0.500",
    ]  # fmt: skip
    assert (format_change(0.25), format_change(-0.25), format_change(0.0)) == ("+0.250", "−0.250", "0.000")
    assert format_interval(Estimate(0.5)) == ""


def test_an_excerpt_contains_its_span_of_the_recording_with_some_context() -> None:
    sound = RNG.normal(0, 0.1, 10 * 16000).astype(np.float32)
    found = cut_excerpt(sound, 16000, 4.0, 6.0)
    assert (found.start_s, found.seconds) == (3.5, 3.0)
    played, rate = soundfile.read(io.BytesIO(base64.b64decode(found.sound.partition(",")[2])), dtype="float32")
    assert rate == 16000
    assert np.abs(played - sound[56000:104000]).max() < 1e-4
    # There is less context at the ends of the recording.
    assert (cut_excerpt(sound, 16000, 0.0, 10.0).seconds, cut_excerpt(sound, 16000, 9.9, 10.0).seconds) == (6.0, 0.6)
    assert cut_excerpt(sound[:300], 16000, 0.0, 300 / 16000).seconds == pytest.approx(300 / 16000)


def test_an_excerpt_of_a_long_span_is_its_loudest_part() -> None:
    sound = np.full(20 * 16000, 0.01, np.float32)
    sound[13 * 16000 : 14 * 16000] = 0.5
    found = cut_excerpt(sound, 16000, 1.0, 20.0)
    assert found.start_s <= 13
    assert found.start_s + found.seconds >= 14
    assert find_loudest(sound[:32000], 32000, 16000) == 0


def test_a_tone_is_bright_only_in_its_own_band() -> None:
    time = np.arange(32000) / 16000
    levels = compute_mel_levels((0.5 * np.sin(2 * np.pi * 1000 * time)).astype(np.float32), 16000)
    mel = np.linspace(1127 * np.log1p(50 / 700), 1127 * np.log1p(8000 / 700), 98)[1:-1]
    assert abs(mel[levels.mean(axis=1).argmax()] - 1127 * np.log1p(1000 / 700)) < mel[1] - mel[0]
    assert levels[-1].max() < 0.3
    assert np.isfinite(compute_mel_levels(np.zeros(100, np.float32), 16000)).all()


def test_a_png_contains_the_levels_row_by_row() -> None:
    content = encode_png(np.array([[0.0, 1.0, 0.5], [1.0, 0.0, 0.0]]))
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(content):
        size, kind = struct.unpack(">I4s", content[at : at + 8])
        body = content[at + 8 : at + 8 + size]
        assert struct.unpack(">I", content[at + 8 + size : at + 12 + size])[0] == zlib.crc32(kind + body)
        chunks[kind] = body
        at += 12 + size
    assert list(chunks) == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
    assert struct.unpack(">II", chunks[b"IHDR"][:8]) == (3, 2)
    assert list(zlib.decompress(chunks[b"IDAT"])) == [0, 0, 255, 128, 0, 255, 0, 0]
