"""Recordings labelled the fast way, held to the exact way on some of their own windows."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from block import decisions
from block.decisions import Scores
from block.labeling.agreement import BLOCK_WINDOWS, OPENING_WINDOWS, Tally, Trial, choose_fastest
from block.labeling.labeler import Decided, ExactLabeler
from block.labeling.partial_logits import PartialLogits
from block.labeling.window_batch import WindowBatch, Windows
from block.labels import LabelOfInterest
from block.recording import LabeledRecording, Recording
from block.settings import EXACT, FAST, REPEAT, AuditSettings
from block.windows import PreparedRecording


class _PathTrial:
    """What the opening audit knows of one path: its tally, its scores of each window, and the seconds they took."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.scores: list[Scores] = []
        self.seconds = 0.0

    def trial(self, path: str, labels: Sequence[LabelOfInterest]) -> Trial:
        scores = np.concatenate(self.scores)
        errors = np.full(len(scores), self.tally.largest_error)
        near = decisions.find_uncertain_cells(scores, np.ones(len(scores), dtype=bool), labels, errors)
        return Trial(path, self.tally, self.seconds / len(scores), float(near.mean()))


@dataclass
class _AuditState:
    """What has been learnt so far; copied for each block, so that a block that fails leaves no trace.

    `path` is None before the opening audit is over; after it the path taken, EXACT if none is, or no longer.
    """

    path: str | None
    tally: Tally = field(default_factory=Tally)
    has_fallen_back: bool = False
    windows: int = 0
    recomputed: int = 0
    opening_windows: int = 0
    opening_s: float = 0.0
    exact_s: float = 0.0
    ways: dict[str, _PathTrial] = field(default_factory=dict)


