"""Find a checkpoint's classes by the words that people use for them."""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from pathlib import Path

from block.class_guide import GuideEntry
from block.ontology import normalize_name

WORD = re.compile(r"\w+")
ENDINGS = ("s", "es", "ing", "ed", "er", "e")
SHORTEST = 3  # letters of a word without its ending, or with a typo
SHORTEST_START = 5  # letters of a word without its ending that may begin another word: "crackl" begins crackle
MOST_TERMS = 10  # words of a text that are compared with all words known
SYNONYMS = Path(__file__).with_name("audioset_synonyms.csv")


@cache
def load_synonyms() -> dict[str, tuple[str, ...]]:
    """Return AudioSet's classes by the words people use for them, in lower case. The best class comes first."""
    synonyms: dict[str, tuple[str, ...]] = {}
    with SYNONYMS.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(line for line in file if not line.startswith("#")):
            for word in row["words"].split("; "):
                synonyms[word] = synonyms.get(word, ()) + tuple(row["classes"].split("; "))
    return synonyms


def search_classes(text: str, guide: Sequence[GuideEntry]) -> list[GuideEntry]:
    """Return the entries of `guide` that `text` finds, best first.

    Each word of `text` must begin a word of the name, be one without an ending such as -s or -ing, or be a synonym,
    without regard to case. If the whole text is a synonym, its classes are found too.
    """
    terms = WORD.findall(text.lower())
    if not terms:
        return []
    phrase = " ".join(terms)
    whole = {name: place for place, name in enumerate(_find_synonyms(phrase))}
    ranked = []
    for entry in guide:
        if phrase.replace(" ", "") in _join_parts(entry.name):
            ranked.append(((0, len(_split_name(entry.name))), entry))
        elif entry.name in whole:
            ranked.append(((1, whole[entry.name]), entry))
        elif ranks := _rank_terms(terms, entry.name):
            ranked.append(((2 + max(ranks), len(_split_name(entry.name))), entry))
    return [entry for _, entry in sorted(ranked, key=lambda one: one[0])]


def suggest_classes(text: str, guide: Sequence[GuideEntry], count: int = 5) -> list[GuideEntry]:
    """Return up to `count` entries of `guide` that words spelled like `text` find: those with one typo first."""
    names = dict.fromkeys(entry.name for entry in guide)
    vocabulary = dict.fromkeys(word for name in names for word in sorted(_split_name(name)))
    vocabulary |= dict.fromkeys(word for word, found in load_synonyms().items() if not names.keys().isdisjoint(found))
    vocabulary |= dict.fromkeys(map(normalize_name, names))
    near: dict[GuideEntry, None] = {}
    for term in dict.fromkeys([normalize_name(text), *WORD.findall(text.lower())[:MOST_TERMS]]):
        cut, letters = _cut_letter(term), sorted(term)
        typos = [
            word for word in vocabulary if abs(len(word) - len(term)) < 2 and not cut.isdisjoint(_cut_letter(word))
        ]
        typos.sort(key=lambda word: (sorted(word) != letters, len(word)))  # swapped letters first
        for word in (*typos, *difflib.get_close_matches(term, vocabulary, n=count, cutoff=0.7)):
            near |= dict.fromkeys(search_classes(word, guide))
            if len(near) >= count:
                return list(near)[:count]
    return list(near)


def _rank_terms(terms: Iterable[str], name: str) -> list[int]:
    """Return for each term how it finds `name`, 0 the best; nothing if a term doesn't."""
    own = _split_name(name)
    ranks = []
    for term in terms:
        if term in own or not own.isdisjoint(_strip_endings(term)):
            ranks.append(0)
        elif any(word.startswith(start) for word in own for start in _list_starts(term)):
            ranks.append(1)
        elif name in _find_synonyms(term):
            ranks.append(2)
        else:
            return []
    return ranks


@cache
def _join_parts(name: str) -> frozenset[str]:
    """Return `name` and each of its parts between commas, without blanks, so that hairdryer finds Hair dryer."""
    return frozenset("".join(WORD.findall(part.lower())) for part in (name, *name.split(", ")))


@cache
def _split_name(name: str) -> frozenset[str]:
    """Return the words of `name` in lower case."""
    return frozenset(WORD.findall(name.lower()))


def _find_synonyms(phrase: str) -> tuple[str, ...]:
    """Return the classes of a word or a phrase, or of the same one without its ending."""
    synonyms = load_synonyms()
    return next((synonyms[one] for one in (phrase, *_strip_endings(phrase)) if one in synonyms), ())


def _strip_endings(term: str) -> Iterator[str]:
    for ending in ENDINGS:
        if term.endswith(ending) and len(term) - len(ending) >= SHORTEST:
            yield term.removesuffix(ending)


def _list_starts(term: str) -> list[str]:
    return [term, *(stem for stem in _strip_endings(term) if len(stem) >= SHORTEST_START)]


@lru_cache(maxsize=4096)
def _cut_letter(word: str) -> frozenset[str]:
    """Return `word`, and `word` without each of its letters. Words with one of these in common are a typo apart."""
    if not SHORTEST <= len(word) <= 30:
        return frozenset([word])
    return frozenset([word, *(word[:place] + word[place + 1 :] for place in range(len(word)))])
