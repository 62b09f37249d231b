"""Verdicts on single segments: what they write, when a recording is complete, and what undoing restores."""

from __future__ import annotations

import pytest

from block.local_studio.data.painting import paint, subtract
from block.local_studio.data.project import LocalProject
from block.local_studio.data.sample import Proposal, ProposedChanges, StructuredLabel
from block.local_studio.data.store import StaleError
from block.local_studio.data.verdicts import (
    ACCEPTED,
    ACCEPTED_WHOLE,
    EDITED,
    LABELED,
    NO_JOB,
    REJECTED,
    REJECTED_WHOLE,
    BorderMove,
    Verdict,
    VerdictStore,
)
from block.local_studio.jobs.store import PREVIEW, JobStore
from block.local_studio.web.label_colors import LabelColors
from block.palette import COLORS, GRAY
from tests.local_studio.conftest import Studio, add_recording

JOB = 7
ABA = (StructuredLabel(0, 29, "a"), StructuredLabel(30, 59, "b"), StructuredLabel(60, 99, "a"))


def whole(name: str) -> tuple[StructuredLabel, ...]:
    return (StructuredLabel(0, 99, name),)


def propose(project: LocalProject, labels: tuple[StructuredLabel, ...] = ABA) -> int:
    sample_id = add_recording(project)
    changes = ProposedChanges(metadata={"ast_model": "tiny"}, structured_labels=labels)
    project.store.propose(Proposal(JOB, sample_id, changes))
    return sample_id


def decide(project: LocalProject, sample_id: int, label: StructuredLabel, new: str, job: int = JOB) -> int:
    kind = ACCEPTED if new == label.label else REJECTED
    start, end = label.start_index, label.end_index + 1
    return VerdictStore(project.store).decide([Verdict(job, sample_id, start, end, new, label.label, kind)])


def test_painting_covers_what_is_there_and_merges_equal_neighbors():
    assert paint(ABA, [StructuredLabel(30, 59, "a")]) == whole("a")
    assert paint(ABA, [StructuredLabel(20, 69, "c")]) == (
        StructuredLabel(0, 19, "a"),
        StructuredLabel(20, 69, "c"),
        StructuredLabel(70, 99, "a"),
    )
    assert paint(ABA, [StructuredLabel(0, 99, "c")]) == whole("c")


def test_subtracting_leaves_what_no_span_covers():
    assert subtract(ABA, [(30, 60), (0, 10)]) == [StructuredLabel(10, 29, "a"), StructuredLabel(60, 99, "a")]
    assert subtract(whole("a"), [(60, 100), (20, 40), (30, 50)]) == [
        StructuredLabel(0, 19, "a"),
        StructuredLabel(50, 59, "a"),
    ]
    assert subtract(ABA, [(0, 100)]) == []


def test_a_recording_gets_its_labels_with_the_last_verdict_and_undoing_all_restores_everything(project: LocalProject):
    sample_id = propose(project)
    before, proposal = project.sample(sample_id), project.store.proposals(JOB)
    decide(project, sample_id, ABA[1], "a")
    decide(project, sample_id, ABA[0], "a")
    assert project.sample(sample_id).structured_labels is None
    decide(project, sample_id, ABA[2], "c")
    after = project.sample(sample_id)
    assert after.structured_labels == (StructuredLabel(0, 59, "a"), StructuredLabel(60, 99, "c"))
    assert after.metadata == {"ast_model": "tiny", "labeled_by": "human"}
    assert project.store.proposals(JOB) == []
    verdicts = VerdictStore(project.store)
    assert [verdicts.undo(JOB)[0].start for _ in range(3)] == [60, 0, 30]
    assert verdicts.undo(JOB) == []
    restored = project.sample(sample_id)
    assert (restored.structured_labels, restored.metadata) == (before.structured_labels, before.metadata)
    assert project.store.proposals(JOB) == proposal


def test_a_verdict_on_labels_that_are_there_changes_them_at_once(project: LocalProject):
    sample_id = add_recording(project, structured_labels=ABA, metadata={"labeled_by": "toy"})
    decide(project, sample_id, ABA[1], "a", NO_JOB)
    sample = project.sample(sample_id)
    assert (sample.structured_labels, sample.metadata) == (whole("a"), {"labeled_by": "human"})
    VerdictStore(project.store).undo()
    sample = project.sample(sample_id)
    assert (sample.structured_labels, sample.metadata) == (ABA, {"labeled_by": "toy"})


