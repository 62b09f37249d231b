"""What Edge Impulse passes to a block besides its options: the environment, and the file of sample ids."""

from __future__ import annotations

import json
import os
import select
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from block.edge_impulse.endpoint import DEFAULT_ENDPOINT, is_loopback, normalize_endpoint
from block.settings import SettingsError

MAX_IDS_BYTES = 64 << 20  # millions of ids
MAX_ID = 2**53 - 1  # the largest whole number that every JSON reader reads alike
PIPE_TIMEOUT_S = 60.0
READ_BYTES = 1 << 16


@dataclass(frozen=True)
class Access:
    """Where the API is and who calls it. `project_id` None: the one project the key belongs to."""

    endpoint: str
    key: str = field(repr=False)
    project_id: int | None

    @property
    def is_exposed(self) -> bool:
        """Return True if others on the network can read the key. On this machine's loopback nobody can."""
        parts = urlsplit(self.endpoint)
        return parts.scheme != "https" and not is_loopback(parts.hostname or "")


def read_access(environment: Mapping[str, str]) -> Access:
    """Read the environment variables that Edge Impulse sets. Raise SettingsError, which never quotes the key."""
    key = environment.get("EI_PROJECT_API_KEY", "").strip()
    if not key:
        raise SettingsError(
            "EI_PROJECT_API_KEY is not set; expected the API key of the project (in Studio: Dashboard, Keys)"
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise SettingsError(f"EI_PROJECT_API_KEY holds spaces or odd characters ({len(key)} in all); expected ei_…")
    typed = environment.get("EI_API_ENDPOINT", "").strip()
    try:
        endpoint = normalize_endpoint(typed or DEFAULT_ENDPOINT)
    except ValueError as error:
        _refuse_key("EI_API_ENDPOINT", typed, key)
        raise SettingsError(f"EI_API_ENDPOINT cannot be used: {error}") from None
    project_id = environment.get("EI_PROJECT_ID", "").strip()
    if project_id and not (project_id.isascii() and project_id.isdecimal() and len(project_id) < 19):
        _refuse_key("EI_PROJECT_ID", project_id, key)
        raise SettingsError(f"EI_PROJECT_ID is {project_id[:40]!r}; expected a whole number")
    return Access(endpoint, key, int(project_id) if project_id else None)


def _refuse_key(name: str, text: str, key: str) -> None:
    """Raise SettingsError without quoting `text` if somebody mixed up the variables and it holds a key."""
    if "ei_" in text or key in text:
        raise SettingsError(f"{name} holds what looks like an API key ({len(text)} characters)")


def read_ids(path: str, timeout_s: float = PIPE_TIMEOUT_S) -> list[int]:
    """Read sample ids from a JSON file, a bare array or `{"ids": [...]}`; each once, in order of first appearance.

    Wait at most `timeout_s` seconds for a pipe. Raise SettingsError if the file cannot be read or holds anything else.
    """
    expected = 'expected an array of whole numbers or {"ids": [...]}'
    try:
        content = json.loads(_read_bytes(path, timeout_s).decode("utf-8-sig"))
    except OSError as error:
        raise SettingsError(f"--data-ids-file {path} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"--data-ids-file {path} is no JSON ({str(error)[:100]}); {expected}") from None
    ids = content.get("ids") if isinstance(content, dict) else content
    if not isinstance(ids, list):
        got = f"an object with the keys {sorted(content)[:5]}" if isinstance(content, dict) else type(ids).__name__
        raise SettingsError(f"--data-ids-file {path} holds {got}; {expected}")
    for position, item in enumerate(ids):
        if type(item) is not int or not 0 <= item <= MAX_ID:
            raise SettingsError(
                f"--data-ids-file {path}: entry {position} is {_quote(item)}; expected a whole number, 0 to {MAX_ID}"
            )
    return list(dict.fromkeys(ids))


def _read_bytes(path: str, timeout_s: float) -> bytes:
    """Return the content of `path`, a file or a pipe (`/dev/stdin`). Raise OSError, or ValueError if it is too long."""
    # A pipe that nobody writes to would block a plain open for ever.
    with open(path, "rb", buffering=0, opener=_open_without_waiting) as file:
        is_pipe = stat.S_ISFIFO(os.fstat(file.fileno()).st_mode)
        content, has_waited = bytearray(), False
        while len(content) <= MAX_IDS_BYTES:
            block = file.read(READ_BYTES)
            if block:
                content += block
            elif block is None or (is_pipe and not content and not has_waited):
                if not select.select([file], [], [], timeout_s)[0]:
                    raise TimeoutError(f"it is no file, and gave nothing for {timeout_s:g} s")
                has_waited = True
            else:
                return bytes(content)
    raise ValueError(f"more than {MAX_IDS_BYTES} bytes")


def _quote(item: object) -> str:
    """Return the beginning of a JSON value."""
    try:
        return json.dumps(item)[:60]
    except RecursionError:
        return f"a {type(item).__name__}"


def try_write_ids(option: str, path: str | None, ids: list[int]) -> bool:
    """Write an ids file, if the option is given. Return False if not, or if it fails, which standard error tells."""
    if path is None:
        return False
    try:
        write_ids(path, ids)
    except OSError as error:
        print(f"{option} {path} cannot be written: {error.strerror or error}", file=sys.stderr)
        return False
    return True


def write_ids(path: str, ids: list[int]) -> None:
    """Write ids in the form that `read_ids` reads. Raise OSError, also for a pipe that nobody reads."""
    with open(path, "w", encoding="utf-8", opener=_open_without_waiting) as file:
        os.set_blocking(file.fileno(), True)
        file.write(json.dumps({"ids": ids}) + "\n")


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK, 0o666)
