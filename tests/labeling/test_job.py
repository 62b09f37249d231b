"""Jobs from options, before torch is imported."""

from __future__ import annotations

import pytest

from block.commands.options import parse, read_job
from block.labeling.job import Job, build_metadata, suggest_speedups
from block.labels import parse_labels
from block.model.checkpoint import EMBEDDED, find_checkpoint
from block.settings import AuditSettings, ComputeSettings, DecisionSettings, Fill, WindowSettings


def job(mode: str = "exact", fill: Fill = "pad") -> Job:
    checkpoint = find_checkpoint(EMBEDDED)
    decisions = DecisionSettings(parse_labels("Dog", checkpoint.class_names, 0.2))
    return Job(checkpoint, WindowSettings(), decisions, ComputeSettings(mode=mode, fill=fill), AuditSettings())


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


def test_labels_that_cannot_win_cause_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--data-ids-file", "ids.json", "--model", EMBEDDED, "--audioset-labels"]
    read_job(parse([*arguments, "Dog, Animal*"], warn=lambda text: None))
    assert capsys.readouterr().out == ""
    read_job(parse([*arguments, "Animal*, Dog"], warn=lambda text: None))
    assert capsys.readouterr().out.startswith("warning: 'Dog' will never be used")
