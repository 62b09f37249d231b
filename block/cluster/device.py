"""The device and the type of numbers of a cluster's workers."""

from __future__ import annotations

from dataclasses import replace

from block.cluster.connection import Cluster
from block.cluster.settings import ClusterSettings
from block.settings import ComputeSettings, SettingsError, check_backend

CPU, CUDA = "cpu", "cuda"


def choose_device(compute: ComputeSettings, cluster: Cluster, settings: ClusterSettings) -> ComputeSettings:
    """Return `compute` with the device and the dtype that `auto` means on `cluster`.

    Raise SettingsError if no worker can compute so.
    """
    gpus, device, dtype = settings.gpus_on_cuda, compute.device, compute.dtype
    if device == "auto":
        device = CUDA if gpus and cluster.gpus >= gpus else CPU
    if device == CUDA and not gpus:
        raise SettingsError("--device cuda needs GPUs, but --ray-worker-gpus is 0; expected more than 0")
    check_backend(compute.backend, device.partition(":")[0], dtype)
    if dtype == "auto":
        dtype = "float32" if device == CPU else _ask_dtype(settings.cpus, gpus)
    return replace(compute, device=device, dtype=dtype)


def _ask_dtype(cpus: int, gpus: float) -> str:
    """Return the dtype that `auto` means on a GPU of the cluster. Raise SettingsError if no GPU can be used."""
    import ray

    try:
        dtype_name: str = ray.get(
            ray.remote(_choose_cuda_dtype).options(num_cpus=cpus, num_gpus=gpus, max_retries=3).remote()
        )
    except ray.exceptions.RayError as error:
        reason = str(error).splitlines()[-1].rpartition("Error: ")[2]
        raise SettingsError(f"can't use a GPU of the cluster: {reason}") from None
    return dtype_name


def _choose_cuda_dtype() -> str:
    from block.model.device import choose_device

    return choose_device(ComputeSettings(device=CUDA)).dtype_name
