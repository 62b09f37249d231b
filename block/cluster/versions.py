"""The versions of the software that scores depend on. Nothing of it is imported to find out."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Mapping
from importlib import metadata

from block import __version__

PACKAGES = ("torch", "torchaudio", "transformers", "numpy", "soundfile")


def installed_versions() -> dict[str, str]:
    """Return the versions of Python, of this block and of the packages that are installed, by name."""
    versions = {"python": platform.python_version(), "block": __version__}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def differences(mine: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    """Return, in words, which versions of packages that both have are not the same; empty if none.

    For whom a package was built, as in `2.11.0+cpu`, makes no difference.
    """
    return "; ".join(
        f"{name} {mine[name]} here, {theirs[name]} there"
        for name in mine
        if name in theirs and mine[name].partition("+")[0] != theirs[name].partition("+")[0]
    )
