"""`OUT/run.json`: with which settings the label files beside it were written. Relabelling reads it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from block import __version__
from block.runtime.atomic_file import write
from block.score_store import Key
from block.settings import SettingsError

VERSION = 1
NAME = "run.json"


@dataclass(frozen=True)
class RunFile:
    """A run's settings. `folder` is where the recordings are; `options` are those that labels depend on, by name.

    `model` is the name of the checkpoint with the weights `key.checkpoint` and the classes `class_names`. `stored`
    tells whether scores were kept.
    """

    folder: str
    model: str
    class_names: tuple[str, ...]
    key: Key
    options: dict[str, Any]
    stored: bool

    def with_options(self, options: dict[str, Any]) -> RunFile:
        """The same scores, decided with other options."""
        return replace(self, options={**self.options, **options})

    def save(self, out: Path) -> None:
        """Write it into `out`. Raises OSError."""
        content = {
            "version": VERSION, "block": __version__, "folder": self.folder, "model": self.model,
            "key": json.loads(self.key.to_json()), "stored": self.stored, "options": self.options,
            "class_names": self.class_names,
        }  # fmt: skip
        write(out / NAME, json.dumps(content, indent=1) + "\n")


def load(out: Path) -> RunFile:
    """What `save` wrote. Raises SettingsError where there is none that can be read."""
    try:
        content = json.loads((out / NAME).read_text(encoding="utf-8"))
        if content["version"] != VERSION:
            raise ValueError(f"version {content['version']!r}; this one reads {VERSION}")
        return RunFile(
            content["folder"], content["model"], tuple(content["class_names"]),
            Key.from_json(json.dumps(content["key"])), dict(content["options"]), content["stored"],
        )  # fmt: skip
    except FileNotFoundError:
        raise SettingsError(f"{out} was not written by `python -m block label`: it has no {NAME}") from None
    except OSError as error:
        raise SettingsError(f"{out / NAME} cannot be read: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"{out / NAME} cannot be used: {error}") from None
