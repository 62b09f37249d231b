"""What a run says: a progress bar on a terminal, few enough lines in a job log.

Edge Impulse keeps the last 1,000 lines of a job's log. Up to 200 recordings get a line each; longer runs say one line
a per cent and the first 50 failures, and the rest of these go to `--failed-ids-file` alone.
"""

from __future__ import annotations

import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import TextIO

from tqdm import tqdm

from block.labeling.interfaces import Summary
from block.recording import LabeledRecording, printable

LINES_FOR_RECORDINGS = 200
LINES_FOR_FAILURES = 50
LINES_FOR_OTHERS = 50
BATCHES_REMEMBERED = 20
REASONS = 20  # for skipping that are told apart
REVISE_AFTER_S, REVISE_SHARE = 60.0, 0.25


def duration(seconds: float) -> str:
    """`seconds` as a reader takes it in at a glance: `40 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


class Progress:
    """Reports a run over `total` recordings to `stream`. Times come from `clock`, in seconds.

    A run that is going to take longer than `max_hours` is told so once, with the settings that are `faster`.
    `failures_in` says where all failures are found, when only the first ones are told.
    """

    def __init__(
        self,
        total: int,
        verbose: bool = False,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        max_hours: float | None = None,
        faster: Sequence[str] = (),
    ) -> None:
        self.total = total
        self.stream = stream or sys.stdout
        self.each = verbose or total <= LINES_FOR_RECORDINGS
        self._clock = clock
        self._started = clock()
        self._done = 0
        self._batched = self._unlabeled = 0
        self._batches: deque[tuple[float, int]] = deque([(self._started, 0)], maxlen=BATCHES_REMEMBERED)
        self._startup_s = 0.0
        self._told: tuple[float, float] | None = None  # when an estimate was last said, and of which length
        self._max_hours, self._faster = max_hours, faster
        self.failures_in = "--failed-ids-file gets the ids of all"
        self._failures = 0
        self._some = 0
        self._reasons: Counter[str] = Counter()  # why recordings were skipped
        self._warned: set[str] = set()
        on_terminal = self.stream.isatty()
        self._bar = tqdm(total=total, file=self.stream, unit="recording", leave=False) if on_terminal else None

    def say(self, line: str) -> None:
        """One line, above the bar if there is one."""
        if self._bar is not None:
            self._bar.write(line, file=self.stream)
            return
        try:
            # In one piece: other threads speak too, and print() writes the end of the line by itself.
            self.stream.write(f"{line}\n")
            self.stream.flush()
        except OSError:
            pass  # a full disk, or nobody reads any more: that is no reason to stop labelling

    def say_some(self, line: str) -> None:
        """One line of many: in a long run the first ones alone."""
        self._some += 1
        if self.each or self._some <= LINES_FOR_OTHERS:
            self.say(line)
        if not self.each and self._some == LINES_FOR_OTHERS:
            self.say("further lines of this kind only with --verbose")

    def warn_once(self, text: str) -> None:
        """A warning that is said once a run, however often it is given."""
        if text not in self._warned:
            self._warned.add(text)
            self.say(f"warning: {text}")

    def say_fast_count(self, before: str, fast_ids: Sequence[int]) -> None:
        """Say, after `before`, how many recordings were labeled in fast mode before it fell back to exact."""
        self.say(f"{before}: {len(fast_ids)} recordings; --mode exact computes all of them exactly")

    def labeled(self, labeled: LabeledRecording) -> None:
        if self.each:
            found = ", ".join(f"{printable(label)} {seconds:.1f} s" for label, seconds in labeled.found().items())
            self.say(f"{labeled.id} {printable(labeled.name)} ({labeled.seconds:.1f} s): {found}")
        self._advance()

    def failed(self, recording_id: int, reason: str) -> None:
        self._failures += 1
        self._unlabeled += 1
        if self.each or self._failures <= LINES_FOR_FAILURES:
            self.say(f"{recording_id} failed: {printable(reason, 300)}")
        if not self.each and self._failures == LINES_FOR_FAILURES:
            self.say(f"further failures are only counted here; {self.failures_in}")
        self._advance()

    def before(self, count: int, how: str) -> None:
        """So many recordings of the total were labelled before; `how` that is known."""
        self.say(f"{count} of {self.total} recordings were labelled before, {how}")
        self._done += count
        self._unlabeled += count
        if self._bar is not None:
            self._bar.update(count)

    def skipped(self, recording_id: int, reason: str) -> None:
        self._unlabeled += 1
        self._reasons[reason if reason in self._reasons or len(self._reasons) < REASONS else "other reasons"] += 1
        if self.each:
            self.say(f"{recording_id} skipped: {printable(reason, 300)}")
        self._advance()

    def batch_done(self, recordings: int, windows: int, startup_s: float) -> None:
        """How long the rest will take, if it is like what was last seen: after the first batch, and as that changes.

        `startup_s`: seconds spent so far on what does not come again.
        """
        now = self._clock()
        first = self._batched == 0
        self._batched += recordings
        # What was spent once is taken out of the past, as if the run had started later.
        shift, self._startup_s = startup_s - self._startup_s, startup_s
        self._batches = deque(((at + shift, done) for at, done in self._batches), maxlen=BATCHES_REMEMBERED)
        left_s = self._left_s(now)
        self._batches.append((now, self._batched))
        if left_s <= 0:
            return
        others = self.total - self._batched - self._unlabeled
        if first:
            self.say(
                f"first batch: {windows} windows in {now - self._started:.1f} s; about {duration(left_s)} more for the "
                f"other {others} recordings"
            )
            self._told = (now, now + left_s)
        elif self._told and now - self._told[0] >= REVISE_AFTER_S and self._is_off(now + left_s):
            self.say(f"estimate revised: about {duration(left_s)} more for the other {others} recordings")
            self._told = (now, now + left_s)
        whole_s = now + left_s - self._started
        if self._max_hours is not None and whole_s > self._max_hours * 3600:
            self.warn_once(
                f"at this rate the run takes longer than the {self._max_hours:g} h of --max-hours; what would take "
                f"less: {'; '.join(self._faster) or 'fewer recordings'}"
            )

    def _is_off(self, end: float) -> bool:
        """Is the end that was last told, compared with this one, wrong by over a quarter of the run?"""
        assert self._told is not None
        return abs(end - self._told[1]) > REVISE_SHARE * (self._told[1] - self._started)

    def _left_s(self, now: float) -> float:
        """Seconds that the recordings not labelled yet take, at the rate of the last batches."""
        at, done = self._batches[0]
        others = self.total - self._batched - self._unlabeled
        return max(0.0, now - at) / max(1, self._batched - done) * others

    def finish(self, summary: Summary, failed_ids_file: str | None) -> None:
        """The last lines of a run: what became of it, and which ids to run again."""
        if self._bar is not None:
            self._bar.close()
        if summary.ended:
            self.say(f"the run ended early: {printable(summary.ended, 300)}")
        if summary.cancelled:
            self.say("cancelled")
        if summary.unlabeled:
            where = f"; ids written to {failed_ids_file}" if failed_ids_file else ""
            self.say(f"without labels: {_listed(summary.unlabeled)}{where}")
        if not self.each:
            for reason, count in self._reasons.most_common():
                self.say(f"skipped: {count}: {printable(reason, 300)}")
        counts = [(len(summary.labeled), "labelled"), (len(summary.failed), "failed")]
        counts += [(len(summary.done), "labelled before"), (len(summary.skipped), "skipped")]
        counts += [(len(summary.not_reached), "not reached")]
        told = ", ".join(f"{count} {word}" for count, word in counts if count or word in ("labelled", "failed"))
        self.say(f"{self.total} recordings in {duration(self._clock() - self._started)}: {told}")

    def _advance(self) -> None:
        before, self._done = self._done, self._done + 1
        if self._bar is not None:
            self._bar.update()
        elif not self.each and self._done * 100 // self.total > before * 100 // self.total:
            elapsed = self._clock() - self._started
            left = elapsed / self._done * (self.total - self._done)
            self.say(
                f"{self._done * 100 // self.total} %: {self._done} of {self.total} recordings, "
                f"{self._failures} failed, about {duration(left)} left"
            )


def _listed(ids: Sequence[int]) -> str:
    shown = ", ".join(str(recording_id) for recording_id in ids[:LINES_FOR_FAILURES])
    more = len(ids) - LINES_FOR_FAILURES
    return f"{shown} and {more} more" if more > 0 else shown
