"""Interpret answers: check status and `success`, and describe why a try failed."""

from __future__ import annotations

import json
from typing import Any

import requests
import urllib3

from block.edge_impulse.errors import BY_STATUS, BadAnswer, Refused
from block.edge_impulse.retries import Timeouts, retry_after_s
from block.runtime.memory_file import MemoryFile

Json = dict[str, Any]
START_BYTES = 1 << 12  # of an answer, to tell audio from text
# Limits of JSON: 4 MiB of empty lists would take 100 MB as Python objects. About seven of these characters describe a
# labeled segment.
JSON_BYTES = 4 << 20
JSON_VALUES = 1 << 18
STRUCTURE = (b"[", b"{", b",", b":")


class TryFailed(Exception):
    """A try failed, and a retry may help. `is_unreachable`: there was no connection, so nothing was sent.

    `answer` is the server's answer, if there was one. It may ask to slow down (`is_slowed`), for `asked_s` seconds.
    """

    def __init__(self, problem: str, is_unreachable: bool = False, answer: requests.Response | None = None) -> None:
        super().__init__(problem)
        self.is_unreachable = is_unreachable
        headers = {} if answer is None else answer.headers
        self.retry_after: str | None = headers.get("Retry-After")
        self.asked_s = retry_after_s(headers)
        self.is_slowed = answer is not None and (answer.status_code == 429 or self.retry_after is not None)


def explain(error: requests.RequestException, timeouts: Timeouts) -> TryFailed:
    """Convert `error` to a failed try. Leave out the error's own text, which may quote headers."""
    if isinstance(error, requests.exceptions.SSLError):
        return TryFailed("the server's certificate could not be verified")
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return TryFailed(f"no connection within {timeouts.connect_s:g} s", is_unreachable=True)
    if isinstance(error, requests.exceptions.Timeout):
        return TryFailed(f"no answer within {timeouts.read_s:g} s")
    if isinstance(error, requests.exceptions.ProxyError):
        return TryFailed("no connection to the proxy, or through it", is_unreachable=True)
    if isinstance(error, requests.exceptions.ConnectionError):
        cause = getattr(error.args[0], "reason", None) if error.args else None
        if isinstance(cause, urllib3.exceptions.NewConnectionError):
            return TryFailed("no connection could be made", is_unreachable=True)
        return TryFailed("the connection broke off")
    if isinstance(error, requests.exceptions.InvalidHeader):
        return TryFailed("the answer has two different Content-Lengths")
    return TryFailed(type(error).__name__)


def parse_json(response: requests.Response, body: MemoryFile, call: str) -> Json:
    """Return the JSON object in an answer.

    Raise Refused, BadAnswer if it needs too much memory, or TryFailed for other content such as a proxy's page.
    """
    if response.ok and (excess := _describe_excess(body)):
        raise BadAnswer(f"{call}: the answer {excess}")
    answer: Json = _load_json(body)
    if response.ok and not isinstance(answer, dict):
        raise TryFailed(f"HTTP {response.status_code} with a body that is not a JSON object")
    if not response.ok or answer.get("success") is not True:
        raise BY_STATUS.get(response.status_code, Refused)(f"{call}: {describe_error(response, body)}")
    return answer


def parse_audio(response: requests.Response, body: MemoryFile, call: str) -> MemoryFile:
    """Return the audio in an answer. Raise Refused, BadAnswer for JSON, or TryFailed for a web page."""
    start = body.read(START_BYTES).lstrip()[:1]
    body.seek(0)
    if response.ok and start == b"<":
        raise TryFailed(f"HTTP {response.status_code} with a web page instead of audio")
    if not response.ok or start == b"{" or "json" in response.headers.get("Content-Type", ""):
        answer = parse_json(response, body, call)
        raise BadAnswer(f"{call}: got JSON with the keys {sorted(answer)}; expected audio")
    return body


def describe_error(response: requests.Response, body: MemoryFile) -> str:
    """Return the status and the reason in the answer's JSON. The reason may still contain the key."""
    answer = _load_json(body)
    reason = answer.get("error") if isinstance(answer, dict) else None
    return f"HTTP {response.status_code}: {reason if isinstance(reason, str) and reason else 'no reason given'}"


def _load_json(body: MemoryFile) -> Any:
    """Return the JSON in a body, or None if there is none, or too much of it."""
    if _describe_excess(body):
        return None
    try:
        return json.loads(_read_all(body))
    except (ValueError, RecursionError):
        return None


def _describe_excess(body: MemoryFile) -> str:
    """Return in which way a body has too much JSON, or an empty string."""
    if body.size > JSON_BYTES:
        return f"has {body.size} bytes of JSON; expected at most {JSON_BYTES}"
    content = _read_all(body)
    values = sum(content.count(one) for one in STRUCTURE)
    return f"has about {values} JSON values; expected at most {JSON_VALUES}" if values > JSON_VALUES else ""


def _read_all(body: MemoryFile) -> bytes:
    body.seek(0)
    return body.read()
