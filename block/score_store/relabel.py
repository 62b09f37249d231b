"""Labels decided again from stored logits: no audio, no model, no torch."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
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
    """A recording by its name and the SHA-256 of its bytes; `id` is handed on."""

    id: int
    name: str
    content: str


class MissingScores(SettingsError):
    """Recordings whose scores the store does not hold. `names` are theirs."""

    def __init__(self, message: str, names: Sequence[str]) -> None:
        super().__init__(message)
        self.names = tuple(names)


def relabel(
    store: ScoreStore,
    recordings: Sequence[NamedRecording],
    decisions: DecisionSettings,
    progress: Callable[[int], None] = lambda count: None,
) -> list[LabeledRecording]:
    """The labels that a run with `decisions` would give to `recordings`, in their order.

    Equal to those of a run that computes every window exactly. Where logits were computed the fast way (the mode says
    so), windows near a threshold or a rival were computed exactly for the settings of that run, not for these.
    `progress` is told, again and again, how many are done. Raises NotStored for recordings without scores, and
    SettingsError where `decisions` needs windows that were left out as silent when the scores were computed.
    """
    by_content: dict[str, list[int]] = {}
    for at, recording in enumerate(recordings):
        by_content.setdefault(recording.content, []).append(at)
    labeled: list[LabeledRecording | None] = [None] * len(recordings)
    needs = _MissingWindows()
    # In the order in which they can be read fastest, and each kind of length laid out once.
    for scored in store.all(by_content):
        if needs.add(scored, decisions):
            continue
        places = by_content[scored.content]
        decided = decide(scored, store.key.windows, decisions)
        for at in places:
            labeled[at] = replace(decided, id=recordings[at].id, name=recordings[at].name)
        progress(len(places))
    needs.check(decisions)
    missing = [one.name for one, found in zip(recordings, labeled, strict=True) if found is None]
    if missing:
        raise MissingScores(
            f"the score store {store.folder} holds no scores of {len(missing)} of {len(recordings)} recordings, "
            f"{missing[0]!r} for one; label them first",
            missing,
        )
    return [one for one in labeled if one is not None]


def decide(
    scored: Scored, windows: WindowSettings, decisions: DecisionSettings, recording_id: int = 0, name: str = ""
) -> LabeledRecording:
    """A recording's labels from its stored logits, by the path that `ExactLabeler` takes.

    `windows` are those of the store's key. Raises SettingsError where a window that was left out as silent is needed.
    """
    layout = lay_out_windows(scored.values, scored.value_rate_hz, windows)
    if len(layout.windows) != scored.windows:
        raise ValueError(f"scores of {scored.windows} windows; {windows} make {len(layout.windows)}")
    needs = _MissingWindows()
    needs.add(scored, decisions)
    needs.check(decisions)
    heard = select_heard(scored, decisions)
    scores = score_labels(heard.logits, heard.piece_counts, decisions)
    return label_recording(
        recording_id, name, scored.value_rate_hz, layout, heard.piece_counts, scores, decisions, scored.mode
    )


def select_heard(scored: Scored, decisions: DecisionSettings) -> Scored:
    """Return `scored` without the logits of windows that are silent under `decisions`."""
    heard = ~is_silent(scored.levels_dbfs, decisions)
    if heard.all():
        return scored
    counts = tuple((np.array(scored.piece_counts) * heard).tolist())
    return replace(scored, piece_counts=counts, logits=scored.logits[np.repeat(heard, scored.piece_counts)])


@functools.lru_cache(maxsize=256)
def lay_out_windows(values: int, value_rate_hz: Fraction, windows: WindowSettings) -> Layout:
    """Return the layout of a recording; each kind of length is laid out once."""
    return lay_out_ms(values, value_rate_hz, windows.size_ms, windows.stride_ms)


class _MissingWindows:
    """Windows that were left out as silent when the logits were computed and that are to be heard now."""

    def __init__(self) -> None:
        self.windows = self.recordings = 0
        self.loudest_dbfs = -math.inf

    def add(self, scored: Scored, decisions: DecisionSettings) -> int:
        """How many there are in `scored`; they are counted."""
        left_out = np.array(scored.piece_counts) == 0
        if not left_out.any():
            return 0
        needed = scored.levels_dbfs[left_out & ~is_silent(scored.levels_dbfs, decisions)]
        if len(needed):
            self.windows += len(needed)
            self.recordings += 1
            self.loudest_dbfs = max(self.loudest_dbfs, float(needed.max()))
        return len(needed)

    def check(self, decisions: DecisionSettings) -> None:
        if not self.windows:
            return
        asked = "no --silence-dbfs" if decisions.silence_dbfs is None else f"--silence-dbfs {decisions.silence_dbfs:g}"
        # Above the loudest of them, which was left out for being quieter than some earlier threshold.
        enough = min(0.0, math.floor(self.loudest_dbfs * 10 + 1) / 10) if math.isfinite(self.loudest_dbfs) else -200.0
        raise SettingsError(
            f"{asked} needs {self.windows} window{'s' * (self.windows > 1)} of {self.recordings} "
            f"recording{'s' * (self.recordings > 1)} that were left out as silent when the scores were computed; give "
            f"--silence-dbfs {enough:g} or higher, or label again with {asked}, which computes these alone"
        )
