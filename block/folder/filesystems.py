"""The file systems behind object stores, Arrow's and fsspec's: what is there, what a thing is stamped, its bytes.

They raise whatever their makers chose; `block.folder.filesystems` makes one kind of error of it.
"""

from __future__ import annotations

import errno
import importlib
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from block.folder.listing import UNKNOWN, FileStamp
from block.folder.object_store_uri import ObjectStoreUri
from block.recording import RecordingError, printable
from block.runtime.redact import PLACEHOLDER, find_secrets
from block.score_store.shard import need_pyarrow
from block.settings import SettingsError

SECOND_NS = 10**9
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Where fsspec's file systems tell when a file changed; "created" where one is never changed, but written anew.
TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")
LISTED_AT_ONCE, FOLDERS = 16, 1000
ONE_FILE = "it is one file; expected a folder"
# name → what is the matter with a folder
Unreadable = dict[str, str]


class FileSystem(Protocol):
    """An open file system. Paths are relative to where recordings are. Used from several threads."""

    def listed(self, unreadable: Unreadable) -> Iterator[tuple[str, FileStamp]]:
        """All that is no folder, with its stamp. Folders that cannot be listed are noted, with a "/" at the end."""
        ...

    def check(self) -> None:
        """Raises FileNotFoundError or another error where there is no folder that can be read."""
        ...

    def stamp(self, path: str) -> FileStamp:
        """Of a file. Raises RecordingError for what is none."""
        ...

    def parts(self, path: str, size: int, part: int) -> Iterator[bytes]:
        """The first `size` bytes of a file, `part` bytes to a request. Ends early where the file does."""
        ...


def open_store(address: ObjectStoreUri) -> FileSystem:
    """The store at `address`. Raises SettingsError where pyarrow is missing, and what the makers of stores chose."""
    return ArrowFileSystem(address) if address.is_arrows else FsspecFileSystem(address)


class ArrowFileSystem:
    """One of Arrow's own file systems."""

    def __init__(self, address: ObjectStoreUri) -> None:
        need_pyarrow()
        self._fs: Any = importlib.import_module("pyarrow.fs")
        self._store, root = self._fs.FileSystem.from_uri(address.full)
        self._root = root.rstrip("/")
        # Object stores tell times more exactly in listings than of one object: by these, everything would have changed.
        self._grain = 1 if address.scheme == "file" else SECOND_NS

    def listed(self, unreadable: Unreadable) -> Iterator[tuple[str, FileStamp]]:
        folder = self._fs.FileType.Directory
        start = len(self._root) + 1
        for infos in self._listings():
            for info in infos:
                if info.type != folder:
                    yield info.path[start:], self._stamp(info)

    def _listings(self) -> Iterator[list[Any]]:
        """All that is there, in parts. Stores give out a thousand names at a time: folders are listed side by side."""
        root = self._root or "/"
        top = self._store.get_file_info(self._fs.FileSelector(root))
        folders = [info.path for info in top if info.type == self._fs.FileType.Directory]
        # Of very many, most hold little, and one listing of everything takes fewer requests. One without a name, which
        # object stores alone have, could not be listed by itself.
        if not 2 <= len(folders) <= FOLDERS or not all(path.rpartition("/")[2] for path in folders):
            yield self._below(root)
            return
        yield top
        with ThreadPoolExecutor(LISTED_AT_ONCE, thread_name_prefix="list") as pool:
            yield from pool.map(self._below, folders)

    def _below(self, folder: str) -> list[Any]:
        found: list[Any] = self._store.get_file_info(self._fs.FileSelector(folder, recursive=True))
        return found

    def check(self) -> None:
        kind = self._store.get_file_info(self._root or "/").type
        if kind == self._fs.FileType.NotFound:
            raise FileNotFoundError
        if kind == self._fs.FileType.File:
            raise NotADirectoryError(ONE_FILE)

    def stamp(self, path: str) -> FileStamp:
        info = self._store.get_file_info(f"{self._root}/{path}")
        if info.type == self._fs.FileType.NotFound:
            raise FileNotFoundError
        if info.type != self._fs.FileType.File:
            raise RecordingError("it is no regular file")
        return self._stamp(info)

    def parts(self, path: str, size: int, part: int) -> Iterator[bytes]:
        with self._store.open_input_stream(f"{self._root}/{path}", compression=None) as stream:
            yield from _parts(lambda start, count: stream.read(count), size, part)

    def _stamp(self, info: Any) -> FileStamp:
        mtime_ns = info.mtime_ns
        return FileStamp(-1 if info.size is None else info.size, _coarse(mtime_ns, self._grain))


