"""Addresses: of the API as users write it, and which of them are one server."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

HOST = re.compile(r"[A-Za-z0-9_.:-]+")
NETLOC = re.compile(r"[A-Za-z0-9_.:\[\]-]*")
DEFAULT_ENDPOINT = "https://studio.edgeimpulse.com/v1"


def normal_endpoint(text: str) -> str:
    """The API's base with `/v1` and no trailing slash, from any of the forms users write.

    Raises ValueError for anything that is no http or https address.
    """
    base = text.strip().rstrip("/")
    parts = urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"got {text!r}; expected an address such as {DEFAULT_ENDPOINT}")
    try:
        port = parts.port
    except ValueError as error:
        raise ValueError(f"got {text!r} ({error}); expected an address such as {DEFAULT_ENDPOINT}") from None
    if port == 0 or not HOST.fullmatch(parts.hostname):
        raise ValueError(f"got {text!r}; expected an address such as {DEFAULT_ENDPOINT}")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("it holds a user name, a query or a fragment; expected the bare address")
    return base if base.endswith("/v1") else f"{base}/v1"


def is_loopback(host: str) -> bool:
    """Is `host` this machine, whatever the network?"""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port: what has to stay the same for the key to go along.

    Raises ValueError for no address, and where readers of addresses may differ on the host: of `http://a\\@b/`,
    urllib.parse takes b for it, and urllib3, which connects, takes a.
    """
    parts = urlsplit(url)
    if not NETLOC.fullmatch(parts.netloc):
        raise ValueError(f"{parts.netloc!r} is no plain host")
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
