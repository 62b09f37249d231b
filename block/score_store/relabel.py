"""Decide labels again from stored logits: no audio, no model, no torch."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from block.decisions import Scores, count_values, is_silent, label_recording, score_labels
from block.explanation import explain
from block.formatting import count
from block.recording import LabeledRecording
from block.score_store import Scored, ScoreStore
from block.settings import SCORE_FUNCTIONS, DecisionSettings, SettingsError, WindowSettings
from block.uncertainty import find_uncertain_windows
from block.windows import Layout, lay_out_stretches, lay_out_windows_ms


@dataclass(frozen=True)
class NamedRecording:
    """A recording's id and name, for its labels, and the SHA-256 of its bytes, to find its scores."""

    id: int
    name: str
    content: str


@dataclass(frozen=True, eq=False)
class WindowScores:
    """The scores of a recording's windows for labels of interest, whatever their thresholds.

    `scores` has shape `(windows, labels)`. Windows that are silent have no chunks in `chunk_counts`. `content`, `mode`
    and `levels_dbfs` are as in `Scored`.
    """

    content: str
    mode: str
    value_rate_hz: Fraction
    layout: Layout
    chunk_counts: tuple[int, ...]
    levels_dbfs: npt.NDArray[np.float32]
    scores: Scores

    @classmethod
    def of(cls, scored: Scored, windows: WindowSettings, decisions: DecisionSettings) -> WindowScores:
        """Return the scores of a recording; `windows` are those of the store's key.

        Raise SettingsError if a window is needed that was skipped as silent.
        """
        layout = lay_out_scored(scored, windows)
        if len(layout.windows) != scored.windows:
            raise ValueError(f"got scores of {scored.windows} windows; expected {len(layout.windows)} for {windows}")
        _check_missing([missing_windows(scored, decisions)], decisions)
        heard = select_heard(scored, decisions)
        scores = score_labels(heard.logits, heard.chunk_counts, decisions)
        return cls(
            scored.content, scored.mode, scored.value_rate_hz, layout, heard.chunk_counts, scored.levels_dbfs, scores
        )  # fmt: skip


def relabel(
    store: ScoreStore, recordings: Sequence[NamedRecording], decisions: DecisionSettings
) -> list[LabeledRecording]:
    """Return the labels that a run with `decisions` would give to `recordings`, in their order.

    From scores of exact mode, the labels equal those of a new run. In fast mode, `find_uncertain` names the windows
    that a new run would compute exactly. Raise SettingsError if a recording has no scores, or if `decisions` needs a
    window that was skipped as silent.
    """
    by_content: dict[str, list[int]] = {}
    for at, recording in enumerate(recordings):
        by_content.setdefault(recording.content, []).append(at)
    labeled: dict[int, LabeledRecording] = {}
    missing: list[list[float]] = []
    for scored in store.find_all(by_content):
        if levels := missing_windows(scored, decisions):
            missing.append(levels)
            continue
        decided = decide(scored, store.key.windows, decisions)
        for at in by_content[scored.content]:
            labeled[at] = replace(decided, id=recordings[at].id, name=recordings[at].name)
    _check_missing(missing, decisions)
    without = [one.name for at, one in enumerate(recordings) if at not in labeled]
    if without:
        raise SettingsError(
            f"the score store {store.folder} has no scores for {len(without):,} of "
            f"{count(len(recordings), 'recording')}, such as {without[0]!r}; label them first"
        )
    return [labeled[at] for at in range(len(recordings))]


def decide(scored: Scored, windows: WindowSettings, decisions: DecisionSettings) -> LabeledRecording:
    """Return a recording's labels from its stored logits, as `ExactLabeler` decides them, without an id or a name.

    `windows` are those of the store's key. Raise SettingsError if a window is needed that was skipped as silent.
    """
    one = WindowScores.of(scored, windows, decisions)
    labeled = label_recording(0, "", one.value_rate_hz, one.layout, one.chunk_counts, one.scores, decisions, one.mode)
    return replace(labeled, content=one.content)


