"""Is a checkpoint's folder sound: is it usable, and are its files what they are known or recorded to be?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from block.model import checkpoint
from block.model.checkpoint import CheckpointError
from block.model_store.known import FILES, ExpectedFile
from block.model_store.store import mismatch


def problem_of(folder: Path, expected: Mapping[str, ExpectedFile], deep: bool = True) -> str | None:
    """In words, what is wrong with the checkpoint in `folder`; None if it is sound.

    Unless `deep`, a large file's digest is only compared where it is remembered.
    """
    try:
        checkpoint.find(str(folder.absolute()))
        for name in FILES:
            problem = mismatch(folder / name, expected.get(name), trust_memory=not deep)
            if problem is not None:
                return problem
    except CheckpointError as error:
        return within(folder.absolute(), error)
    except OSError as error:
        return f"{error.filename} cannot be read: {error.strerror or error}"
    return None


def within(folder: Path, error: CheckpointError) -> str:
    """The message, without the path of the folder that it is about."""
    return str(error).replace(f"{folder}/", "").replace(str(folder), "it")
