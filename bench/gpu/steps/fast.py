"""Fast mode with its audit on the trained model: whether it's chosen, what it gains, and whether labels stay."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bench.gpu.facts import Fact, check
from bench.gpu.recordings import decode_all
from bench.gpu.subject import Subject, share_equal
from bench.gpu.watched_run import make_labeler
from block.labeling.audit import BLOCK_WINDOWS
from block.labeling.fast_labeler import FastLabeler
from block.recording import Recording
from block.settings import AuditSettings
from block.windows import PreparedRecording

LENGTH_MS, WINDOWS_EACH = 2000, 20
LEAST_EQUAL = 0.99


def run(subject: Subject) -> Iterator[Fact]:
    """Label windows of the real recordings exactly and in fast mode, in the same batches."""
    classifier = subject.classifier(subject.embedded, subject.half)
    exact = make_labeler(subject, classifier, subject.embedded, LENGTH_MS)
    lines: list[str] = []
    fast = FastLabeler(exact, AuditSettings(), lines.append)
    recordings = [exact.prepare(one) for one in _make_recordings(subject)]
    batches = list(_group(recordings))
    _label(subject, exact, batches[:1])  # to warm up
    exact_s, exact_labels = _label(subject, exact, batches)
    fast_s, fast_labels = _label(subject, fast, batches)
    yield Fact("fast.windows", f"windows of 2 s for fast mode ({subject.source})", len(exact_labels))
    for number, line in enumerate([*lines, *fast.describe_audit()]):
        yield Fact(f"fast.said.{number}", "fast mode says", line)
    is_chosen = bool(fast.fast_ids) and not fast.has_fallen_back
    yield Fact("fast.chosen", "the audit chose a faster path, and stayed with it", "yes" if is_chosen else "no")
    yield Fact("fast.gain", "speed of fast mode over exact, audits included, embedded model", exact_s / fast_s)
    equal = share_equal(exact_labels, fast_labels)
    yield check("fast.labels", "windows with the label of exact mode", equal, LEAST_EQUAL, at_least=True)


def _make_recordings(subject: Subject) -> Iterator[Recording]:
    """Yield recordings of 20 windows from the real ones, each at another loudness."""
    rate = subject.embedded.front_end.rate_hz
    size = WINDOWS_EACH * LENGTH_MS * rate // 1000
    sound = np.concatenate(list(decode_all(subject.recordings, rate)))
    count = -(-subject.sizes.fast_windows // WINDOWS_EACH)
    for number, gain in enumerate(np.geomspace(1, 0.1, count, dtype=np.float32)):
        start = number * size % max(1, len(sound) - 1)
        yield Recording(number, f"part {number}", rate, size, np.resize(np.roll(sound, -start), size) * gain)


def _group(recordings: Sequence[PreparedRecording]) -> Iterator[Sequence[PreparedRecording]]:
    """Yield the recordings in groups of fast mode's batches."""
    each = max(1, BLOCK_WINDOWS // WINDOWS_EACH)
    for start in range(0, len(recordings), each):
        yield recordings[start : start + each]


def _label(
    subject: Subject, labeler: Any, batches: Sequence[Sequence[PreparedRecording]]
) -> tuple[float, list[tuple[int, str]]]:
    """Return the seconds that labeling takes, and the label of each window, with its recording."""
    started = time.perf_counter()
    labeled = [one for batch in batches for one in labeler.label(batch)]
    subject.accelerator.synchronize()
    seconds = time.perf_counter() - started
    size = LENGTH_MS * subject.embedded.front_end.rate_hz // 1000
    labels = []
    for one in labeled:
        for segment in one.segments:
            labels += [(one.id, segment.label)] * round((segment.end - segment.start) / size)
    return seconds, labels