def decide_and_explain(
    scored: Scored, windows: WindowSettings, decisions: DecisionSettings, class_names: Sequence[str]
) -> LabeledRecording:
    """Return what `decide` does, with the evidence for each label."""
    labeled, one = decide(scored, windows, decisions), WindowScores.of(scored, windows, decisions)
    logits = select_heard(scored, decisions).logits
    return replace(labeled, evidence=explain(labeled.segments, one, logits, decisions, class_names))


def find_uncertain(
    scored: Scored, windows: WindowSettings, decisions: DecisionSettings, trusts_unknown: bool = False
) -> npt.NDArray[np.bool_]:
    """Return which windows have fast scores whose error could change a label. Shape: `(windows,)`.

    These include all fast scores of unknown error, unless `trusts_unknown`.
    """
    errors = scored.errors[:, SCORE_FUNCTIONS.index(decisions.score_function)]
    errors = np.where(np.isinf(errors), 0, errors) if trusts_unknown else errors
    if not errors.any():
        return np.zeros(scored.windows, dtype=bool)
    heard = select_heard(scored, decisions)
    scores = score_labels(heard.logits, heard.chunk_counts, decisions)
    cells = lay_out_scored(scored, windows).cells
    median = count_values(decisions.median_ms, scored.value_rate_hz)
    return find_uncertain_windows(
        scores, errors, np.array(heard.chunk_counts) > 0, cells, decisions.labels, decisions.hysteresis, median
    )


def select_heard(scored: Scored, decisions: DecisionSettings) -> Scored:
    """Return `scored` without the logits of windows that are silent under `decisions`."""
    heard = ~is_silent(scored.levels_dbfs, decisions)
    if heard.all():
        return scored
    counts = tuple((np.array(scored.chunk_counts) * heard).tolist())
    return replace(scored, chunk_counts=counts, logits=scored.logits[np.repeat(heard, scored.chunk_counts)])


def lay_out_scored(scored: Scored, windows: WindowSettings) -> Layout:
    """Return the layout of a recording with stored scores; `windows` are those of the store's key."""
    if scored.cuts is not None:
        return lay_out_stretches(scored.values, scored.cuts)
    return lay_out_recording(scored.values, scored.value_rate_hz, windows)


@functools.lru_cache(maxsize=256)
def lay_out_recording(values: int, value_rate_hz: Fraction, windows: WindowSettings) -> Layout:
    """Return the layout of a recording on a grid. Layouts are cached, because many recordings have the same length."""
    return lay_out_windows_ms(values, value_rate_hz, windows.size_ms, windows.stride_ms)


def missing_windows(scored: Scored, decisions: DecisionSettings) -> list[float]:
    """Return the levels, in dBFS, of windows that `decisions` needs but that were skipped as silent."""
    were_silent = np.array(scored.chunk_counts) == 0
    levels: list[float] = scored.levels_dbfs[were_silent & ~is_silent(scored.levels_dbfs, decisions)].tolist()
    return levels


def _check_missing(missing: Sequence[Sequence[float]], decisions: DecisionSettings) -> None:
    """Raise SettingsError if any windows are missing: a sequence of `missing_windows` for each recording."""
    levels = list(itertools.chain.from_iterable(missing))
    if not levels:
        return
    silence = decisions.silence_dbfs
    with_option = "without --silence-dbfs" if silence is None else f"with --silence-dbfs {silence:g}"
    # Suggest a threshold above the loudest of them, so that all of them count as silent again.
    loudest = max(levels)
    enough = min(0.0, math.floor(loudest * 10 + 1) / 10) if math.isfinite(loudest) else -200.0
    raise SettingsError(
        f"{with_option}, scores are missing for {count(len(levels), 'window')} of {count(len(missing), 'recording')} "
        f"that the run skipped as silent; give --silence-dbfs {enough:g} or higher, or label again {with_option}, "
        f"which computes only these windows"
    )
