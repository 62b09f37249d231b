"""Keep the secrets in the environment out of standard output, standard error and core dumps.

The block never writes a secret itself, but a server may send one back, for example in a sample's name.
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

from block.runtime.streams import WrappedStream

MIN_LENGTH = 8  # characters; a shorter secret would match too much other text
MAX_NESTING = 200
PLACEHOLDER = "<key>"
# EI_PROJECT_API_KEY, EI_API_KEY, HF_TOKEN, AWS_SECRET_ACCESS_KEY, AZURE_CLIENT_SECRET and similar names. `OWN_SECRET`
# matches those that only this process needs; a cluster's workers need the others to open object stores.
OWN_SECRET = re.compile(r"(EI|HF|HUGGING_?FACE(_HUB)?)_(\w*_)?(KEY|TOKEN|SECRET|PASSWORD|JWT)")
SECRET_NAME = re.compile(r"(EI|HF|HUGGING_?FACE(_HUB)?|AWS|AZURE|GOOGLE|RAY)_(\w*_)?(KEY|TOKEN|SECRET|PASSWORD|JWT)")
ADDRESS_NAME = re.compile(r"(\w+_PROXY|HF_ENDPOINT|EI_API_ENDPOINT)", re.IGNORECASE)


def find_secrets(environment: Mapping[str, str]) -> frozenset[str]:
    """Return the secrets of at least 8 characters: keys, tokens, and passwords in proxy and endpoint URLs."""
    found = {value.strip() for name, value in environment.items() if SECRET_NAME.fullmatch(name)}
    for name, value in environment.items():
        if ADDRESS_NAME.fullmatch(name):
            found.update(_find_passwords(value))
    return frozenset(secret for secret in found if len(secret) >= MIN_LENGTH)


def _find_passwords(address: str) -> Iterable[str]:
    try:
        password = urlsplit(address).password or ""
    except ValueError:
        return ()
    return (password, unquote(password))


class RedactedStream(WrappedStream):
    """A text stream that writes `<key>` instead of each of `secrets`, or of the first 8 or more characters of one.

    The first characters are enough because long texts may be cut. Case doesn't matter, because host names are lowered;
    secrets quoted as in JSON, Python or URLs match too. Everything else is passed to `stream`.
    """

    def __init__(self, stream: Any, secrets: Iterable[str]) -> None:
        spelled = {spelling for secret in secrets for spelling in _spellings(secret)}
        super().__init__(stream)
        whole = [re.escape(spelling) for spelling in sorted(spelled, key=len, reverse=True)]
        self._pattern = re.compile("|".join([*whole, *map(_prefix_pattern, spelled)]), re.IGNORECASE)

    def write(self, text: str) -> int:
        self.stream.write(self._pattern.sub(PLACEHOLDER, text))
        return len(text)


def _spellings(secret: str) -> set[str]:
    return {secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], quote(secret), quote(secret, safe="")}


def _prefix_pattern(secret: str) -> str:
    """Return a pattern for the first 8 or more characters of `secret`."""
    pattern = f"(?:{re.escape(secret[MAX_NESTING:])})?"  # deeper nesting would exceed the limit of `re`
    for character in reversed(secret[MIN_LENGTH:MAX_NESTING]):
        pattern = f"(?:{re.escape(character)}{pattern})?"
    return re.escape(secret[:MIN_LENGTH]) + pattern


def redact_output(environment: Mapping[str, str]) -> None:
    """Replace `sys.stdout` and `sys.stderr` with streams that never write the secrets in `environment`."""
    secrets = find_secrets(environment)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, RedactedStream):
            stream = stream.stream
        if stream is not None:
            setattr(sys, name, RedactedStream(stream, secrets) if secrets else stream)


def disable_core_dumps() -> None:
    """Keep this process's memory, and so the key, out of core dumps."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The limit doesn't apply to core dumps piped to a program. On Linux, this makes them empty.
    with contextlib.suppress(OSError):
        Path("/proc/self/coredump_filter").write_text("0", encoding="ascii")
