"""Collect the assumptions about Edge Impulse's API from the docstrings of the code that makes them.

A handler's docstring has a paragraph "Assumed: …", and a module's docstring has sentences with "assume" or "assumed".
The page /about shows these texts, so the code and the page can't disagree.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from types import ModuleType

from block.local_studio.api import endpoint, list_query, reads, writes
from block.local_studio.data import validation

ASSUMPTION = re.compile(r"Assumed:\s+(.*)", re.DOTALL)
ASSUMING = re.compile(r"\bassumed?\b", re.IGNORECASE)
SENTENCE_END = re.compile(r"(?<=[.])\s+(?=[A-Z])")
NO_HANDLER = "no handler"


@dataclass(frozen=True)
class CallDescription:
    """A call below /v1: what it does, and what is assumed about it (empty if nothing is)."""

    method: str
    path: str
    summary: str
    assumption: str


def describe_calls() -> list[CallDescription]:
    """Describe all supported calls."""
    descriptions = []
    for one in (*reads.ENDPOINTS, *writes.ENDPOINTS):
        paragraphs = inspect.cleandoc(one.handler.__doc__ or "").split("\n\n")
        found = [_one_line(match[1]) for text in paragraphs if (match := ASSUMPTION.search(text))]
        assumption = " ".join(text[:1].upper() + text[1:] for text in found)
        path = re.sub(r"\{(\w+)\}", r"{\1Id}", one.path)
        descriptions.append(CallDescription(one.method, f"/v1{path}", _one_line(paragraphs[0]), assumption))
    return descriptions


def list_common_assumptions() -> list[str]:
    """Return the assumptions that apply to all calls, as sentences."""
    modules = (endpoint, validation, list_query)
    return [sentence for module in modules for sentence in _sentences_of(module) if ASSUMING.search(sentence)]


def list_unsupported() -> list[str]:
    """Return, as sentences, what the service supports and the local Studio doesn't."""
    sentences = [sentence for sentence in _sentences_of(endpoint) if NO_HANDLER in sentence]
    names = ", ".join(f"`{name}`" for name in list_query.ListQuery.UNSUPPORTED)
    return [*sentences, f"The list of samples refuses these query parameters: {names}."]


def _sentences_of(module: ModuleType) -> list[str]:
    """Return the sentences of a module's docstring."""
    return SENTENCE_END.split(_one_line(module.__doc__ or ""))


def _one_line(text: str) -> str:
    return " ".join(text.split())
