"""The body of an answer as it comes in, bounded and watched; its status and `success` checked; why there was none."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from typing import Any

import requests
import urllib3

from block.edge_impulse.errors import BY_STATUS, BadAnswer, Refused
from block.edge_impulse.retries import Timeouts

Json = dict[str, Any]


class WrongBodyError(Exception):
    """A success whose body is of another kind, such as a proxy's page; it may be right the next time."""


def json_answer(response: requests.Response, content: bytes, call: str) -> Json:
    """The JSON object in an answer. Raises Refused, or WrongBodyError for anything that is no JSON object."""
    answer = parsed(content)
    if not response.ok:
        raise _refused(response.status_code, answer, call)
    if not isinstance(answer, dict):
        raise WrongBodyError(f"HTTP {response.status_code} with a body that is not a JSON object")
    if answer.get("success") is not True:
        raise _refused(response.status_code, answer, call)
    return answer


def bytes_answer(response: requests.Response, content: bytes, call: str) -> bytes:
    """The audio in an answer. Raises Refused, BadAnswer for JSON that is no refusal, WrongBodyError for a page."""
    if not response.ok:
        raise _refused(response.status_code, parsed(content), call)
    if content.lstrip()[:1] == b"<":
        raise WrongBodyError(f"HTTP {response.status_code} with a web page instead of audio")
    if content.lstrip()[:1] == b"{" or "json" in response.headers.get("Content-Type", ""):
        answer = json_answer(response, content, call)
        raise BadAnswer(f"{call}: got JSON with the keys {sorted(answer)}; expected audio")
    return content


def parsed(content: bytes) -> Any:
    """The JSON in `content`, or None."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _refused(status: int, answer: Any, call: str) -> Refused:
    return BY_STATUS.get(status, Refused)(f"{call}: HTTP {status}: {reason_in(answer)}", status)


def reason_in(answer: Any) -> str:
    """The reason that an envelope gives, as it came: it may hold the key still."""
    reason = answer.get("error") if isinstance(answer, dict) else None
    return reason if isinstance(reason, str) and reason else "no reason given"


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


def found_nobody(error: requests.RequestException) -> bool:
    """Could no connection be made, so that nothing was asked?"""
    if isinstance(error, requests.exceptions.SSLError):
        return False
    cause = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(error, (requests.exceptions.ConnectTimeout, requests.exceptions.ProxyError)) or isinstance(
        cause, urllib3.exceptions.NewConnectionError
    )


def in_words(error: requests.RequestException, timeouts: Timeouts) -> str:
    """What went wrong with a call that waited for as long as `timeouts` says."""
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate could not be verified"
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return f"no connection within {timeouts.connect_s:g} s"
    if isinstance(error, requests.exceptions.Timeout):
        return f"no answer within {timeouts.read_s:g} s"
    if isinstance(error, requests.exceptions.ProxyError):
        return "no connection to the proxy, or none through it"
    if isinstance(error, requests.exceptions.ConnectionError):
        return "no connection could be made" if found_nobody(error) else "the connection broke off"
    return type(error).__name__
