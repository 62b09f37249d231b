"""Find the versions of the software that scores depend on, without importing it."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Mapping
from importlib import metadata

from block import __version__

PACKAGES = ("torch", "torchaudio", "transformers", "numpy", "soundfile", "av")


def find_versions(backend: str = "torch") -> dict[str, str]:
    """Return the versions of Python, this block and the installed packages, by name: `PACKAGES` and `backend`."""
    versions = {"python": platform.python_version(), "block": __version__}
    for name in dict.fromkeys((*PACKAGES, backend)):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def describe_differences(mine: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    """Return a description of packages that both have in different versions; empty if there are none.

    Build suffixes, as in `2.11.0+cpu`, don't count.
    """
    return "; ".join(
        f"{name} {mine[name]} here, {theirs[name]} there"
        for name in mine
        if name in theirs and mine[name].partition("+")[0] != theirs[name].partition("+")[0]
    )
