"""Keep Ray's messages in its logs, and secrets in the environment out of its processes."""

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
    """Remove keys and tokens from `environment` inside the block, because Ray's processes inherit it.

    Proxies with their passwords and credentials of object stores stay: workers need them.
    """
    secrets = {name: environment.pop(name) for name in list(environment) if OWN_SECRET.fullmatch(name)}
    try:
        yield
    finally:
        environment.update(secrets)


@contextmanager
def listen_on_loopback() -> Iterator[None]:
    """Let a cluster that is started inside the block listen only on loopback, as Ray does on Windows and macOS.

    Otherwise, other machines could reach all of its ports. Ray has read the variable by now, but its processes will.
    """
    from ray._private import ray_constants

    name = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR
    variable, constant = os.environ.get(name), ray_constants.ENABLE_RAY_CLUSTER
    os.environ[name], ray_constants.ENABLE_RAY_CLUSTER = "0", False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = constant
        os.environ.pop(name)
        if variable is not None:
            os.environ[name] = variable


@contextmanager
def mute_stderr() -> Iterator[None]:
    """Discard what this process, native code included, writes to standard error inside the block."""
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
    """Return Ray's configuration of this process, which the dashboard shows as `name`.

    With `ship`, the cluster's machines get this block's code, and import no other package of the same name. Without it,
    workers import what this process has imported.
    """
    from ray.job_config import JobConfig

    class MutedJobConfig(JobConfig):  # type: ignore[misc]
        """Keep Ray's C++ code from printing an error in the terminal whenever a worker starts.

        The code reads its log level when this is serialized. Ray's own processes have started by then, so their logs
        stay complete.
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
    """Keep Ray's progress and plans out of the terminal; they are in its logs."""
    logging.getLogger("ray").setLevel(logging.WARNING)
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Ray Data warns of its own defaults
        ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)  # it would warn of that setting