class FsspecFileSystem:
    """One of fsspec's file systems, asked itself: behind Arrow's wrapper, most of them tell no time of change."""

    def __init__(self, address: ObjectStoreUri) -> None:
        fsspec: Any = importlib.import_module("fsspec")
        if address.scheme not in fsspec.available_protocols():
            raise SettingsError(
                f"{address.scheme}:// is no place to read recordings from; expected a folder, s3://, gs://, abfs://, "
                f"hdfs:// or one of fsspec's"
            )
        self._store, root = fsspec.core.url_to_fs(address.plain)
        self._root = root.rstrip("/")

    def listed(self, unreadable: Unreadable) -> Iterator[tuple[str, FileStamp]]:
        # Not by `find` or `walk`: they pass over what cannot be listed, and say nothing.
        folders = [""]
        self._store.invalidate_cache()
        while folders:
            above = folders.pop()
            try:
                infos = self._below(above)
            except Exception as error:
                if not above:
                    raise
                unreadable[above] = in_words(error)
                continue
            for name, info in infos:
                if info["type"] != "directory":
                    yield above + name, _stamp(info)
                elif not name.startswith("."):
                    folders.append(f"{above}{name}/")

    def check(self) -> None:
        self._store.invalidate_cache()
        self._below("")

    def stamp(self, path: str) -> FileStamp:
        self._store.invalidate_cache(self._of(path))
        info = self._store.info(self._of(path))
        if info["type"] == "directory":
            raise RecordingError("it is no regular file")
        return _stamp(info)

    def parts(self, path: str, size: int, part: int) -> Iterator[bytes]:
        of = self._of(path)
        return _parts(lambda start, count: self._store.cat_file(of, start=start, end=start + count), size, part)

    def _below(self, above: str) -> list[tuple[str, dict[str, Any]]]:
        """What is in a folder, by its name there."""
        folder = f"{self._root}/{above}".rstrip("/") or "/"
        found = self._store.ls(folder, detail=True)
        itself = [info for info in found if info["name"].strip("/") == folder.strip("/")]
        if not above and len(found) == len(itself) == 1 and itself[0]["type"] != "directory":
            raise NotADirectoryError(ONE_FILE)
        return [(info["name"].rstrip("/").rpartition("/")[2], info) for info in found if info not in itself]

    def _of(self, path: str) -> str:
        return f"{self._root}/{path}"


def _parts(read: Callable[[int, int], bytes], size: int, part: int) -> Iterator[bytes]:
    start = 0
    while start < size:
        got = read(start, min(part, size - start))
        if not got:
            return
        start += len(got)
        yield got


def _stamp(info: dict[str, Any]) -> FileStamp:
    size = info.get("size")
    time = next((info[name] for name in TIMES if info.get(name) is not None), None)
    return FileStamp(-1 if size is None else int(size), _coarse(_in_ns(time), SECOND_NS))


def _in_ns(time: object) -> int | None:
    """A time as one of fsspec's file systems tells it, in ns since 1970. None for one that cannot be understood."""
    if isinstance(time, str):
        try:
            time = datetime.fromisoformat(time)
        except ValueError:
            return None
    if isinstance(time, datetime):
        aware = time if time.tzinfo else time.replace(tzinfo=UTC)
        return (aware - EPOCH) // timedelta(microseconds=1) * 1000
    return int(time * SECOND_NS) if isinstance(time, (int, float)) else None


def _coarse(mtime_ns: int | None, grain: int) -> int:
    return UNKNOWN if mtime_ns is None else mtime_ns - mtime_ns % grain


LONGEST = 300
# The network's state, or the server's, and no one object's; as Amazon's, Google's and Microsoft's libraries put it.
LOST = re.compile(
    r"NETWORK_CONNECTION|curlCode|SLOW_?DOWN|SERVICE_UNAVAILABLE|INTERNAL_FAILURE|REQUEST_TIMEOUT|THROTTLING"
    r"|time[sd]?[ -]?out|connect(ion)? (to|refused|reset|aborted|error|closed)|could ?n.t connect"
    r"|(could ?n.t|failed to|name) resol|(HTTP|status|code)\D{0,12}50[0234]\b",
    re.IGNORECASE,
)
LOST_NUMBERS = (
    errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE, errno.ETIMEDOUT, errno.EHOSTUNREACH,
    errno.ENETUNREACH, errno.ENETDOWN,
)  # fmt: skip


def in_words(error: Exception) -> str:
    """Why, on one line of at most 300 characters, with no secret of the environment and no part of an address that
    may hold one.
    """
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, FileNotFoundError):
        number = errno.ENOENT
    if number and number != errno.EIO:
        return os.strerror(number)
    text = " ".join(str(error).split())
    for secret in find_secrets(os.environ):
        text = text.replace(secret, PLACEHOLDER)
    text = re.sub(r"(://[^\s?'\"]*)\?[^\s'\"]*", r"\1", text)
    text = re.sub(r"://[^/\s@]*@", "://", text)
    return printable(text or type(error).__name__, LONGEST)


@contextmanager
def told() -> Iterator[None]:
    """Whatever the block raises becomes an OSError in words: a ConnectionError where no one recording is to blame.

    RecordingError and SettingsError stay what they are.
    """
    try:
        yield
    except (RecordingError, SettingsError):
        raise
    except Exception as error:
        text = in_words(error)
        lost = isinstance(error, (ConnectionError, TimeoutError)) or LOST.search(text) is not None
        lost = lost or (isinstance(error, OSError) and error.errno in LOST_NUMBERS)
        raise (ConnectionError if lost else OSError)(text) from None
