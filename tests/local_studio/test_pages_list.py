"""The list of recordings and the page /about: their contents, filters, choices and escaping."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
import requests

from block.edge_impulse.label_owner import ANNOUNCED, NOT_OURS, SEGMENTS, fingerprint
from block.folder.project_colors import DATABASE
from block.labeling.job import LABELED_BY
from block.local_studio.address import Address
from block.local_studio.api import assumptions, reads, writes
from block.local_studio.data.project import LocalProject
from block.local_studio.data.sample import Proposal, ProposedChanges, StructuredLabel
from block.local_studio.data.store import SampleStore
from block.local_studio.data.validation import RequestError
from block.local_studio.jobs.store import PREVIEW, JobStore
from block.local_studio.server import running
from block.local_studio.web import template_filters
from block.local_studio.web.list_page import LONGEST_IDS, list_values
from block.local_studio.web.recordings_list import Filter, RecordingRow, RowCache, find_labeler, natural_key
from block.local_studio.web.segments import is_entry_uncertain
from block.local_studio.web.selection import format_ids
from block.palette import COLORS, PALETTE
from tests.local_studio.conftest import add_recording, add_recordings, make_audio_bytes

TEXTS = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>'",
    "javascript:alert(1)",
    "{{ 7 * 7 }}",
    "a\u202egpj.exe",
    "two\nlines\u2028\x00\x1b[2J",
    "&lt;b&gt;",
)
DISGUISES = "\u202e\u2028\x00\x1b"

INKS = ("ink", "dim", "accent", "good", "warn", "bad")
SPECIAL_INKS = [("ink", "wash"), ("on-accent", "accent"), ("bad", "bad-wash")]


@dataclass(frozen=True)
class Pages:
    project: LocalProject
    address: Address

    def get(self, path: str, status: int = 200, **options: Any) -> str:
        answer = requests.get(self.address.url + path, timeout=10, **options)
        assert answer.status_code == status, answer.text
        return answer.text


@pytest.fixture
def pages(project: LocalProject) -> Iterator[Pages]:
    with running(project) as address:
        yield Pages(project, address)


def add(project: LocalProject, name: str, *labels: str, **options: Any) -> int:
    """Add a recording with one second per label, or of one second if there are none."""
    structured = [StructuredLabel(100 * i, 100 * i + 99, label) for i, label in enumerate(labels)]
    frames = 100 * max(1, len(labels))
    return add_recording(project, frames, 100, name=name, structured_labels=structured or None, **options)


def names(project: LocalProject, **filters: Any) -> list[str]:
    """Return the names that the list shows with these filters."""
    return [row.sample.name for row in Filter(**filters).apply(rows_of(project))]


def rows_of(project: LocalProject) -> list[RecordingRow]:
    return RowCache(project.store, JobStore(project.store)).load()


def row_of(page: str, sample_id: int) -> str:
    return next(row for row in page.split("<tr>") if f'href="/recordings/{sample_id}"' in row)


def uncertain_details(sample_id: int, label: str, agreeing: int = 2) -> dict[int, dict[str, object]]:
    """Return a block's details for a recording of one second with three windows, of which `agreeing` agreed."""
    segment = {"startIndex": 0, "endIndex": 99, "label": label, "windows": 3, "agreeing": agreeing}
    return {sample_id: {"segments": [segment]}}


def test_an_empty_project_says_what_to_do(pages: Pages) -> None:
    assert "No recordings yet" in pages.get("/")


def test_a_row_shows_length_rate_labels_and_who_made_them(pages: Pages) -> None:
    sample_id = add(pages.project, "yard.wav", "dog", "dog", "rain", metadata={"labeled_by": "human"})
    page = pages.get("/")
    row = row_of(page, sample_id)
    assert "yard.wav" in row
    assert "0:03.0" in row
    assert "0.1 kHz" in row
    assert re.search(r"dog</bdi>\s*<span[^>]*>2\.0 s.*rain</bdi>\s*<span[^>]*>1\.0 s", row, re.DOTALL)
    assert re.search(r'class="c[0-8]" x="0\.00" y="0" width="66\.67"', row)
    assert "by hand" in row
    assert "<b>1</b> of 1 labeled" in page


