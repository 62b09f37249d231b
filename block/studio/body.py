"""The body of an answer, as it comes in: watched, so that one that hardly moves is given up, and bounded in size."""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import requests
import urllib3

from block.studio.retries import Timeouts

READ_BYTES = 1 << 16


class BodyError(Exception):
    """A body that did not come in whole; it may the next time."""


class BodyTooLarge(Exception):
    """A body that goes on beyond what its call can need."""


def body_of(
    response: requests.Response, timeouts: Timeouts, limit_bytes: int, clock: Callable[[], float] = time.monotonic
) -> bytes:
    """The body of `response`, unpacked. Raises BodyError if it breaks off or stalls, BodyTooLarge beyond the limit.

    It stalls when `timeouts.read_s` seconds bring fewer than `timeouts.stall_bytes`, though more is to come.
    """
    # Piece by piece: `response.content` would hold an hour of audio twice, in pieces and as a whole. And only what is
    # there: whoever asks for a full block is not heard of while it drips in.
    body = io.BytesIO()
    since, until_then = clock(), 0
    try:
        while piece := response.raw.read1(READ_BYTES, decode_content=True):
            size = body.tell() + body.write(piece)
            if size > limit_bytes:
                raise BodyTooLarge(f"an answer of more than {limit_bytes} bytes")
            now = clock()
            if size - until_then >= timeouts.stall_bytes:
                since, until_then = now, size
            elif now - since > timeouts.read_s:
                raise BodyError(f"the answer stalled: {size - until_then} bytes in {now - since:.0f} s")
    except BaseException as error:
        response.close()  # what is left of it would stand before the next answer
        if isinstance(error, urllib3.exceptions.ReadTimeoutError):
            raise BodyError(f"the answer stalled: nothing more of it in {timeouts.read_s:g} s") from None
        if isinstance(error, (urllib3.exceptions.HTTPError, OSError)):
            raise BodyError(f"the answer broke off after {body.tell()} bytes") from None
        raise
    return body.getvalue()  # the buffer itself, no copy of it
