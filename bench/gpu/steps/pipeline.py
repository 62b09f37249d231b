"""transformers' audio-classification pipeline on the same model, dtype and windows, at its best batch size."""

from __future__ import annotations

from collections.abc import Iterator

from bench.contenders import TRANSFORMERS
from bench.gpu.facts import Fact
from bench.gpu.recordings import cut_windows
from bench.gpu.subject import Subject

MAIN_MS = 2000


def run(subject: Subject) -> Iterator[Fact]:
    """Time the pipeline at 2 s with each batch size, then at the other lengths with the best one."""
    field = subject.pipeline(subject.half)
    found: dict[int, float] = {}
    for batch in subject.sizes.pipeline_batches:
        if found and subject.left_s() < 3 * subject.sizes.pipeline_s:
            break
        found[batch] = _time(subject, field.contender(TRANSFORMERS, batch).run, batch, MAIN_MS)
        yield Fact(f"pipeline.{batch}", f"transformers' pipeline, batch {batch}, 2 s", found[batch], "windows/s")
    best = max(found, key=lambda batch: found[batch])
    text = f"transformers' pipeline at its best batch, {best}"
    yield Fact(f"pipeline.{MAIN_MS}", f"{text}, 2 s", found[best], "windows/s")
    for length_ms in subject.sizes.lengths_ms:
        if length_ms != MAIN_MS and subject.left_s() > 2 * subject.sizes.pipeline_s:
            rate = _time(subject, field.contender(TRANSFORMERS, best).run, best, length_ms)
            yield Fact(f"pipeline.{length_ms}", f"{text}, {length_ms / 1000:g} s", rate, "windows/s")


def _time(subject: Subject, run_windows: object, batch: int, length_ms: int) -> float:
    """Return windows per second, with enough windows for two batches."""
    rate = subject.large.front_end.rate_hz
    values = length_ms * rate // 1000
    windows = cut_windows(subject.generated, values, values, rate, 2 * batch)
    windows = [windows[at % len(windows)] for at in range(2 * batch)]
    seconds = subject.accelerator.time_call(lambda: run_windows(windows), subject.sizes.pipeline_s)  # type: ignore[operator]
    return len(windows) / seconds
