"""The settings of a cluster, read from options before anything starts."""

from __future__ import annotations

import argparse
import math
import re
from dataclasses import dataclass

from block.settings import SettingsError

ANY_CLUSTER = "default"  # the value of `--ray` without an address
# The other options of a cluster, and their defaults.
DEFAULTS = {"ray_workers": None, "ray_worker_cpus": 1, "ray_worker_gpus": None, "ray_requests": 16}
WORKERS = re.compile(r"([0-9]{1,6})(?:-([0-9]{1,6}))?")


@dataclass(frozen=True)
class ClusterSettings:
    """A cluster and how much of it to use.

    With an empty `address`, Ray finds or starts a cluster. `max_workers` None means as many as fit. Each worker has
    `cpus` cores and `gpus` GPUs; None means one, if any. At most `requests` requests to Edge Impulse are open at once.
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
                f"--ray-workers is {self.min_workers}-{self.max_workers}; expected at least 1 worker, and a minimum "
                f"that isn't above the maximum"
            )
        if self.cpus < 1:
            raise SettingsError(f"--ray-worker-cpus is {self.cpus}; expected at least 1")
        # Ray can split one GPU, but assigns more than one only in whole numbers.
        if self.gpus is not None and not (0 <= self.gpus <= 1 or (self.gpus.is_integer() and self.gpus > 0)):
            raise SettingsError(f"--ray-worker-gpus is {self.gpus:g}; expected 0 to 1, or a whole number")
        if self.requests < 1:
            raise SettingsError(f"--ray-requests is {self.requests}; expected at least 1")

    @property
    def gpus_on_cuda(self) -> float:
        """Return the GPUs per worker if it computes on CUDA."""
        return 1.0 if self.gpus is None else self.gpus


def read_cluster(options: argparse.Namespace) -> ClusterSettings | None:
    """Return the cluster that parsed options ask for; None without `--ray`. Raise SettingsError for invalid values."""
    if options.ray is None:
        for field, default in DEFAULTS.items():
            if getattr(options, field, default) != default:
                raise SettingsError(f"--{field.replace('_', '-')} needs --ray; add --ray to label on a cluster")
        return None
    if options.device.startswith("cuda:"):
        raise SettingsError(f"--device is {options.device}; with --ray, expected cuda: Ray chooses each worker's GPU")
    min_workers, max_workers = 1, None
    if options.ray_workers is not None:
        match = WORKERS.fullmatch(options.ray_workers.strip())
        if match is None:
            raise SettingsError(f"--ray-workers is {options.ray_workers!r}; expected a number or range: 8 or 2-16")
        min_workers = int(match[1])
        max_workers = int(match[2] or match[1])
    gpus = options.ray_worker_gpus
    if gpus is not None and not math.isfinite(gpus):
        raise SettingsError(f"--ray-worker-gpus is {gpus}; expected a number")
    address = "" if options.ray == ANY_CLUSTER else options.ray
    requests = getattr(options, "ray_requests", ClusterSettings.requests)
    return ClusterSettings(address, min_workers, max_workers, options.ray_worker_cpus, gpus, requests)
