"""Is a checkpoint what it should be, and does it work? Every check is made on the files as they are now."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from block.model.checkpoint import FILES, WEIGHTS, Checkpoint, CheckpointError, find_checkpoint
from block.model_store.catalog import ExpectedFile, KnownCheckpoint
from block.model_store.golden import Golden, compare
from block.model_store.store import ModelStore, read_sums, within
from block.runtime.hashing import remember, sha256_of

if TYPE_CHECKING:
    from block.audio import Sound
    from block.model.classifier import Classifier, Logits

SILENCE_S = 1.0


@dataclass(frozen=True)
class Check:
    """One thing that was looked at, and what was found, in words."""

    passed: bool
    found: str


@dataclass(frozen=True)
class Subject:
    """What to verify: a folder, what its files must be, and the golden readings that it can be held to."""

    folder: Path
    expected: Mapping[str, ExpectedFile]
    golden: Golden | None


def read_subject(store: ModelStore, name_or_folder: str) -> Subject:
    """The checkpoint of that name in `store`, or in that folder; a folder is known by its name and its SHA256SUMS.

    Raises CheckpointError if there is no such folder.
    """
    folder = store.folder / name_or_folder
    if Path(name_or_folder).name != name_or_folder or not folder.is_dir():
        folder = Path(name_or_folder)
    if not folder.is_dir():
        find_checkpoint(name_or_folder, store.folder)  # says what is missing and how to get it
    name = folder.resolve().name
    known = store.find_known(name)
    if folder.resolve().parent == store.folder.resolve():
        expected = store.expected(name)
    else:
        expected = {**read_sums(folder), **{file.name: file for file in _files(known)}}
    return Subject(folder.absolute(), expected, known.golden if known is not None else None)


def _files(known: KnownCheckpoint | None) -> tuple[ExpectedFile, ...]:
    return known.files if known is not None else ()


def read_clip(subject: Subject, path: Path) -> bytes:
    """The bytes of the golden clip. Raises CheckpointError for another clip, or if there are no golden readings."""
    if subject.golden is None:
        raise CheckpointError(f"--clip: no golden readings are known of {subject.folder.name}; leave it out")
    try:
        digest = sha256_of(path)
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"--clip {path} cannot be read: {error.strerror or error}") from None
    if digest != subject.golden.clip_sha256:
        raise CheckpointError(
            f"--clip {path} is not the golden clip ({subject.golden.clip}): its SHA-256 is {digest}; "
            f"expected {subject.golden.clip_sha256}"
        )
    return data


def verify(subject: Subject, clip: bytes | None = None) -> Iterator[Check]:
    """The checks one by one, in order; ends after one that the following build upon has failed.

    `clip` is the golden clip, as `read_clip` gives it. Takes seconds: the model is loaded on the CPU in float32.
    """
    try:
        checkpoint = find_checkpoint(str(subject.folder))
    except CheckpointError as error:
        yield Check(False, within(subject.folder, error))
        return
    front = checkpoint.front_end
    yield Check(
        True,
        f"whole: {len(checkpoint.class_names)} classes, {front.rate_hz} Hz, {front.mel_bins} mel bins × "
        f"{front.max_frames} frames",
    )
    hashed = [_held(subject, name) for name in FILES]
    yield from hashed
    if not all(check.passed for check in hashed):
        return
    # From here on torch is needed, which takes seconds to import.
    from block.model.classifier import Classifier
    from block.model.device import choose_device
    from block.settings import ComputeSettings

    try:
        classifier = Classifier(checkpoint, choose_device(ComputeSettings("cpu", "float32")), batch_size=1)
    except CheckpointError as error:
        yield Check(False, within(subject.folder, error))
        return
    yield Check(True, "loads: every weight is there and fits")
    yield _silence(checkpoint, classifier)
    if clip is not None and subject.golden is not None:
        yield _golden(classifier, clip, subject.golden)


def _held(subject: Subject, name: str) -> Check:
    path = subject.folder / name
    try:
        before = path.stat()
        digest = sha256_of(path)
    except OSError as error:
        return Check(False, f"{name} cannot be read: {error.strerror or error}")
    expected = subject.expected.get(name)
    if expected is None:
        return Check(True, f"{name}: sha256 {digest}, with nothing known or recorded to hold it to")
    if digest != expected.sha256:
        return Check(False, f"{name} has SHA-256 {digest}; expected {expected.sha256}")
    if name == WEIGHTS:
        remember(path, digest, before)
    return Check(True, f"{name}: sha256 {digest}, as expected")


def _silence(checkpoint: Checkpoint, classifier: Classifier) -> Check:
    import numpy as np

    values = round(SILENCE_S * checkpoint.front_end.rate_hz)
    logits = _logits(classifier, np.zeros(min(values, checkpoint.front_end.limit_values), dtype=np.float32))
    count = len(checkpoint.class_names)
    if len(logits) != count:
        return Check(False, f"silence gives {len(logits)} logits; expected {count}, one a class")
    if not all(math.isfinite(value) for value in logits):
        return Check(False, "silence gives logits that are not finite numbers")
    return Check(True, f"silence gives {count} finite logits, {logits.min():.2f} to {logits.max():.2f}")


def _golden(classifier: Classifier, clip: bytes, golden: Golden) -> Check:
    names = classifier.checkpoint.class_names
    wrong = [one for one in golden.readings if one.index >= len(names) or names[one.index] != one.name]
    if wrong:
        return Check(False, f"class {wrong[0].index} is not {wrong[0].name!r}, as the golden readings have it")
    sound = _decoded(clip)
    result = compare(list(_logits(classifier, sound.waveform[: classifier.checkpoint.front_end.limit_values])), golden)
    top = ", ".join(names[index] for index in result.top)
    found = f"golden clip: logits within {result.error:.1e} (at most {result.tolerance:g}), highest: {top}"
    if result.top != result.expected_top:
        found += f"; expected {', '.join(names[index] for index in result.expected_top)}"
    return Check(result.passed, found)


def _decoded(clip: bytes) -> Sound:
    from block.audio import decode
    from block.recording import RecordingError

    try:
        return decode(clip)
    except RecordingError as error:
        raise CheckpointError(f"--clip: {error}") from None


def _logits(classifier: Classifier, waveform: object) -> Logits:
    import torch

    from block.model.features import FilterBanks

    banks = FilterBanks(classifier.checkpoint.front_end, classifier.device.device)
    try:
        logits: Logits = classifier.logits(banks(torch.as_tensor(waveform)[None]))[0]
    except (RuntimeError, MemoryError) as error:
        # Out of memory, most likely, which says nothing about the checkpoint.
        reason = str(error).strip().splitlines()
        raise CheckpointError(f"it could not be run: {reason[0] if reason else 'out of memory'}") from None
    return logits
