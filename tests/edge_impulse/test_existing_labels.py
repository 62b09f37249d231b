"""Labels that a sample already has: the arithmetic of spans, and who may replace what, whatever happens in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from block.edge_impulse.existing_labels import (
    UnreadableLabels,
    clip,
    find_gaps,
    format_spans,
    join_spans,
    parse_spans,
    read_labels,
)
from block.edge_impulse.label_owner import LabelOwner, find_owner
from block.edge_impulse.label_policy import KEPT, LabelPlan, LabelPolicy
from block.edge_impulse.sample import Sample
from block.edge_impulse.write_protocol import NewLabels, WriteLabels, WriteMetadata, write_labels
from block.labeling.job import LABELED_BY
from block.recording import Evidence, LabeledRecording, RecordingDone, RecordingError, RecordingSkipped, Segment, Span
from block.settings import FILL_GAPS, KEEP, REPLACE, ExistingLabels

VALUES = 30
OTHER = "other"


def label(start: int, last: int, name: str, **fields: Any) -> dict[str, Any]:
    return {"startIndex": start, "endIndex": last, "label": name, **fields}


def paint(labels: list[dict[str, Any]] | None, values: int = VALUES) -> list[str]:
    """Return the label of each value, empty if it has none; a later label covers an earlier one."""
    painted = [""] * values
    for one in labels or ():
        last = min(one["endIndex"], values - 1)
        painted[one["startIndex"] : last + 1] = [one["label"]] * (last + 1 - one["startIndex"])
    return painted


@st.composite
def any_labels(draw: Any) -> list[dict[str, Any]]:
    """Draw labels that may overlap, leave gaps, be out of order or reach beyond the end."""
    starts = draw(st.lists(st.integers(0, VALUES + 3), max_size=6))
    return [
        label(start, start + draw(st.integers(0, 12)), draw(st.sampled_from(["cough", "dog", OTHER, ""])), labelMap=i)
        for i, start in enumerate(starts)
    ]


@st.composite
def tilings(draw: Any, names: tuple[str, ...] = ("speech", "music", OTHER)) -> tuple[Segment, ...]:
    cuts = sorted({0, VALUES, *draw(st.lists(st.integers(1, VALUES - 1), max_size=6))})
    return tuple(
        Segment(start, end, draw(st.sampled_from(names)), 0.5) for start, end in zip(cuts, cuts[1:], strict=False)
    )


spans = st.lists(
    st.tuples(st.integers(0, VALUES - 1), st.integers(1, 9)).map(lambda one: Span(one[0], one[0] + one[1])),
    max_size=5,
)


def values_in(spans: Any) -> set[int]:
    return {value for span in spans for value in range(span.start, span.end)}


@given(any_labels())
def test_labels_are_read_as_edge_impulse_paints_them(labels: list[dict[str, Any]]) -> None:
    read = read_labels(labels, VALUES)
    assert paint([label(one.start, one.end - 1, one.label) for one in read]) == paint(labels)
    assert all(0 <= one.start < one.end <= VALUES for one in read)
    assert all(one.end <= other.start for one, other in zip(read, read[1:], strict=False))
    assert all(one.fields in labels for one in read)


@pytest.mark.parametrize(
    "odd",
    [{}, label(0, 5, "a") | {"label": None}, label(True, 5, "a"), label(5, 4, "a"), label(-1, 4, "a"),
     {"startIndex": "0", "endIndex": 5, "label": "a"}, {"startIndex": 0, "endIndex": 5.0, "label": "a"}],
)  # fmt: skip
def test_a_label_that_cannot_be_read_is_an_error_that_says_which(odd: dict[str, Any]) -> None:
    with pytest.raises(UnreadableLabels, match="its label 2 can't be read; expected whole numbers"):
        read_labels([label(0, 5, "a"), odd], VALUES)


@given(spans)
def test_spans_and_their_gaps_tile_all_values(some: list[Span]) -> None:
    joined = [Span(span.start, min(span.end, VALUES)) for span in join_spans(some)]
    gaps = find_gaps(joined, VALUES)
    covered = values_in(some) & set(range(VALUES))
    assert values_in(joined) == covered
    assert values_in(gaps) == set(range(VALUES)) - covered
    assert all(one.end < other.start for one, other in zip(gaps, gaps[1:], strict=False))


@given(tilings(), spans)
def test_clipping_leaves_exactly_the_values_in_the_spans(segments: tuple[Segment, ...], some: list[Span]) -> None:
    parts = list(clip(segments, join_spans(some)))
    assert values_in(part for _, part in parts) == values_in(some) & set(range(VALUES))
    assert all(segments[index].start <= part.start and part.end <= segments[index].end for index, part in parts)


@given(spans)
@example([])
def test_formatted_spans_are_parsed_again(some: list[Span]) -> None:
    assert parse_spans(format_spans(join_spans(some))) == join_spans(some)


def test_spans_are_written_with_inclusive_ends() -> None:
    assert format_spans([Span(0, 4000), Span(8000, 10000)]) == "0-3999,8000-9999"
    assert format_spans([]) == "none"


@pytest.mark.parametrize("text", ["", "0", "-", "5-4", "0-3;5-6", "0-3,", "a-b", "-1-4", "0-" + "9" * 5000, "None"])
def test_other_texts_are_not_spans(text: str) -> None:
    assert parse_spans(text) is None


class KilledError(Exception):
    """The run was killed."""


@dataclass
class Studio:
    """A sample on the platform."""

    labels: list[dict[str, Any]] | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    label: str = ""

    def read(self) -> Sample:
        fields = {"valuesCount": VALUES, "structuredLabels": self.labels, "metadata": self.metadata}
        return Sample.from_answer({"sample": fields | {"label": self.label}}, 7)

    def edit(self, labels: list[dict[str, Any]]) -> None:
        self.labels = labels

    @property
    def painted(self) -> list[str]:
        return paint(self.labels)


@dataclass(frozen=True)
class Job:
    """A job that gives samples the labels `segments`."""

    id: str
    segments: tuple[Segment, ...]
    existing: ExistingLabels = REPLACE
    overwrites: bool = False
    other_label: str = OTHER

    def plan(self, sample: Sample) -> LabelPlan:
        return LabelPolicy(self.id, self.other_label, self.existing, self.overwrites).plan(sample)

    def run(self, studio: Studio, posts: int = 3) -> bool:
        """Label the sample with the calls of the write protocol, and get killed after `posts` of them.

        Return False if the sample was skipped.
        """

        def post(change: Callable[[], None]) -> None:
            nonlocal posts
            if posts == 0:
                raise KilledError
            posts -= 1
            change()

        def compose(sample: Sample) -> NewLabels:
            plan = self.plan(sample)
            labels = plan.build_labels(LabeledRecording(7, "a", VALUES, 1.0, self.segments, 1))
            metadata = {"labeled_by": LABELED_BY, "ast_job": self.id, **plan.build_metadata()}
            return NewLabels(labels, metadata, plan.build_announcement())

        steps = write_labels(self.id, compose)
        try:
            step = next(steps)
            while True:
                match step:
                    case WriteMetadata(metadata):
                        post(partial(setattr, studio, "metadata", metadata))
                    case WriteLabels(labels):
                        post(partial(setattr, studio, "labels", labels))
                step = steps.send(studio.read())
        except RecordingSkipped:
            return False
        except StopIteration:
            return True


def tile(*parts: tuple[int, str]) -> tuple[Segment, ...]:
    """Return segments from the end and the label of each."""
    starts = [0, *(end for end, _ in parts)]
    return tuple(Segment(start, end, name, 0.5) for start, (end, name) in zip(starts, parts, strict=False))


def has(painted: list[str], start: int, end: int, name: str) -> bool:
    return painted[start:end] == [name] * (end - start)


SPEECH = tile((20, "speech"), (30, OTHER))
MUSIC = tile((30, "music"))
COUGH = [label(0, 9, OTHER), label(10, 14, "cough", labelMap={"type": "key-values"}), label(15, 29, OTHER)]


@st.composite
def studios(draw: Any) -> Studio:
    """Draw a sample in any state: with someone's labels, marked as a person's, or labeled by this block and edited."""
    origin = draw(st.sampled_from(["none", "unknown", "human", "block", "filled", "edited", "single"]))
    if origin == "single":
        return Studio(label=draw(st.sampled_from(["idle", OTHER, ""])))
    studio = Studio(None if origin in ("none", "block") else draw(any_labels()))
    if origin == "human":
        studio.metadata["labeled_by"] = "Human"
    if origin in ("block", "filled", "edited"):
        Job("old", draw(tilings(("dog", OTHER))), FILL_GAPS if origin != "block" else REPLACE).run(studio)
    if origin == "edited":
        studio.edit(draw(any_labels()))
    return studio


def copy(studio: Studio) -> Studio:
    return Studio(studio.labels and [dict(one) for one in studio.labels], dict(studio.metadata), studio.label)


@given(studios(), tilings())
def test_filling_gaps_keeps_every_other_label_to_the_value_and_tiles_the_rest(
    studio: Studio, segments: tuple[Segment, ...]
) -> None:
    before = copy(studio)
    if not Job("new", segments, FILL_GAPS).run(studio):
        assert (studio.labels, studio.metadata) == (before.labels, before.metadata)
        return
    new = paint([label(one.start, one.end - 1, one.label) for one in segments])
    old = before.painted if before.labels else [before.label] * VALUES
    expected = [name if name not in ("", OTHER) else new[value] for value, name in enumerate(old)]
    assert studio.painted == expected
    assert studio.labels is not None
    ends = [one["endIndex"] for one in studio.labels]
    assert [one["startIndex"] for one in studio.labels] == [0, *(end + 1 for end in ends[:-1])]
    assert ends[-1] == VALUES - 1


@given(studios(), tilings())
def test_filling_gaps_again_changes_nothing(studio: Studio, segments: tuple[Segment, ...]) -> None:
    job = Job("new", segments, FILL_GAPS)
    if job.run(studio):
        with pytest.raises(RecordingDone):
            job.plan(studio.read())


@given(studios(), tilings(), st.integers(0, 2))
def test_a_job_that_was_killed_and_runs_again_ends_as_if_it_had_not_been_killed(
    studio: Studio, segments: tuple[Segment, ...], posts: int
) -> None:
    job = Job("new", segments, FILL_GAPS)
    undisturbed = copy(studio)
    if not job.run(undisturbed):
        return
    with pytest.raises(KilledError):
        job.run(studio, posts)
    assert job.run(studio)
    assert studio.painted == undisturbed.painted
    assert studio.metadata == undisturbed.metadata


@given(studios(), tilings(), tilings(("music",)), st.integers(0, 3))
def test_labels_of_others_survive_later_jobs_even_if_the_one_that_kept_them_was_killed(
    studio: Studio, segments: tuple[Segment, ...], later: tuple[Segment, ...], posts: int
) -> None:
    owner = find_owner(studio.read(), "")
    before = copy(studio).painted
    try:
        if not Job("new", segments, FILL_GAPS).run(studio, posts):
            return
    except KilledError:
        pass
    if posts == 0 or owner not in (LabelOwner.OTHER, LabelOwner.PERSON) or not studio.labels:
        return
    Job("later", later).run(studio)
    Job("last", later, FILL_GAPS).run(studio)
    kept = [value for value, name in enumerate(before) if name not in ("", OTHER)]
    assert [studio.painted[value] for value in kept] == [before[value] for value in kept]


def test_a_hand_label_stays_until_hand_labels_are_overwritten() -> None:
    studio = Studio(COUGH, {"labeled_by": "human"})
    assert not Job("a", SPEECH).run(studio)
    assert Job("b", SPEECH, FILL_GAPS).run(studio)
    assert studio.labels == [
        label(0, 9, "speech"), COUGH[1], label(15, 19, "speech"), label(20, 29, OTHER),
    ]  # fmt: skip
    assert studio.metadata[KEPT] == "10-14"
    assert Job("c", MUSIC).run(studio)
    assert studio.labels == [label(0, 9, "music"), COUGH[1], label(15, 29, "music")]
    assert studio.metadata[KEPT] == "10-14"
    assert Job("d", MUSIC, overwrites=True).run(studio)
    assert studio.labels == [label(0, 29, "music")]
    assert studio.metadata[KEPT] == "none"


def test_new_segments_in_gaps_keep_their_evidence() -> None:
    evidence = tuple(Evidence((), -20.0, windows, 1) for windows in (1, 2))
    labeled = LabeledRecording(7, "a", VALUES, 1.0, SPEECH, 3, evidence=evidence)
    new = Job("a", SPEECH, FILL_GAPS).plan(Studio(COUGH).read()).select_new(labeled)
    assert [(one.start, one.end, one.label) for one in new.segments] == [
        (0, 10, "speech"), (15, 20, "speech"), (20, 30, OTHER),
    ]  # fmt: skip
    assert [one.windows for one in new.evidence] == [1, 1, 2]
    everywhere = Job("a", SPEECH).plan(Studio(COUGH).read())
    assert everywhere.select_new(labeled) is labeled


def test_labels_of_this_blocks_other_jobs_are_kept_but_not_noted() -> None:
    studio = Studio()
    Job("a", SPEECH).run(studio)
    assert KEPT not in studio.metadata
    assert Job("b", MUSIC, FILL_GAPS).run(studio)
    assert has(studio.painted, 0, 20, "speech")
    assert has(studio.painted, 20, 30, "music")
    assert studio.metadata[KEPT] == "none"
    assert Job("c", MUSIC).run(studio)
    assert has(studio.painted, 0, 30, "music")


def test_jobs_that_replace_write_no_note_where_there_was_none() -> None:
    for labels in (None, COUGH):
        studio = Studio(labels)
        assert Job("a", MUSIC).run(studio)
        assert KEPT not in studio.metadata
        assert studio.labels == [label(0, 29, "music")]


def test_kept_labels_that_a_person_changes_are_protected_as_they_are_now() -> None:
    studio = Studio(COUGH)
    Job("a", SPEECH, FILL_GAPS).run(studio)
    studio.edit([label(0, 4, "sneeze"), label(5, 29, OTHER)])
    assert not Job("b", MUSIC).run(studio)
    assert Job("c", MUSIC, FILL_GAPS).run(studio)
    assert studio.metadata[KEPT] == "0-4"
    assert studio.labels == [
        label(
            0,
            4,
            "sneeze",
        ),
        label(5, 29, "music"),
    ]


@pytest.mark.parametrize(("posts", "owner"), [(1, LabelOwner.PERSON), (2, LabelOwner.UNFINISHED)])
def test_a_persons_sample_is_theirs_until_the_gaps_are_filled_and_then_unfinished(
    posts: int, owner: LabelOwner
) -> None:
    studio = Studio(COUGH, {"labeled_by": "human"})
    with pytest.raises(KilledError):
        Job("a", SPEECH, FILL_GAPS).run(studio, posts)
    assert find_owner(studio.read(), "a") is owner


@pytest.mark.parametrize("posts", [1, 2])
def test_overwriting_kept_labels_leaves_no_machine_labels_noted_if_it_is_killed(posts: int) -> None:
    studio = Studio(COUGH)
    Job("a", SPEECH, FILL_GAPS).run(studio)
    with pytest.raises(KilledError):
        Job("b", MUSIC, overwrites=True).run(studio, posts)
    replaced = Job("c", MUSIC).run(studio)
    assert replaced is (posts == 2)
    assert has(studio.painted, 10, 15, "music" if replaced else "cough")


@pytest.mark.parametrize(
    ("studio", "existing", "message"),
    [
        (Studio([label(0, 29, "cough")]), FILL_GAPS, "from start to end"),
        (Studio(label="idle"), FILL_GAPS, "from start to end"),
        (Studio([label(0, 29, "cough")], {KEPT: "0-29"}), REPLACE, "none of its labels were set by this block"),
        (Studio(COUGH, {KEPT: "oops\x1b"}), REPLACE, r"ast_kept = .*expected spans such as 0-3999,8000-9999 or none"),
        (Studio(COUGH), KEEP, "already has labels"),
        (Studio(label="idle"), KEEP, "already has labels"),
        (Studio(COUGH, {"labeled_by": "human"}), REPLACE, "set or changed by hand"),
    ],
)
def test_samples_that_can_get_no_label_are_skipped_with_the_reason(
    studio: Studio, existing: ExistingLabels, message: str
) -> None:
    with pytest.raises(RecordingSkipped, match=message) as caught:
        Job("a", SPEECH, existing).plan(studio.read())
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("empty", [Studio(), Studio([]), Studio(label=OTHER), Studio([label(0, 29, "")])])
def test_a_sample_that_is_all_gap_gets_labels_everywhere(empty: Studio) -> None:
    assert Job("a", SPEECH, FILL_GAPS).run(empty)
    assert has(empty.painted, 0, 20, "speech")
    assert empty.metadata[KEPT] == "none"


def test_labels_that_cannot_be_read_fail_only_where_they_must_be_kept() -> None:
    studio = Studio([{"label": "cough"}])
    with pytest.raises(RecordingError, match="its label 1 can't be read; .*; correct its labels in Studio"):
        Job("a", SPEECH, FILL_GAPS).plan(studio.read())
    assert Job("a", SPEECH).plan(studio.read()).gaps == (Span(0, VALUES),)


def test_kept_labels_also_stay_if_they_are_another_jobs_other_label() -> None:
    studio = Studio([label(0, 9, "quiet"), label(10, 29, OTHER)])
    Job("a", SPEECH, FILL_GAPS).run(studio)
    assert Job("b", MUSIC, FILL_GAPS, other_label="quiet").run(studio) is False
    assert has(studio.painted, 0, 10, "quiet")
