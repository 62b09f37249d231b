"""Write a sample's labels so that two jobs, or a job and a person, don't end up with each other's metadata.

Edge Impulse stores labels and metadata by separate calls and can't compare before it sets. So a run reads the sample
before each of these steps, and does the next one only if no one else has changed what it wrote:

    labels      announce the fingerprint of the new labels in the metadata, so that they are never taken for hand-made
                ones, then replace the labels
    metadata    describe the labels
    done        labels and metadata are both this run's

Otherwise another job is at work on the sample. The run that started last continues or begins again; an earlier one
waits for it first. After `WRITES` writes and `PAUSES` pauses, the sample fails: its labels are then those of one job,
or announced, and the next run labels the sample again.

This module does no I/O: `write_labels` yields one request at a time, and the caller sends the result back.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from block.edge_impulse.label_owner import ANNOUNCED, JOB, SEGMENTS, fingerprint
from block.edge_impulse.sample import Sample
from block.recording import RecordingError

WRITES, PAUSES = 9, 3  # without another job, two writes: labels, and the metadata that describes them
PAUSE_S = 2.0  # a run that started earlier waits this long for a later one, which needs five calls to finish
DONE = " done"  # follows the run's id in an announcement once the labels are described
OTHER_JOB = "another job is labeling this sample; to make sure that it's labeled, run this job again later"
ANNOUNCEMENTS_KEPT = 8  # a call that is carried out late may bring back labels that have been replaced


@dataclass(frozen=True)
class NewLabels:
    """Labels for a sample, in the API's format, and metadata that describes them.

    `announcement` is metadata to write before the labels.
    """

    labels: list[dict[str, Any]]
    metadata: Mapping[str, str]
    announcement: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The fingerprint of the labels."""
        return fingerprint(self.labels)

    @property
    def announced_as(self) -> str:
        """The name under which they are announced in the metadata."""
        return ANNOUNCED + self.digest


@dataclass(frozen=True)
class Read:
    """Read the sample. The result is a `Sample`."""


@dataclass(frozen=True)
class WriteMetadata:
    """Replace the metadata. The result is None."""

    metadata: dict[str, str]


@dataclass(frozen=True)
class WriteLabels:
    """Replace the labels. The result is None."""

    labels: list[dict[str, Any]]


@dataclass(frozen=True)
class Pause:
    """Wait so that another job can finish. The result is None."""

    seconds: float = PAUSE_S


Step = Read | WriteMetadata | WriteLabels | Pause
Steps = Generator[Step, Sample | None, None]


def create_run_id() -> str:
    """Return an id for a run. Ids are in the order in which runs start, except within one second."""
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(4)}"


def write_labels(run_id: str, compose: Callable[[Sample], NewLabels]) -> Steps:
    """Yield the steps that write what `compose` returns for the sample as it was just read.

    `compose` may raise, for example RecordingSkipped for labels that were set by hand; that ends the steps. Raise
    RecordingError if another job is labeling the sample.
    """
    ours: dict[str, str] = {}  # announcements of this run; another job may have removed them from the metadata
    new: NewLabels | None = None
    described = ""  # the fingerprint in the metadata before this run changed them
    writes = pauses = 0
    while True:
        found = yield Read()
        assert found is not None
        sample = replace(found, metadata={**_drop_old_announcements(found.metadata), **ours})
        if new is not None:
            if _holds(found, new):
                return
            rival = _find_rival(found, new, described)
            if rival.has_finished and rival.run_id > run_id:
                raise RecordingError(OTHER_JOB)
            if pauses < PAUSES and rival.run_id > run_id:
                pauses += 1
                yield Pause()
                continue
            if writes == WRITES:
                raise RecordingError(OTHER_JOB)
        writes += 1
        if new is not None and fingerprint(found.structured_labels) == new.digest:
            ours[new.announced_as] = run_id + DONE
            yield WriteMetadata({**sample.metadata, **new.metadata, SEGMENTS: new.digest, **ours})
            continue
        new = compose(sample)
        described = {**found.metadata, **new.announcement}.get(SEGMENTS, "")
        ours[new.announced_as] = run_id
        yield WriteMetadata({**sample.metadata, **new.announcement, **ours})
        yield WriteLabels(new.labels)


@dataclass(frozen=True)
class _Rival:
    """Another run that is at work on the sample. `has_finished` means that labels and metadata are both its own."""

    run_id: str
    has_finished: bool


NO_ONE, SOMEONE = _Rival("", False), _Rival("~", False)  # ids compare as lower and higher than those of all runs


def _find_rival(sample: Sample, new: NewLabels, described_before: str) -> _Rival:
    """Return the last run that writes the sample besides ours; SOMEONE if the labels are neither's."""
    present, metadata = fingerprint(sample.structured_labels), sample.metadata
    described = metadata.get(SEGMENTS, "")
    others = {name: text for name, text in metadata.items() if name.startswith(ANNOUNCED) and name != new.announced_as}
    if present != new.digest:
        writer = others.get(ANNOUNCED + present)
        if writer is None:
            # A person changed them, or another job whose announcement we removed: the next read shows it.
            return SOMEONE
        if described == present:
            return _Rival(writer.removesuffix(DONE), has_finished=True)
    at_work = [text for text in others.values() if not text.endswith(DONE)]
    if described != described_before:
        at_work.append(others.get(ANNOUNCED + described, "").removesuffix(DONE))
    return _Rival(max(at_work), has_finished=False) if at_work else NO_ONE


def _holds(sample: Sample, new: NewLabels) -> bool:
    """Return whether labels and metadata of `sample` are both `new`. Of the metadata, the job stands for all."""
    present, metadata = fingerprint(sample.structured_labels), sample.metadata
    return present == new.digest == metadata.get(SEGMENTS) and metadata.get(JOB) == new.metadata.get(JOB)


def _drop_old_announcements(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return `metadata` with the latest announcements only. Their values begin with the time of the run."""
    announced = sorted((name for name in metadata if name.startswith(ANNOUNCED)), key=lambda name: metadata[name])
    dropped = announced[:-ANNOUNCEMENTS_KEPT]
    return {name: text for name, text in metadata.items() if name not in dropped}
