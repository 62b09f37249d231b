"""Recordings that were computed together are computed together again after a run was killed."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from block.folder.groups import GroupedLabeler
from block.folder.groups_file import Group, Journal
from block.labeling.labeler import Labeler
from block.labels import LabelOfInterest
from block.recording import Recording
from block.score_store import Key, ScoreStore
from block.settings import DecisionSettings, WindowSettings

NAMES = ("a", "b")
CONTENTS = ["%064x" % number for number in range(9)]  # noqa: UP031


def test_a_group_is_partial_if_the_store_holds_some_of_it_and_a_content_counts_where_it_came_last(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path / "groups.jsonl")
    assert journal.partial({"a"}) == []
    groups = [
        Group(("1", "2"), ("a", "b")), Group(("3",), ("c",)), Group(("4", "\udcff"), ("d", "e")),
        Group(("5", "6"), ("f", "g")), Group(("5",), ("f",)), Group(("6",), ("g",)),
    ]  # fmt: skip
    for group in groups:
        journal.note(group)
    assert journal.partial({"a", "b", "c", "d", "f"}) == [groups[2]]
    assert journal.partial(set()) == []
    with journal.path.open("a") as file:
        file.write('{"paths": ["7", "8"], "comp')  # the process was killed here
    journal.note(Group(("7", "8"), ("h", "i")))
    assert journal.partial({"h"}) == [Group(("7", "8"), ("h", "i"))]
    journal.end()
    assert journal.partial({"a"}) == []


class Together(Labeler):
    """A labeler whose logits are how many pieces were computed with each, as rounding can show."""

    def __init__(self) -> None:
        label = LabelOfInterest(0, "a", "a", 0.5, "a")
        object.__setattr__(self, "decisions", DecisionSettings((label,)))
        object.__setattr__(self, "windows", WindowSettings(1000, 1000))
        object.__setattr__(self, "calls", [])

    def logits_of(self, items: list[object], path: str = "exact") -> np.ndarray:  # type: ignore[override]
        self.calls.append(len(items))  # type: ignore[attr-defined]
        return np.full((len(items), 2), len(items), np.float32)


def prepared(number: int) -> object:
    from block.recording import Window
    from block.windows import Prepared, lay_out_ms

    recording = Recording(number, f"{number}.wav", 16000, 16000, np.zeros(16000, np.float32), content=CONTENTS[number])
    return Prepared(
        recording.id, recording.name, 1.0, Fraction(16000), lay_out_ms(16000, Fraction(16000), 1000, 1000),
        recording.waveform, (Window(0, 16000),), (1,), np.zeros(1, np.float32), recording.content,
    )  # fmt: skip


def opened(folder: Path) -> ScoreStore:
    return ScoreStore(folder, Key("0" * 64, WindowSettings(1000, 1000), "pad", "exact", "float32"), NAMES)


@pytest.mark.parametrize("reached", [1, 2])
def test_what_is_left_of_a_group_is_computed_with_what_the_store_holds_of_it(tmp_path: Path, reached: int) -> None:
    paths = [f"{number}.wav" for number in range(1, 9)]
    journal = Journal(tmp_path / "groups.jsonl")
    whole, cut = opened(tmp_path / "whole"), opened(tmp_path / "cut")
    first = GroupedLabeler(Together(), whole, journal, paths, ())
    first.label([prepared(1)])
    first.label([prepared(number) for number in (1, 2, 3, 4)])  # 1 is stored, so three are computed
    for number in range(1, 1 + reached):  # what had come to the disk when the process was killed
        cut.add(whole.find(CONTENTS[number]))
    held = cut.contents()
    (group,) = journal.partial(held) or [Group((), ())]
    again = GroupedLabeler(Together(), cut, journal, paths, group.computed)
    assert group.paths == (() if reached == 1 else ("1.wav", "2.wav", "3.wav", "4.wav"))
    again.label([prepared(number) for number in (1, 2, 3, 4)])
    assert again.labeler.calls == [3]
    for number in (1, 2, 3, 4):
        assert np.array_equal(cut.find(CONTENTS[number]).logits, whole.find(CONTENTS[number]).logits)
    again.label([prepared(2), prepared(5)])
    assert again.labeler.calls == [3, 1], "once computed again, a recording is taken from the store"
