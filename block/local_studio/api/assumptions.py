"""What the stand-in chose where nothing establishes how the service behaves: collected from the code that does so.

A handler's docstring says "Chosen, for want of facts: …"; a module's holds a sentence with "chosen" or "not
established". The page on them is made of these texts, so that neither can be changed without the other.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from types import ModuleType

from block.local_studio.api import endpoint as call
from block.local_studio.api import list_query, reads, writes
from block.local_studio.api.endpoint import Endpoint
from block.local_studio.data import validation

CHOSEN = re.compile(r"Chosen[^:.]*:\s+(.*)", re.DOTALL)
OPEN = re.compile(r"\bchosen\b|\bnot established\b", re.IGNORECASE)
SENTENCE_END = re.compile(r"(?<=[.])\s+(?=[A-Z])")
NO_HANDLER = "no handler"


@dataclass(frozen=True)
class DescribedCall:
    """A call below /v1: what it does, and what was chosen for it, empty where nothing had to be."""

    method: str
    path: str
    does: str
    chosen: str


def calls() -> list[DescribedCall]:
    """All calls that are answered."""
    return [_described(endpoint) for endpoint in (*reads.ENDPOINTS, *writes.ENDPOINTS)]


def for_all_calls() -> list[str]:
    """What was chosen for every call: the sentences of the modules that they share."""
    return [
        sentence
        for module in (call, validation, list_query)
        for sentence in _sentences(module)
        if OPEN.search(sentence)
    ]


def unsupported() -> list[str]:
    """What is known of the service and not served here: sentences, then query parameters of the list call."""
    said = [sentence for sentence in _sentences(call) if NO_HANDLER in sentence]
    names = ", ".join(f"`{name}`" for name in list_query.ListQuery.UNSUPPORTED)
    return [*said, f"The list of samples refuses these query parameters: {names}."]


def _described(endpoint: Endpoint) -> DescribedCall:
    paragraphs = inspect.cleandoc(endpoint.handler.__doc__ or "").split("\n\n")
    chosen = [match.group(1) for text in paragraphs if (match := CHOSEN.search(text))]
    path = re.sub(r"\{(\w+)\}", r"{\1Id}", endpoint.path)
    return DescribedCall(endpoint.method, f"/v1{path}", _one_line(paragraphs[0]), " ".join(map(_sentence, chosen)))


def _sentences(module: ModuleType) -> list[str]:
    """Those of a module's docstring."""
    text = _one_line(inspect.cleandoc(module.__doc__ or "").replace("\n\n", "\n"))
    return SENTENCE_END.split(text)


def _sentence(text: str) -> str:
    line = _one_line(text)
    return line[:1].upper() + line[1:]


def _one_line(text: str) -> str:
    return " ".join(text.split())
