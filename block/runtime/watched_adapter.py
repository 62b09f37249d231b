"""Connections for `requests` that a deadline can end at any point: name lookup, connecting, TLS, request and answer."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import allowed_gai_family

from block.runtime import deadline
from block.runtime.cancel import start_thread

LEAST_S = 0.001  # a timeout of 0 means something else to sockets

# Family, type and protocol of a socket, the canonical name of the host, and the address.
Found = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]


class WatchedAdapter(HTTPAdapter):
    """Register the sockets of all connections with the deadline of the thread that uses them.

    The connect timeout is the time for looking a name up and trying all of its addresses.
    """

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, *arguments: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*arguments, **options)
        if isinstance(manager, ProxyManager):
            manager.pool_classes_by_scheme = POOLS
        return manager


class WatchedConnection(HTTPConnection):
    """A connection whose socket is shut down when the deadline passes."""

    def request(self, *arguments: Any, **options: Any) -> None:
        if self.sock is not None:  # a connection that has been used before, under another deadline
            deadline.watch(self.sock)
        super().request(*arguments, **options)

    def _new_conn(self) -> socket.socket:
        """Return a connected socket. Raise the same errors as the method that this replaces."""
        timeout_s: float | None = self.timeout
        end = None if timeout_s is None else time.monotonic() + timeout_s
        try:
            # An address in brackets is IPv6.
            found = _look_up(self._dns_host.strip("[]"), self.port, timeout_s)
            connected = self._connect(found, end)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"no connection to {self.host} within {timeout_s} s") from error
        except OSError as error:
            raise NewConnectionError(self, f"no connection to {self.host}: {error}") from error
        sys.audit("http.client.connect", self, self.host, self.port)
        return connected

    def _connect(self, found: list[Found], end: float | None) -> socket.socket:
        """Connect to the first address that accepts, by `end` in monotonic time. Raise the last OSError.

        No address gets more than its share of the time, so that one that drops packets leaves time for the others.
        """
        problem: OSError = OSError("the name has no address")
        for index, (family, kind, protocol, _, address) in enumerate(found):
            one = socket.socket(family, kind, protocol)
            try:
                for option in self.socket_options or ():
                    one.setsockopt(*option)
                if self.source_address:
                    one.bind(self.source_address)
                left = len(found) - index
                one.settimeout(None if end is None else max(LEAST_S, (end - time.monotonic()) / left))
                one.connect(address)
                one.settimeout(self.timeout)
                deadline.watch(one)
                return one
            except OSError as error:
                problem = error
                one.close()
        raise problem


class WatchedTLSConnection(WatchedConnection, HTTPSConnection):
    """The same over TLS."""


class WatchedPool(HTTPConnectionPool):
    """A pool of watched connections."""

    ConnectionCls = WatchedConnection


class WatchedTLSPool(HTTPSConnectionPool):
    """A pool of watched connections over TLS."""

    ConnectionCls = WatchedTLSConnection


POOLS = {"http": WatchedPool, "https": WatchedTLSPool}
_lookups: dict[tuple[str, int | None], Future[list[Found]]] = {}  # under way
_lock = threading.Lock()


def _look_up(host: str, port: int | None, timeout_s: float | None) -> list[Found]:
    """Return the addresses of `host`. Raise OSError, or TimeoutError after `timeout_s` seconds.

    Nothing can interrupt a lookup, so it runs in a thread that is left alone once the time is up. Later calls for the
    same host wait for the same lookup, so that these threads don't pile up.
    """
    with _lock:
        lookup = _lookups.get((host, port))
        if lookup is None:
            find: Callable[[], list[Any]] = partial(
                socket.getaddrinfo, host, port, allowed_gai_family(), socket.SOCK_STREAM
            )
            lookup = _lookups[host, port] = start_thread(find)
            lookup.add_done_callback(lambda _: _lookups.pop((host, port), None))
    return lookup.result(timeout_s)
