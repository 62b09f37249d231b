"""Where the files beside the code are, in a checkout, in an image and in an installed wheel; and how to start commands.

In a checkout and in an image, `models/`, `transform.py` and `parameters.json` lie beside the package. A wheel holds the
embedded checkpoint and the AI Action inside the package, and fetched checkpoints go to the user's data folder, because
users may not be able to write to site-packages, and an update would delete what is there. setup.py makes the folders.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
ACTION = PACKAGE / "action"  # transform.py and parameters.json, only in a wheel
BUNDLED_MODELS = PACKAGE / "embedded"  # what git has of models/, only in a wheel
SCRIPT = "ast-label"


def is_wheel() -> bool:
    """Return True if this package was installed from a wheel, False in a checkout and in an image."""
    return BUNDLED_MODELS.is_dir()


def find_action() -> Path:
    """Return the folder with transform.py and parameters.json."""
    return ACTION if is_wheel() else PACKAGE.parent


def find_model_store() -> Path:
    """Return the folder that checkpoints are fetched into: models/, or one of the user's if there is no checkout.

    The latter is `ast-label/models` in XDG_DATA_HOME, which defaults to `~/.local/share`.
    """
    if not is_wheel():
        return PACKAGE.parent / "models"
    data = Path(os.environ.get("XDG_DATA_HOME", ""))
    return (data if data.is_absolute() else Path.home() / ".local" / "share") / "ast-label" / "models"


def name_program() -> str:
    """Return how commands of this block are started, as in this process: `ast-label` or `python -m block`."""
    return SCRIPT if Path(sys.argv[0]).name == SCRIPT else "python -m block"


def spell_command(arguments: str) -> str:
    """Return a command of this block so that it can be copied into the user's shell."""
    if name_program() == SCRIPT:
        return f"{_spell_program(sys.argv[0])} {arguments}"
    return f"{_spell_program(sys.executable)} -m block {arguments}"


def _spell_program(path: str) -> str:
    """Return the shortest text that starts the program at `path` from here: its name, or a path."""
    if shutil.which(Path(path).name) == path:
        return Path(path).name
    here, absolute = Path.cwd(), Path(path).absolute()
    return shlex.quote(str(absolute.relative_to(here) if absolute.is_relative_to(here) else path))
