"""What goes wrong with object stores, in words: their file systems raise many kinds of errors, on many lines."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from block.recording import RecordingError, printable
from block.runtime.redact import INSTEAD, secrets_in
from block.settings import SettingsError

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
    for secret in secrets_in(os.environ):
        text = text.replace(secret, INSTEAD)
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