def test_verdicts_of_one_batch_are_stored_and_undone_together_or_not_at_all(project: LocalProject):
    first, second = propose(project, whole("a")), propose(project, whole("b"))
    verdicts = [Verdict(JOB, one, 0, 100, "c", was, LABELED) for one, was in ((first, "a"), (second, "b"))]
    store = VerdictStore(project.store)
    with pytest.raises(StaleError):
        store.decide([verdicts[0], Verdict(JOB, second, 0, 100, "c", "a", LABELED)])
    assert project.sample(first).structured_labels is None
    store.decide(verdicts)
    assert [project.sample(one).structured_labels for one in (first, second)] == [whole("c"), whole("c")]
    assert {one.sample_id for one in store.undo(JOB)} == {first, second}
    assert [project.sample(one).structured_labels for one in (first, second)] == [None, None]


def test_what_a_moved_segment_gives_up_goes_to_its_neighbor_or_gets_the_other_label(project: LocalProject):
    sample_id = propose(project)
    verdict = Verdict(JOB, sample_id, 10, 20, "a", "a", ACCEPTED)
    VerdictStore(project.store).decide([verdict], BorderMove(0, 30, "noise"))
    assert project.store.changes(JOB, sample_id).structured_labels == (
        StructuredLabel(0, 9, "noise"),
        StructuredLabel(10, 19, "a"),
        StructuredLabel(20, 59, "b"),
        StructuredLabel(60, 99, "a"),
    )
    VerdictStore(project.store).undo(JOB)
    assert project.store.changes(JOB, sample_id).structured_labels == ABA


def test_a_proposal_decided_as_a_whole_keeps_its_verdicts_and_no_one_undoes_them(project: LocalProject):
    sample_id = propose(project)
    decide(project, sample_id, ABA[1], "c")
    project.store.accept(JOB, sample_id)
    labels = project.sample(sample_id).structured_labels
    assert labels is not None
    assert labels[1].label == "c"
    assert VerdictStore(project.store).undo() == []
    assert project.sample(sample_id).structured_labels == labels


def test_a_verdict_is_not_undone_over_labels_that_changed_since(project: LocalProject):
    sample_id = propose(project, whole("a"))
    decide(project, sample_id, whole("a")[0], "c")
    project.store.set_structured_labels(sample_id, whole("mine"))
    with pytest.raises(StaleError):
        VerdictStore(project.store).undo()
    assert project.sample(sample_id).structured_labels == whole("mine")


def whole_decision(project: LocalProject, sample_id: int, kind: str, job: int = JOB) -> None:
    sample, store = project.sample(sample_id), project.store
    acts = {
        ACCEPTED_WHOLE: lambda: store.accept(job, sample_id, sample.revision),
        REJECTED_WHOLE: lambda: store.reject(job, sample_id),
        EDITED: lambda: store.set_by_hand(sample_id, whole("mine"), sample.revision),
    }
    VerdictStore(store).decide_whole(kind, NO_JOB if kind == EDITED else job, sample, acts[kind])


def undo_of(project: LocalProject, sample_id: int) -> None:
    verdicts = VerdictStore(project.store)
    verdicts.undo_sample(sample_id, verdicts.find_newest(sample_id)[0])


@pytest.mark.parametrize("kind", [ACCEPTED_WHOLE, REJECTED_WHOLE, EDITED])
def test_a_decision_on_a_whole_recording_is_undone_and_then_the_verdicts_before_it(project: LocalProject, kind: str):
    sample_id = propose(project)
    sample, proposals = project.sample(sample_id), project.store.proposals(JOB)
    decide(project, sample_id, ABA[1], "c")
    partly = project.store.proposals(JOB)
    whole_decision(project, sample_id, kind)
    assert project.store.proposals(JOB) == []
    undo_of(project, sample_id)
    found = project.sample(sample_id)
    assert (found.structured_labels, found.metadata) == (sample.structured_labels, sample.metadata)
    assert project.store.proposals(JOB) == partly
    undo_of(project, sample_id)
    assert project.store.proposals(JOB) == proposals
    assert VerdictStore(project.store).find_newest(sample_id) == (0, 0)


def test_edits_are_undone_one_after_the_other_and_listed_in_the_history(project: LocalProject):
    sample_id = add_recording(project, structured_labels=ABA, metadata={"labeled_by": "toy"})
    whole_decision(project, sample_id, EDITED)
    project.store.set_label(sample_id, "other column")
    revision = project.sample(sample_id).revision
    VerdictStore(project.store).decide_whole(
        EDITED, NO_JOB, project.sample(sample_id), lambda: project.store.set_by_hand(sample_id, whole("b"), revision)
    )
    history = VerdictStore(project.store).list_history(sample_id, 10)
    assert [verdict.kind for _, verdict in history] == [EDITED, EDITED]
    undo_of(project, sample_id)
    assert project.sample(sample_id).structured_labels == whole("mine")
    undo_of(project, sample_id)
    found = project.sample(sample_id)
    assert (found.structured_labels, found.metadata, found.label) == (ABA, {"labeled_by": "toy"}, "other column")


