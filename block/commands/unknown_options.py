"""Tell the options of this block from those that somebody else has added, and from typos."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from block.formatting import make_printable
from block.settings import SettingsError

TYPO_EDITS = 2
DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2212"  # what word processors make of a hyphen


def drop_unknown(argv: Sequence[str], options: Mapping[str, str], warn: Callable[[str], None]) -> list[str]:
    """Return the arguments of `options`, which gives each name its kind. Call `warn` once with the others.

    Raise SettingsError for an unknown option that is spelled nearly like a known one, and for a word by itself after a
    known option: it can only be the rest of a value without quotes.
    """
    kinds = {f"--{name}": kind for name, kind in options.items()} | {"--help": "flag", "-h": "flag"}
    known: list[str] = []
    ignored: list[str] = []
    ignored_values = 0
    last_known = ""  # the option before, if it is a known one
    position = 0
    while position < len(argv):
        argument = argv[position]
        position += 1
        name, equals, value = argument.partition("=")
        if name in kinds:
            last_known = name
            if kinds[name] == "flag":
                # An empty value means that the option was not given.
                known += [argument] if value or not equals else []
                continue
            known.append(argument)
            if equals or position == len(argv) or argv[position].partition("=")[0] in kinds:
                continue
            # A value that may be left out never begins with a dash: what does is the next option.
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
                f"{make_printable(argument, 40)!r} stands by itself after {last_known}; "
                "put a value that holds spaces in "
                f"quotes"
            )
        else:
            ignored_values += 1
    if ignored or ignored_values:
        # Values are not repeated: an option that this block does not know may carry anything, a key included.
        names = ", ".join(ignored) or "no option"
        values = f" with {ignored_values} value{'s' * (ignored_values > 1)}" if ignored_values else ""
        warn(f"ignored, as this block does not know it: {names}{values}")
    return known


def _nearest(name: str, kinds: Mapping[str, str]) -> str:
    """Return the known option that `name` is a typo of, in its letters or in its dashes; else an empty string."""
    spelled = "--" + name.lstrip(DASHES)
    # Comparing takes as long as both are long, and arguments may be of any length.
    similar = [other for other in kinds if other != "-h" and abs(len(spelled) - len(other)) <= TYPO_EDITS]
    edits, nearest = min(((_count_edits(spelled, other), other) for other in similar), default=(TYPO_EDITS + 1, ""))
    # A short word becomes another word with two edits.
    return nearest if edits <= min(TYPO_EDITS, len(nearest.lstrip("-")) - 2) else ""


def _count_edits(a: str, b: str) -> int:
    """Return the Levenshtein distance: insertions, deletions and replacements from `a` to `b`."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, start=1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return row[-1]
