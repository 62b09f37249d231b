"""Verify a checkpoint: its digests, and that it loads and runs. Cached digests aren't used."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from block.model.checkpoint import FILES, WEIGHTS, CheckpointError, find_checkpoint
from block.model_store.catalog import ExpectedFile, Golden
from block.model_store.records import read_sums
from block.model_store.store import ModelStore, drop_folder
from block.runtime.hashing import compute_sha256, remember

if TYPE_CHECKING:
    from block.model.classifier import Classifier, Logits

SILENCE_S = 1.0
TOP = 5  # number of golden readings whose order is checked


@dataclass(frozen=True)
class Check:
    """One check: whether it passed, and its finding as text."""

    is_ok: bool
    finding: str


@dataclass(frozen=True)
class Subject:
    """What to verify: a folder, its expected files, and golden readings of its logits, if there are any."""

    folder: Path
    expected: Mapping[str, ExpectedFile]
    golden: Golden | None


def read_subject(store: ModelStore, name_or_folder: str) -> Subject:
    """Return the checkpoint with that name in `store`, or in that folder.

    Outside the store, digests come from its SHA256SUMS and its name. Raise CheckpointError if there is no such folder.
    """
    folder = store.folder / name_or_folder
    if Path(name_or_folder).name != name_or_folder or not folder.is_dir():
        folder = Path(name_or_folder)
    if not folder.is_dir():
        find_checkpoint(name_or_folder, store.folder)  # raises with what is missing and how to get it
    name = folder.resolve().name
    known = store.find_known(name)
    if folder.resolve().parent == store.folder.resolve():
        expected = store.expected_files(name)
    else:
        expected = {**read_sums(folder), **{file.name: file for file in (known.files if known else ())}}
    return Subject(folder.absolute(), expected, known.golden if known else None)


def read_clip(subject: Subject, path: Path) -> bytes:
    """Return the golden clip's bytes. Raise CheckpointError if it is another clip or there are no golden readings."""
    if subject.golden is None:
        raise CheckpointError(f"--clip: there are no golden readings for {subject.folder.name}; omit --clip")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"--clip {path} can't be read: {error.strerror or error}") from None
    if (digest := compute_sha256(data)) != subject.golden.clip_sha256:
        raise CheckpointError(
            f"--clip {path} is not the golden clip ({subject.golden.clip}): its SHA-256 is {digest}; "
            f"expected {subject.golden.clip_sha256}"
        )
    return data


def verify(subject: Subject, clip: bytes | None = None) -> Iterator[Check]:
    """Yield the checks one by one; stop if later checks depend on a failed one.

    `clip` is the golden clip from `read_clip`. This takes seconds: the model is loaded on the CPU in float32.
    """
    try:
        checkpoint = find_checkpoint(str(subject.folder))
    except CheckpointError as error:
        yield Check(False, drop_folder(subject.folder, error))
        return
    front = checkpoint.front_end
    yield Check(
        True,
        f"complete: {len(checkpoint.class_names)} classes, {front.rate_hz} Hz, {front.mel_bins} mel bins × "
        f"{front.max_frames} frames",
    )
    digests = [_check_digest(subject, name) for name in FILES]
    yield from digests
    if not all(check.is_ok for check in digests):
        return
    # Imported only now: torch takes seconds to import.
    from block.model.classifier import Classifier
    from block.model.device import choose_device
    from block.settings import ComputeSettings

    try:
        classifier = Classifier(checkpoint, choose_device(ComputeSettings("cpu", "float32")), batch_size=1)
    except CheckpointError as error:
        yield Check(False, drop_folder(subject.folder, error))
        return
    yield Check(True, "loads: all weights are present and have the right shapes")
    yield _check_silence(classifier)
    if clip is not None and subject.golden is not None:
        yield _check_golden(classifier, clip, subject.golden)


def _check_digest(subject: Subject, name: str) -> Check:
    path = subject.folder / name
    try:
        before = path.stat()
        digest = compute_sha256(path)
    except OSError as error:
        return Check(False, f"{name} can't be read: {error.strerror or error}")
    expected = subject.expected.get(name)
    if expected is None:
        return Check(True, f"{name}: sha256 {digest}, no known or recorded digest to compare with")
    if digest != expected.sha256:
        return Check(False, f"{name} has SHA-256 {digest}; expected {expected.sha256}")
    if name == WEIGHTS:
        remember(path, digest, before)
    return Check(True, f"{name}: sha256 {digest}, as expected")


def _check_silence(classifier: Classifier) -> Check:
    import numpy as np

    values = round(SILENCE_S * classifier.checkpoint.front_end.rate_hz)
    logits = _compute_logits(classifier, np.zeros(values, dtype=np.float32))
    count = len(classifier.checkpoint.class_names)
    if len(logits) != count:
        return Check(False, f"silence gives {len(logits)} logits; expected {count}, one per class")
    if not all(math.isfinite(value) for value in logits):
        return Check(False, "silence gives NaN or infinite logits")
    return Check(True, f"silence gives {count} finite logits, {logits.min():.2f} to {logits.max():.2f}")


def _check_golden(classifier: Classifier, clip: bytes, golden: Golden) -> Check:
    from block.audio import decode
    from block.recording import RecordingError

    names = classifier.checkpoint.class_names
    for reading in golden.readings:
        if reading.index >= len(names) or names[reading.index] != reading.name:
            return Check(False, f"class {reading.index} is not {reading.name!r}, as in the golden readings")
    try:
        waveform = decode(clip).waveform
    except RecordingError as error:
        raise CheckpointError(f"--clip: {error}") from None
    result = compare(list(_compute_logits(classifier, waveform)), golden)
    top = ", ".join(names[index] for index in result.top)
    finding = f"golden clip: logits differ by {result.error:.1e} (limit {golden.tolerance:g}); highest: {top}"
    expected_top = ", ".join(reading.name for reading in golden.readings[:TOP])
    if top != expected_top:
        finding += f"; expected {expected_top}"
    return Check(result.is_close, finding)


def _compute_logits(classifier: Classifier, waveform: Logits) -> Logits:
    """Return the logits of `waveform`, up to the model's last frame."""
    import torch

    from block.model.extractor import CheckpointFeatures

    front_end = classifier.checkpoint.front_end
    features = CheckpointFeatures(classifier.checkpoint, classifier.device.device, lambda text: print(text, flush=True))
    try:
        logits: Logits = classifier.logits(features(torch.as_tensor(waveform[: front_end.limit_values])[None]))[0]
    except (RuntimeError, MemoryError) as error:
        # Probably out of memory, so the checkpoint may still be valid.
        reason = str(error).strip().splitlines()
        raise CheckpointError(f"the model could not be run: {reason[0] if reason else 'out of memory'}") from None
    return logits


@dataclass(frozen=True)
class Comparison:
    """The largest difference from the golden logits, the indices of the highest classes, and whether both pass."""

    error: float
    top: tuple[int, ...]
    is_close: bool


def compare(logits: Sequence[float], golden: Golden) -> Comparison:
    """Compare `logits`, one per class, with `golden`. NaN counts as an infinite difference."""
    errors = [abs(float(logits[reading.index]) - reading.logit) for reading in golden.readings]
    error = max(float("inf") if math.isnan(value) else value for value in errors)
    expected_top = tuple(reading.index for reading in golden.readings[:TOP])
    top = tuple(sorted(range(len(logits)), key=lambda index: -float(logits[index]))[: len(expected_top)])
    return Comparison(error, top, error <= golden.tolerance and top == expected_top)
