"""What comes back from a worker: what became of recordings, and where its time went."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, fields
from typing import Any

from block.folder.manifest import FileEntry
from block.recording import LabeledRecording
from block.score_store import Key, Scored

LABELED, FAILED, SKIPPED, DONE = "labeled", "failed", "skipped", "done"


@dataclass(frozen=True, eq=False)
class RecordingResult:
    """What became of a recording: `kind` is one of the four above, `reason` why it has no labels.

    `entry` is what was learnt of a file, `scored` the logits that were not stored yet.
    """

    id: int
    kind: str
    reason: str = ""
    labeled: LabeledRecording | None = None
    entry: FileEntry | None = None
    scored: Scored | None = None


@dataclass
class StageTimes:
    """Seconds and amounts by stage, of one worker or of many together.

    `read_s` is waiting for a file or for Edge Impulse, `prepare_s` laying out windows, `model_s` the forward passes and
    decisions, `write_s` setting labels in Edge Impulse; `whole_s` is the time from the beginning to the end of chunks,
    of which a worker has two at once.
    """

    recordings: int = 0
    windows: int = 0
    audio_s: float = 0.0
    read_s: float = 0.0
    prepare_s: float = 0.0
    model_s: float = 0.0
    write_s: float = 0.0

    def add(self, other: StageTimes) -> None:
        """Count `other` in."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))


@dataclass
class Report:
    """Some of a chunk's outcomes, as soon as they are there. `worker` is its name, the machine in it.

    `batches` are recordings and windows of groups that were labelled, `warnings` and `said` are for the user. `audit`
    is what fast mode has found out so far, and `has_fallen_back` whether it went on exactly. `ended` is why nothing
    more can be labelled, by any worker.
    """

    worker: str
    outcomes: list[RecordingResult] = field(default_factory=list)
    stages: StageTimes = field(default_factory=StageTimes)
    batches: list[tuple[int, int]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    audit: list[str] = field(default_factory=list)
    startup_s: float = 0.0
    has_fallen_back: bool = False
    ended: str = ""

    def packed(self) -> bytes:
        """As bytes."""
        return pickle.dumps(self, protocol=5)


def unpacked(content: bytes) -> Report:
    """The report that a worker of this run packed. The cluster runs code for whoever uses it, and is trusted."""
    report: Any = pickle.loads(content)  # noqa: S301
    if not isinstance(report, Report):
        raise TypeError(f"a {type(report).__name__} came from a worker; expected a report")
    return report


class CarriedScores:
    """Stands for the driver's score store in a worker. May be used from several threads.

    `held` are the contents that were there when the run began; `ask` brings one of them here.
    """

    def __init__(
        self, key: Key, class_names: tuple[str, ...], held: Collection[str], ask: Callable[[str], Scored | None]
    ) -> None:
        self.key = key
        self.class_names = class_names
        self._held = held
        self._ask = ask
        self._new: dict[str, Scored] = {}
        self._lock = threading.Lock()

    def find(self, content: str) -> Scored | None:
        """What is held of a file, or was computed in this chunk."""
        with self._lock:
            new = self._new.get(content)
        if new is not None:
            return new
        return self._ask(content) if content in self._held else None

    def add(self, scored: Scored) -> None:
        """Carry it back."""
        with self._lock:
            self._new[scored.content] = scored

    def new(self, content: str) -> Scored | None:
        """What was computed of a file in this chunk."""
        with self._lock:
            return self._new.get(content)
