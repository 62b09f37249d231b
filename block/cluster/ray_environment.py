"""What Ray does not say, and does not learn: its words stay in its logs, the environment's secrets in this process."""

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
NOT_SHIPPED = ["__pycache__", "*.pyc"]


@contextmanager
def without_secrets(environment: MutableMapping[str, str]) -> Iterator[None]:
    """In here no key and no token is in `environment`: the processes of a Ray that is started inherit it.

    Proxies stay, with their passwords, and so does what opens object stores: workers go through them.
    """
    taken = {name: environment.pop(name) for name in list(environment) if OWN_SECRET.fullmatch(name)}
    try:
        yield
    finally:
        environment.update(taken)


@contextmanager
def aside() -> Iterator[None]:
    """In here nothing that this process writes to standard error is seen, whichever language it is written in."""
    try:
        was = os.dup(2)
    except OSError:  # there is no standard error
        yield
        return
    with tempfile.TemporaryFile() as unseen:
        os.dup2(unseen.fileno(), 2)
        try:
            yield
        finally:
            if sys.__stderr__ is not None:
                sys.__stderr__.flush()
            os.dup2(was, 2)
            os.close(was)


def job_config(name: str, *, ship: bool) -> Any:
    """How Ray treats this process, which its dashboard calls `name`.

    With `ship` the machines of a cluster get this block's code, and import no other: not what lies in a folder of the
    same name there. Without, workers import what this process has imported.
    """
    from ray.job_config import JobConfig

    class Quiet(JobConfig):  # type: ignore[misc]
        """Ray's C++ tells the terminal of every worker that it starts, as an error. What it calls fatal is still told.

        It learns its level when this is called, after the processes of Ray have been started: their logs stay full.
        """

        def _serialize(self) -> Any:
            os.environ.setdefault(BACKEND_LEVEL, "fatal")
            if ship:
                paths = self._py_driver_sys_path
                paths[:] = [path for path in paths if not (Path(path) / PACKAGE.name / "__init__.py").exists()]
            return super()._serialize()

    environment = {"py_modules": [str(PACKAGE)], "excludes": NOT_SHIPPED}
    return Quiet(
        metadata={"job_name": name},
        runtime_env=environment if ship else None,
        _py_driver_sys_path=None if ship else [str(PACKAGE.parent)],
    )


def hush(ray: Any) -> None:
    """From now on Ray warns, and says nothing else: no progress, no plans. Its logs have all of it."""
    logging.getLogger("ray").setLevel(logging.WARNING)
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of what Ray Data itself sets when this is made
        ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)  # it would warn of just that
