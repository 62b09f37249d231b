"""The file systems behind object stores, Arrow's and fsspec's: list files, read their stamps and their bytes.

Each raises errors of its own kind; `translate_errors` turns them into OSErrors.
"""

from __future__ import annotations

import errno
import importlib
import math
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from block.folder.listing import UNKNOWN, FileStamp
from block.folder.object_store_uri import ARROW, ObjectStoreUri
from block.formatting import make_printable
from block.recording import RecordingError
from block.runtime.redact import PLACEHOLDER, find_secrets
from block.score_store.shard import need_pyarrow
from block.settings import SettingsError

SECOND_NS = 10**9
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# What fsspec's file systems call the modification time; "created" if they replace objects instead of changing them.
TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")
LISTED_AT_ONCE, FOLDERS = 16, 1000
ONE_FILE = "it is a file; expected a folder"


class ArrowFileSystem:
    """One of Arrow's own file systems. Paths are relative to the URI. Thread-safe."""

    def __init__(self, uri: ObjectStoreUri) -> None:
        need_pyarrow()
        self._fs: Any = importlib.import_module("pyarrow.fs")
        self._store, root = self._fs.FileSystem.from_uri(uri.for_arrow)
        self._root = root.rstrip("/")
        # Round times: object stores list them more precisely than they report them for a single object.
        self._precision_ns = 1 if uri.scheme == "file" else SECOND_NS

    def list_files(self, unreadable: dict[str, str]) -> Iterator[tuple[str, FileStamp]]:
        """Yield all files and their stamps. Add unreadable folders, with a "/" at the end, and why to `unreadable`."""
        for infos in self._list_folders():
            for info in infos:
                if info.type != self._fs.FileType.Directory:
                    yield info.path[len(self._root) + 1 :], self._to_stamp(info)

    def _list_folders(self) -> Iterator[list[Any]]:
        """Yield all files and folders in lists. Stores return 1,000 names per request, so list folders in parallel."""
        root = self._root or "/"
        top = self._store.get_file_info(self._fs.FileSelector(root))
        folders = [info.path for info in top if info.type == self._fs.FileType.Directory]
        # Very many folders are mostly small, and one recursive listing takes fewer requests. A folder without a name,
        # which only object stores have, can't be listed by itself.
        if not 2 <= len(folders) <= FOLDERS or not all(path.rpartition("/")[2] for path in folders):
            yield self._list_tree(root)
            return
        yield top
        with ThreadPoolExecutor(LISTED_AT_ONCE, thread_name_prefix="list") as pool:
            yield from pool.map(self._list_tree, folders)

    def _list_tree(self, folder: str) -> list[Any]:
        found: list[Any] = self._store.get_file_info(self._fs.FileSelector(folder, recursive=True))
        return found

    def check(self) -> None:
        """Raise FileNotFoundError or another error if this is not a readable folder."""
        kind = self._store.get_file_info(self._root or "/").type
        if kind == self._fs.FileType.NotFound:
            raise FileNotFoundError
        if kind == self._fs.FileType.File:
            raise NotADirectoryError(ONE_FILE)

    def read_stamp(self, path: str) -> FileStamp:
        """Return a file's stamp. Raise RecordingError if it is not a file."""
        info = self._store.get_file_info(f"{self._root}/{path}")
        if info.type == self._fs.FileType.NotFound:
            raise FileNotFoundError
        if info.type != self._fs.FileType.File:
            raise RecordingError("it is not a regular file")
        return self._to_stamp(info)

    def read_parts(self, path: str, size: int, part: int) -> Iterator[bytes]:
        """Yield the first `size` bytes of a file, `part` bytes in each request; fewer if the file is shorter."""
        with self._store.open_input_stream(f"{self._root}/{path}", compression=None) as stream:
            yield from _read_parts(lambda start, count: stream.read(count), size, part)

    def _to_stamp(self, info: Any) -> FileStamp:
        return _to_stamp(info.size, info.mtime_ns, self._precision_ns)


