"""Which software a machine runs, as far as scores depend on it. Nothing of it is imported to find out."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata

from block import __version__

PACKAGES = ("torch", "torchaudio", "transformers", "numpy", "soundfile")


def here() -> dict[str, str]:
    """The versions of Python, of this block and of the packages that are installed, by name."""
    found = {"python": platform.python_version(), "block": __version__}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def differences(mine: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    """What is not the same in both, in words; empty where all is. What one of them lacks is no difference.

    For whom a package was built, as in `2.11.0+cpu`, makes none either.
    """
    return "; ".join(
        f"{name} {mine[name]} here, {theirs[name]} there"
        for name in mine
        if name in theirs and mine[name].partition("+")[0] != theirs[name].partition("+")[0]
    )