@pytest.mark.parametrize("kind", [ACCEPTED_WHOLE, REJECTED_WHOLE, EDITED])
def test_a_decision_on_a_whole_recording_is_not_undone_over_later_changes(project: LocalProject, kind: str):
    sample_id = propose(project)
    whole_decision(project, sample_id, kind)
    if kind == REJECTED_WHOLE:
        project.store.propose(Proposal(JOB + 1, sample_id, ProposedChanges(label="x")))
        undo_of(project, sample_id)  # another job's proposal doesn't matter
        assert [len(project.store.proposals(job)) for job in (JOB, JOB + 1)] == [1, 1]
        return
    project.store.set_structured_labels(sample_id, whole("later"))
    with pytest.raises(StaleError):
        undo_of(project, sample_id)
    assert project.sample(sample_id).structured_labels == whole("later")


def test_only_the_newest_verdict_on_a_recording_is_undone_there(project: LocalProject):
    first, second = propose(project), propose(project)
    whole_decision(project, first, ACCEPTED_WHOLE)
    (batch, _) = VerdictStore(project.store).find_newest(first)
    whole_decision(project, second, ACCEPTED_WHOLE)
    whole_decision(project, first, EDITED)
    with pytest.raises(StaleError):
        VerdictStore(project.store).undo_sample(first, batch)
    undo_of(project, first)
    undo_of(project, first)
    assert project.sample(first).structured_labels is None
    assert project.sample(second).structured_labels == ABA
    assert [one.sample_id for one in VerdictStore(project.store).undo(JOB)] == [second]


def test_labels_that_a_block_writes_over_edited_ones_can_be_reviewed(studio: Studio):
    sample_id = studio.add(100)
    store, sample = studio.project.store, studio.project.sample(sample_id)
    VerdictStore(store).decide_whole(
        EDITED, NO_JOB, sample, lambda: store.set_by_hand(sample_id, whole("mine"), sample.revision)
    )
    store.set_structured_labels(sample_id, whole("of a block"))
    with store.transaction() as db:
        db.execute("UPDATE samples SET metadata = '{}' WHERE id = ?", (sample_id,))
    page = studio.session.get(f"{studio.address.url}/review?state=all", timeout=10).text
    assert "of a block" in page
    assert "1 of 1" in page


def test_a_decision_that_changes_nothing_is_nothing_to_undo(project: LocalProject):
    sample_id = add_recording(project)
    whole_decision(project, sample_id, REJECTED_WHOLE)
    assert VerdictStore(project.store).find_newest(sample_id) == (0, 0)


def test_a_refused_decision_stores_nothing(project: LocalProject):
    sample_id = propose(project)
    store = project.store
    with pytest.raises(StaleError):
        VerdictStore(store).decide_whole(
            ACCEPTED_WHOLE, JOB, project.sample(sample_id), lambda: store.accept(JOB, sample_id, 99)
        )
    assert len(store.proposals(JOB)) == 1
    assert VerdictStore(store).list_history(sample_id, 10) == []


def test_each_label_of_a_project_keeps_a_color_of_its_own_and_other_labels_are_gray(project: LocalProject):
    colors = LabelColors(project.store)
    names = [f"label {number}" for number in range(COLORS)]
    assert [colors(name) for name in names] == list(range(COLORS))
    JobStore(project.store).create(PREVIEW, "toy", {"other-label": "noise"}, [])
    assert (colors("other"), colors("noise")) == (GRAY, GRAY)
    again = LabelColors(project.store)
    assert [again(name) for name in reversed(names)] == list(reversed(range(COLORS)))
    assert again("one more") < COLORS


@pytest.mark.parametrize("query", ["order=best", "job=x", "state=none", "unknown=1", "label=a&label=b"])
def test_a_review_of_something_unknown_is_refused(studio: Studio, query: str):
    answer = studio.session.get(f"{studio.address.url}/review?{query}", timeout=10)
    assert answer.status_code == 400


def test_the_clip_of_a_segment_is_a_wav_and_others_are_refused(studio: Studio):
    sample_id = studio.add(100)
    url = f"{studio.address.url}/recordings/{sample_id}/clip"
    clip = studio.session.get(f"{url}?start=10&end=60", timeout=10)
    assert (clip.status_code, len(clip.content)) == (200, 44 + 2 * 50)
    for query in ("start=60&end=10", "start=0&end=101", "start=x&end=5", ""):
        assert studio.session.get(f"{url}?{query}", timeout=10).status_code == 400
