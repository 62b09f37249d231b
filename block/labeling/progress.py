"""Report a run: with a progress bar on a terminal, and with few lines in a job's log.

Edge Impulse keeps the last 1,000 lines of a job's log. Up to 200 recordings get a line each. A longer run prints one
line per percent and its first 50 failures; only `--failed-ids-file` lists all of them.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from tqdm import tqdm

from block.formatting import (
    LabelTotals,
    add_segment,
    count,
    format_duration,
    format_totals,
    list_first,
    make_printable,
)
from block.labeling.interfaces import Batch, Summary
from block.labeling.pace import AudioLeft, Pace
from block.recording import LabeledRecording

LINES_FOR_RECORDINGS = 200
LINES_FOR_FAILURES = 50
LINES_FOR_OTHERS = 50
BAR = "{percentage:3.0f} %|{bar}| {n_fmt}/{total_fmt} recordings [{elapsed}{postfix}]"  # tqdm's estimate counts startup
REASONS = 20  # for skipping that are counted separately
REVISE_AFTER_S, REVISE_SHARE = 60.0, 0.25


@dataclass(frozen=True)
class TimeBudget:
    """How many hours a run may take before the user is warned, and, as text, settings that would make it faster."""

    max_hours: float | None = None
    speedups: Sequence[str] = ()


class Progress:
    """Report a run over `total` recordings to `stream`. `clock` returns the time in seconds.

    Warn the user once if the run is going to take longer than `budget` allows. `failures_in` says where all failures
    are listed if only the first ones are printed.
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
        self.failures_in = "--failed-ids-file lists all their ids"
        self._budget = budget
        self._clock = clock
        self._started = clock()
        self._done = self._batched = self._unlabeled = self._failures = self._limited_lines = 0
        self._startup_s = 0.0
        self._pace = Pace()
        self._audio = AudioLeft(total, {})
        self._estimate: tuple[float, float] | None = None  # the time of the last one, and the end it gave
        self._skip_reasons: Counter[str] = Counter()
        self._totals: LabelTotals = {}
        self._warned: set[str] = set()
        on_terminal = self.stream.isatty()
        self._bar = tqdm(total=total, file=self.stream, leave=False, bar_format=BAR) if on_terminal else None

    def expect_sizes(self, sizes: Mapping[int, int]) -> None:
        """Use the sizes of files, in bytes by id, for the time left until their lengths are known."""
        self._audio = AudioLeft(self.total, sizes)

    def say(self, line: str) -> None:
        """Print a line, above the progress bar if there is one."""
        if self._bar is not None:
            self._bar.write(line, file=self.stream)
            return
        try:
            # In one call: other threads print too, and print() writes the newline separately.
            self.stream.write(f"{line}\n")
            self.stream.flush()
        except OSError:
            pass  # a full disk, or no one reads the output anymore: no reason to stop labeling

    def say_limited(self, line: str) -> None:
        """Print one of many lines, but in a long run only the first ones."""
        self._limited_lines += 1
        if self.each or self._limited_lines <= LINES_FOR_OTHERS:
            self.say(line)
        if not self.each and self._limited_lines == LINES_FOR_OTHERS:
            self.say("to see more lines like these, use --verbose")

    def warn_once(self, text: str) -> None:
        """Print a warning, but only the first time it is given."""
        if text not in self._warned:
            self._warned.add(text)
            self.say(f"warning: {text}")

    def say_fast_count(self, before: str, fast_ids: Sequence[int]) -> None:
        """Say, after `before`, how many recordings were labeled in fast mode before it fell back to exact."""
        self.say(f"{before}: {count(len(fast_ids), 'recording')}; to compute all of them exactly, use --mode exact")

    def say_stored_fast(self, recordings: int) -> None:
        """Say that stored scores of `recordings` are computed again, exactly, because fast mode fell back."""
        self.total += recordings
        self._audio.add(recordings)
        self.say(f"computing {count(recordings, 'recording')} exactly whose stored scores are from fast mode")

    def report_labeled(self, labeled: LabeledRecording) -> None:
        for segment in labeled.segments:
            add_segment(self._totals, segment.label, segment.length / labeled.values * labeled.seconds)
        if self.each:
            times = labeled.seconds_by_label().items()
            found = ", ".join(f"{make_printable(label)} {seconds:.1f} s" for label, seconds in times)
            self.say(f"{labeled.id} {make_printable(labeled.name)} ({labeled.seconds:.1f} s): {found}")
        self._advance(labeled.id)

    def say_totals(self) -> None:
        """Print the segments and the seconds of each label in this run, if it labeled anything."""
        if self._totals:
            self.say(f"labels: {'; '.join(format_totals(self._totals))}")

    def report_failed(self, recording_id: int, reason: str, name: str = "") -> None:
        self._failures += 1
        self._unlabeled += 1
        if self.each or self._failures <= LINES_FOR_FAILURES:
            who = f"{recording_id} {make_printable(name)}" if name else str(recording_id)
            self.say(f"{who} failed: {make_printable(reason, 300)}")
        if not self.each and self._failures == LINES_FOR_FAILURES:
            self.say(f"further failures are counted but not listed here; {self.failures_in}")
        self._advance(recording_id)

    def report_labeled_before(self, number: int, evidence: str) -> None:
        """Report that `number` recordings of the total are already labeled, as `evidence` says."""
        self.say(f"{number:,} of {count(self.total, 'recording')} already labeled, {evidence}")
        self._done += number
        self._unlabeled += number
        self._audio.add(-number)
        if self._bar is not None:
            self._bar.update(number)

    def report_skipped(self, recording_id: int, reason: str) -> None:
        self._unlabeled += 1
        is_counted = reason in self._skip_reasons or len(self._skip_reasons) < REASONS
        self._skip_reasons[reason if is_counted else "other reasons"] += 1
        if self.each:
            self.say(f"{recording_id} skipped: {make_printable(reason, 300)}")
        self._advance(recording_id)

    def report_batch(self, batch: Batch, startup_s: float) -> None:
        """Estimate the time left from the last batches, from the second one on. Print it when it changes a lot."""
        now = self._clock()
        is_first = self._batched == 0
        self._batched += len(batch.ids)
        self._startup_s = startup_s
        self._audio.label(batch.ids, batch.seconds)
        self._pace.observe(now - startup_s, self._audio.labeled_s)
        others = self.total - self._batched - self._unlabeled
        if is_first and others > 0:
            self.say(f"first batch: {count(batch.windows, 'window')} in {now - self._started:.1f} s, with startup")
        left_s = self._estimate_left(now)
        if not left_s or others <= 0:
            return
        end = now + left_s
        if self._is_estimate_off(now, end):
            new = "" if self._estimate is None else "new estimate: "
            self.say(f"{new}about {format_duration(left_s)} left for {count(others, 'more recording')}")
            self._estimate = (now, end)
        max_hours = self._budget.max_hours
        if max_hours is not None and end - self._started > max_hours * 3600:
            self.warn_once(
                f"at this rate, the run will take longer than --max-hours {max_hours:g}; to make it faster, use "
                f"{'; or '.join(self._budget.speedups) or 'fewer recordings'}"
            )

    def _is_estimate_off(self, now: float, end: float) -> bool:
        """Return True if there is no estimate, or the last is a minute old and off by over a quarter of the run."""
        if self._estimate is None:
            return True
        at, estimated_end = self._estimate
        return now - at >= REVISE_AFTER_S and abs(end - estimated_end) > REVISE_SHARE * (estimated_end - self._started)

    def finish(self, summary: Summary, failed_ids_file: str | None) -> None:
        """Print the result of the run, and the ids to run again."""
        if self._bar is not None:
            self._bar.close()
        if summary.end_reason:
            self.say(f"the run ended early: {make_printable(summary.end_reason, 300)}")
        if summary.canceled:
            self.say("canceled")
        if summary.unlabeled:
            where = f"; ids written to {failed_ids_file}" if failed_ids_file else ""
            ids = list_first([str(recording_id) for recording_id in summary.unlabeled], LINES_FOR_FAILURES)
            self.say(f"not labeled: {ids}{where}")
        if not self.each:
            for reason, number in self._skip_reasons.most_common():
                self.say(f"{number:,} skipped: {make_printable(reason, 300)}")
        counts = [f"{len(summary.labeled):,} labeled", f"{len(summary.failed):,} failed"]
        others = {"already labeled": summary.done, "skipped": summary.skipped, "not reached": summary.not_reached}
        counts += [f"{len(ids):,} {word}" for word, ids in others.items() if ids]
        duration = format_duration(self._clock() - self._started)
        self.say(f"{count(self.total, 'recording')} in {duration}: {', '.join(counts)}")

    def _estimate_left(self, now: float) -> float | None:
        """Return how many seconds the rest takes, without one-time work; None if that isn't known yet."""
        return self._pace.estimate(now - self._startup_s, self._audio.seconds)

    def _advance(self, recording_id: int) -> None:
        before = self._audio.percent
        self._audio.settle(recording_id)
        self._done += 1
        left_s = self._estimate_left(self._clock())
        left = "" if left_s is None else f", about {format_duration(left_s)} left"
        if self._bar is not None:
            self._bar.set_postfix_str(f"{format_duration(self._audio.labeled_s)} of audio{left}", refresh=False)
            self._bar.update()
        elif not self.each and self._audio.percent > before:
            self.say(
                f"{self._audio.percent} %: {self._done:,} of {self.total:,} recordings, "
                f"{format_duration(self._audio.labeled_s)} of audio, {self._failures:,} failed{left}"
            )
