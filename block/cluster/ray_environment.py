"""Keep Ray's messages in its logs, and the environment's secrets out of its processes."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from block.runtime.redact import OWN_SECRET

PACKAGE = Path(__file__).resolve().parents[1]
BACKEND_LEVEL = "RAY_BACKEND_LOG_LEVEL"
EXCLUDES = ["__pycache__", "*.pyc"]


@contextmanager
def hide_secrets(environment: MutableMapping[str, str]) -> Iterator[None]:
    """Take keys and tokens out of `environment`: the processes of a Ray that is started inherit it.

    Proxies stay, with their passwords, and so do the credentials of object stores: workers need them.
    """
    secrets = {name: environment.pop(name) for name in list(environment) if OWN_SECRET.fullmatch(name)}
    try:
        yield
    finally:
        environment.update(secrets)


@contextmanager
def mute_stderr() -> Iterator[None]:
    """Drop what this process writes to standard error, from native code too."""
    try:
        stderr = os.dup(2)
    except OSError:  # there is no standard error
        yield
        return
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), 2)
        try:
            yield
        finally:
            if sys.__stderr__ is not None:
                sys.__stderr__.flush()
            os.dup2(stderr, 2)
            os.close(stderr)


def make_job_config(name: str, *, ship: bool) -> Any:
    """Return Ray's configuration of this process, which its dashboard calls `name`.

    With `ship` the machines of a cluster get this block's code, and import no other that lies there under the same
    name. Without, workers import what this process has imported.
    """
    from ray.job_config import JobConfig

    class MutedJobConfig(JobConfig):  # type: ignore[misc]
        """Keep Ray's C++ code from announcing the start of each worker in the terminal, as an error.

        It reads its level once this is serialized, after Ray's own processes were started: their logs stay complete.
        """

        def _serialize(self) -> Any:
            os.environ.setdefault(BACKEND_LEVEL, "fatal")
            if ship:
                paths = self._py_driver_sys_path
                paths[:] = [path for path in paths if not (Path(path) / PACKAGE.name / "__init__.py").exists()]
            return super()._serialize()

    environment = {"py_modules": [str(PACKAGE)], "excludes": EXCLUDES}
    return MutedJobConfig(
        metadata={"job_name": name},
        runtime_env=environment if ship else None,
        _py_driver_sys_path=None if ship else [str(PACKAGE.parent)],
    )


def show_only_warnings(ray: Any) -> None:
    """Keep Ray's progress and plans out of the terminal. Its logs have them."""
    logging.getLogger("ray").setLevel(logging.WARNING)
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of what Ray Data itself sets when this is made
        ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)  # it would warn of just that
