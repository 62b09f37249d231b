"""Logits on the GPU against the CPU's, and 16 bits against 32."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from bench.gpu.facts import Fact, check, require
from bench.gpu.recordings import cut_windows, stack
from bench.gpu.subject import HALVES, Subject, decide, share_equal
from block.decisions import apply_score_function
from block.model.checkpoint import Checkpoint
from block.model.classifier import Classifier, Logits
from block.model.features import FilterBanks
from block.recording import Waveform

LOGIT_LIMIT = 1e-3
LEAST_EQUAL = 0.995
LENGTH_MS, STRIDE_MS = 2000, 500
AT_ONCE = 256
SCALES = (1.0, 0.1)  # of loudness: more windows than the recordings have, none of them a copy
ENOUGH = 200  # windows: 99.5 % of fewer says nothing


def run(subject: Subject) -> Iterator[Fact]:
    """Compare float32 with the CPU, on both models, then the 16-bit types with float32, on real recordings."""
    for checkpoint, count in zip((subject.embedded, subject.large), subject.sizes.cpu_windows, strict=True):
        yield from _compare_with_cpu(subject, checkpoint, find_windows(subject, count))
    matmul, convolution = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    is_off = not matmul and not convolution and torch.get_float32_matmul_precision() == "highest"
    yield require("exact.tf32", "TF32 in float32 products", is_off, "off" if is_off else "on")
    yield from _compare_halves(subject)


def find_windows(subject: Subject, most: int) -> list[Waveform]:
    """Return up to `most` overlapping windows of 2 s of the real recordings, at two loudnesses."""
    rate = subject.embedded.front_end.rate_hz
    size, stride = LENGTH_MS * rate // 1000, STRIDE_MS * rate // 1000
    windows = cut_windows(subject.recordings, size, stride, rate, most)
    for scale in SCALES[1:]:
        windows += [(window * np.float32(scale)) for window in windows[: most - len(windows)]]
    return windows


def compute_logits(classifier: Classifier, windows: Sequence[Waveform], at_once: int = AT_ONCE) -> Logits:
    """Return the logits of windows of equal length, with the features computed on the same device."""
    banks = FilterBanks(classifier.checkpoint.front_end, classifier.device.device)
    parts = []
    for start in range(0, len(windows), at_once):
        with torch.inference_mode():
            parts.append(classifier.logits(banks(stack(windows[start : start + at_once]))))
    return np.concatenate(parts)


def _compare_with_cpu(subject: Subject, checkpoint: Checkpoint, windows: Sequence[Waveform]) -> Iterator[Fact]:
    on_cpu = compute_logits(subject.classifier(checkpoint, "float32", cpu=True), windows, 8)
    on_device = compute_logits(subject.classifier(checkpoint, "float32"), windows)
    named = f"float32 logits of {checkpoint.name}, {len(windows)} windows, against the CPU's"
    key = "large" if checkpoint is subject.large else "embedded"
    yield check(f"exact.logits.{key}", f"{named}, largest difference", _largest(on_cpu, on_device), LOGIT_LIMIT)
    equal = share_equal(decide(on_cpu), decide(on_device))
    yield check(f"exact.labels.{key}", f"{named}, equal labels", equal, 1.0, at_least=True)


def _compare_halves(subject: Subject) -> Iterator[Fact]:
    windows = find_windows(subject, subject.sizes.half_windows)
    exact = compute_logits(subject.classifier(subject.embedded, "float32"), windows)
    scores = apply_score_function(exact, "softmax")
    labels = decide(exact)
    heard = sum(label >= 0 for label in labels)
    yield Fact("half.windows", f"windows of 2 s for 16 bits against 32 ({subject.source})", len(windows))
    yield Fact("half.heard", "of these, windows with a label in float32", heard)
    for dtype in HALVES:
        logits = compute_logits(subject.classifier(subject.embedded, dtype), windows)
        text = f"{dtype} against float32, embedded model"
        equal = share_equal(labels, decide(logits))
        if len(windows) >= ENOUGH:
            yield check(f"half.labels.{dtype}", f"{text}, equal labels", equal, LEAST_EQUAL, at_least=True)
        else:
            yield Fact(f"half.labels.{dtype}", f"{text}, equal labels (too few windows to judge)", equal)
        largest = _largest(scores, apply_score_function(logits, "softmax"))
        yield Fact(f"half.scores.{dtype}", f"{text}, largest score difference", largest)


def _largest(one: np.ndarray, other: np.ndarray) -> float:  # type: ignore[type-arg]
    difference = np.abs(one.astype(np.float64) - other)
    return float(np.nan_to_num(difference, nan=np.inf).max(initial=0.0))
