"""What the label files of a folder are written from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from block.folder.listing import format_path
from block.folder.object_store_uri import is_uri, object_uri
from block.recording import Segment


@dataclass(frozen=True)
class LabeledFile:
    """A sound file of `size` bytes and its labels: `segments` tile its `values` values at `rate_hz`.

    `mode` is how they were judged, as in `LabeledRecording`. `path` is relative to the folder of recordings, "/"
    between parts, as the operating system gives it.
    """

    path: str
    size: int
    values: int
    rate_hz: int
    segments: tuple[Segment, ...]
    mode: str

    @property
    def name(self) -> str:
        """The path as text that every reader takes."""
        return format_path(self.path)

    def seconds(self, position: int) -> float:
        """The time of a value of this file."""
        return position / self.rate_hz


@dataclass(frozen=True)
class OutputContext:
    """What label files say besides the labels, the same for all files of a run.

    `folder` is where the recordings are, an absolute path or the URI of an object store, and `out` the absolute path
    of where the label files go; `metadata` describes the
    labels, and `labels` are all that the run may give, in the user's order and with the other label last.
    """

    folder: str
    out: str
    metadata: Mapping[str, str]
    labels: tuple[str, ...]

    @cached_property
    def is_remote(self) -> bool:
        """Are the recordings in an object store?"""
        return is_uri(self.folder)

    def from_out(self, path: str) -> str:
        """The relative path from the label files to a recording, "/" between parts; its URI in an object store."""
        if self.is_remote:
            return object_uri(self.folder, path)
        return f"{self._to_folder}/{path}"

    @cached_property
    def _to_folder(self) -> str:
        return os.path.relpath(self.folder, self.out).replace(os.sep, "/")
