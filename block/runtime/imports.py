"""Say in one line why a package can't be imported, and what to do. Uses nothing but the standard library."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from block.runtime.places import is_wheel

CANNOT_START = 2  # the exit code


def import_or_exit(module: str) -> Any:
    """Return a module of the block. If a package that it needs can't be imported, say so and exit with code 2."""
    try:
        return importlib.import_module(module)
    except Exception as error:  # a broken package, or a local file with its name, can raise anything
        print(
            f"error: the block can't be imported ({describe_import_error(error)}); {describe_install()}",
            file=sys.stderr,
        )
        raise SystemExit(CANNOT_START) from None


def describe_install(extra: str = "") -> str:
    """Return how to install the packages of `extra` (folder, studio, ray, openvino), or of the block itself."""
    if is_wheel():
        return f"install this package again {f'with its extra {extra}' if extra else 'with its dependencies'}, " + (
            f"for example: pip install '.[{extra}]'" if extra else "for example: pip install ."
        )
    return (
        f"run: pip install -r locked/{extra}.txt" if extra else "run: pip install -r locked/run.txt -r locked/torch.txt"
    )


def describe_import_error(error: Exception) -> str:
    """Return what an import raised, as one line, with the file of a module that stands in for the expected one."""
    reason = next(iter(str(error).splitlines()), "")
    package: object = None
    if isinstance(error, ImportError):
        package = sys.modules.get((error.name or "").partition(".")[0])
    else:
        reason = f"{type(error).__name__}: {reason}"
        if isinstance(error, AttributeError):
            package = error.obj
    file = getattr(package, "__file__", None)
    return reason if not file or file in reason else f"{reason}; it was imported from {file}"
