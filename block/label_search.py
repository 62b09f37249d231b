"""Find a checkpoint's classes by the words that people use for them."""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from block.ontology import Ontology, normalize_name

WORD = re.compile(r"\w+")
SYNONYMS = Path(__file__).with_name("audioset_synonyms.csv")


@cache
def load_synonyms() -> dict[str, tuple[str, ...]]:
    """Return AudioSet's classes by the words people use for them, in lower case."""
    synonyms: dict[str, tuple[str, ...]] = {}
    with SYNONYMS.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(line for line in file if not line.startswith("#")):
            for word in row["words"].split("; "):
                synonyms[word] = synonyms.get(word, ()) + tuple(row["classes"].split("; "))
    return synonyms


def search_classes(text: str, class_names: Sequence[str], ontology: Ontology) -> list[str]:
    """Return a line for each class that `text` finds, with the names above it: `Animal > Dog > Bark`.

    Each word of `text` must begin a word of the name or be a synonym, without regard to case; if the whole text is a
    synonym, its classes are found too. A class below several others gets a line under each; classes that are not in
    the hierarchy come last. A name that only groups classes is found like a class and ends in `*`.
    """
    terms = WORD.findall(text.lower())
    if not terms:
        return []
    by_phrase = load_synonyms().get(" ".join(terms), ())
    by_key = {normalize_name(name): name for name in class_names}
    lines: list[str] = []
    path: list[str] = []
    for line in ontology.walk():
        node = line.node
        path[line.depth :] = [node.name]
        if node.name not in by_phrase and not all(_is_match(term, node.name) for term in terms):
            continue
        own = by_key.get(normalize_name(node.name))
        if own is None and any(normalize_name(one.name) in by_key for one in ontology.find_descendants(node)):
            own = f"{node.name}*"
        if own is not None:
            lines.append(" > ".join([*path[:-1], own]))
    strangers = (name for name in class_names if ontology.find(name) is None)
    return [*lines, *(name for name in strangers if all(_is_match(term, name) for term in terms))]


def suggest_classes(text: str, class_names: Sequence[str], count: int = 5) -> list[str]:
    """Return up to `count` classes whose names, words or synonyms are spelled like `text`."""
    finds: dict[str, list[str]] = {}
    for name in class_names:
        for key in {normalize_name(name), *WORD.findall(name.lower())}:
            finds.setdefault(key, []).append(name)
    for word, names in load_synonyms().items():
        finds.setdefault(word, []).extend(name for name in names if name in class_names)
    near: dict[str, None] = {}
    for term in dict.fromkeys([normalize_name(text), *WORD.findall(text.lower())]):
        for key in difflib.get_close_matches(term, finds, n=count, cutoff=0.7):
            near |= dict.fromkeys(finds[key])
    return list(near)[:count]


def _is_match(term: str, name: str) -> bool:
    return any(word.startswith(term) for word in WORD.findall(name.lower())) or name in load_synonyms().get(term, ())
