"""`python -m tests.importing FOLDER…`: import every module of these packages, and report those that can't be imported.

The last line printed is a JSON object: `imported` is the number of imported modules, `failed` has the error of each
module that is broken, and `missing` the package that is not installed, by the module that imports it.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest


def modules(package: Path) -> Iterator[str]:
    """Yield the full name of every module in a package's folder, in order.

    Folders with a parameters.json are left out: they are other blocks, whose scripts run when imported.
    """
    for file in sorted(package.rglob("*.py")):
        folders = [folder for folder in file.parents if folder.is_relative_to(package)]
        if not any((folder / "parameters.json").exists() for folder in folders):
            name = file.relative_to(package.parent).with_suffix("")
            yield ".".join(name.parent.parts if name.name == "__init__" else name.parts)


def import_all(packages: Sequence[Path]) -> dict[str, Any]:
    """Put the packages' parent folders on the path, import every module, and return the object to print."""
    sys.path[:0] = [str(package.parent) for package in packages]
    own = {package.name for package in packages}
    found: dict[str, Any] = {"imported": 0, "failed": {}, "missing": {}}
    for name in (name for package in packages for name in modules(package)):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            absent = str(error.name).partition(".")[0]
            kind = "failed" if absent in own or is_installed(absent) else "missing"
            found[kind][name] = str(error) if kind == "failed" else absent
        except pytest.skip.Exception as error:
            found["missing"][name] = str(error)
        except (Exception, SystemExit) as error:
            found["failed"][name] = f"{type(error).__name__}: {error}"
        else:
            found["imported"] += 1
    return found


def is_installed(package: str) -> bool:
    """Return True if a top-level package is installed, so that only one of its modules can be missing."""
    return package in sys.modules or importlib.util.find_spec(package) is not None


if __name__ == "__main__":
    print(json.dumps(import_all([Path(folder).resolve() for folder in sys.argv[1:]])))
