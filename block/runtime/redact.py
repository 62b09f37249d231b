"""Keep the secrets in the environment out of standard output, standard error and core dumps.

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

MIN_LENGTH = 8  # characters; a shorter secret would match much else
MAX_NESTING = 200
PLACEHOLDER = "<key>"
# EI_PROJECT_API_KEY, EI_API_KEY, HF_TOKEN, AWS_SECRET_ACCESS_KEY, AZURE_CLIENT_SECRET and their relatives.
# `OWN_SECRET` are those that only this process needs: a cluster's workers open object stores, too.
OWN_SECRET = re.compile(r"(EI|HF|HUGGING_?FACE(_HUB)?)_(\w*_)?(KEY|TOKEN|SECRET|PASSWORD|JWT)")
SECRET_NAME = re.compile(r"(EI|HF|HUGGING_?FACE(_HUB)?|AWS|AZURE|GOOGLE|RAY)_(\w*_)?(KEY|TOKEN|SECRET|PASSWORD|JWT)")
ADDRESS_NAME = re.compile(r"(\w+_PROXY|HF_ENDPOINT|EI_API_ENDPOINT)", re.IGNORECASE)


def find_secrets(environment: Mapping[str, str]) -> frozenset[str]:
    """Return the secrets of at least 8 characters: keys, tokens, and the passwords in addresses of proxies."""
    found = {value.strip() for name, value in environment.items() if SECRET_NAME.fullmatch(name)}
    for name, value in environment.items():
        if ADDRESS_NAME.fullmatch(name):
            found.update(_password_in(value))
    return frozenset(secret for secret in found if len(secret) >= MIN_LENGTH)


def _password_in(address: str) -> Iterable[str]:
    try:
        password = urlsplit(address).password or ""
    except ValueError:
        return ()
    return (password, unquote(password))


class RedactedStream:
    """A text stream that writes `<key>` in place of each of `secrets`, and of the first 8 or more characters of one.

    The beginning of a secret is enough because long texts are cut. Upper or lower case does not matter, as in names of
    hosts; quoting as JSON, as Python or as in addresses does not either. All else is up to `stream`.
    """

    def __init__(self, stream: Any, secrets: Iterable[str]) -> None:
        spelled = {spelling for secret in secrets for spelling in _spellings(secret)}
        self._stream = stream
        whole = [re.escape(spelling) for spelling in sorted(spelled, key=len, reverse=True)]
        self._pattern = re.compile("|".join([*whole, *map(_prefix_pattern, spelled)]), re.IGNORECASE)

    def write(self, text: str) -> int:
        self._stream.write(self._pattern.sub(PLACEHOLDER, text))
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


def _prefix_pattern(secret: str) -> str:
    """Return a pattern for the first 8 or more characters of `secret`, as many as there are."""
    pattern = f"(?:{re.escape(secret[MAX_NESTING:])})?"  # the parser of patterns allows no more
    for character in reversed(secret[MIN_LENGTH:MAX_NESTING]):
        pattern = f"(?:{re.escape(character)}{pattern})?"
    return re.escape(secret[:MIN_LENGTH]) + pattern


def redact_output(environment: Mapping[str, str]) -> None:
    """Replace `sys.stdout` and `sys.stderr` by streams that write none of the secrets in `environment`."""
    secrets = find_secrets(environment)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, RedactedStream):
            stream = stream._stream
        if stream is not None:
            setattr(sys, name, RedactedStream(stream, secrets) if secrets else stream)


def disable_core_dumps() -> None:
    """Keep the memory of this process, and so the key, out of core dumps."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # A core that is piped to a program has no limit. On Linux, this leaves it empty.
    with contextlib.suppress(OSError):
        Path("/proc/self/coredump_filter").write_text("0", encoding="ascii")
