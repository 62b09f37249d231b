"""Report a run: a progress bar on a terminal, and few enough lines in a job log.

Edge Impulse keeps the last 1,000 lines of a job's log. Up to 200 recordings get a line each. A longer run prints one
line per percent and its first 50 failures; all others are only in `--failed-ids-file`.
"""

from __future__ import annotations

import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TextIO

from tqdm import tqdm

from block.formatting import format_duration, make_printable
from block.labeling.interfaces import Summary
from block.recording import LabeledRecording

LINES_FOR_RECORDINGS = 200
LINES_FOR_FAILURES = 50
LINES_FOR_OTHERS = 50
BATCHES_REMEMBERED = 20
REASONS = 20  # for skipping that are counted apart
REVISE_AFTER_S, REVISE_SHARE = 60.0, 0.25


@dataclass(frozen=True)
class TimeBudget:
    """How long a run may take before the user is warned, and the settings, in words, that would make it faster."""

    max_hours: float | None = None
    speedups: Sequence[str] = ()


class Progress:
    """Report a run over `total` recordings to `stream`. Times come from `clock`, in seconds.

    The user is warned once if the run is going to take longer than `budget` allows. `failures_in` says where all
    failures are found once only the first ones are printed.
    """

    def __init__(
        self,
        total: int,
        verbose: bool = False,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        budget: TimeBudget = TimeBudget(),
    ) -> None:
        self.total = total
        self.stream = stream or sys.stdout
        self.each = verbose or total <= LINES_FOR_RECORDINGS
        self.failures_in = "--failed-ids-file gets the ids of all"
        self._budget = budget
        self._clock = clock
        self._started = clock()
        self._done = self._batched = self._unlabeled = self._failures = self._limited_lines = 0
        self._batches: deque[tuple[float, int]] = deque([(self._started, 0)], maxlen=BATCHES_REMEMBERED)
        self._estimate: tuple[float, float] | None = None  # when the last one was printed, and the end that it gave
        self._skip_reasons: Counter[str] = Counter()
        self._warned: set[str] = set()
        on_terminal = self.stream.isatty()
        self._bar = tqdm(total=total, file=self.stream, unit="recording", leave=False) if on_terminal else None

    def say(self, line: str) -> None:
        """Print a line, above the bar if there is one."""
        if self._bar is not None:
            self._bar.write(line, file=self.stream)
            return
        try:
            # In one piece: other threads print too, and print() writes the end of the line separately.
            self.stream.write(f"{line}\n")
            self.stream.flush()
        except OSError:
            pass  # a full disk, or nobody reads any more: no reason to stop labeling

    def say_limited(self, line: str) -> None:
        """Print one of many lines; in a long run, only the first ones."""
        self._limited_lines += 1
        if self.each or self._limited_lines <= LINES_FOR_OTHERS:
            self.say(line)
        if not self.each and self._limited_lines == LINES_FOR_OTHERS:
            self.say("further lines of this kind only with --verbose")

    def warn_once(self, text: str) -> None:
        """Print a warning, but only the first time it is given."""
        if text not in self._warned:
            self._warned.add(text)
            self.say(f"warning: {text}")

    def say_fast_count(self, before: str, fast_ids: Sequence[int]) -> None:
        """Say, after `before`, how many recordings were labeled in fast mode before it fell back to exact."""
        self.say(f"{before}: {len(fast_ids)} recordings; --mode exact computes all of them exactly")

    def report_labeled(self, labeled: LabeledRecording) -> None:
        if self.each:
            times = labeled.seconds_by_label().items()
            found = ", ".join(f"{make_printable(label)} {seconds:.1f} s" for label, seconds in times)
            self.say(f"{labeled.id} {make_printable(labeled.name)} ({labeled.seconds:.1f} s): {found}")
        self._advance()

    def report_failed(self, recording_id: int, reason: str, name: str = "") -> None:
        self._failures += 1
        self._unlabeled += 1
        if self.each or self._failures <= LINES_FOR_FAILURES:
            who = f"{recording_id} {make_printable(name)}" if name else str(recording_id)
            self.say(f"{who} failed: {make_printable(reason, 300)}")
        if not self.each and self._failures == LINES_FOR_FAILURES:
            self.say(f"further failures are only counted here; {self.failures_in}")
        self._advance()

    def report_labeled_before(self, count: int, how: str) -> None:
        """Report that `count` recordings of the total need no labels; `how` says by what this is known."""
        self.say(f"{count} of {self.total} recordings were labeled before, {how}")
        self._done += count
        self._unlabeled += count
        if self._bar is not None:
            self._bar.update(count)

    def report_skipped(self, recording_id: int, reason: str) -> None:
        self._unlabeled += 1
        is_counted = reason in self._skip_reasons or len(self._skip_reasons) < REASONS
        self._skip_reasons[reason if is_counted else "other reasons"] += 1
        if self.each:
            self.say(f"{recording_id} skipped: {make_printable(reason, 300)}")
        self._advance()

    def report_batch(self, recordings: int, windows: int, startup_s: float) -> None:
        """Estimate the remaining time from the last batches, and print it after the first and when it changes much."""
        now = self._clock()
        is_first = self._batched == 0
        self._batched += recordings
        others = self.total - self._batched - self._unlabeled
        # The rate of the last batches, without what happens only once.
        working_time = now - startup_s
        before, done = self._batches[0]
        left_s = max(0.0, working_time - before) / max(1, self._batched - done) * others
        self._batches.append((working_time, self._batched))
        if left_s <= 0:
            return
        end = now + left_s
        if is_first:
            self.say(
                f"first batch: {windows} windows in {now - self._started:.1f} s; about {format_duration(left_s)} more "
                f"for the other {others} recordings"
            )
            self._estimate = (now, end)
        elif self._is_estimate_off(now, end):
            self.say(f"estimate revised: about {format_duration(left_s)} more for the other {others} recordings")
            self._estimate = (now, end)
        max_hours = self._budget.max_hours
        if max_hours is not None and end - self._started > max_hours * 3600:
            self.warn_once(
                f"at this rate the run takes longer than the {max_hours:g} h of --max-hours; what would take "
                f"less: {'; '.join(self._budget.speedups) or 'fewer recordings'}"
            )

    def _is_estimate_off(self, now: float, end: float) -> bool:
        """Return True if the last estimate is a minute old and misses `end` by over a quarter of the run."""
        if self._estimate is None:
            return False
        at, estimated_end = self._estimate
        return now - at >= REVISE_AFTER_S and abs(end - estimated_end) > REVISE_SHARE * (estimated_end - self._started)

    def finish(self, summary: Summary, failed_ids_file: str | None) -> None:
        """Print what became of the run, and which ids to run again."""
        if self._bar is not None:
            self._bar.close()
        if summary.end_reason:
            self.say(f"the run ended early: {make_printable(summary.end_reason, 300)}")
        if summary.canceled:
            self.say("canceled")
        if summary.unlabeled:
            where = f"; ids written to {failed_ids_file}" if failed_ids_file else ""
            self.say(f"without labels: {_format_ids(summary.unlabeled)}{where}")
        if not self.each:
            for reason, count in self._skip_reasons.most_common():
                self.say(f"skipped: {count}: {make_printable(reason, 300)}")
        counts = [f"{len(summary.labeled)} labeled", f"{len(summary.failed)} failed"]
        others = {"labeled before": summary.done, "skipped": summary.skipped, "not reached": summary.not_reached}
        counts += [f"{len(ids)} {word}" for word, ids in others.items() if ids]
        self.say(f"{self.total} recordings in {format_duration(self._clock() - self._started)}: {', '.join(counts)}")

    def _advance(self) -> None:
        before, self._done = self._done, self._done + 1
        if self._bar is not None:
            self._bar.update()
        elif not self.each and self._done * 100 // self.total > before * 100 // self.total:
            elapsed = self._clock() - self._started
            left = elapsed / self._done * (self.total - self._done)
            self.say(
                f"{self._done * 100 // self.total} %: {self._done} of {self.total} recordings, "
                f"{self._failures} failed, about {format_duration(left)} left"
            )


def _format_ids(ids: Sequence[int]) -> str:
    listed = ", ".join(str(recording_id) for recording_id in ids[:LINES_FOR_FAILURES])
    more = len(ids) - LINES_FOR_FAILURES
    return f"{listed} and {more} more" if more > 0 else listed
