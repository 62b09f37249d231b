"""Tell this block's options apart from typos and from options that someone else added."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from block.formatting import count, make_printable
from block.settings import SettingsError

TYPO_EDITS = 2
DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2212"  # word processors turn hyphens into these


def drop_unknown(argv: Sequence[str], options: Mapping[str, str], warn: Callable[[str], None]) -> list[str]:
    """Return the arguments that belong to `options`, a mapping of names to kinds. Call `warn` once about the others.

    Raise SettingsError for an unknown option that is almost a known one, and for a stray word after a known option,
    which must be part of a value without quotes.
    """
    kinds = {f"--{name}": kind for name, kind in options.items()} | {"--help": "flag", "-h": "flag"}
    known: list[str] = []
    ignored: list[str] = []
    ignored_values = 0
    last_known = ""  # the previous option, if it is a known one
    position = 0
    while position < len(argv):
        argument = argv[position]
        position += 1
        name, equals, value = argument.partition("=")
        if name in kinds:
            last_known = name
            if kinds[name] == "flag":
                # An empty value means that the option isn't set.
                known += [argument] if value or not equals else []
                continue
            known.append(argument)
            if equals or position == len(argv) or argv[position].partition("=")[0] in kinds:
                continue
            # An optional value never starts with a dash; that would be the next option.
            if kinds[name] == "optional" and argv[position].startswith(tuple(DASHES)):
                continue
            known.append(argv[position])
            position += 1
            continue
        is_option = argument[:1] in DASHES
        if is_option and (nearest := _nearest(name, kinds)):
            raise SettingsError(f"unknown option {name}; did you mean {nearest}?")
        if is_option and (argument.startswith("--") or last_known or not ignored):
            ignored.append(make_printable(name, 40))
            last_known = ""
        elif last_known:
            raise SettingsError(
                f"unexpected {make_printable(argument, 40)!r} after {last_known}; if a value contains spaces, put it "
                f"in quotes"
            )
        else:
            ignored_values += 1
    if ignored or ignored_values:
        # Don't repeat values: an unknown option may have any value, including a key.
        parts = [", ".join(ignored), count(ignored_values, "value") if ignored_values else ""]
        warn(f"ignored unknown arguments: {' with '.join(filter(None, parts))}")
    return known


def _nearest(name: str, kinds: Mapping[str, str]) -> str:
    """Return the known option that `name` is a typo of, in letters or dashes, or an empty string."""
    spelled = "--" + name.lstrip(DASHES)
    # The time to compare grows with the lengths, and arguments can have any length.
    similar = [other for other in kinds if other != "-h" and abs(len(spelled) - len(other)) <= TYPO_EDITS]
    edits, nearest = min(((_count_edits(spelled, other), other) for other in similar), default=(TYPO_EDITS + 1, ""))
    # Two edits can turn a short word into a different one.
    return nearest if edits <= min(TYPO_EDITS, len(nearest.lstrip("-")) - 2) else ""


def _count_edits(a: str, b: str) -> int:
    """Return the Levenshtein distance: insertions, deletions and replacements from `a` to `b`."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, start=1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return row[-1]
