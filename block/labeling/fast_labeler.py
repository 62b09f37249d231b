"""Label recordings by a faster path, and audit it by computing some of the windows exactly, too."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from block import decisions
from block.decisions import Scores
from block.formatting import count
from block.labeling.agreement import BLOCK_WINDOWS, OPENING_WINDOWS, Tally, Trial, choose_fastest
from block.labeling.labeler import ExactLabeler
from block.labeling.partial_logits import PartialLogits
from block.labeling.window_batch import WindowBatch
from block.labels import LabelOfInterest
from block.recording import LabeledRecording, Recording
from block.settings import EXACT, FAST, REPEAT, AuditSettings
from block.windows import PreparedRecording


@dataclass
class _PathTrial:
    """One path in the opening audit: how well it agrees, the scores of each window, and the seconds they took."""

    tally: Tally = field(default_factory=Tally)
    scores: list[Scores] = field(default_factory=list)
    seconds: float = 0.0

    def summarize(self, path: str, labels: Sequence[LabelOfInterest]) -> Trial:
        scores = np.concatenate(self.scores)
        errors = np.full(len(scores), self.tally.largest_error)
        near = decisions.find_uncertain_cells(scores, np.ones(len(scores), dtype=bool), labels, errors)
        return Trial(path, self.tally, self.seconds / len(scores), float(near.mean()))


@dataclass
class _AuditState:
    """What the audit has found so far. Each batch works on a copy, so that a batch that fails leaves no trace.

    `path` is None until the opening audit is over. Then it's the path in use: EXACT if no other is good enough.
    """

    path: str | None
    tally: Tally = field(default_factory=Tally)
    has_fallen_back: bool = False
    windows: int = 0
    recomputed: int = 0
    opening_windows: int = 0
    opening_s: float = 0.0
    exact_s: float = 0.0
    trials: dict[str, _PathTrial] = field(default_factory=dict)


class FastLabeler:
    """Label recordings like an `ExactLabeler`, but by the cheapest path that gives the same labels.

    Every path computes the first 64 windows, which are drawn from the first batch. The cheapest path that passes
    computes the rest, and one window in a hundred is still computed both ways. Windows whose label could change within
    the largest score error so far are recomputed exactly, and exact scores are always kept. Once the path surely agrees
    less than `settings.min_agreement`, this batch and all later ones are computed exactly. Earlier labels don't change.

    `say` receives the findings of the audit as text. `fast_ids` are the recordings with scores that aren't exact.
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
        if self._paths and labeler.fill == REPEAT:
            say(f"fast mode: {no_padding}; trying only {', '.join(self._paths)}")
        elif not self._paths:
            why = no_padding if labeler.fill == REPEAT else "this device has no faster path"
            say(f"fast mode: {why}; labeling in exact mode")

    @property
    def batch_windows(self) -> int:
        """The target number of chunks in a batch. Its labels are written after its audit."""
        return self.labeler.batch_windows if self._state.path == EXACT else BLOCK_WINDOWS

    @property
    def has_fallen_back(self) -> bool:
        """True once the fast path has failed an audit, so that the rest is computed exactly."""
        return self._state.has_fallen_back

    @property
    def startup_s(self) -> float:
        """Seconds spent on the opening audit, which happens once."""
        return self._state.opening_s

    def prepare(self, recording: Recording) -> PreparedRecording:
        """Lay out the windows of `recording`; see `ExactLabeler.prepare`."""
        return self.labeler.prepare(recording)

    def label(self, batch: Sequence[PreparedRecording]) -> list[LabeledRecording]:
        """Label recordings. Raise RecordingError if one can't be labeled; then the audit doesn't count the batch."""
        return self.complete([PartialLogits(prepared, len(self.labeler.class_names)) for prepared in batch])

    def complete(self, batch: Sequence[PartialLogits]) -> list[LabeledRecording]:
        """Compute all chunks of recordings with any chunk missing, and label all recordings."""
        incomplete = [one for one in batch if one.is_incomplete]
        if incomplete:
            self._compute(incomplete)
        self.fast_ids += [one.prepared.recording_id for one in batch if one.mode != EXACT]
        return [self.labeler.decide(one) for one in batch]

    def _compute(self, batch: Sequence[PartialLogits]) -> None:
        """Replace the logits of recordings, by the path that the audit allows."""
        state = copy.deepcopy(self._state)
        windows = WindowBatch(self.labeler, [one.prepared for one in batch])
        findings: list[str] = []
        if state.path is None:
            findings = self._run_opening_audit(state, windows)
        elif state.path != EXACT:
            findings = self._audit(state, state.path, windows)
        # If the opening audit still needs more windows, the path is None, and every window is exact.
        if state.path is not None:
            self._compute_rest(state, state.path, windows)
        self._state = state
        for line in findings:
            self._say(line)
        for one, own_windows, own_chunks in zip(batch, windows.window_slices, windows.chunk_slices, strict=True):
            one.replace(windows.logits[own_chunks], windows.get_mode(own_windows, state.path or EXACT))

    def describe_audit(self) -> list[str]:
        """Return what the audit found out about the path in use, as text."""
        state = self._state
        if state.path is None and not state.opening_windows:
            return []  # nothing was computed
        if state.path is None:
            windows = count(state.opening_windows, "window")
            return [f"fast mode: the opening audit computed all {windows} exactly"]
        if not state.tally.windows:
            return []
        return [
            f"fast mode: {state.tally}; {state.recomputed} of {state.windows} other windows were close to a threshold "
            "or another label and were recomputed exactly"
        ]

    def _run_opening_audit(self, state: _AuditState, windows: WindowBatch) -> list[str]:
        started = time.perf_counter()
        audited = windows.draw(self.settings.seed, OPENING_WINDOWS - state.opening_windows)
        state.exact_s += windows.score_and_keep(audited, EXACT)
        for path in self._paths:
            trial = state.trials.setdefault(path, _PathTrial())
            by_path = windows.score(audited, path)
            trial.seconds += by_path.seconds
            trial.scores.append(by_path.scores)
            trial.tally = windows.compare(trial.tally, audited, by_path.scores)
        state.opening_windows += len(audited)
        state.opening_s += time.perf_counter() - started
        return self._choose_path(state) if state.opening_windows >= OPENING_WINDOWS else []

    def _choose_path(self, state: _AuditState) -> list[str]:
        exact_s = state.exact_s / state.opening_windows
        trials = [trial.summarize(path, self.labeler.decisions.labels) for path, trial in state.trials.items()]
        findings = [
            f"opening audit of {trial.path}: {exact_s / trial.cost(exact_s):.1f} times as fast as exact mode with "
            f"audits and {trial.near * 100:.0f} % recomputed; {trial.tally}"
            for trial in trials
        ]
        chosen = choose_fastest(trials, exact_s, self.settings.min_agreement)
        state.trials = {}
        if chosen is None:
            state.path = EXACT
            return [*findings, "fast mode: no faster path passed the audit; labeling in exact mode"]
        state.path, state.tally = chosen.path, chosen.tally
        return [*findings, f"fast mode: using {chosen.path}"]

    def _audit(self, state: _AuditState, path: str, windows: WindowBatch) -> list[str]:
        audited = windows.draw(self.settings.seed)
        windows.score_and_keep(audited, EXACT)
        state.tally = windows.compare(state.tally, audited, windows.score(audited, path).scores)
        if state.tally.upper_bound >= self.settings.min_agreement:
            return []
        state.path, state.has_fallen_back = EXACT, True
        return [
            f"fast mode falls back to exact: {state.tally}; at most {state.tally.upper_bound * 100:.1f} % do, but "
            f"--min-agreement is {self.settings.min_agreement:g}"
        ]

    @staticmethod
    def _compute_rest(state: _AuditState, path: str, windows: WindowBatch) -> None:
        """Compute the windows outside the audit, and recompute those too close to another label exactly."""
        rest = np.flatnonzero(windows.heard & ~windows.exact)
        windows.score_and_keep(rest, path)
        if path == EXACT:
            return
        near = windows.find_uncertain(state.tally.largest_error)
        windows.score_and_keep(near, EXACT)
        state.windows += len(rest)
        state.recomputed += len(near)
