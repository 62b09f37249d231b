"""Joins a Ray cluster, or starts one on this machine, and leaves it again. Nothing of Ray is imported before.

Ray would wait for minutes for a cluster that is not there, deaf to signals, then end in a traceback. So whether
somebody answers is asked first, and what takes time happens in a thread of its own.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from block.cluster.ray_environment import BACKEND_LEVEL, aside, hush, job_config, without_secrets
from block.runtime import cancel
from block.settings import SettingsError

INSTALL = "pip install -r locked/ray.txt"
EXPECTED = "expected HOST:PORT, auto or local"
HOST_PORT = re.compile(r"([\w.-]+|\[[0-9a-fA-F:.]+\]):([1-9]\d{0,4})")
LONGEST = 300  # characters of what Ray says
ANSWER_WITHIN_S = 8.0
JOIN_WITHIN_S = 20.0
START_WITHIN_S = 180.0
SUBMIT = "ray job submit --working-dir . -- python -m block …"
VERSIONS = re.compile(r"Ray: (\S+)\s+Python: (\S+)")
AUTH_MODE, AUTH_TOKEN = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"
_left = threading.Event()


@dataclass(frozen=True)
class Cluster:
    """A cluster as it is when joined: its nodes that live, and their CPUs and GPUs, in Ray's own counting.

    `address` is `host:port`; `dashboard` an address for a browser, empty where there is none.
    """

    address: str
    dashboard: str
    nodes: int
    cpus: float
    gpus: float
    started_here: bool


def need_ray() -> Any:
    """The module. Raises SettingsError where it is not installed."""
    # Read when it is first imported; whoever set another value has that honoured.
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
    _check("--ray", address)
    if address in ("", "auto"):
        _check("RAY_ADDRESS", os.environ.get("RAY_ADDRESS", ""))
    ray = need_ray()
    joined = _found(ray, address)
    if joined:
        _answers(joined, looked_for=address in ("", "auto") and not os.environ.get("RAY_ADDRESS"))
    else:
        _token_of_ones_own()
    _left.clear()
    level = os.environ.get(BACKEND_LEVEL)
    config = job_config(job, ship=bool(joined))
    given = (address or None) if joined else "local"
    with without_secrets(os.environ), aside():
        # Not in the main thread, where it would hear no signal, and where Ray takes SIGTERM for itself.
        future = _in_a_thread(
            lambda: ray.init(address=given, job_config=config, log_to_driver=False, logging_level=logging.ERROR), _left
        )
        try:
            problem = _problem(future, JOIN_WITHIN_S if joined else START_WITHIN_S)
        finally:
            if level is None:
                os.environ.pop(BACKEND_LEVEL, None)
    if problem is not None:
        raise SettingsError(_told(joined, problem)) from None
    # Ray's native code prints its stack at SIGTERM first, and aborts the process where that takes more than 3 s.
    cancel.reinstall()
    hush(ray)
    return _as_it_is(ray, future.result(), started_here=not joined)


def disconnect() -> None:
    """Leave the cluster, and end it if it was started here. Does nothing where there is none."""
    with contextlib.suppress(ImportError):
        import ray

        if ray.is_initialized():
            with aside():
                ray.shutdown()
    _left.set()


def named(dataset: Any, name: str) -> Any:
    """The same Ray dataset under a name that the dashboard shows; one that takes no name goes on without."""
    with contextlib.suppress(AttributeError):
        # It becomes part of a file's name.
        dataset.set_name(re.sub(r"[^\w.-]+", "-", name).strip("-")[-80:])
    return dataset


def _check(setting: str, address: str) -> None:
    """Raises SettingsError if `address` is none."""
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
    place = "; a folder goes before --ray, or -- goes between them" if setting == "--ray" else ""
    raise SettingsError(f"{setting} is {address!r}; {EXPECTED}{place}")


def _found(ray: Any, address: str) -> str:
    """`host:port` of a cluster that seems to be there, empty where one has to be started. Raises SettingsError."""
    from ray._private import services

    services.find_gcs_addresses.cache_clear()
    try:
        return str(services.canonicalize_bootstrap_address(address or None) or "")
    except ConnectionError:
        raise SettingsError("--ray is auto, and no Ray runs on this machine; name HOST:PORT, or local") from None
    except (ValueError, OSError) as error:
        raise SettingsError(f"--ray is {address!r}, which cannot be looked up: {_one_line(error)}") from None


def _answers(address: str, looked_for: bool) -> None:
    """Raises SettingsError unless a Ray answers at `address` of which this machine is a part."""
    import grpc
    from ray._private import grpc_utils, services
    from ray.core.generated import gcs_service_pb2_grpc
    from ray.core.generated.gcs_service_pb2 import CheckAliveRequest

    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_WITHIN_S).close()
    except OSError as error:
        forget = f"; if {address} was here and is gone, `ray stop` forgets it" if _is_remembered(address) else ""
        raise SettingsError(f"no Ray cluster answers at {address}: {error.strerror or error}{forget}") from None
    channel = grpc_utils.init_grpc_channel(address)
    asked = gcs_service_pb2_grpc.NodeInfoGcsServiceStub(channel).CheckAlive
    try:
        cancel.done(_in_a_thread(lambda: asked(CheckAliveRequest(), timeout=ANSWER_WITHIN_S))).result()
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.UNAUTHENTICATED:
            raise SettingsError(
                f"something answers at {address}, but no Ray cluster; {EXPECTED}, where PORT is that of Ray's head, "
                "6379 by default, not that of its dashboard or of Ray Client"
            ) from None
        # Ray looks for a token by itself where it is left to find the cluster, and there alone.
        if not looked_for:
            raise SettingsError(
                f"the cluster at {address} asks for another token: set {AUTH_MODE}=token, and {AUTH_TOKEN} or "
                f"{AUTH_TOKEN}_PATH unless it is in ~/.ray/auth_token"
            ) from None
    finally:
        channel.close()
    if not services.find_node_ids():
        raise SettingsError(_no_part(address))


def _is_remembered(address: str) -> bool:
    from ray._private import services

    return bool(services.find_bootstrap_address(None) == address)


def _no_part(address: str) -> str:
    return (
        f"this machine is no part of the cluster at {address}: run the command on one that is, or first "
        f"`ray start --address={address}` here (with --num-cpus=0 it gets no work), or hand it over: {SUBMIT}"
    )


def _token_of_ones_own() -> None:
    """Ray writes a token into the home folder, for all to read, and starts nothing where it cannot."""
    if AUTH_MODE in os.environ or AUTH_TOKEN in os.environ:
        return
    try:
        folder = Path.home() / ".ray"
        folder.mkdir(mode=0o700, exist_ok=True)
        readable = os.access(folder / "auth_token", os.R_OK) or os.access(folder, os.W_OK)
    except (OSError, RuntimeError):
        readable = False
    if not readable:
        os.environ[AUTH_TOKEN] = secrets.token_hex(32)


def _in_a_thread(work: Callable[[], Any], stays: threading.Event | None = None) -> Future[Any]:
    """What becomes of `work`, in a thread that nothing waits for at the end, and that `stays` until this is set.

    The processes of a Ray that is started end with the thread that started them: Linux takes it for their parent.
    """
    future: Future[Any] = Future()

    def body() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)
        if stays is not None:
            stays.wait()

    threading.Thread(target=body, name="ray", daemon=True).start()
    return future


def _problem(future: Future[Any], within_s: float) -> BaseException | None:
    """Why it failed, if it did; after `within_s` seconds, that."""
    deadline = time.monotonic() + within_s
    while not wait([future], timeout=cancel.LISTEN_EVERY_S).done:
        if time.monotonic() > deadline:
            return TimeoutError(f"nothing came of it in {within_s:.0f} s")
    return future.exception()


def _told(address: str, problem: BaseException) -> str:
    """Why there is no cluster, in one line."""
    text = str(problem)
    if not address:
        return f"Ray cannot be started here: {_one_line(problem)}"
    if len(versions := VERSIONS.findall(text)) == 2:
        theirs, mine = (f"Ray {ray} on Python {python}" for ray, python in versions)
        return f"the cluster at {address} has {theirs}, this command {mine}; both must be the same"
    if "No node info found" in text:
        return _no_part(address)
    return f"the cluster at {address} cannot be joined: {_one_line(problem)}"


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _as_it_is(ray: Any, context: Any, started_here: bool) -> Cluster:
    resources = ray.cluster_resources()
    return Cluster(
        address=str(context.address_info["gcs_address"]),
        dashboard=f"http://{context.dashboard_url}" if context.dashboard_url else "",
        nodes=sum(bool(node["Alive"]) for node in ray.nodes()),
        cpus=float(resources.get("CPU", 0)),
        gpus=float(resources.get("GPU", 0)),
        started_here=started_here,
    )
