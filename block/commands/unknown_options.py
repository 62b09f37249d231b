"""Arguments that this block knows, told apart from those that somebody else has added and from slips of the pen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from block.recording import make_printable
from block.settings import SettingsError

SLIP_EDITS = 2
DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2212"  # what word processors make of a hyphen


def known_arguments(argv: Sequence[str], options: Mapping[str, str], warn: Callable[[str], None]) -> list[str]:
    """The arguments of `options`, which gives each name its kind. Of the others the user is told, in one warning.

    Raises SettingsError for an unknown option that is spelled nearly like a known one, and for a word that stands by
    itself after a known option: it can only be the rest of a value that was not quoted.
    """
    kinds = {f"--{name}": kind for name, kind in options.items()} | {"--help": "flag", "-h": "flag"}
    known: list[str] = []
    ignored: list[str] = []
    values = 0
    after = ""  # the known option that came last, with nothing unknown behind it
    position = 0
    while position < len(argv):
        argument = argv[position]
        position += 1
        name, equals, value = argument.partition("=")
        if name in kinds:
            after = name
            if kinds[name] == "flag":
                # An empty value means that the option was not given.
                known += [argument] if value or not equals else []
                continue
            known.append(argument)
            following = argv[position] if position < len(argv) else None
            takes = following is not None and following.partition("=")[0] not in kinds
            # A value that may be left out never begins with a dash: what does is the next option.
            if kinds[name] == "optional" and following is not None and following.startswith(tuple(DASHES)):
                takes = False
            if following is not None and takes and not equals:
                known.append(following)
                position += 1
        elif argument[:1] in DASHES and (argument.startswith("--") or _near(name, kinds) or after or not ignored):
            if nearest := _near(name, kinds):
                raise SettingsError(f"unknown option {name}; did you mean {nearest}?")
            ignored.append(make_printable(name, 40))
            after = ""
        elif after:
            raise SettingsError(
                f"{make_printable(argument, 40)!r} stands by itself after {after}; "
                "put a value that holds spaces in quotes"
            )
        else:
            values += 1
    if ignored or values:
        # Values are not repeated: an option that this block does not know may carry anything, a key included.
        told = ", ".join(ignored) or "no option"
        with_values = f" with {values} value{'s' * (values > 1)}" if values else ""
        warn(f"ignored, as this block does not know it: {told}{with_values}")
    return known


def _near(name: str, kinds: Mapping[str, str]) -> str:
    """The known option that `name` is a slip of the pen for, in its letters or in its dashes; else empty."""
    spelled = "--" + name.lstrip(DASHES)
    names = [name for name in kinds if name != "-h"]
    # Comparing takes as long as both are long, and what comes may be of any length.
    alike = [other for other in names if abs(len(spelled) - len(other)) <= SLIP_EDITS]
    edits, nearest = min(((_edits(spelled, other), other) for other in alike), default=(SLIP_EDITS + 1, ""))
    # Of three letters, two others make another word.
    return nearest if edits <= min(SLIP_EDITS, len(nearest.lstrip("-")) - 2) else ""


def _edits(a: str, b: str) -> int:
    """Levenshtein's distance: insertions, deletions and replacements from `a` to `b`."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, start=1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return row[-1]
