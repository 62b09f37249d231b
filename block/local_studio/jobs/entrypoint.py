"""Find the script of a block: the one in its Dockerfile's ENTRYPOINT, or transform.py."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path, PurePosixPath

from block.local_studio.jobs.parsing import BlockError, abbreviate, as_strings, read_small_file

DOCKERFILE, SCRIPT = "Dockerfile", "transform.py"


def find_entrypoint(folder: Path) -> tuple[str, ...]:
    """Return Python's options and the script from the Dockerfile's ENTRYPOINT, or transform.py if there is none.

    Raise BlockError.
    """
    file = folder / DOCKERFILE
    words, workdir = _parse_dockerfile(read_small_file(file), str(file)) if file.is_file() else ([], "/")
    if not words:
        if not _is_inside(folder, SCRIPT):
            raise BlockError(f"{folder} has neither {SCRIPT} nor a {DOCKERFILE} with an ENTRYPOINT")
        return (SCRIPT,)
    if not re.fullmatch(r"python(3(\.[0-9]+)?)?", PurePosixPath(words[0]).name):
        raise BlockError(f"{file}: ENTRYPOINT begins with {abbreviate(words[0])}, expected python or python3")
    at = next((at for at, word in enumerate(words) if at and not word.startswith("-")), None)
    if at is None or set(words[1:at]) & {"-m", "-c", "-X", "-W"}:
        raise BlockError(f"{file}: ENTRYPOINT is {shlex.join(words)!r}, expected python, its options and a script")
    script = PurePosixPath(words[at])
    if script.is_absolute() and script.is_relative_to(workdir):
        script = script.relative_to(workdir)
    if not _is_inside(folder, str(script)):
        raise BlockError(f"{file}: ENTRYPOINT starts {words[at]}, which is not a file in {folder}")
    return (*words[1:at], str(script), *words[at + 1 :])


def _parse_dockerfile(dockerfile: str, where: str) -> tuple[list[str], str]:
    """Return the words of the last ENTRYPOINT (none if there isn't one) and its WORKDIR."""
    words: list[str] = []
    workdir = PurePosixPath("/")
    lines = [line for line in dockerfile.splitlines() if not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        keyword, _, rest = line.strip().partition(" ")
        if keyword.upper() == "WORKDIR":
            workdir = workdir / rest.strip()
        elif keyword.upper() == "ENTRYPOINT":
            try:
                words = list(as_strings(json.loads(rest), where))
            except (ValueError, BlockError):
                raise BlockError(
                    f'{where}: ENTRYPOINT is {rest.strip()[:80]!r}, expected the exec form ["python3", "…"]'
                ) from None
        elif keyword.upper() == "FROM":
            words, workdir = [], PurePosixPath("/")
    return words, str(workdir)


def _is_inside(folder: Path, script: str) -> bool:
    try:
        path = (folder / script).resolve()
    except (OSError, ValueError, RuntimeError):
        return False
    return path.is_relative_to(folder) and path.is_file()
