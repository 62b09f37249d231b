"""``python -m block studio``: serve a folder until Ctrl-C; and `running`, the same inside a program."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from block.local_studio.address import LOOPBACK, Address

if TYPE_CHECKING:
    import uvicorn

    from block.local_studio.data.project import LocalProject
    from block.local_studio.jobs.jobs import Jobs

DEFAULT_PORT = 4810
HERE = Path(__file__).resolve().parents[2]
KEY = re.compile(r"[!-~](?:[ -~]*[!-~])?")  # what a header can carry unchanged
START_S = 30.0  # how long `running` waits for the server to answer


class ServeError(Exception):
    """A reason why nothing was served; one line of text."""


@contextmanager
def running(
    project: LocalProject, *, key: str | None = None, port: int = 0, host: str = LOOPBACK, block: Path | None = None
) -> Iterator[Address]:
    """Serve `project`, API and pages, in a thread for as long as the context lasts. `port` 0 takes a free one.

    `key` None demands the project's own key; pages demand it where `host` is not loopback. `block` is the AI Action
    that the pages run, this one unless it is given. Raises CannotServe.
    """
    demanded = project.key if key is None else key
    listener = _listener(host, port)
    address = Address(host, listener.getsockname()[1], demanded)
    try:
        served = _served(project, address, block or HERE)
    except ServeError:
        listener.close()
        raise
    server = served.server
    thread = threading.Thread(target=server.run, args=([listener],), name="local-studio", daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + START_S
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                raise ServeError(f"the server at {address.url} did not start")
            time.sleep(0.005)
        yield address
    finally:
        served.close()
        server.should_exit = True
        thread.join()
        listener.close()


def serve(arguments: argparse.Namespace) -> None:
    """Serve a folder as the options of `studio` say, until a signal ends it. Raises CannotServe."""
    if not 0 <= arguments.port <= 65535:
        raise ServeError(f"--port must be 0…65535, got {arguments.port}")
    if arguments.key is not None and not KEY.fullmatch(arguments.key):
        raise ServeError("--key must be printable ASCII without spaces around it, and not empty")
    project = _open(arguments.folder)
    try:
        with _listener(arguments.host, arguments.port) as listener:
            report = project.scan()
            ids = [sample.id for sample in project.samples()]
            if arguments.ids_file is not None:
                _write_ids(arguments.ids_file, ids)
            key = project.key if arguments.key is None else arguments.key
            address = Address(arguments.host, listener.getsockname()[1], key)
            served = _served(project, address, arguments.block)
            if report.labels_dropped:
                print(f"{report.labels_dropped} recordings have changed in length and lost their labels")
            print("\n".join(_greeting(project, address, len(ids), arguments.ids_file)), flush=True)
            try:
                served.server.run([listener])
            finally:
                served.close()
    finally:
        project.close()


def _greeting(project: LocalProject, address: Address, count: int, ids_file: Path | None) -> Sequence[str]:
    """The lines printed at the start: the address, and what to paste in the shell that runs the block."""
    ids = f'curl -sSf -H "x-api-key: $EI_PROJECT_API_KEY" {address.url}/ids.json -o ids.json'
    if ids_file is not None:
        ids = f"# ids of all samples: --data-ids-file {shlex.quote(str(ids_file))}"
    return (
        f"{count} recordings of {project.root} at {address.url} (project {project.id}); Ctrl-C stops.",
        "For the shell that runs the block:",
        f"export EI_API_ENDPOINT={address.endpoint}",
        f"export EI_PROJECT_API_KEY={shlex.quote(address.key)}",
        ids,
    )


def _open(root: Path) -> LocalProject:
    try:
        from block.local_studio.data.project import LocalProject, ProjectError
    except ImportError as error:
        raise _not_installed(error) from None
    try:
        return LocalProject(root)
    except ProjectError as error:
        raise ServeError(str(error)) from None


@dataclass(frozen=True)
class _JobServer:
    """A server, and the jobs that end with it."""

    server: uvicorn.Server
    jobs: Jobs

    def close(self) -> None:
        self.jobs.close()


def _served(project: LocalProject, address: Address, block: Path) -> _JobServer:
    try:
        import uvicorn

        from block.local_studio.api.app import create_app
        from block.local_studio.jobs.jobs import BlockError, Jobs
        from block.local_studio.web.pages import create_pages
        from block.local_studio.web.site import WebSite
    except ImportError as error:
        raise _not_installed(error) from None
    try:
        jobs = Jobs(project, block, address)
    except BlockError as error:
        raise ServeError(str(error)) from None
    is_open = address.is_loopback
    site = WebSite(project, jobs, address.key, is_open)
    hosts = (LOOPBACK, "localhost", "[::1]", address.host) if is_open else None
    config = uvicorn.Config(
        create_app(project, address.key, create_pages(site, hosts)),
        lifespan="off",
        ws="none",
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    return _JobServer(uvicorn.Server(config), jobs)


def _not_installed(error: ImportError) -> ServeError:
    return ServeError(f"the local Studio needs the extra 'studio': {error.name} is not installed")


def _listener(host: str, port: int) -> socket.socket:
    # asyncio turns Nagle's algorithm off, which costs 40 ms a request, only where the protocol is named.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise ServeError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    return listener


def _write_ids(path: Path, ids: Sequence[int]) -> None:
    try:
        path.write_text(json.dumps({"ids": ids}) + "\n", encoding="utf-8")
    except OSError as error:
        raise ServeError(f"cannot write the ids file {path}: {error.strerror}") from None
