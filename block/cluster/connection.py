"""Join a Ray cluster, or start one on this machine, and leave it again. Ray is imported only when that is needed.

If a cluster doesn't exist, Ray waits for minutes, ignores signals and ends with a traceback. So this module first
checks whether anything answers, and runs slow calls in a separate thread.
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

from block.cluster.ray_environment import (
    BACKEND_LEVEL,
    hide_secrets,
    listen_on_loopback,
    make_job_config,
    mute_stderr,
    show_only_warnings,
)
from block.runtime import cancel
from block.runtime.imports import describe_install
from block.settings import SettingsError

EXPECTED = "expected HOST:PORT, auto or local"
HOST_PORT = re.compile(r"([\w.-]+|\[[0-9a-fA-F:.]+\]):([1-9]\d{0,4})")
MAX_CHARACTERS = 300  # longer messages of Ray are cut
ANSWER_WITHIN_S = 8.0
JOIN_WITHIN_S = 20.0
START_WITHIN_S = 180.0
SUBMIT = "ray job submit --working-dir . -- python -m block …"
VERSIONS = re.compile(r"Ray: (\S+)\s+Python: (\S+)")
AUTH_MODE, AUTH_TOKEN = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"
_has_left = threading.Event()


@dataclass(frozen=True)
class Cluster:
    """A cluster when this process joined it: the number of live nodes, and the CPUs and GPUs that Ray counts.

    `address` is `host:port`; `dashboard` is a URL, empty if there is none. If `is_own`, this process started the
    cluster, and the cluster ends with it.
    """

    address: str
    dashboard: str
    nodes: int
    cpus: float
    gpus: float
    is_own: bool


def import_ray() -> Any:
    """Return the module `ray`. Raise SettingsError if it is not installed."""
    # Ray reads this on import. A value that the user has set stays.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise SettingsError(f"--ray needs Ray, which can't be imported ({error}); {describe_install('ray')}") from None
    return ray


def connect(address: str, job: str) -> Cluster:
    """Join the cluster at `address`, or start one. `job` is a short name of this run for the dashboard.

    "" means the cluster in RAY_ADDRESS, else one that `ray start` started on this machine, else a new one that ends
    with this process. `local` always starts one; `auto` means any that runs on this machine. An existing cluster's
    machines get this block's code. Raise SettingsError, in one line, for an invalid address, and within half a minute
    if the cluster can't be joined. A signal interrupts the wait.
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
    _has_left.clear()
    level = os.environ.get(BACKEND_LEVEL)
    config = make_job_config(job, ship=bool(running))
    where = (address or None) if running else "local"
    within_reach = contextlib.nullcontext() if running else listen_on_loopback()
    with hide_secrets(os.environ), mute_stderr(), within_reach:
        # In the main thread, Ray would replace the handler of SIGTERM, and signals would have to wait.
        future = cancel.start_thread(
            lambda: ray.init(address=where, job_config=config, log_to_driver=False, logging_level=logging.ERROR),
            _has_left,
        )
        within_s = JOIN_WITHIN_S if running else START_WITHIN_S
        try:
            is_done = cancel.wait_for(future, within_s).done()
        finally:
            if level is None:
                os.environ.pop(BACKEND_LEVEL, None)
    problem = future.exception() if is_done else TimeoutError(f"no answer within {within_s:.0f} s")
    if problem is not None:
        raise SettingsError(_explain(running, problem)) from None
    # At SIGTERM, Ray's native code prints its stack first, and aborts the process if that takes more than 3 s.
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
    """Leave the cluster, and stop it if this process started it. Do nothing if there is none."""
    import ray

    if ray.is_initialized():
        with mute_stderr():
            ray.shutdown()
    _has_left.set()


def set_dataset_name(dataset: Any, name: str) -> Any:
    """Give a Ray dataset a name for the dashboard, if this version of Ray supports names, and return it."""
    with contextlib.suppress(AttributeError):
        # The name becomes part of a file name.
        dataset.set_name(re.sub(r"[^\w.-]+", "-", name).strip("-")[-80:])
    return dataset


