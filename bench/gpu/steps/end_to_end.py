"""Windows per second from files to labels, how much of that time the GPU computes, and what the rest could feed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.gpu.facts import Fact
from bench.gpu.subject import Subject
from bench.gpu.watched_run import WatchedClassifier, WatchedRun, count_recordings, make_labeler, run_files
from bench.inputs import RATES_HZ
from block.model.classifier import MERGED, MERGED_32
from block.settings import EXACT

MAIN_MS = 2000


def run(subject: Subject) -> Iterator[Fact]:
    """Label generated recordings exactly at each window length, then by merged paths, then without a forward."""
    lengths = sorted(subject.sizes.lengths_ms, key=lambda length: length != MAIN_MS)
    for length_ms in lengths:
        yield from _measure(subject, length_ms, EXACT)
    yield from _measure(subject, MAIN_MS, MERGED)
    yield from _measure(subject, MAIN_MS, EXACT, is_empty=True)
    for length_ms, path in ((MAIN_MS, MERGED_32), (min(lengths), MERGED)):
        if subject.left_s() > subject.sizes.end_to_end_s:
            yield from _measure(subject, length_ms, path)


def _measure(subject: Subject, length_ms: int, path: str, is_empty: bool = False) -> Iterator[Fact]:
    classifier = subject.classifier(subject.large, subject.half)

    def label(recordings: int) -> WatchedRun:
        watched = WatchedClassifier(classifier, is_empty)
        labeler: Any = make_labeler(subject, watched, subject.large, length_ms, path)
        return run_files(subject, labeler, watched, subject.generated, recordings)

    seconds = [one for one in subject.sizes.recordings_s for _ in RATES_HZ]
    first = label(len(seconds))  # to warm up, and to see how many windows fit in the time
    windows = min(subject.sizes.most_windows, int(first.windows_s * subject.sizes.end_to_end_s))
    found = label(count_recordings(seconds, length_ms, windows))
    text = f"{length_ms / 1000:g} s, end to end from files"
    if is_empty:
        yield Fact(f"feed.{length_ms}", f"{text}, without the forward pass", found.windows_s, "windows/s")
        return
    key = f"{'exact' if path == EXACT else path}.{length_ms}"
    yield Fact(f"end_to_end.{key}", f"{path}, {text}, {found.windows} windows", found.windows_s, "windows/s")
    yield Fact(f"outside.{key}", f"{path}, {text}: share of time not in the forward pass", found.outside_share)
