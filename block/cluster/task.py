"""What is to be done by the workers of a run, as it is sent to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Event
from typing import Protocol

from block.edge_impulse.client import StudioClient
from block.edge_impulse.project import Project
from block.edge_impulse.retries import RateLimit
from block.folder.location import Location
from block.folder.manifest import FileEntry
from block.folder.source import Folder
from block.labeling.interfaces import Sink, Source
from block.labeling.job import Job
from block.score_store import Key


@dataclass(frozen=True)
class WorkItem:
    """A recording to label: its id, the bytes of its file if that is known, and what is known of it."""

    id: int
    size: int = 0
    entry: FileEntry | None = None


@dataclass
class ConnectorContext:
    """What a site gets of a worker. `entries` are those of a chunk, by id, and are brought up to date.

    `say` and `warn` reach the user. `key` and `gate` are the API key and the limit on requests, where there are any.
    """

    entries: dict[int, FileEntry]
    say: Callable[[str], None]
    warn: Callable[[str], None]
    stop: Event
    key: str = field(default="", repr=False)
    gate: RateLimit | None = None


class Connector(Protocol):
    """Where recordings come from and labels go, as a worker sees it."""

    @property
    def needs_key(self) -> bool: ...

    def check(self) -> None:
        """Raises SettingsError where this machine cannot work there."""
        ...

    def opened(self, context: ConnectorContext) -> tuple[Source, Sink]:
        """Both, for one chunk."""
        ...


@dataclass(frozen=True)
class FolderConnector:
    """Recordings below a `location` that every machine sees. Their labels are decided by the driver, from scores."""

    location: Location
    model_rate_hz: int
    needs_key: bool = False

    def check(self) -> None:
        self.location.check()

    def opened(self, context: ConnectorContext) -> tuple[Source, Sink]:
        folder = Folder(self.location, _ChunkFiles(context.entries), context.warn, model_rate_hz=self.model_rate_hz)
        return folder, folder


@dataclass(frozen=True)
class ProjectConnector:
    """A project of Edge Impulse, read and written by the workers. The fields are those of `Project`."""

    endpoint: str
    project_id: int
    metadata: Mapping[str, str]
    job: int | None
    dry_run: bool
    model_rate_hz: int
    skip_labeled: bool
    overwrite_hand_labels: bool
    needs_key: bool = True

    def check(self) -> None:
        pass

    def opened(self, context: ConnectorContext) -> tuple[Source, Sink]:
        client = StudioClient(self.endpoint, context.key, stop=context.stop, rate_limit=context.gate)
        project = Project(
            client, self.project_id, dict(self.metadata), self.job, self.dry_run, context.say, context.warn,
            self.model_rate_hz, self.skip_labeled, self.overwrite_hand_labels,
        )  # fmt: skip
        return project, project


@dataclass(frozen=True)
class ClusterJob:
    """The job, as the driver knows it; its checkpoint's folder is the driver's. `digest` is the SHA-256 of its weights.

    With `keeps`, scores come back, computed as `key` says. With `explain`, labels come with what speaks for them.
    `versions` are those of the driver's software. Chunks are reported while they last, `report_every_s` seconds apart.
    """

    job: Job
    digest: str
    key: Key
    site: Connector
    keeps: bool
    explain: bool
    versions: Mapping[str, str]
    report_every_s: float = 2.0


class _ChunkFiles:
    """What is known of a chunk's files, by id."""

    def __init__(self, entries: dict[int, FileEntry]) -> None:
        self._entries = entries
        self._ids = {entry.path: recording_id for recording_id, entry in entries.items()}

    def get_entry(self, recording_id: int) -> FileEntry:
        return self._entries[recording_id]

    def put(self, entry: FileEntry) -> None:
        self._entries[self._ids[entry.path]] = entry

    def save_if_due(self) -> None:
        """The driver does."""
