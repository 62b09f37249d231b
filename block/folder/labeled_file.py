"""The data that label files are written from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from block.folder.listing import name_uniquely
from block.folder.object_store_uri import is_uri, object_uri
from block.recording import Segment


@dataclass(frozen=True)
class LabeledFile:
    """An audio file of `size` bytes and its labels: `segments` tile its `values` values at `rate_hz`.

    `mode` is as in `LabeledRecording`. `path` is relative to the folder of recordings, with "/" between parts; bytes
    that are not UTF-8 are lone surrogates. `content` is the SHA-256 of the file, empty if it isn't known.
    """

    path: str
    size: int
    values: int
    rate_hz: int
    segments: tuple[Segment, ...]
    mode: str
    content: str = ""

    @property
    def name(self) -> str:
        """The path as valid Unicode text, unique in its folder."""
        return name_uniquely(self.path)

    def to_seconds(self, position: int) -> float:
        return position / self.rate_hz


@dataclass(frozen=True)
class OutputContext:
    """What label files contain besides the labels, the same for all files of a run.

    `folder` is where the recordings are: an absolute path, or the URI of an object store. `out` is the absolute path
    of the folder with the label files. `metadata` describes the labels. `labels` are all that the run can assign, in
    the user's order, the other label last.
    """

    folder: str
    out: str
    metadata: Mapping[str, str]
    labels: tuple[str, ...]

    @cached_property
    def is_remote(self) -> bool:
        """Whether the recordings are in an object store."""
        return is_uri(self.folder)

    def locate(self, path: str) -> str:
        """Return a recording's path relative to the label files, with "/" between parts, or its URI if it is remote."""
        return object_uri(self.folder, path) if self.is_remote else f"{self._relative_folder}/{path}"

    @cached_property
    def _relative_folder(self) -> str:
        return os.path.relpath(self.folder, self.out).replace(os.sep, "/")
