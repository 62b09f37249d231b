"""Label recordings by a faster path, and audit it by computing some of the windows exactly, too."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from block.formatting import count
from block.labeling.audit import BLOCK_WINDOWS, OPENING_WINDOWS, Audit, AuditBlock, Bools, Windows
from block.labeling.findings import AuditFindings
from block.labeling.labeler import ExactLabeler
from block.labeling.partial_logits import PartialLogits
from block.labeling.path_choice import PathTrial, choose_fastest, find_settled
from block.labeling.window_batch import WindowBatch
from block.recording import LabeledRecording, Recording
from block.score_store.records import Errors
from block.settings import EXACT, FAST, REPEAT, SCORE_FUNCTIONS, AuditSettings
from block.windows import PreparedRecording

MOST = 0.5  # if a larger share is recomputed, a faster path hardly saves anything
NO_WINDOWS: Windows = np.zeros(0, dtype=np.intp)
# Of a path that made no error yet: only exact scores have none.
LEAST_ERRORS: Errors = np.full(len(SCORE_FUNCTIONS), np.finfo(np.float32).tiny)


@dataclass
class _AuditState:
    """What the audit has found so far. Each batch works on a copy, so that a batch that fails leaves no trace.

    `path` is None until the opening audit is over. Then it's the path in use: EXACT if no other is good enough.
    `errors` are the largest ones so far, for each score function. If `is_exact_only`, no stored scores of a faster path
    are used either. Of the first `judged_windows` windows, `judged_recomputed` were recomputed when that was last
    judged. `trials` are the results of the opening audit so far; a path that isn't in `tried` computes the same as
    another one, whose results it gets.
    """

    path: str | None
    audit: Audit
    errors: Errors = field(default_factory=lambda: LEAST_ERRORS)
    judged_windows: int = 0
    judged_recomputed: int = 0
    has_fallen_back: bool = False
    is_exact_only: bool = False
    opening_windows: int = 0
    opening_s: float = 0.0
    exact_s: float = 0.0
    trials: dict[str, PathTrial] = field(default_factory=dict)
    tried: set[str] = field(default_factory=set)
    findings: AuditFindings = field(default_factory=AuditFindings)


class FastLabeler:
    """Label recordings like an `ExactLabeler`, but by the cheapest path that gives the same labels.

    The first 40 windows are drawn from the first batch, and computed on every path that doesn't compute the same as an
    earlier one. The cheapest path that passes computes the rest, and each block of windows is held by a
    sample that is computed exactly, too, before its labels are written. Windows whose label could change within the
    largest score error so far are recomputed exactly, and exact scores are always kept. Once the audit fails, this
    batch and all later ones are computed exactly, and stored scores of faster paths aren't used any more. Earlier
    labels don't change.

    `say` receives the findings of the audit as text. `fast_ids` are the recordings with scores that aren't exact. With
    `has_fallen_back`, an earlier run of the same job fell back, and this one continues exactly.
    """

    mode = FAST

    def __init__(
        self, labeler: ExactLabeler, settings: AuditSettings, say: Callable[[str], None], has_fallen_back: bool = False
    ) -> None:
        self.labeler = labeler
        self.settings = settings
        self.fast_ids: list[int] = []
        self._say = say
        self._function = SCORE_FUNCTIONS.index(labeler.decisions.score_function)
        self._paths = labeler.paths[1:]
        self._state = _AuditState(None if self._paths else EXACT, Audit(settings.min_agreement))
        if has_fallen_back:
            say(self._fall_back(self._state, "it did so earlier in this job"))
        no_padding = "--fill repeat leaves no padding to merge"
        if self._paths and labeler.fill == REPEAT:
            say(f"fast mode: {no_padding}; trying only {', '.join(self._paths)}")
        elif not self._paths:
            why = no_padding if labeler.fill == REPEAT else "this device has no faster path"
            say(f"fast mode: {why}; labeling in exact mode")

    batches_at_once = 1  # the audit of a batch has to be over before the next one

    @property
    def batch_windows(self) -> int:
        """The target number of chunks in a batch. Its labels are written after its audit."""
        return self.labeler.batch_windows if self._state.path == EXACT else BLOCK_WINDOWS

    @property
    def embedding_size(self) -> int:
        """The number of values in a chunk's embedding; 0 if embeddings aren't kept."""
        return self.labeler.embedding_size

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
        classes, size = len(self.labeler.class_names), self.embedding_size
        return self.complete([PartialLogits(one, classes, None, size) for one in batch])

    def complete(self, batch: Sequence[PartialLogits]) -> list[LabeledRecording]:
        """Compute what is missing, and stored scores that aren't exact enough, and label all recordings."""
        state, lines = copy.deepcopy(self._state), list[str]()
        windows = WindowBatch(self.labeler, batch)
        missing = windows.missing
        opening = NO_WINDOWS
        if state.path is None and len(missing):
            opening, lines = self._run_opening_audit(state, windows, missing)
        if state.path not in (None, EXACT) and len(missing):
            lines += self._compute_fast(state, windows, missing, opening)
        windows.score_and_keep(windows.inexact if state.is_exact_only else windows.missing, EXACT)
        lines += self._recompute_uncertain(state, windows, missing)
        state.findings.stored += len(np.setdiff1d(windows.inexact, missing))
        self._state = state
        for line in lines:
            self._say(line)
        windows.write_back(state.path or EXACT)
        self.fast_ids += [one.prepared.recording_id for one in batch if one.mode != EXACT]
        return [self.labeler.decide(one) for one in batch]

    def describe_audit(self) -> list[str]:
        """Return what the audit found out about the path in use, as text."""
        state = self._state
        if state.path is None and state.opening_windows:
            windows = count(state.opening_windows, "window")
            return [f"fast mode: the opening audit computed all {windows} exactly"]
        labels = [label.name for label in self.labeler.decisions.labels]
        return state.findings.describe(labels, float(state.errors[self._function]))

    def _run_opening_audit(
        self, state: _AuditState, windows: WindowBatch, missing: Windows
    ) -> tuple[Windows, list[str]]:
        """Compute windows on all paths; return them, and lines for the user once there are enough to choose a path."""
        started = time.perf_counter()
        numbers = windows.draw_numbers(missing, self.settings.seed)
        drawn = missing[np.sort(np.argsort(numbers, kind="stable")[: OPENING_WINDOWS - state.opening_windows])]
        twins = windows.find_twins(drawn)  # finds each path's groups, too, so that no path's time includes that
        before = time.perf_counter()
        changes = windows.score_and_keep(drawn, EXACT)
        exact, exact_s = windows.scores[drawn], time.perf_counter() - before
        state.exact_s += exact_s
        found = {EXACT: PathTrial(exact, exact, np.zeros_like(changes), exact_s)}
        for path in self._paths:
            if twins[path] == path:
                by_path = windows.score(drawn, path)
                errors = windows.measure_errors(drawn, by_path.outputs)
                found[path] = PathTrial(exact, by_path.scores, errors, by_path.seconds)
                state.tried.add(path)
            trial = found[twins[path]]
            state.trials[path] = state.trials[path] + trial if path in state.trials else trial
        state.opening_windows += len(drawn)
        state.opening_s += time.perf_counter() - started
        return drawn, self._choose_path(state) if state.opening_windows >= OPENING_WINDOWS else []

    def _choose_path(self, state: _AuditState) -> list[str]:
        exact_s = state.exact_s / state.opening_windows
        trials = [
            trial.summarize(path, self.labeler.decisions, self._function)
            for path, trial in state.trials.items()
            if path in state.tried
        ]
        lines = [
            f"opening audit of {trial.path}: {exact_s / trial.cost(exact_s):.1f} times as fast as exact mode with "
            f"audits and {trial.near * 100:.0f} % recomputed; {trial.tally}"
            for trial in trials
        ]
        chosen = choose_fastest(trials, exact_s, self.settings.min_agreement)
        if chosen is None:
            state.path, state.is_exact_only = EXACT, True
            why = "no faster path passed the audit" if trials else "there is too little padding to merge"
            return [*lines, f"fast mode: {why}; labeling in exact mode"]
        state.path = state.findings.path = chosen.path
        state.errors = np.maximum(LEAST_ERRORS, state.trials[chosen.path].errors.max(axis=0))
        return [*lines, f"fast mode: using {chosen.path}"]

    def _compute_fast(self, state: _AuditState, windows: WindowBatch, missing: Windows, opening: Windows) -> list[str]:
        """Compute `missing` windows by the path in use, and audit them; `opening` are exact already.

        If the audit fails, fall back and return lines for the user.
        """
        findings, labels = state.findings, self.labeler.decisions.labels
        rest = np.setdiff1d(missing, opening)
        windows.score_and_keep(rest, findings.path, state.errors)
        fast, is_settled = windows.scores.copy(), np.zeros(len(windows.heard), dtype=bool)
        is_settled[rest] = find_settled(fast[rest], labels, np.full(len(rest), state.errors[self._function]))
        if len(opening):
            # Earlier batches of the opening were too small to be anything but exact.
            own, trial = slice(-len(opening), None), state.trials[findings.path]
            settled = trial.find_settled(labels, self._function)
            fast[opening], is_settled[opening] = trial.fast[own], settled[own]
            state.trials = {}
        numbers = windows.draw_numbers(missing, self.settings.seed)
        uniform: list[Windows] = []
        for start in range(0, len(missing), BLOCK_WINDOWS):
            block = missing[start : start + BLOCK_WINDOWS]

            def check(drawn: Windows, block: Windows = block) -> Bools:
                chosen = block[drawn]
                self._compute_exactly(state, windows, chosen[windows.errors[chosen].any(axis=1)])
                is_same: Bools = windows.decide(windows.scores[chosen]) == windows.decide(fast[chosen])
                return is_settled[chosen] | is_same

            strata = windows.find_strata(fast[block])
            described = AuditBlock(numbers[start:][: len(block)], strata.margins, strata.heard, is_settled[block])
            sample = state.audit.hold(described, check, np.flatnonzero(np.isin(block, opening)))
            if state.audit.has_failed:
                wrong, audited = int((~sample.agrees).sum()), count(len(sample.agrees), "audited window")
                reason = f"{wrong} of {audited} in the last block got another label"
                return [self._fall_back(state, f"{reason}, but --min-agreement is {self.settings.min_agreement:g}")]
            uniform.append(block[sample.windows[: sample.uniform]])
        other = self.labeler.decisions.other_label
        for add, drawn in ((findings.add_uniform, np.concatenate(uniform)), (findings.add_opening, opening)):
            exact, found = windows.decide(windows.scores[drawn]), windows.decide(fast[drawn])
            # Settled windows are posted with their exact label.
            add(exact, np.where(is_settled[drawn], exact, found), other)
        findings.windows += len(missing)
        findings.batches += 1
        return []

    @staticmethod
    def _fall_back(state: _AuditState, reason: str) -> str:
        state.path, state.has_fallen_back, state.is_exact_only = EXACT, True, True
        return f"fast mode falls back to exact: {reason}"

    def _recompute_uncertain(self, state: _AuditState, windows: WindowBatch, missing: Windows) -> list[str]:
        """Recompute windows exactly whose label could change within their error, until no label could.

        If these are most of the last windows, fall back and return lines for the user.
        """
        findings = state.findings
        while True:
            new = missing[windows.errors[missing].any(axis=1)]
            windows.errors[new] = state.errors
            uncertain = windows.find_uncertain()
            if not len(uncertain):
                break
            is_new = np.isin(uncertain, new)
            self._compute_exactly(state, windows, uncertain[is_new])
            windows.score_and_keep(uncertain[~is_new], EXACT)
            findings.recomputed += int(is_new.sum())
        recent, recomputed = findings.windows - state.judged_windows, findings.recomputed - state.judged_recomputed
        if recent < BLOCK_WINDOWS // 2:
            return []
        state.judged_windows, state.judged_recomputed = findings.windows, findings.recomputed
        if state.path == EXACT or recomputed <= recent * MOST:
            return []
        return [
            self._fall_back(
                state, f"{recomputed:,} of {count(recent, 'window')} had to be recomputed, because scores differ by up "
                f"to {state.errors[self._function]:.2f}",
            )
        ]  # fmt: skip

    @staticmethod
    def _compute_exactly(state: _AuditState, windows: WindowBatch, chosen: Windows) -> None:
        """Compute windows exactly that the path in use has computed, and note how far off it was."""
        changes = windows.score_and_keep(chosen, EXACT)
        state.errors = np.maximum(state.errors, changes.max(axis=0, initial=0))
