"""Where a local Studio is served."""

from __future__ import annotations

from dataclasses import dataclass

from block.edge_impulse.endpoint import is_loopback

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Address:
    """Where a project is served: `url` ends without a slash, `endpoint` is for EI_API_ENDPOINT."""

    host: str
    port: int
    key: str

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)

    @property
    def endpoint(self) -> str:
        return f"{self.url}/v1"
