"""Jobs from options, before torch is imported."""

from __future__ import annotations

from dataclasses import replace

import pytest

from block.commands.options import parse, read_job
from block.labeling.job import Job, build_metadata, compute_fingerprint, print_job, suggest_speedups
from block.labels import parse_labels
from block.model.checkpoint import EMBEDDED, find_checkpoint
from block.score_store import Key
from block.settings import AuditSettings, ComputeSettings, DecisionSettings, Fill, WindowSettings


def job(mode: str = "exact", fill: Fill = "pad") -> Job:
    checkpoint = find_checkpoint(EMBEDDED)
    decisions = DecisionSettings(parse_labels("Dog", checkpoint.class_names, 0.2))
    return Job(checkpoint, WindowSettings(), decisions, ComputeSettings(mode=mode, fill=fill), AuditSettings())


def key_of(one: Job) -> Key:
    """Return the key of a job's scores, as if its weights had a SHA-256 of zeros."""
    return replace(one.score_key("float32"), checkpoint="0" * 64)


def fingerprint(one: Job, *, fills_gaps: bool = False) -> str:
    return compute_fingerprint(key_of(one), one.decisions, one.audit, fills_gaps=fills_gaps)


@pytest.mark.parametrize(
    ("fill", "mode", "device", "named"),
    [
        ("pad", "exact", "cpu", True),
        ("pad", "exact", "cuda", True),
        ("repeat", "exact", "cpu", True),  # 8-bit integers are left
        ("repeat", "exact", "cuda", False),
        ("pad", "fast", "cpu", False),
    ],
)
def test_fast_mode_is_suggested_only_if_it_can_be_faster(fill: Fill, mode: str, device: str, named: bool) -> None:
    assert ("--mode fast" in suggest_speedups(job(mode, fill), device)) is named


@pytest.mark.parametrize(("mode", "larger"), [("exact", "larger windows"), ("fast", "larger windows, in exact mode")])
def test_larger_windows_are_suggested_if_the_model_can_hear_more_at_once(mode: str, larger: str) -> None:
    small = job(mode)
    limit_ms = small.checkpoint.front_end.limit_values // 16  # values per millisecond
    for size_ms, suggested in ((limit_ms - 1, True), (limit_ms + 1, False)):
        found = suggest_speedups(replace(small, windows=WindowSettings(size_ms, size_ms)), "cpu")
        assert (larger in found) is suggested


def test_the_fill_option_is_used_and_written_to_the_metadata() -> None:
    arguments = ["--data-ids-file", "ids.json", "--model", EMBEDDED]
    for more, fill in (((), "pad"), (("--fill", "repeat"), "repeat"), (("--fill", ""), "pad")):
        read = read_job(parse([*arguments, *more], warn=lambda text: None))
        assert read.compute.fill == fill
        # For both, since metadata of an earlier run stays unless it's overwritten.
        assert (
            build_metadata(read.decisions, read.windows, read.compute.fill, "m", "0" * 64, "float32")["ast_fill"]
            == fill
        )


@pytest.mark.parametrize(("fill", "named"), [("pad", False), ("repeat", True)])
def test_a_fill_other_than_the_usual_is_printed(fill: Fill, named: bool, capsys: pytest.CaptureFixture[str]) -> None:
    print_job(job(fill=fill), "0" * 64)
    assert capsys.readouterr().out.rstrip().endswith(", filled by repeat") is named


def test_labels_that_cannot_win_cause_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--data-ids-file", "ids.json", "--model", EMBEDDED, "--audioset-labels"]
    read_job(parse([*arguments, "Dog, Animal*"], warn=lambda text: None))
    assert capsys.readouterr().out == ""
    read_job(parse([*arguments, "Animal*, Dog"], warn=lambda text: None))
    assert capsys.readouterr().out.startswith("warning: 'Dog' will never be used")


def test_the_fingerprint_depends_on_the_arithmetic_and_not_on_the_blocks_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual = job()
    before = fingerprint(usual)
    # Samples that block 0.1.0 labeled have this fingerprint: it included its version, which is now the scores version.
    assert before == "f9113bca5f09"
    monkeypatch.setattr("block.__version__", "0.2.0")
    monkeypatch.setattr("block.labeling.job.__version__", "0.2.0")
    assert fingerprint(usual) == before
    checkpoint = usual.checkpoint
    others = [
        replace(usual, checkpoint=replace(checkpoint, config='{"num_attention_heads": 4}')),
        replace(usual, checkpoint=replace(checkpoint, front_end=replace(checkpoint.front_end, mean=-4.0))),
    ]
    found = {fingerprint(one) for one in others}
    found.add(compute_fingerprint(replace(key_of(usual), scores="0.2.0"), usual.decisions, usual.audit))
    assert len(found | {before}) == 4


def test_settings_that_are_new_are_part_of_the_fingerprint_only_if_they_change_anything() -> None:
    found = {
        fingerprint(replace(usual, decisions=replace(usual.decisions, **changed)))
        for usual in [job()]
        for changed in ({}, {"hysteresis": 0.5}, {"median_ms": 500}, {"min_event_ms": 500}, {"min_gap_ms": 500})
    }
    assert len(found) == 5
    assert "f9113bca5f09" in found


def test_where_the_sound_changes_is_part_of_the_fingerprint_and_window_sizes_are_not() -> None:
    cut = [replace(job(), windows=WindowSettings(size, size, "sound")) for size in (2000, 500)]
    first, second = (fingerprint(one) for one in cut)
    whole = replace(job(), windows=WindowSettings(0, 0))
    assert first == second != fingerprint(whole)
    moved = replace(key_of(cut[0]), placement="sound 99")
    assert compute_fingerprint(moved, cut[0].decisions, cut[0].audit) != first
    assert not any("win" in one for one in suggest_speedups(cut[0], "cpu"))


def test_context_is_part_of_the_fingerprint_the_metadata_and_the_key_of_scores_only_if_there_is_any() -> None:
    usual = job()
    with_context = replace(usual, compute=replace(usual.compute, context_ms=500))
    assert fingerprint(usual) != fingerprint(with_context)
    found = []
    for one in (usual, with_context):
        filling = one.compute.filling
        described = build_metadata(one.decisions, one.windows, filling, "m", "0" * 64, "float32")
        key = Key.from_checkpoint(one.checkpoint, one.windows, filling, "exact", "float32")
        assert Key.from_json(key.to_json()) == key
        found.append((described["ast_fill"], key.fill))
    assert found == [("pad", "pad"), ("pad, 500 ms of context",) * 2]


def test_filling_gaps_is_part_of_the_fingerprint() -> None:
    replacing, filling = (fingerprint(job(), fills_gaps=fills) for fills in (False, True))
    assert replacing == "f9113bca5f09" != filling