def test_a_row_shows_the_first_labels_and_counts_the_rest(pages: Pages) -> None:
    sample_id = add(pages.project, "many", *"abcdefgh")
    row = row_of(pages.get("/"), sample_id)
    assert row.count("<bdi>") == 1 + 5
    assert "and 3 more" in row


def test_states_are_shown_as_words(pages: Pages) -> None:
    project, jobs = pages.project, JobStore(pages.project.store)
    failed, proposed, off, loose = (add(project, one) for one in ("a", "b", "c", "d"))
    project.store.set_disabled(off, True)
    project.store.set_label(loose, "rain")
    job = jobs.create(PREVIEW, "block", {}, [failed, proposed])
    jobs.add_details(job.id, {failed: {"error": "it is silent"}, **uncertain_details(proposed, "dog")})
    project.store.propose(
        Proposal(job.id, proposed, ProposedChanges(structured_labels=(StructuredLabel(0, 99, "dog"),)))
    )
    page = pages.get("/")
    assert "failed</span>" in row_of(page, failed)
    assert "it is silent" in row_of(page, failed)
    assert f'href="/recordings/{proposed}?job={job.id}"' in row_of(page, proposed)
    assert "uncertain" in row_of(page, proposed)
    assert "disabled" in row_of(page, off)
    assert "labeled</span>" in row_of(page, loose)
    assert "unlabeled" not in row_of(page, loose)


def test_an_unreadable_file_is_listed_as_failed(tmp_path: Path, project: LocalProject) -> None:
    (tmp_path / "broken.wav").write_bytes(b"no audio")
    project.scan()
    with running(project) as address:
        page = requests.get(f"{address.url}/?state=failed", timeout=10).text
    assert "unreadable" in page
    assert "broken.wav" in page


def test_each_filter_selects_its_recordings(project: LocalProject) -> None:
    jobs = JobStore(project.store)
    add(project, "none")
    add(project, "hand", "dog", metadata={"labeled_by": "human"})
    block = add(project, "block", "dog", metadata={"labeled_by": "some block"})
    failed = add(project, "failed")
    job = jobs.create(PREVIEW, "block", {}, [block, failed])
    jobs.add_details(job.id, {failed: {"error": "no"}, **uncertain_details(block, "dog")})
    project.store.propose(Proposal(job.id, failed, ProposedChanges(label="new")))
    assert names(project) == ["block", "failed", "hand", "none"]
    assert names(project, state="unlabeled") == ["failed", "none"]
    assert names(project, state="labeled") == ["block", "hand"]
    assert names(project, state="hand") == ["hand"]
    assert names(project, state="proposed") == ["failed"]
    assert names(project, state="uncertain") == ["block"]
    assert names(project, state="failed") == ["failed"]
    assert names(project, label="dog") == ["block", "hand"]
    assert names(project, label="do") == []
    assert names(project, search="NON") == ["none"]
    assert names(project, search="n", label="dog") == ["hand"]


def test_recordings_are_sorted_by_natural_name_or_by_length(project: LocalProject) -> None:
    for name, labels in (("Take 10", "ab"), ("take 9", "abc"), ("take", "a")):
        add(project, name, *labels)
    project.store.set_label(2, "x")
    assert names(project) == ["take", "take 9", "Take 10"]
    assert names(project, sort="longest") == ["take 9", "Take 10", "take"]
    assert names(project, sort="shortest") == ["take", "Take 10", "take 9"]
    project.store._db.execute("UPDATE samples SET modified = '2999-01-01T00:00:00.000Z' WHERE id = 2")
    assert names(project, sort="changed")[0] == "take 9"


def test_names_with_very_long_numbers_can_be_sorted() -> None:
    assert sorted(["9" * 9000, "1" + "0" * 9000], key=natural_key)


def test_labels_changed_since_the_block_wrote_them_are_by_hand(project: LocalProject) -> None:
    sample_id = add(project, "a", "dog")
    sample = project.sample(sample_id)
    written = fingerprint([one.to_json() for one in sample.structured_labels or ()])
    project.store.add_metadata(sample_id, {"labeled_by": LABELED_BY, SEGMENTS: written})
    assert find_labeler(project.sample(sample_id)) == "block"
    project.store.set_structured_labels(sample_id, [StructuredLabel(0, 99, "cat")])
    assert find_labeler(project.sample(sample_id)) == "hand"