class FastLabeler:
    """Labels blocks of recordings like an `ExactLabeler`, by the cheapest path that keeps their labels.

    The first 64 windows, drawn from the first block, are computed in every way; the cheapest path that passes does
    the rest, and one window in a hundred goes on being computed both ways. Windows computed exactly keep their exact
    scores. So do those whose label would not survive the largest score error seen yet. Once the path surely agrees
    less than asked for, the block in hand and all that follow are computed exactly. What is returned is final.

    `say` is told what the audit finds, in words. `fast_ids` are the recordings with scores that are not exact.
    """

    mode = FAST

    def __init__(self, labeler: ExactLabeler, settings: AuditSettings, say: Callable[[str], None]) -> None:
        self.labeler = labeler
        self.settings = settings
        self.fast_ids: list[int] = []
        self._say = say
        self._paths = labeler.paths[1:]
        self._state = _AuditState(path=None if self._paths else EXACT)
        no_padding = "--fill repeat leaves no padding to merge"
        if self._paths and labeler.filling == REPEAT:
            say(f"fast mode: {no_padding}; what is left to try: {', '.join(self._paths)}")
        elif not self._paths:
            why = no_padding if labeler.filling == REPEAT else "no path but the exact one on this device"
            say(f"fast mode: {why}; labelling exactly")

    @property
    def batch_windows(self) -> int:
        """How many pieces a block aims for: what is posted together, after its audit."""
        return self.labeler.batch_windows if self._state.path == EXACT else BLOCK_WINDOWS

    @property
    def has_fallen_back(self) -> bool:
        """Did the path taken fail an audit, so that the rest was computed exactly?"""
        return self._state.has_fallen_back

    @property
    def startup_s(self) -> float:
        """Seconds spent on the opening audit, which does not come again."""
        return self._state.opening_s

    def prepare(self, recording: Recording) -> PreparedRecording:
        """As `ExactLabeler.prepare`."""
        return self.labeler.prepare(recording)

    def label(self, batch: Sequence[PreparedRecording]) -> list[LabeledRecording]:
        """Label a block of recordings. Raises RecordingError if one cannot be labelled; then nothing is counted."""
        return [judged.labeled for judged in self.judge(batch)]

    def judge(self, batch: Sequence[PreparedRecording]) -> list[Decided]:
        """As `label`, with the logits that each piece ended up with."""
        if self._state.path == EXACT:
            return self.labeler.judge(batch)
        state = copy.deepcopy(self._state)
        said: list[str] = []
        windows = WindowBatch(self.labeler, batch)
        if state.path is None:
            said += self._open(state, windows)
        else:
            said += self._audit(state, state.path, windows)
        # None: there were fewer windows than the opening audit wants, and all of them are exact by now.
        if state.path is not None:
            self._rest(state, state.path, windows)
        self._state = state
        for line in said:
            self._say(line)
        self.fast_ids += [one.recording_id for one, fast in zip(batch, windows.fast(), strict=True) if fast]
        modes = [f"fast {state.path}" if fast else EXACT for fast in windows.fast()]
        return [
            Decided(
                self.labeler.decide(one, windows.scores[rows], mode, windows.logits[pieces]), windows.logits[pieces]
            )
            for one, rows, pieces, mode in zip(batch, windows.rows, windows.pieces, modes, strict=True)
        ]

    def complete(self, batch: Sequence[PartialLogits]) -> list[LabeledRecording]:
        """Compute the recordings of which a piece is missing, and label; which path they take is the audit's matter."""
        rest = [one.prepared for one in batch if one.lacking]
        judged = iter(self.judge(rest) if rest else [])
        labeled = []
        for one in batch:
            if one.lacking:
                new = next(judged)
                one.replace(new.logits, new.labeled.mode)
                labeled.append(new.labeled)
                continue
            labeled.append(self.labeler.decide_known(one))
            if one.mode != EXACT:
                self.fast_ids.append(one.prepared.recording_id)
        return labeled

    def report(self) -> list[str]:
        """What the run found out about its own faithfulness, in words."""
        state = self._state
        if state.path is None and not state.opening_windows:
            return []  # nothing was computed
        if state.path is None:
            return [f"fast mode: all {state.opening_windows} windows were needed for the opening audit and are exact"]
        if not state.tally.windows:
            return []
        return [
            f"fast mode: {state.tally}; {state.recomputed} of {state.windows} other windows were computed again "
            "exactly, close to a threshold or a rival"
        ]

    def _open(self, state: _AuditState, windows: WindowBatch) -> list[str]:
        started = time.perf_counter()
        audited = windows.drawn(self.settings.seed, OPENING_WINDOWS - state.opening_windows)
        state.exact_s += windows.compute(audited, EXACT)
        for path in self._paths:
            way = state.ways.setdefault(path, _PathTrial())
            computed = windows.computed(audited, path)
            way.seconds += computed.seconds
            way.scores.append(computed.scores)
            way.tally = windows.compare(way.tally, audited, computed.scores)
        state.opening_windows += len(audited)
        state.opening_s += time.perf_counter() - started
        return self._choose(state) if state.opening_windows >= OPENING_WINDOWS else []

    def _choose(self, state: _AuditState) -> list[str]:
        exact_s = state.exact_s / state.opening_windows
        trials = [way.trial(path, self.labeler.decisions.labels) for path, way in state.ways.items()]
        said = [
            f"opening audit of {trial.path}, {exact_s / trial.cost(exact_s):.1f} times as fast as exact with its "
            f"audit and {trial.near * 100:.0f} % computed again: {trial.tally}"
            for trial in trials
        ]
        chosen = choose_fastest(trials, exact_s, self.settings.min_agreement)
        state.ways = {}
        if chosen is None:
            state.path = EXACT
            return [*said, "fast mode: no path that passes is faster; labelling exactly"]
        state.path, state.tally = chosen.path, chosen.tally
        return [*said, f"fast mode: labelling by {chosen.path}"]

    def _audit(self, state: _AuditState, path: str, windows: WindowBatch) -> list[str]:
        audited = windows.drawn(self.settings.seed)
        windows.compute(audited, EXACT)
        state.tally = windows.compare(state.tally, audited, windows.computed(audited, path).scores)
        if state.tally.upper_bound >= self.settings.min_agreement:
            return []
        state.path, state.has_fallen_back = EXACT, True
        return [
            f"fast mode falls back to exact: {state.tally}; at most {state.tally.upper_bound * 100:.1f} % do, and "
            f"--min-agreement is {self.settings.min_agreement:g}"
        ]

    @staticmethod
    def _rest(state: _AuditState, path: str, windows: WindowBatch) -> None:
        """Compute what the audit left, and once more exactly what lies too close."""
        rest: Windows = np.flatnonzero(windows.heard & ~windows.exact)
        windows.compute(rest, path)
        if path == EXACT:
            return
        near = windows.near(state.tally.largest_error)
        windows.compute(near, EXACT)
        state.windows += len(rest)
        state.recomputed += len(near)