class FsspecFileSystem:
    """One of fsspec's file systems, with the methods of `ArrowFileSystem`.

    Arrow's wrapper for fsspec isn't used: behind it, most of them report no modification time.
    """

    def __init__(self, uri: ObjectStoreUri) -> None:
        fsspec: Any = importlib.import_module("fsspec")
        if uri.scheme not in fsspec.available_protocols():
            raise SettingsError(
                f"{uri.scheme}:// is not supported; expected a folder, s3://, gs://, abfs://, hdfs:// or another "
                f"fsspec scheme"
            )
        self._store, root = fsspec.core.url_to_fs(uri.for_fsspec)
        self._root = root.rstrip("/")

    def list_files(self, unreadable: dict[str, str]) -> Iterator[tuple[str, FileStamp]]:
        # fsspec's `find` and `walk` silently skip folders that can't be listed.
        folders = [""]
        self._store.invalidate_cache()
        while folders:
            above = folders.pop()
            try:
                infos = self._list_folder(above)
            except Exception as error:
                if not above:
                    raise
                unreadable[above] = describe_error(error)
                continue
            for name, info in infos:
                if info["type"] != "directory":
                    yield above + name, _read_info(info)
                elif not name.startswith("."):
                    folders.append(f"{above}{name}/")

    def check(self) -> None:
        self._store.invalidate_cache()
        self._list_folder("")

    def read_stamp(self, path: str) -> FileStamp:
        full_path = f"{self._root}/{path}"
        self._store.invalidate_cache(full_path)
        info = self._store.info(full_path)
        if info["type"] == "directory":
            raise RecordingError("it is not a regular file")
        return _read_info(info)

    def read_parts(self, path: str, size: int, part: int) -> Iterator[bytes]:
        full_path = f"{self._root}/{path}"
        return _read_parts(
            lambda start, count: self._store.cat_file(full_path, start=start, end=start + count), size, part
        )

    def _list_folder(self, above: str) -> list[tuple[str, dict[str, Any]]]:
        """Return the name and the info of each file and folder in a folder."""
        folder = f"{self._root}/{above}".rstrip("/") or "/"
        found = self._store.ls(folder, detail=True)
        itself = [info for info in found if info["name"].strip("/") == folder.strip("/")]
        if not above and len(found) == len(itself) == 1 and itself[0]["type"] != "directory":
            raise NotADirectoryError(ONE_FILE)
        return [(info["name"].rstrip("/").rpartition("/")[2], info) for info in found if info not in itself]


FileSystem = ArrowFileSystem | FsspecFileSystem


def open_filesystem(uri: ObjectStoreUri) -> FileSystem:
    """Open the store at `uri`. Raise SettingsError if pyarrow is missing, or an error of the store's own kind."""
    return ArrowFileSystem(uri) if uri.scheme in ARROW else FsspecFileSystem(uri)


def _read_parts(read: Callable[[int, int], bytes], size: int, part: int) -> Iterator[bytes]:
    start = 0
    while start < size and (got := read(start, min(part, size - start))):
        start += len(got)
        yield got


def _to_stamp(size: int | None, mtime_ns: int | None, precision_ns: int) -> FileStamp:
    rounded = UNKNOWN if mtime_ns is None else mtime_ns - mtime_ns % precision_ns
    return FileStamp(-1 if size is None else int(size), rounded)


def _read_info(info: dict[str, Any]) -> FileStamp:
    """Return the stamp in the info of one of fsspec's file systems; an unreadable time is UNKNOWN."""
    time = next((info[name] for name in TIMES if info.get(name) is not None), None)
    if isinstance(time, str):
        try:
            time = datetime.fromisoformat(time)
        except ValueError:
            time = None
    if isinstance(time, datetime):
        aware = time if time.tzinfo else time.replace(tzinfo=UTC)
        time = (aware - EPOCH) / timedelta(seconds=1)
    mtime_ns = math.floor(time) * SECOND_NS if isinstance(time, (int, float)) else None
    return _to_stamp(info.get("size"), mtime_ns, SECOND_NS)


LONGEST = 300
# How Amazon's, Google's and Microsoft's libraries report errors of the network or the server, not of one object.
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


def describe_error(error: Exception) -> str:
    """Return the reason on one line of up to 300 characters, without secrets from the environment or in URLs."""
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
    return make_printable(text or type(error).__name__, LONGEST)


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raise any error of the block below as an OSError with the reason; a ConnectionError if the network is to blame.

    RecordingError and SettingsError pass through.
    """
    try:
        yield
    except (RecordingError, SettingsError):
        raise
    except Exception as error:
        text = describe_error(error)
        is_lost = isinstance(error, (ConnectionError, TimeoutError)) or LOST.search(text) is not None
        is_lost = is_lost or (isinstance(error, OSError) and error.errno in LOST_NUMBERS)
        raise (ConnectionError if is_lost else OSError)(text) from None
