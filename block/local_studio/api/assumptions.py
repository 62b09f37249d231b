"""What the stand-in chose where nothing establishes how the service behaves: collected from the code that does so.

A handler's docstring says "Chosen, for want of facts: …"; a module's holds a sentence with "chosen" or "not
established". The page on them is made of these texts, so that neither can be changed without the other.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from types import ModuleType

from block.local_studio.api import endpoint, list_query, reads, writes
from block.local_studio.data import validation

CHOSEN = re.compile(r"Chosen[^:.]*:\s+(.*)", re.DOTALL)
OPEN = re.compile(r"\bchosen\b|\bnot established\b", re.IGNORECASE)
SENTENCE_END = re.compile(r"(?<=[.])\s+(?=[A-Z])")
NO_HANDLER = "no handler"


@dataclass(frozen=True)
class CallDescription:
    """A call below /v1: what it does, and what was chosen for it, empty where nothing had to be."""

    method: str
    path: str
    does: str
    chosen: str


def describe_calls() -> list[CallDescription]:
    """Describe all calls that are answered."""
    descriptions = []
    for one in (*reads.ENDPOINTS, *writes.ENDPOINTS):
        paragraphs = inspect.cleandoc(one.handler.__doc__ or "").split("\n\n")
        found = [_one_line(match[1]) for text in paragraphs if (match := CHOSEN.search(text))]
        chosen = " ".join(text[:1].upper() + text[1:] for text in found)
        path = re.sub(r"\{(\w+)\}", r"{\1Id}", one.path)
        descriptions.append(CallDescription(one.method, f"/v1{path}", _one_line(paragraphs[0]), chosen))
    return descriptions


def list_common_choices() -> list[str]:
    """Return what was chosen for every call: the sentences of the modules that they share."""
    modules = (endpoint, validation, list_query)
    return [sentence for module in modules for sentence in _sentences_of(module) if OPEN.search(sentence)]


def list_unsupported() -> list[str]:
    """Return what the service has and this does not: sentences, then query parameters of the list call."""
    sentences = [sentence for sentence in _sentences_of(endpoint) if NO_HANDLER in sentence]
    names = ", ".join(f"`{name}`" for name in list_query.ListQuery.UNSUPPORTED)
    return [*sentences, f"The list of samples refuses these query parameters: {names}."]


def _sentences_of(module: ModuleType) -> list[str]:
    """Return the sentences of a module's docstring."""
    return SENTENCE_END.split(_one_line(module.__doc__ or ""))


def _one_line(text: str) -> str:
    return " ".join(text.split())
