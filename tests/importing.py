"""`python -m tests.importing FOLDER…`: import every module of these packages, and name those that cannot be imported.

The last line printed is a JSON object: `imported` counts modules, `failed` gives the error of each module that names
what is not there, `missing` the package of others that a module wants and that is not installed, by module.
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
    """Yield the name of every module in the folder of a package, in order, seen from the folder that it is in.

    Blocks of their own, which have a parameters.json, are left out: they are scripts, and run when imported.
    """
    for file in sorted(package.rglob("*.py")):
        folders = [folder for folder in file.parents if folder.is_relative_to(package)]
        if not any((folder / "parameters.json").exists() for folder in folders):
            name = file.relative_to(package.parent).with_suffix("")
            yield ".".join(name.parent.parts if name.name == "__init__" else name.parts)


def import_all(packages: Sequence[Path]) -> dict[str, Any]:
    """Import every module of the packages, whose folders' parents are put on the path; returns what is printed."""
    sys.path[:0] = [str(package.parent) for package in packages]
    own = {package.name for package in packages}
    found: dict[str, Any] = {"imported": 0, "failed": {}, "missing": {}}
    for name in (name for package in packages for name in modules(package)):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            absent = str(error.name).partition(".")[0]
            kind = "failed" if absent in own or is_there(absent) else "missing"
            found[kind][name] = str(error) if kind == "failed" else absent
        except pytest.skip.Exception as error:
            found["missing"][name] = str(error)
        except (Exception, SystemExit) as error:
            found["failed"][name] = f"{type(error).__name__}: {error}"
        else:
            found["imported"] += 1
    return found


def is_there(package: str) -> bool:
    """Return True if a top-level package can be found: what is missing then is one of its modules."""
    return package in sys.modules or importlib.util.find_spec(package) is not None


if __name__ == "__main__":
    print(json.dumps(import_all([Path(folder).resolve() for folder in sys.argv[1:]])))