def test_announced_labels_are_the_blocks_unless_they_are_noted_as_a_persons(project: LocalProject) -> None:
    sample_id = add(project, "a", "dog")
    announcement = ANNOUNCED + fingerprint([one.to_json() for one in project.sample(sample_id).structured_labels or ()])
    project.store.add_metadata(sample_id, {announcement: "20260101T000000Z-0123abcd"})
    assert find_labeler(project.sample(sample_id)) == "block"
    project.store.add_metadata(sample_id, {"labeled_by": LABELED_BY, SEGMENTS: NOT_OURS, announcement: NOT_OURS})
    assert find_labeler(project.sample(sample_id)) == "hand"


@pytest.mark.parametrize(
    ("entry", "is_uncertain"),
    [
        ({"score": 0.5, "runnersUp": [["a", 0.1], ["b", 0.41]]}, True),
        ({"score": 0.5, "runnersUp": [["a", 0.39]]}, False),
        ({"score": 0.9, "runnersUp": []}, False),
        ({"windows": 4, "agreeing": 3}, True),
        ({"windows": 4, "agreeing": 4}, False),
        ({"runnersUp": [["a", 0.1]], "windows": 4}, False),
        ({"margin": 0.05, "score": 0.9, "runnersUp": [["a", 0.1]]}, True),
        ({}, False),
    ],
)
def test_a_segment_is_uncertain_if_a_rival_is_close_or_a_window_disagrees(
    entry: dict[str, Any], is_uncertain: bool
) -> None:
    assert is_entry_uncertain(entry) is is_uncertain


def test_details_of_replaced_labels_do_not_make_a_recording_uncertain(project: LocalProject) -> None:
    jobs = JobStore(project.store)
    sample_id = add(project, "a", "dog")
    job = jobs.create(PREVIEW, "block", {}, [sample_id])
    jobs.add_details(job.id, uncertain_details(sample_id, "cat"))
    assert names(project, state="uncertain") == []
    project.store.propose(Proposal(job.id, sample_id, ProposedChanges(label="new")))
    assert names(project, state="uncertain") == ["a"]
    project.store.reject(job.id, sample_id)
    jobs.add_details(job.id, uncertain_details(sample_id, "dog"))
    assert names(project, state="uncertain") == ["a"]
    project.store.add_metadata(sample_id, {"labeled_by": "human"})
    assert names(project, state="uncertain") == []


def test_the_query_string_is_the_state_of_the_list() -> None:
    wanted = Filter("a&b=c", "dog & cat", "hand", "longest", 3)
    pairs = [tuple(one.split("=")) for one in wanted.link(page=3).removeprefix("/?").split("&")]
    assert pairs[0] == ("search", quote_plus("a&b=c"))
    assert Filter.from_query([("search", "a&b=c"), ("label", "dog & cat"), *pairs[2:]]) == wanted  # type: ignore[list-item]
    assert "page" not in wanted.link(sort="changed")
    assert Filter.from_query([("search", ""), ("state", ""), ("page", "")]) == Filter()
    assert Filter().link() == "/"


@pytest.mark.parametrize("query", ["state=odd", "sort=size", "page=0", "page=x", "unknown=1", "search=a&search=b"])
def test_a_filter_that_would_do_nothing_is_refused(pages: Pages, query: str) -> None:
    assert "That was not done" in pages.get(f"/?{query}", 400)


def test_links_keep_the_filter_and_pages_hold_200(pages: Pages) -> None:
    add_recordings(pages.project, 201, make_audio_bytes(100, 100), name="take")
    page = pages.get("/?search=take&state=unlabeled&sort=longest")
    assert page.count('name="id"') == 200
    assert 'href="/?search=take&amp;state=unlabeled&amp;sort=longest&amp;page=2" rel="next"' in page
    assert 'href="/?search=take&amp;state=unlabeled&amp;sort=shortest"' in page
    last = pages.get("/?search=take&page=9")
    assert last.count('name="id"') == 1
    assert "Page 2 of 2" in last


