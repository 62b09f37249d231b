"""What is asked of a cluster, read from options before anything is started."""

from __future__ import annotations

import argparse
import math
import re
from dataclasses import dataclass

from block.settings import SettingsError

# Known by heart: which options say how, and how each is called where none of them was given.
OTHERS = {"ray_workers": None, "ray_worker_cpus": 1, "ray_worker_gpus": None, "ray_requests": 16}
WORKERS = re.compile(r"([0-9]{1,6})(?:-([0-9]{1,6}))?")


@dataclass(frozen=True)
class ClusterSettings:
    """A cluster and how much of it.

    `address` is empty for the one that Ray finds by itself, or starts. There are at least `least` workers, and at most
    `most` where that is given; each has `cpus` cores and `gpus` GPUs, None: one where there are any. `requests` is how
    many requests to Edge Impulse may be under way at once.
    """

    address: str = ""
    least: int = 1
    most: int | None = None
    cpus: int = 1
    gpus: float | None = None
    requests: int = 16

    def __post_init__(self) -> None:
        if self.least < 1 or (self.most is not None and self.most < self.least):
            raise SettingsError(
                f"--ray-workers is {self.least}-{self.most}; expected at least 1 worker, and no more at least than "
                f"at most"
            )
        if self.cpus < 1:
            raise SettingsError(f"--ray-worker-cpus is {self.cpus}; expected at least 1")
        # Ray divides GPUs, but hands out several of them as whole ones only.
        if self.gpus is not None and not (0 <= self.gpus <= 1 or (self.gpus.is_integer() and self.gpus > 0)):
            raise SettingsError(f"--ray-worker-gpus is {self.gpus:g}; expected 0 to 1, or a whole number")
        if self.requests < 1:
            raise SettingsError(f"--ray-requests is {self.requests}; expected at least 1")


def read_cluster(options: argparse.Namespace) -> ClusterSettings | None:
    """What parsed options ask of a cluster; None where no cluster is asked for. Raises SettingsError."""
    if options.ray is None:
        for field, default in OTHERS.items():
            if getattr(options, field, default) != default:
                raise SettingsError(f"--{field.replace('_', '-')} needs --ray: without it, this process labels alone")
        return None
    if options.device.startswith("cuda:"):
        raise SettingsError(f"--device is {options.device}; with --ray, which GPU a worker gets is Ray's matter: cuda")
    least, most = 1, None
    if options.ray_workers is not None:
        matched = WORKERS.fullmatch(options.ray_workers.strip())
        if matched is None:
            raise SettingsError(f"--ray-workers is {options.ray_workers!r}; expected a number such as 8, or 2-16")
        least = int(matched[1])
        most = int(matched[2] or matched[1])
    gpus = options.ray_worker_gpus
    if gpus is not None and not math.isfinite(gpus):
        raise SettingsError(f"--ray-worker-gpus is {gpus}; expected a number")
    address = "" if options.ray == ANY_CLUSTER else options.ray
    return ClusterSettings(address, least, most, options.ray_worker_cpus, gpus, getattr(options, "ray_requests", 16))


# What `--ray` without an address stands for.
ANY_CLUSTER = "default"
