"""What an answer says: its status and its `success` checked, its body taken out."""

from __future__ import annotations

import json
from typing import Any

import requests

from block.studio.errors import BY_STATUS, BadAnswer, Refused

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
        raise WrongBodyError(f"HTTP {response.status_code} with a page in place of audio")
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
