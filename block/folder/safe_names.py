"""Names of files and folders that are safe on every system that OUT may be copied to."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping

LONGEST_BYTES = 200  # of a name; file systems allow 255, and temporary names are longer
REPLACED = "\ufffd"
FORBIDDEN = '<>:"|?*\\/'  # not allowed in names on systems that OUT may be copied to
RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)  # devices of Windows


def make_safe(name: str, is_ambiguous: bool = False) -> str:
    """Return `name` as the name of a file or a folder.

    A name that isn't printable text, is too long, begins with a dot or `is_ambiguous` is changed and ends in part of
    its hash, to stay unique. It may be a part of a path that isn't UTF-8, with lone surrogates.
    """
    encoded = os.fsencode(name)
    text = encoded.decode("utf-8", "replace")
    plain = "".join("_" if one in FORBIDDEN + REPLACED or not one.isprintable() else one for one in text)
    is_safe = plain == text and text.encode() == encoded and len(encoded) <= LONGEST_BYTES and text[:1] != "."
    # A changed name must never equal another one: a name that already looks changed gets a "~" in front.
    if is_safe and not is_ambiguous:
        return f"~{text}" if text.startswith("~") or re.search(r"~[0-9a-f]{16}$", text) else text
    cut = plain.lstrip(".").encode()[: LONGEST_BYTES // 2].decode("utf-8", "ignore")
    return f"{cut}~{_hash(name)}"


def distinguish(names: Mapping[str, str], ending: str = "") -> dict[str, str]:
    """Return the name of each key, none of which are one file on systems that ignore case, or how accents are composed.

    Names that would be one get part of the key's hash, before their `ending`.
    """
    spellings = Counter(map(_fold, names.values()))
    return {
        key: name if spellings[_fold(name)] == 1 else f"{name.removesuffix(ending)}~{_hash(key)}{ending}"
        for key, name in names.items()
    }


def _fold(name: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _hash(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:16]


def name_label_folder(label: str) -> str:
    """Return the name of the folder for a label."""
    return make_safe(label, not label or label.rstrip(". ") != label or bool(RESERVED.fullmatch(label)))


def flatten_path(path: str) -> str:
    """Return one name for the file at the relative `path`: its folders and its name, with `__` in between."""
    parts = path.split("/")
    joined = "__".join(parts)
    is_ambiguous = any("__" in part for part in parts) or (
        len(parts) > 1 and any(part.startswith("_") or part.endswith("_") for part in parts)
    )
    # A changed name ends in part of the hash of the path itself, because different paths may be joined to one name.
    return joined if not is_ambiguous and make_safe(joined) == joined else make_safe(path, True)
