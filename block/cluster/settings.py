"""The settings of a cluster, read from options before anything is started."""

from __future__ import annotations

import argparse
import math
import re
from dataclasses import dataclass

from block.settings import SettingsError

ANY_CLUSTER = "default"  # what `--ray` without an address stands for
# The other options of a cluster, and their values if they are not given.
DEFAULTS = {"ray_workers": None, "ray_worker_cpus": 1, "ray_worker_gpus": None, "ray_requests": 16}
WORKERS = re.compile(r"([0-9]{1,6})(?:-([0-9]{1,6}))?")


@dataclass(frozen=True)
class ClusterSettings:
    """A cluster and how much of it to use.

    An empty `address` is the cluster that Ray finds by itself, or starts. `max_workers` None: as many as there is room
    for. Each worker has `cpus` cores and `gpus` GPUs, None: one if there are any. At most `requests` to Edge Impulse
    are under way at once.
    """

    address: str = ""
    min_workers: int = 1
    max_workers: int | None = None
    cpus: int = 1
    gpus: float | None = None
    requests: int = 16

    def __post_init__(self) -> None:
        if self.min_workers < 1 or (self.max_workers is not None and self.max_workers < self.min_workers):
            raise SettingsError(
                f"--ray-workers is {self.min_workers}-{self.max_workers}; expected at least 1 worker, and no more at "
                f"least than at most"
            )
        if self.cpus < 1:
            raise SettingsError(f"--ray-worker-cpus is {self.cpus}; expected at least 1")
        # Ray divides GPUs, but hands out several of them as whole ones only.
        if self.gpus is not None and not (0 <= self.gpus <= 1 or (self.gpus.is_integer() and self.gpus > 0)):
            raise SettingsError(f"--ray-worker-gpus is {self.gpus:g}; expected 0 to 1, or a whole number")
        if self.requests < 1:
            raise SettingsError(f"--ray-requests is {self.requests}; expected at least 1")

    @property
    def gpus_on_cuda(self) -> float:
        """GPUs of a worker that computes on CUDA."""
        return 1.0 if self.gpus is None else self.gpus


def read_cluster(options: argparse.Namespace) -> ClusterSettings | None:
    """Return the cluster that parsed options ask for, None without `--ray`. Raises SettingsError."""
    if options.ray is None:
        for field, default in DEFAULTS.items():
            if getattr(options, field, default) != default:
                raise SettingsError(f"--{field.replace('_', '-')} needs --ray: without it, this process labels alone")
        return None
    if options.device.startswith("cuda:"):
        raise SettingsError(f"--device is {options.device}; with --ray, which GPU a worker gets is Ray's matter: cuda")
    min_workers, max_workers = 1, None
    if options.ray_workers is not None:
        match = WORKERS.fullmatch(options.ray_workers.strip())
        if match is None:
            raise SettingsError(f"--ray-workers is {options.ray_workers!r}; expected a number such as 8, or 2-16")
        min_workers = int(match[1])
        max_workers = int(match[2] or match[1])
    gpus = options.ray_worker_gpus
    if gpus is not None and not math.isfinite(gpus):
        raise SettingsError(f"--ray-worker-gpus is {gpus}; expected a number")
    address = "" if options.ray == ANY_CLUSTER else options.ray
    requests = getattr(options, "ray_requests", ClusterSettings.requests)
    return ClusterSettings(address, min_workers, max_workers, options.ray_worker_cpus, gpus, requests)
