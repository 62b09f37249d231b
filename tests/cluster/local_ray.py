"""A Ray cluster of one node on this machine, for as long as tests need it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def local_ray(cpus: int = 2) -> Iterator[Path]:
    """Start a cluster, yield the folder of its files, then stop it and remove the folder."""
    # Set before Ray is imported: it then neither asks about usage statistics nor sends any.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    # Not in pytest's folder: socket names can have at most 107 characters.
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
