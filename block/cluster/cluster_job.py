"""The job of a run's workers, in the form that is sent to them, with the source and sink of its recordings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Event
from typing import ClassVar

from block.edge_impulse.client import StudioClient
from block.edge_impulse.project import Project, ProjectSettings
from block.edge_impulse.retries import RateLimit
from block.folder.location import Location
from block.folder.manifest import FileEntry
from block.folder.source import Folder
from block.labeling.interfaces import Sink, Source
from block.labeling.job import Job
from block.score_store import Key


@dataclass(frozen=True)
class WorkItem:
    """A recording to label. Files have a `size` in bytes, 0 if unknown, and a manifest `entry`."""

    id: int
    size: int = 0
    entry: FileEntry | None = None


@dataclass
class ConnectorContext:
    """What a worker gives a connector. `entries` has a portion's manifest entries by id; the connector updates them.

    `say` and `warn` reach the user. Requests use `api_key` and `rate_limit`.
    """

    entries: dict[int, FileEntry]
    say: Callable[[str], None]
    warn: Callable[[str], None]
    stop: Event
    api_key: str = field(default="", repr=False)
    rate_limit: RateLimit | None = None


@dataclass(frozen=True)
class FolderConnector:
    """Recordings under a `location` that every machine can see. The driver decides their labels from scores."""

    location: Location
    model_rate_hz: int
    allow_truncated: bool = False
    needs_key: ClassVar[bool] = False

    def check(self) -> None:
        """Raise SettingsError if this machine can't see the location."""
        self.location.check()

    def open(self, context: ConnectorContext) -> tuple[Source, Sink]:
        """Return the source and the sink of one portion."""
        folder = Folder(
            self.location, _PortionFiles(context.entries), context.warn, model_rate_hz=self.model_rate_hz,
            allow_truncated=self.allow_truncated,
        )  # fmt: skip
        return folder, folder


@dataclass(frozen=True)
class ProjectConnector:
    """An Edge Impulse project that workers read and write."""

    endpoint: str
    settings: ProjectSettings
    needs_key: ClassVar[bool] = True

    def check(self) -> None:
        pass

    def open(self, context: ConnectorContext) -> tuple[Source, Sink]:
        client = StudioClient(self.endpoint, context.api_key, stop=context.stop, rate_limit=context.rate_limit)
        project = Project(client, self.settings, context.say, context.warn)
        return project, project


Connector = FolderConnector | ProjectConnector


@dataclass(frozen=True)
class ClusterJob:
    """The driver's job, with the checkpoint's folder on the driver's machine; `digest` is the weights' SHA-256.

    With `keeps_scores`, workers return scores, computed as `key` says. With `explain`, they return explanations with
    labels. `versions` are the driver's software versions. A portion reports every `report_every_s` seconds.
    With `exact_only`, fast mode computes exactly, because it fell back earlier.
    """

    job: Job
    digest: str
    key: Key
    connector: Connector
    keeps_scores: bool
    explain: bool
    versions: Mapping[str, str]
    report_every_s: float = 2.0
    exact_only: bool = False


class _PortionFiles:
    """The manifest entries of a portion's files, by id."""

    def __init__(self, entries: dict[int, FileEntry]) -> None:
        self._entries = entries
        self._ids = {entry.path: recording_id for recording_id, entry in entries.items()}

    def get_entry(self, recording_id: int) -> FileEntry:
        return self._entries[recording_id]

    def put(self, entry: FileEntry) -> None:
        self._entries[self._ids[entry.path]] = entry

    def save_if_due(self) -> None:
        """Do nothing: the driver saves the manifest."""