def test_chosen_recordings_are_passed_to_the_action(pages: Pages) -> None:
    answer = requests.get(f"{pages.address.url}/chosen?id=1&id=3&id=2&id=9", timeout=10, allow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/actions?ids=1-3,9")
    assert "Check at least one" in pages.get("/chosen", 400)
    pages.get("/chosen?id=../1", 404)


def test_an_action_can_be_started_on_all_recordings_of_a_filter(project: LocalProject) -> None:
    for name in ("a", "ab", "b", "ac", "ad"):
        add(project, name)
    project.store.set_disabled(5, True)
    rows = rows_of(project)
    assert list_values(rows, Filter())["all_link"] == "/actions?filter=all"
    assert list_values(rows, Filter(state="unlabeled"))["all_link"] == "/actions?filter=unlabeled"
    assert list_values(rows, Filter(search="a"))["all_link"] == "/actions?ids=1-2,4"
    assert list_values(rows, Filter(search="z"))["all_link"] == ""
    assert len(format_ids(range(1, 40_000, 2))) > LONGEST_IDS
    assert format_ids([7, 1, 2, 3, 9, 10]) == "1-3,7,9-10"


def test_names_and_labels_are_escaped_everywhere(pages: Pages) -> None:
    jobs = JobStore(pages.project.store)
    for text in TEXTS:
        sample_id = add(pages.project, text, text, text + "2", metadata={text: text})
        job = jobs.create(PREVIEW, text, {}, [sample_id])
        jobs.add_details(job.id, {add(pages.project, text): {"error": text}})
    for query in ("", *(f"?search={quote_plus(text)}" for text in TEXTS), f"?label={quote_plus(TEXTS[1])}"):
        page = pages.get(f"/{query}")
        assert set(re.findall(r"<script\b[^>]*>", page)) == {
            '<script src="/static/theme.js">', '<script src="/static/list.js" defer>',
            '<script src="/static/place.js" defer>',
        }  # fmt: skip
        assert "<img" not in page
        assert not re.search(r'="[^"]*javascript:', re.sub(r'value="[^"]*"', "", page))
        assert "49" not in re.sub(r"<time.*?</time>|[0-9a-f]{64}", "", page)
        shown = re.sub(r'value="[^"]*"', "", page)
        assert not any(disguise in shown for disguise in DISGUISES)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in pages.get("/")


def test_the_pages_have_no_inline_style_or_script(pages: Pages) -> None:
    add(pages.project, "a", "b")
    for path in ("/", "/about"):
        page = pages.get(path)
        assert not re.search(r"<style|\sstyle=|\son\w+=", page)
        assert not re.search(r'(?:src|href|action)="(?:https?:)?//', page)
        for name in re.findall(r'"/static/([^"]+)"', page):
            pages.get(f"/static/{name}")


def test_a_thousand_recordings_take_three_queries_and_none_until_something_changes(project: LocalProject) -> None:
    store = project.store
    labels = [StructuredLabel(100 * i, 100 * i + 99, label) for i, label in enumerate(("dog", "rain", "dog"))]
    add_recordings(project, 1000, make_audio_bytes(300, 100), structured_labels=labels)
    with running(project) as address:
        for _ in range(2):
            requests.get(f"{address.url}/", timeout=10)  # the first one chooses the colors of the labels
        queries: list[str] = []
        store._db.set_trace_callback(queries.append)
        page = requests.get(f"{address.url}/", timeout=10).text
        assert [query for query in queries if "SELECT" in query] == []
        store.set_label(1, "bark")
        queries.clear()
        requests.get(f"{address.url}/", timeout=10)
        store._db.set_trace_callback(None)
    assert "<b>1000</b> recordings" in page
    assert page.count('name="id"') == 200
    assert len([query for query in queries if "SELECT" in query]) == 3, queries


def test_cached_rows_follow_every_change(project: LocalProject) -> None:
    jobs = JobStore(project.store)
    cache = RowCache(project.store, jobs)
    first, second = add(project, "a", "dog"), add(project, "b")
    before = cache.load()
    assert [(row.sample.id, row.labeled_by) for row in before] == [(first, "other"), (second, "no one")]
    project.store.set_by_hand(second, [StructuredLabel(0, 99, "cat")], 0)
    after = cache.load()
    assert [row.labeled_by for row in after] == ["other", "hand"]
    assert after[0] is before[0]
    job = jobs.create(PREVIEW, "block", {}, [first])
    jobs.add_details(job.id, uncertain_details(first, "dog", agreeing=3))
    assert not cache.load()[0].is_uncertain
    jobs.add_details(job.id, uncertain_details(first, "dog"))
    assert cache.load()[0].is_uncertain
    project.store.propose(Proposal(job.id, first, ProposedChanges(label="new")))
    assert cache.load()[0].job_id == job.id
    project.store.reject(job.id, first)
    assert cache.load()[0].job_id is None
    other = SampleStore(project.root / DATABASE)
    other.set_label(second, "of another server")
    other.close()
    assert cache.load()[1].sample.label == "of another server"
    assert cache.load() is cache.load()
    project.store._db.execute("UPDATE samples SET is_missing = 1 WHERE id = ?", (first,))
    assert [row.sample.id for row in cache.load()] == [second]


def test_a_page_number_that_is_too_high_becomes_the_last(project: LocalProject) -> None:
    add(project, "a")
    assert list_values(rows_of(project), Filter(page=7))["number"] == 1


def test_every_assumption_of_the_handlers_is_on_the_about_page(pages: Pages) -> None:
    page = pages.get("/about")
    described = assumptions.describe_calls()
    assert len(described) == len(reads.ENDPOINTS) + len(writes.ENDPOINTS)
    for endpoint, call in zip((*reads.ENDPOINTS, *writes.ENDPOINTS), described, strict=True):
        assert bool(call.assumption) is ("Assumed: " in (endpoint.handler.__doc__ or ""))
        assert call.path in page
        assert str(template_filters.mark_code(call.assumption)) in page
    assert any("404" in sentence for sentence in assumptions.list_unsupported())
    assert any("1.0 is not an integer" in sentence for sentence in assumptions.list_common_assumptions())
    assert any("minLabel" in sentence for sentence in assumptions.list_unsupported())


def test_the_key_is_shown_only_on_request(pages: Pages) -> None:
    page = pages.get("/about")
    inside = re.search(r"<details.*?</details>", page, re.DOTALL)
    assert inside
    assert f"EI_PROJECT_API_KEY={pages.address.key}" in inside[0]
    assert f"EI_API_ENDPOINT={pages.address.endpoint}" in inside[0]
    assert pages.address.key not in page.replace(inside[0], "")
    assert pages.address.key not in pages.get("/")


def test_code_in_docstrings_is_escaped_and_formatted() -> None:
    assert str(template_filters.mark_code("a `<b>` & ``c``")) == "a <code>&lt;b&gt;</code> &amp; <code>c</code>"


def read_style_sheet() -> str:
    return (Path(template_filters.__file__).parent / "static" / "studio.css").read_text(encoding="utf-8")


def test_both_dark_themes_are_the_same_and_every_label_has_a_color(pages: Pages) -> None:
    blocks = re.findall(r"\{([^{}]*color-scheme: dark[^{}]*)\}", read_style_sheet())
    assert len(blocks) == 2
    assert len({" ".join(block.split()) for block in blocks}) == 1
    css = pages.get("/static/labels.css")
    for i in range(COLORS + 1):
        assert len(re.findall(rf"\.c{i} {{ --label: #\w+; --edge: #\w+;", css)) == 3
    assert not re.search(r"url\(|@import|https?:", css + read_style_sheet())


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_and_edges_have_enough_contrast(theme: str) -> None:
    block = next(one for one in re.findall(r"\{([^{}]*)\}", read_style_sheet()) if f"color-scheme: {theme};" in one)
    colors = dict(re.findall(r"--(\w[\w-]*): (#[0-9a-f]{6});", block))
    grounds = ("paper", "sheet", "well", "wash")
    fills = [one.fill if theme == "light" else one.dark_fill for one in PALETTE]
    edges = [one.edge if theme == "light" else one.dark_edge for one in PALETTE]
    pairs = [(colors[text], colors[ground]) for text in INKS for ground in grounds[:3]]
    pairs += [(colors["ink"], fill) for fill in fills]
    pairs += [(colors[text], colors[ground]) for text, ground in SPECIAL_INKS]
    for text, ground in pairs:
        assert contrast(text, ground) >= 4.5, (text, ground)
    for line, ground in [(edge, colors[ground]) for edge in edges for ground in grounds]:
        assert contrast(line, ground) >= 3, (line, ground)
    assert contrast(colors["rule"], colors["sheet"]) >= 3


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio that WCAG 2.2 defines."""

    def luminance(color: str) -> float:
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_an_invalid_choice_is_refused_with_the_valid_ones() -> None:
    with pytest.raises(RequestError, match="unlabeled, labeled"):
        Filter.from_query([("state", "x")])
