"""Labels decided again from stored logits: no audio, no model, no torch."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from block.decisions import is_silent, label_recording, score_labels
from block.recording import LabeledRecording
from block.score_store import Scored, ScoreStore
from block.settings import DecisionSettings, SettingsError, WindowSettings
from block.windows import Layout, lay_out_ms


@dataclass(frozen=True)
class NamedRecording:
    """A recording's id and name, which go into its labels, and the SHA-256 of its bytes."""

    id: int
    name: str
    content: str


def relabel(
    store: ScoreStore, recordings: Sequence[NamedRecording], decisions: DecisionSettings
) -> list[LabeledRecording]:
    """Return the labels that a run with `decisions` would give to `recordings`, in their order.

    They equal those of a run that computes every window exactly. For scores in fast mode, as `LabeledRecording.mode`
    says, windows near a threshold or a rival were computed exactly for the settings of that run, not for these. Raises
    SettingsError for recordings without scores, and if a window is needed that was left out as silent.
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
            f"the score store {store.folder} holds no scores of {len(without)} of {len(recordings)} recordings, "
            f"{without[0]!r} for one; label them first"
        )
    return [labeled[at] for at in range(len(recordings))]


def decide(scored: Scored, windows: WindowSettings, decisions: DecisionSettings) -> LabeledRecording:
    """Return a recording's labels from its stored logits, as `ExactLabeler` decides them, without an id and a name.

    `windows` are those of the store's key. Raises SettingsError if a window is needed that was left out as silent.
    """
    layout = lay_out_windows(scored.values, scored.value_rate_hz, windows)
    if len(layout.windows) != scored.windows:
        raise ValueError(f"scores of {scored.windows} windows; {windows} make {len(layout.windows)}")
    _check_missing([missing_windows(scored, decisions)], decisions)
    heard = select_heard(scored, decisions)
    scores = score_labels(heard.logits, heard.piece_counts, decisions)
    counts = heard.piece_counts
    return label_recording(0, "", scored.value_rate_hz, layout, counts, scores, decisions, scored.mode)


def select_heard(scored: Scored, decisions: DecisionSettings) -> Scored:
    """Return `scored` without the logits of windows that are silent under `decisions`."""
    heard = np.array([not is_silent(float(level), decisions) for level in scored.levels_dbfs])
    if heard.all():
        return scored
    counts = tuple((np.array(scored.piece_counts) * heard).tolist())
    return replace(scored, piece_counts=counts, logits=scored.logits[np.repeat(heard, scored.piece_counts)])


@functools.lru_cache(maxsize=256)
def lay_out_windows(values: int, value_rate_hz: Fraction, windows: WindowSettings) -> Layout:
    """Return the layout of a recording. Recordings of one length share it."""
    return lay_out_ms(values, value_rate_hz, windows.size_ms, windows.stride_ms)


def missing_windows(scored: Scored, decisions: DecisionSettings) -> list[float]:
    """Return the levels, in dBFS, of windows that `decisions` needs and that were left out as silent."""
    return [
        float(level)
        for count, level in zip(scored.piece_counts, scored.levels_dbfs, strict=True)
        if not count and not is_silent(float(level), decisions)
    ]


def _check_missing(missing: Sequence[Sequence[float]], decisions: DecisionSettings) -> None:
    """Raise SettingsError if there are any of the `missing_windows` of some recordings, a sequence for each."""
    levels = list(itertools.chain.from_iterable(missing))
    if not levels:
        return
    asked = "no --silence-dbfs" if decisions.silence_dbfs is None else f"--silence-dbfs {decisions.silence_dbfs:g}"
    # Above the loudest of them, which was left out because it was quieter than some earlier threshold.
    loudest = max(levels)
    enough = min(0.0, math.floor(loudest * 10 + 1) / 10) if math.isfinite(loudest) else -200.0
    raise SettingsError(
        f"{asked} needs {len(levels)} window{'s' * (len(levels) > 1)} of {len(missing)} "
        f"recording{'s' * (len(missing) > 1)} that were left out as silent when the scores were computed; give "
        f"--silence-dbfs {enough:g} or higher, or label again with {asked}, which computes these alone"
    )
