"""The HTTP client for huggingface_hub: it limits the time, the size and the waits that a hub can cost.

It sends the token only to the hub itself. Import this only inside functions, as huggingface_hub.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2

from block.model.checkpoint import CheckpointError
from block.runtime.deadline import Deadline, watch

TRY_S = 60.0  # from connecting to the end of the headers, redirects included
STALL_S, STALL_BYTES = 60.0, 1 << 20  # a body has to bring so many bytes, or its end, within so many seconds
LONGEST_ASKED_WAIT_S = 300
TRIES = 100  # to download one file; huggingface_hub resumes as often as a try brings a byte


class HubClient(httpx2.Client):
    """Send requests for huggingface_hub. The token goes only to the origin of `home`.

    `start_download` says how many bytes a body may have from then on. Without it, bodies are dropped.
    """

    limit_bytes = 0
    tries_left = TRIES

    def __init__(self, home: httpx2.URL, timeout_s: float) -> None:
        super().__init__(
            follow_redirects=True,
            timeout=timeout_s,
            # Each request gets a new connection, so that its deadline learns of it.
            limits=httpx2.Limits(max_keepalive_connections=0),
            event_hooks={"request": [self._prepare], "response": [self._bound]},
        )
        self._home = home.origin

    @classmethod
    def start_download(cls, limit_bytes: int) -> None:
        """Allow bodies of `limit_bytes` in all clients: huggingface_hub makes a new one after some errors."""
        cls.limit_bytes, cls.tries_left = limit_bytes, TRIES

    def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Send `request`, and read the answer unless it is streamed. Raise DeadlinePassed if that takes too long."""
        request.extensions = {**request.extensions, "trace": _watch_connection}
        with Deadline(TRY_S):
            return super().send(request, **options)

    def _prepare(self, request: httpx2.Request) -> None:
        request.headers["Accept-Encoding"] = "identity"
        # huggingface_hub would also send a mirror's token to huggingface.co.
        if request.url.origin != self._home:
            request.headers.pop("Authorization", None)
        if request.method == "GET":
            if type(self).tries_left <= 0:
                raise CheckpointError(f"the download was interrupted {TRIES} times; run the same command again later")
            type(self).tries_left -= 1

    def _bound(self, response: httpx2.Response) -> None:
        """Limit what reading `response` costs. Only the headers of errors and redirects matter."""
        asked = response.headers.get("Retry-After", "").strip()
        if asked.isdecimal() and (len(asked) > 9 or int(asked) > LONGEST_ASKED_WAIT_S):
            raise CheckpointError(
                f"the hub answered {response.status_code} and asks to wait {asked[:20]} s, over the limit of "
                f"{LONGEST_ASKED_WAIT_S} s; run the same command again later"
            )
        response.headers.pop("RateLimit", None)  # huggingface_hub would wait as long as it says
        assert isinstance(response.stream, httpx2.SyncByteStream)
        if not response.is_success:
            response.stream.close()
            response.headers.pop("Content-Encoding", None)
            response.stream = httpx2.ByteStream(b"")
        elif response.headers.get("Content-Encoding", "identity") != "identity":
            raise CheckpointError("the hub compressed a file, which could have any size; expected it as it is")
        else:
            response.stream = _BoundedStream(response, response.stream, self.limit_bytes)


class _BoundedStream(httpx2.SyncByteStream):
    """The body of `response`, from `stream`. Raise DeadlinePassed if it stalls, CheckpointError if it's too long."""

    def __init__(self, response: httpx2.Response, stream: httpx2.SyncByteStream, limit_bytes: int) -> None:
        self._socket = response.extensions["network_stream"].get_extra_info("socket")
        self._stream = stream
        self._limit_bytes = limit_bytes

    def __iter__(self) -> Iterator[bytes]:
        received = renewed_at = 0
        with Deadline(STALL_S) as deadline:
            watch(self._socket)
            for block in self._stream:
                received += len(block)
                if received > self._limit_bytes:
                    raise CheckpointError(f"the hub sent more than the {self._limit_bytes} bytes that it announced")
                if received - renewed_at >= STALL_BYTES:
                    deadline.renew(STALL_S)
                    renewed_at = received
                yield block

    def close(self) -> None:
        self._stream.close()


def _watch_connection(event: str, info: dict[str, Any]) -> None:
    """Let a deadline know of a new connection; see httpcore's `trace` extension."""
    if event == "connection.connect_tcp.complete":
        watch(info["return_value"].get_extra_info("socket"))
