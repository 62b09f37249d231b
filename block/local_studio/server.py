"""``python -m block studio``: serve a folder until Ctrl-C. `running` serves one from Python."""

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
from pathlib import Path
from typing import TYPE_CHECKING

from block.edge_impulse.endpoint import is_loopback
from block.folder.listing import describe_no_recordings, find_recordings, show_path
from block.formatting import count, print_warning
from block.local_studio.address import LOOPBACK, Address
from block.runtime.imports import describe_install
from block.runtime.links import find_link_out
from block.runtime.places import find_action

if TYPE_CHECKING:
    import uvicorn

    from block.local_studio.data.project import LocalProject
    from block.local_studio.jobs.jobs import Jobs

DEFAULT_PORT = 4810
SHORTEST_KEY = 32  # characters, if other machines can reach the server: 128 bits in hexadecimal
KEY = re.compile(r"[!-~](?:[ -~]*[!-~])?")  # HTTP headers carry this unchanged
MANY_FILES = 50  # to read before the server starts
START_S = 30.0  # how long `running` waits for the server to answer


class ServeError(Exception):
    """The folder can't be served; the message is one line."""


@contextmanager
def running(
    project: LocalProject, *, key: str | None = None, port: int = 0, host: str = LOOPBACK, block: Path | None = None
) -> Iterator[Address]:
    """Serve the API and the pages of `project` in a thread until the context ends. `port` 0 picks a free port.

    `key` defaults to the project's random key; the pages ask for it unless `host` is a loopback address. `block` is the
    folder of the AI Action that the pages run, by default this one. Raise ServeError.
    """
    with _listen(host, port) as listener:
        address = Address(host, listener.getsockname()[1], project.key if key is None else key)
        server, jobs = _make_server(project, address, block or find_action())
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
            jobs.close()
            server.should_exit = True
            thread.join()


def serve(arguments: argparse.Namespace) -> None:
    """Serve a folder with the options of `studio` until a signal stops the server. Raise ServeError."""
    if not 0 <= arguments.port <= 65535:
        raise ServeError(f"--port must be from 0 to 65535, got {arguments.port}")
    if arguments.key is not None and not KEY.fullmatch(arguments.key):
        raise ServeError("--key must be printable ASCII, not empty, and without leading or trailing spaces")
    if arguments.key is not None and len(arguments.key) < SHORTEST_KEY and not is_loopback(arguments.host):
        raise ServeError(
            f"--key must have at least {SHORTEST_KEY} characters if --host isn't a loopback address, got "
            f"{count(len(arguments.key), 'character')}; leave out --key to get a random one"
        )
    project = _open(arguments.folder, arguments.allow_truncated)
    try:
        with _listen(arguments.host, arguments.port) as listener:
            report = project.scan(print_warning, _announce_reading)
            ids = [sample.id for sample in project.samples()]
            if arguments.ids_file is not None:
                _write_ids(project.root, arguments.ids_file, ids)
            key = project.key if arguments.key is None else arguments.key
            address = Address(arguments.host, listener.getsockname()[1], key)
            server, jobs = _make_server(project, address, arguments.block)
            from block.local_studio.watch import watching

            if report.labels_dropped:
                dropped = count(report.labels_dropped, "recording")
                print(f"Dropped the labels of {dropped}: the length of the audio has changed")
            if not ids and not (listing := find_recordings(project.root)).files:
                print_warning(describe_no_recordings(listing, project.root))
            print("\n".join(_format_greeting(project, address, len(ids), arguments.ids_file)), flush=True)
            try:
                with watching(project, address.url):
                    server.run([listener])
            except OSError as error:
                raise ServeError(f"can't write to {show_path(project.root)}: {error.strerror}") from None
            finally:
                jobs.close()
    finally:
        project.close()


def _announce_reading(files: int) -> None:
    """Say that many files are about to be read: those that are compressed are decoded, which may take minutes."""
    if files >= MANY_FILES:
        print(f"Reading {count(files, 'new or changed recording')}", flush=True)


def _format_greeting(project: LocalProject, address: Address, number: int, ids_file: Path | None) -> Sequence[str]:
    """Return the lines to print at the start: the address, and what to paste in the shell that runs the block."""
    ids = f'curl -sSf -H "x-api-key: $EI_PROJECT_API_KEY" {address.url}/ids.json -o ids.json'
    if ids_file is not None:
        ids = f"# all sample ids: --data-ids-file {shlex.quote(show_path(ids_file))}"
    return (
        f"Serving {count(number, 'recording')} from {show_path(project.root)} at {address.url} (project {project.id}).",
        "Press Ctrl-C to stop. Paste this in the shell that runs the block:",
        f"export EI_API_ENDPOINT={address.endpoint}",
        f"export EI_PROJECT_API_KEY={shlex.quote(address.key)}",
        ids,
    )


def _open(root: Path, allow_truncated: bool) -> LocalProject:
    try:
        from block.local_studio.data.project import LocalProject
        from block.local_studio.data.store import ProjectError
    except ImportError as error:
        raise _not_installed(error) from None
    try:
        return LocalProject(root, allow_truncated)
    except ProjectError as error:
        raise ServeError(str(error)) from None


def _make_server(project: LocalProject, address: Address, block: Path) -> tuple[uvicorn.Server, Jobs]:
    """Return the server, and the jobs to close when it stops."""
    try:
        import uvicorn

        from block.local_studio.api.app import create_app
        from block.local_studio.connections import server_options
        from block.local_studio.jobs.jobs import Jobs
        from block.local_studio.jobs.parsing import BlockError
        from block.local_studio.web.pages import create_pages
        from block.local_studio.web.site import WebSite
    except ImportError as error:
        raise _not_installed(error) from None
    try:
        jobs = Jobs(project, block, address)
    except BlockError as error:
        raise ServeError(str(error)) from None
    is_open = is_loopback(address.host)
    site = WebSite(project, jobs, address.key, is_open)
    hosts = (LOOPBACK, "localhost", "[::1]", address.host) if is_open else None
    config = uvicorn.Config(
        create_app(project, address.key, create_pages(site, hosts), None if is_open else site.waits),
        lifespan="off",
        ws="none",
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        headers=[("Cross-Origin-Resource-Policy", "same-origin")],  # other sites can't even embed audio to measure it
        timeout_graceful_shutdown=2,
        **server_options(),
    )
    return uvicorn.Server(config), jobs


def _not_installed(error: ImportError) -> ServeError:
    return ServeError(f"the local Studio needs {error.name}, which isn't installed; {describe_install('studio')}")


def _listen(host: str, port: int) -> socket.socket:
    # asyncio disables Nagle's algorithm, which costs 40 ms per request, only if the protocol is given.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise ServeError(f"can't listen on {host}:{port}: {error.strerror}") from None
    return listener


def _write_ids(root: Path, path: Path, ids: Sequence[int]) -> None:
    inside = path.parent.resolve().is_relative_to(root.resolve())
    if inside and find_link_out(root, [path]):
        raise ServeError(
            f"{show_path(path)} is a link that leads out of {show_path(root)}; expected a file, or no file"
        )
    try:
        path.write_text(json.dumps({"ids": ids}) + "\n", encoding="utf-8")
    except OSError as error:
        raise ServeError(f"can't write the ids file {path}: {error.strerror}") from None
