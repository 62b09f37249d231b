"""A Ray cluster on this machine alone, of one node, for as long as tests need it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def local_ray(cpus: int = 2) -> Iterator[Path]:
    """Started, and ended afterwards; the folder of all its files, which goes with it."""
    # Before Ray is imported: it asks nobody, and says nothing to anybody.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    # Not below pytest's folder: the names of sockets may have 107 characters at most.
    folder = Path(tempfile.mkdtemp(prefix="ray-"))
    try:
        ray.init(
            address="local", num_cpus=cpus, include_dashboard=False, log_to_driver=False, configure_logging=False,
            _temp_dir=str(folder), object_store_memory=100 << 20,
        )  # fmt: skip
        yield folder
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
