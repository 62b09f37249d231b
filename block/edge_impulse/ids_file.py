"""Files of sample ids: read the one that Edge Impulse passes to a block, and write others in the same format."""

from __future__ import annotations

import json
import os
import select
import stat
import sys

from block.settings import SettingsError

MAX_IDS_BYTES = 64 << 20  # enough for millions of ids
MAX_ID = 2**53 - 1  # the largest whole number that every JSON parser reads exactly
PIPE_TIMEOUT_S = 60.0
READ_BYTES = 1 << 16


def read_ids(path: str, timeout_s: float = PIPE_TIMEOUT_S) -> list[int]:
    """Read sample ids from a JSON file: an array or `{"ids": [...]}`. Return each once, in order of first appearance.

    Wait at most `timeout_s` seconds for a pipe. Raise SettingsError if the file is unreadable or has other content.
    """
    expected = 'expected an array of whole numbers or {"ids": [...]}'
    try:
        content = json.loads(_read_bytes(path, timeout_s).decode("utf-8-sig"))
    except OSError as error:
        raise SettingsError(f"can't read --data-ids-file {path}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"--data-ids-file {path} is not valid JSON ({str(error)[:100]}); {expected}") from None
    ids = content.get("ids") if isinstance(content, dict) else content
    if not isinstance(ids, list):
        got = f"an object with the keys {sorted(content)[:5]}" if isinstance(content, dict) else type(ids).__name__
        raise SettingsError(f"--data-ids-file {path} contains {got}; {expected}")
    for position, item in enumerate(ids):
        if type(item) is not int or not 0 <= item <= MAX_ID:
            raise SettingsError(
                f"--data-ids-file {path}: entry {position} is {_quote(item)}; expected a whole number, 0 to {MAX_ID}"
            )
    return list(dict.fromkeys(ids))


def _read_bytes(path: str, timeout_s: float) -> bytes:
    """Return the content of `path`, a file or a pipe (`/dev/stdin`). Raise OSError, also if it is too long."""
    # A plain open would block forever on a pipe without a writer.
    with open(path, "rb", buffering=0, opener=_open_without_waiting) as file:
        is_pipe = stat.S_ISFIFO(os.fstat(file.fileno()).st_mode)
        content, has_waited = bytearray(), False
        while len(content) <= MAX_IDS_BYTES:
            block = file.read(READ_BYTES)
            if block:
                content += block
            elif block is None or (is_pipe and not content and not has_waited):
                if not select.select([file], [], [], timeout_s)[0]:
                    raise TimeoutError(f"it is not a regular file and sent nothing for {timeout_s:g} s")
                has_waited = True
            else:
                return bytes(content)
    raise OSError(f"it has more than {MAX_IDS_BYTES} bytes; split it into smaller files")


def _quote(item: object) -> str:
    """Return the start of a JSON value as text."""
    try:
        return json.dumps(item)[:60]
    except RecursionError:
        return f"a {type(item).__name__}"


def try_write_ids(option: str, path: str | None, ids: list[int]) -> bool:
    """Write an ids file if the option is given. Return True if it was written; print errors to standard error."""
    if path is None:
        return False
    try:
        write_ids(path, ids)
    except OSError as error:
        print(f"can't write {option} {path}: {error.strerror or error}", file=sys.stderr)
        return False
    return True


def write_ids(path: str, ids: list[int]) -> None:
    """Write ids in the format that `read_ids` reads. Raise OSError, also for a pipe without a reader."""
    with open(path, "w", encoding="utf-8", opener=_open_without_waiting) as file:
        os.set_blocking(file.fileno(), True)
        file.write(json.dumps({"ids": ids}) + "\n")


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK, 0o666)
