"""Keeps the secrets in the environment out of what is written to standard output and standard error, and out of cores.

The block writes no secret, but a server may quote one back, in a sample's name, say. This is the last gate.
"""

from __future__ import annotations

import contextlib
import json
import re
import resource
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

LEAST = 8  # characters; a shorter secret is found in too much that is none
NESTED = 200
INSTEAD = "<key>"
# EI_PROJECT_API_KEY, EI_API_KEY, HF_TOKEN, AWS_SECRET_ACCESS_KEY, AZURE_CLIENT_SECRET and their relatives.
# Those that this block alone uses; what opens object stores is for whoever reads there, too.
OWN_SECRET = re.compile(r"(EI|HF|HUGGING_?FACE(_HUB)?)_(\w*_)?(KEY|TOKEN|SECRET|PASSWORD|JWT)")
SECRET_NAME = re.compile(r"(EI|HF|HUGGING_?FACE(_HUB)?|AWS|AZURE|GOOGLE|RAY)_(\w*_)?(KEY|TOKEN|SECRET|PASSWORD|JWT)")
ADDRESS_NAME = re.compile(r"(\w+_PROXY|HF_ENDPOINT|EI_API_ENDPOINT)", re.IGNORECASE)


def secrets_in(environment: Mapping[str, str]) -> frozenset[str]:
    """The values of at least 8 characters that nobody should read: keys, tokens, passwords in proxies' addresses."""
    found = {value.strip() for name, value in environment.items() if SECRET_NAME.fullmatch(name)}
    for name, value in environment.items():
        if ADDRESS_NAME.fullmatch(name):
            found.update(_password_in(value))
    return frozenset(secret for secret in found if len(secret) >= LEAST)


def _password_in(address: str) -> Iterable[str]:
    try:
        password = urlsplit(address).password or ""
    except ValueError:
        return ()
    return (password, unquote(password))


class RedactedStream:
    """A text stream that writes `<key>` in place of each of `secrets`, and of the first 8 or more characters of one.

    So little of it is enough, because texts that are too long are cut. The case does not matter: names of hosts lose
    it. Quoted as JSON, as Python and as in addresses, a secret is found too. All else is the stream's own.
    """

    def __init__(self, stream: Any, secrets: Iterable[str]) -> None:
        spelled = {spelling for secret in secrets for spelling in _spellings(secret)}
        self._stream = stream
        whole = [re.escape(spelling) for spelling in sorted(spelled, key=len, reverse=True)]
        self._pattern = re.compile("|".join([*whole, *map(_beginning, spelled)]), re.IGNORECASE)

    def write(self, text: str) -> int:
        self._stream.write(self._pattern.sub(INSTEAD, text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __iter__(self) -> Any:
        return iter(self._stream)


def _spellings(secret: str) -> set[str]:
    return {secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], quote(secret), quote(secret, safe="")}


def _beginning(secret: str) -> str:
    """A pattern for the first 8 or more characters of `secret`, as many as there are."""
    pattern = f"(?:{re.escape(secret[NESTED:])})?"  # the parser of patterns takes no more nesting than that
    for character in reversed(secret[LEAST:NESTED]):
        pattern = f"(?:{re.escape(character)}{pattern})?"
    return re.escape(secret[:LEAST]) + pattern


def redact_output(environment: Mapping[str, str]) -> None:
    """From now on, what this process writes to `sys.stdout` and `sys.stderr` holds none of the secrets."""
    secrets = secrets_in(environment)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, RedactedStream):
            stream = stream._stream
        if stream is not None:
            setattr(sys, name, RedactedStream(stream, secrets) if secrets else stream)


def leave_no_core() -> None:
    """No core of this process holds its memory, and so the key, whatever becomes of it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # A core that is piped to a program knows no limit. This leaves it empty, on Linux alone.
    with contextlib.suppress(OSError):
        Path("/proc/self/coredump_filter").write_text("0", encoding="ascii")
