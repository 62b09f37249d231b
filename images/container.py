"""Run commands in an image's root file system with the image's own configuration."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
INSIDE = ROOT / "images" / "inside.sh"
LIMIT_S = 600.0


@dataclass(frozen=True)
class Mount:
    """A folder on this machine, mounted read-only at `target`."""

    source: Path
    target: str


class Container:
    """A container of `image` that exists while the context is open."""

    def __init__(self, image: str) -> None:
        self.image = image

    def __enter__(self) -> Container:
        inspected = json.loads(_buildah("inspect", "--type", "image", self.image))
        self.config: dict[str, Any] = inspected["OCIv1"]["config"]
        self._name = _buildah("from", "--pull-never", self.image)
        self.root = Path(_buildah("mount", self._name))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _buildah("rm", self._name)

    @property
    def entrypoint(self) -> list[str]:
        return list(self.config["Entrypoint"])

    def run(
        self, command: Sequence[str], environment: Mapping[str, str], user: str, mounts: Sequence[Mount] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run `command` as `user` (UID:GID) in the image's working folder, with its environment and `environment`."""
        binds = [word for mount in mounts for word in ("--bind", str(mount.source), mount.target)]
        named = [*self.config["Env"], *(f"{name}={value}" for name, value in environment.items())]
        inside = [f"--chdir={self.config['WorkingDir']}", *named, *command]
        return subprocess.run(  # noqa: S603
            [str(INSIDE), str(self.root), user, *binds, "--", *inside],
            capture_output=True, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip


def _buildah(*arguments: str) -> str:
    done = subprocess.run(["buildah", *arguments], capture_output=True, text=True, check=False)  # noqa: S603, S607
    if done.returncode != 0:
        raise SystemExit(f"buildah {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()
