"""Join a Ray cluster, or start one on this machine, and leave it again. Ray is imported no earlier.

Ray would wait for minutes for a cluster that is not there, deaf to signals, then end in a traceback. So this asks first
whether anything answers, and runs what takes time in a thread of its own.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from block.cluster.ray_environment import BACKEND_LEVEL, hide_secrets, make_job_config, mute_stderr, show_only_warnings
from block.runtime import cancel
from block.settings import SettingsError

INSTALL = "pip install -r locked/ray.txt"
EXPECTED = "expected HOST:PORT, auto or local"
HOST_PORT = re.compile(r"([\w.-]+|\[[0-9a-fA-F:.]+\]):([1-9]\d{0,4})")
MAX_CHARACTERS = 300  # of Ray's messages
ANSWER_WITHIN_S = 8.0
JOIN_WITHIN_S = 20.0
START_WITHIN_S = 180.0
SUBMIT = "ray job submit --working-dir . -- python -m block …"
VERSIONS = re.compile(r"Ray: (\S+)\s+Python: (\S+)")
AUTH_MODE, AUTH_TOKEN = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"
_is_left = threading.Event()


@dataclass(frozen=True)
class Cluster:
    """A cluster as it was when joined: how many nodes live, and their CPUs and GPUs by Ray's own counting.

    `address` is `host:port`, `dashboard` an address for a browser, empty if there is none. One that `is_own` was
    started by this process and ends with it.
    """

    address: str
    dashboard: str
    nodes: int
    cpus: float
    gpus: float
    is_own: bool


def import_ray() -> Any:
    """Return the module. Raises SettingsError if it is not installed."""
    # Ray reads it when it is first imported. A value that the user set stays.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise SettingsError(f"--ray needs Ray ({error}): {INSTALL}") from None
    return ray


def connect(address: str, job: str) -> Cluster:
    """Join the cluster at `address`, or start one; `job` is what the dashboard calls this run, in a few words.

    "" is the cluster that RAY_ADDRESS names, else one that `ray start` started on this machine, else one that is
    started here and ends with this process; `local` always starts one; `auto` is any that runs on this machine. The
    machines of a cluster that is joined get this block's code. Raises SettingsError, in one line, for what is no
    address, and within half a minute for a cluster that cannot be joined; until then a signal interrupts it.
    """
    _check_address("--ray", address)
    if address in ("", "auto"):
        _check_address("RAY_ADDRESS", os.environ.get("RAY_ADDRESS", ""))
    ray = import_ray()
    running = _find_running(ray, address)
    if running:
        _check_answer(running, is_searched=address in ("", "auto") and not os.environ.get("RAY_ADDRESS"))
    else:
        _ensure_token()
    _is_left.clear()
    level = os.environ.get(BACKEND_LEVEL)
    config = make_job_config(job, ship=bool(running))
    where = (address or None) if running else "local"
    with hide_secrets(os.environ), mute_stderr():
        # Not in the main thread, where Ray would take SIGTERM for itself and leave signals unheard.
        future = cancel.start_thread(
            lambda: ray.init(address=where, job_config=config, log_to_driver=False, logging_level=logging.ERROR),
            _is_left,
        )
        within_s = JOIN_WITHIN_S if running else START_WITHIN_S
        try:
            is_done = cancel.wait_for(future, within_s).done()
        finally:
            if level is None:
                os.environ.pop(BACKEND_LEVEL, None)
    problem = future.exception() if is_done else TimeoutError(f"nothing came of it in {within_s:.0f} s")
    if problem is not None:
        raise SettingsError(_explain(running, problem)) from None
    # Ray's native code prints its stack at SIGTERM first, and aborts the process if that takes more than 3 s.
    cancel.reinstall()
    show_only_warnings(ray)
    context, resources = future.result(), ray.cluster_resources()
    return Cluster(
        address=str(context.address_info["gcs_address"]),
        dashboard=f"http://{context.dashboard_url}" if context.dashboard_url else "",
        nodes=sum(bool(node["Alive"]) for node in ray.nodes()),
        cpus=float(resources.get("CPU", 0)),
        gpus=float(resources.get("GPU", 0)),
        is_own=not running,
    )


def disconnect() -> None:
    """Leave the cluster, and end it if it was started here. Do nothing if there is none."""
    import ray

    if ray.is_initialized():
        with mute_stderr():
            ray.shutdown()
    _is_left.set()


def set_dataset_name(dataset: Any, name: str) -> Any:
    """Return a Ray dataset with a name for the dashboard, or as it is if this Ray has no names."""
    with contextlib.suppress(AttributeError):
        # It becomes part of a file's name.
        dataset.set_name(re.sub(r"[^\w.-]+", "-", name).strip("-")[-80:])
    return dataset


def _check_address(setting: str, address: str) -> None:
    """Raise SettingsError if `address` is none."""
    if address in ("", "auto", "local"):
        return
    if address.startswith("ray://"):
        raise SettingsError(
            f"{setting} is {address!r}: Ray Data does not work through Ray Client; run the command on a machine of the "
            f"cluster with --ray auto, or hand it over: {SUBMIT}"
        )
    if (match := HOST_PORT.fullmatch(address)) and int(match[2]) < 1 << 16:
        return
    if "://" in address:
        raise SettingsError(f"{setting} is {address!r}; {EXPECTED}, where PORT is that of Ray's head, 6379 by default")
    order = "; a folder goes before --ray, or -- goes between them" if setting == "--ray" else ""
    raise SettingsError(f"{setting} is {address!r}; {EXPECTED}{order}")


def _find_running(ray: Any, address: str) -> str:
    """Return `host:port` of a cluster that seems to run, empty if one has to be started. Raises SettingsError."""
    from ray._private import services

    services.find_gcs_addresses.cache_clear()
    try:
        return str(services.canonicalize_bootstrap_address(address or None) or "")
    except ConnectionError:
        raise SettingsError("--ray is auto, and no Ray runs on this machine; name HOST:PORT, or local") from None
    except (ValueError, OSError) as error:
        raise SettingsError(f"--ray is {address!r}, which cannot be looked up: {_one_line(error)}") from None


def _check_answer(address: str, is_searched: bool) -> None:
    """Raise SettingsError unless a cluster answers at `address` that this machine is part of.

    `is_searched`: Ray found the address by itself.
    """
    import grpc
    from ray._private import grpc_utils, services
    from ray.core.generated import gcs_service_pb2_grpc
    from ray.core.generated.gcs_service_pb2 import CheckAliveRequest

    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_WITHIN_S).close()
    except OSError as error:
        is_remembered = services.find_bootstrap_address(None) == address
        forget = f"; if {address} was here and is gone, `ray stop` forgets it" if is_remembered else ""
        raise SettingsError(f"no Ray cluster answers at {address}: {error.strerror or error}{forget}") from None
    channel = grpc_utils.init_grpc_channel(address)
    check = gcs_service_pb2_grpc.NodeInfoGcsServiceStub(channel).CheckAlive
    try:
        cancel.wait_for(cancel.start_thread(lambda: check(CheckAliveRequest(), timeout=ANSWER_WITHIN_S))).result()
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.UNAUTHENTICATED:
            raise SettingsError(
                f"something answers at {address}, but no Ray cluster; {EXPECTED}, where PORT is that of Ray's head, "
                "6379 by default, not that of its dashboard or of Ray Client"
            ) from None
        # Ray looks for a token by itself only if it has searched for the cluster.
        if not is_searched:
            raise SettingsError(
                f"the cluster at {address} asks for another token: set {AUTH_MODE}=token, and {AUTH_TOKEN} or "
                f"{AUTH_TOKEN}_PATH unless it is in ~/.ray/auth_token"
            ) from None
    finally:
        channel.close()
    if not services.find_node_ids():
        raise SettingsError(_not_part_of(address))


def _not_part_of(address: str) -> str:
    return (
        f"this machine is no part of the cluster at {address}: run the command on one that is, or first "
        f"`ray start --address={address}` here (with --num-cpus=0 it gets no work), or hand it over: {SUBMIT}"
    )


def _ensure_token() -> None:
    """Make sure of a token: Ray writes one into the home folder, for all to read, and starts nothing if it cannot."""
    if AUTH_MODE in os.environ or AUTH_TOKEN in os.environ:
        return
    try:
        folder = Path.home() / ".ray"
        folder.mkdir(mode=0o700, exist_ok=True)
        is_readable = os.access(folder / "auth_token", os.R_OK) or os.access(folder, os.W_OK)
    except (OSError, RuntimeError):
        is_readable = False
    if not is_readable:
        os.environ[AUTH_TOKEN] = secrets.token_hex(32)


def _explain(address: str, problem: BaseException) -> str:
    """Return why there is no cluster, in one line."""
    text = str(problem)
    if not address:
        return f"Ray cannot be started here: {_one_line(problem)}"
    if len(versions := VERSIONS.findall(text)) == 2:
        theirs, mine = (f"Ray {ray} on Python {python}" for ray, python in versions)
        return f"the cluster at {address} has {theirs}, this command {mine}; both must be the same"
    if "No node info found" in text:
        return _not_part_of(address)
    return f"the cluster at {address} cannot be joined: {_one_line(problem)}"


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "…"
