"""Read the body of an answer: unpack it, and limit the time it takes and its size."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator

import requests
import urllib3

from block.edge_impulse.errors import BadAnswer
from block.edge_impulse.response import TryFailed
from block.edge_impulse.retries import Timeouts
from block.runtime.deadline import Deadline
from block.runtime.memory_file import MemoryFile

READ_BYTES = 1 << 16
ENCODINGS = ("gzip", "deflate")
GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


def read_body(
    response: requests.Response, deadline: Deadline, timeouts: Timeouts, limit_bytes: int, call: str
) -> MemoryFile:
    """Return the unpacked body. Raise BadAnswer if it exceeds the limit, TryFailed if it breaks off or stalls.

    It stalls if fewer than `timeouts.stall_bytes` arrive within `timeouts.read_s` seconds before its end. Renew the
    `deadline` whenever that many have arrived.
    """
    # Read in blocks, because `response.content` would need twice the memory. `read1` returns what has arrived; waiting
    # for full blocks would hide that the body is slow. It doesn't unpack, because it would wait for unpacked bytes.
    body = MemoryFile()
    arrived = start_arrived = 0
    start = time.monotonic()
    deadline.renew(timeouts.try_s)
    try:
        unpacker = _Unpacker(response.headers.get("Content-Encoding", ""), call)
        while block := response.raw.read1(READ_BYTES, decode_content=False):
            arrived += len(block)
            for part in unpacker.unpack(block):
                body.write(part)
                if max(arrived, body.size) > limit_bytes:
                    raise BadAnswer(f"{call}: the answer is longer than the limit of {limit_bytes} bytes")
            now = time.monotonic()
            if arrived - start_arrived >= timeouts.stall_bytes:
                start, start_arrived = now, arrived
                deadline.renew(timeouts.try_s)
            elif now - start > timeouts.read_s:
                raise TryFailed(f"the answer stalled: only {arrived - start_arrived} bytes in {now - start:.0f} s")
        if arrived and not unpacker.is_complete:
            raise TryFailed(f"the answer broke off after {body.size} bytes")
    except BaseException as error:
        response.close()  # otherwise the rest would be read as the next answer on this connection
        size = body.size
        body.close()
        if isinstance(error, urllib3.exceptions.ReadTimeoutError):
            raise TryFailed(f"the answer stalled: no data for {timeouts.read_s:g} s") from None
        if isinstance(error, (urllib3.exceptions.HTTPError, OSError, zlib.error)):
            raise TryFailed(f"the answer broke off after {size} bytes") from None
        raise
    return body


class _Unpacker:
    """Unpacks a body in parts of limited size. Raise BadAnswer if its `encoding` is unknown."""

    def __init__(self, encoding: str, call: str) -> None:
        name = encoding.strip().lower()
        if name not in ("", "identity", "x-gzip", *ENCODINGS):
            raise BadAnswer(f"{call}: the answer is encoded as {encoding!r}; expected {' or '.join(ENCODINGS)}")
        self._stream = None if name in ("", "identity") else zlib.decompressobj(GZIP_OR_ZLIB)

    @property
    def is_complete(self) -> bool:
        """Return True unless packed data is missing."""
        return self._stream is None or self._stream.eof

    def unpack(self, block: bytes) -> Iterator[bytes]:
        """Yield what the next `block` contains, in parts of at most READ_BYTES; some are empty."""
        if self._stream is None:
            yield block
            return
        while block:
            if self._stream.eof:  # a file may have several members
                self._stream = zlib.decompressobj(GZIP_OR_ZLIB)
            yield self._stream.decompress(block, READ_BYTES)
            block = self._stream.unconsumed_tail or self._stream.unused_data