def _check_address(setting: str, address: str) -> None:
    """Raise SettingsError if `address` is invalid."""
    if address in ("", "auto", "local"):
        return
    if address.startswith("ray://"):
        raise SettingsError(
            f"{setting} is {address!r}; Ray Data doesn't work through Ray Client: run the command on a machine of the "
            f"cluster with --ray auto, or submit it: {SUBMIT}"
        )
    if (match := HOST_PORT.fullmatch(address)) and int(match[2]) < 1 << 16:
        return
    if "://" in address:
        raise SettingsError(f"{setting} is {address!r}; {EXPECTED}, where PORT is Ray's head port, 6379 by default")
    order = "; put a folder before --ray, or -- between them" if setting == "--ray" else ""
    raise SettingsError(f"{setting} is {address!r}; {EXPECTED}{order}")


def _find_running(ray: Any, address: str) -> str:
    """Return `host:port` of a cluster that seems to run, or "" to start one. Raise SettingsError if none is found."""
    from ray._private import services

    services.find_gcs_addresses.cache_clear()
    try:
        return str(services.canonicalize_bootstrap_address(address or None) or "")
    except ConnectionError:
        raise SettingsError("--ray is auto, but no Ray cluster runs here; give HOST:PORT, or local") from None
    except (ValueError, OSError) as error:
        raise SettingsError(f"--ray is {address!r}, which can't be looked up: {_one_line(error)}") from None


def _check_answer(address: str, is_searched: bool) -> None:
    """Raise SettingsError unless a cluster answers at `address` and this machine is part of it.

    `is_searched` says whether Ray found the address by itself.
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
        forget = "; if that cluster on this machine has ended, run `ray stop` to forget it" if is_remembered else ""
        raise SettingsError(f"no Ray cluster answers at {address}: {error.strerror or error}{forget}") from None
    channel = grpc_utils.init_grpc_channel(address)
    check = gcs_service_pb2_grpc.NodeInfoGcsServiceStub(channel).CheckAlive
    try:
        cancel.wait_for(cancel.start_thread(lambda: check(CheckAliveRequest(), timeout=ANSWER_WITHIN_S))).result()
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.UNAUTHENTICATED:
            raise SettingsError(
                f"something answers at {address}, but it isn't a Ray cluster; {EXPECTED}, where PORT is Ray's head "
                "port, 6379 by default, not the port of its dashboard or of Ray Client"
            ) from None
        # Ray finds a token by itself only if it searched for the cluster.
        if not is_searched:
            raise SettingsError(
                f"the cluster at {address} needs a different token: set {AUTH_MODE}=token, and set {AUTH_TOKEN} or "
                f"{AUTH_TOKEN}_PATH unless the token is in ~/.ray/auth_token"
            ) from None
    finally:
        channel.close()
    if not services.find_node_ids():
        raise SettingsError(_not_part_of(address))


def _not_part_of(address: str) -> str:
    return (
        f"this machine isn't part of the cluster at {address}: run the command on a machine that is, or run "
        f"`ray start --address={address}` here first (with --num-cpus=0 it gets no work), or submit it: {SUBMIT}"
    )


def _ensure_token() -> None:
    """Make `~/.ray` private, because Ray stores a token there, and set a token if it can't: it needs one to start."""
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
    """Return, in one line, why no cluster could be joined or started."""
    text = str(problem)
    if not address:
        return f"can't start Ray on this machine: {_one_line(problem)}"
    if len(versions := VERSIONS.findall(text)) == 2:
        theirs, mine = (f"Ray {ray} on Python {python}" for ray, python in versions)
        return f"the cluster at {address} runs {theirs}, this command {mine}; install matching versions"
    if "No node info found" in text:
        return _not_part_of(address)
    return f"can't join the cluster at {address}: {_one_line(problem)}"


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "…"
