"""All windows of a recording in one pass up to the memory budget, what a pass really takes, and running out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from bench.gpu.facts import Fact, check, require
from bench.gpu.recordings import decode_all
from bench.gpu.subject import Subject
from block.labeling.labeler import ExactLabeler
from block.model.checkpoint import Checkpoint
from block.model.classifier import Classifier
from block.model.features import FilterBanks
from block.recording import LabeledRecording, Recording
from block.settings import DecisionSettings, WindowSettings

LEAST_SHARE, MOST_SHARE = 0.60, 0.95  # of the budget that a full pass takes
SHORT_MS = 1000
ROOM = 0.4  # of what a pass needs is left when memory runs out
GIB = 2**30


def run(subject: Subject) -> Iterator[Fact]:
    """Label one long recording in a full pass, measure the peak, then take the memory away and label again."""
    subject.forget_models()
    classifier = Classifier(subject.large, subject.on(subject.half))
    capacity, budget = classifier.capacity, classifier.budget_bytes
    yield Fact("memory.capacity", f"windows in one pass of {subject.large.name}, {subject.half}", capacity)
    yield Fact("memory.budget", "memory budget of a pass", budget / GIB, "GiB")
    windows = min(capacity, subject.sizes.pass_windows)
    for length_ms in (min(subject.sizes.lengths_ms), max(subject.sizes.lengths_ms)):
        recording = _make_recording(subject, classifier.checkpoint, windows, length_ms)
        with subject.accelerator.measure_peak() as peak, _count_passes(classifier) as passes:
            _label(subject, classifier, recording, length_ms)
            share = peak() / (budget * windows / capacity)
        text = f"a recording of {windows} windows of {length_ms / 1000:g} s"
        yield require(f"memory.passes.{length_ms}", f"passes for {text}", passes == [windows], str(len(passes)))
        if subject.is_cuda:
            named = f"peak of {text}, share of the budget"
            yield check(f"memory.share_most.{length_ms}", named, share, MOST_SHARE)
            yield check(f"memory.share_least.{length_ms}", named, share, LEAST_SHARE, at_least=True)
        else:
            yield Fact(f"memory.share.{length_ms}", f"peak of {text}, share of the budget", share)
    del classifier
    yield from _run_out(subject)


def _run_out(subject: Subject) -> Iterator[Fact]:
    """Take the memory away, with the embedded model in float32: rounding to 16 bits could change a label."""
    windows = subject.sizes.oom_windows
    warnings: list[str] = []
    device = subject.on("float32")
    fitting = Classifier(subject.embedded, device)
    window_bytes = fitting.budget_bytes / fitting.capacity
    classifier = Classifier(subject.embedded, device, batch_size=windows)
    recording = _make_recording(subject, subject.embedded, windows, SHORT_MS)
    before = _label(subject, classifier, recording, SHORT_MS)
    room = int(ROOM * windows * window_bytes)
    refusing: Any = subject.accelerator.take_all_but(room) if subject.is_cuda else _refuse(classifier, windows // 3)
    with refusing as taken:
        after = _label(subject, classifier, recording, SHORT_MS, warnings)
    if subject.is_cuda:
        yield Fact("oom.taken", "memory that another tensor took", taken / GIB, "GiB")
    yield require("oom.halved", "out of memory: the batch was halved", len(warnings) >= 1, f"{len(warnings)} times")
    yield Fact("oom.said", "what the user reads", warnings[0] if warnings else "nothing")
    same = _spans(before) == _spans(after)
    text = f"labels of {windows} windows after running out of memory"
    yield require("oom.labels", text, same, f"the same {len(before.segments)} segments" if same else "others")


def _spans(labeled: LabeledRecording) -> list[tuple[int, int, str]]:
    return [(one.start, one.end, one.label) for one in labeled.segments]


def _make_recording(subject: Subject, checkpoint: Checkpoint, windows: int, length_ms: int) -> Recording:
    """Return the real recordings one after the other, as one that has that many windows."""
    rate = checkpoint.front_end.rate_hz
    sound = np.concatenate(list(decode_all(subject.recordings, rate)))
    waveform = np.resize(sound, windows * length_ms * rate // 1000)
    return Recording(1, "one", rate, len(waveform), waveform)


def _label(
    subject: Subject, classifier: Classifier, recording: Recording, length_ms: int, warnings: list[str] | None = None
) -> LabeledRecording:
    checkpoint = classifier.checkpoint
    labeler = ExactLabeler(
        classifier, FilterBanks(checkpoint.front_end, subject.device), WindowSettings(length_ms, length_ms),
        DecisionSettings(subject.run_labels(checkpoint)), (warnings if warnings is not None else []).append,
    )  # fmt: skip
    (labeled,) = labeler.label([labeler.prepare(recording)])
    subject.accelerator.synchronize()
    return labeled


@contextmanager
def _count_passes(classifier: Classifier) -> Iterator[list[int]]:
    """Collect the number of windows in each pass."""
    passes: list[int] = []
    begin = classifier.begin

    def count(inputs: torch.Tensor, *rest: Any) -> torch.Tensor:
        passes.append(len(inputs))
        return begin(inputs, *rest)

    classifier.begin = count  # type: ignore[assignment,method-assign]
    try:
        yield passes
    finally:
        classifier.begin = begin  # type: ignore[assignment,method-assign]


@contextmanager
def _refuse(classifier: Classifier, most: int) -> Iterator[int]:
    """In the dry form: passes of more than `most` windows run out of memory."""
    begin = classifier.begin

    def refuse(inputs: torch.Tensor, *rest: Any) -> torch.Tensor:
        if len(inputs) > most:
            raise torch.OutOfMemoryError("the dry form pretends that memory ran out")
        return begin(inputs, *rest)

    classifier.begin = refuse  # type: ignore[assignment,method-assign]
    try:
        yield 0
    finally:
        classifier.begin = begin  # type: ignore[assignment,method-assign]
