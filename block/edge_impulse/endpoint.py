"""Addresses: the API's as users write it, and which addresses are one server."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

HOST = re.compile(r"[A-Za-z0-9_.:-]+")
NETLOC = re.compile(r"[A-Za-z0-9_.:\[\]-]*")
DEFAULT_ENDPOINT = "https://studio.edgeimpulse.com/v1"


def normalize_endpoint(text: str) -> str:
    """Return the API's base address with `/v1` and no trailing slash, from any of the forms users write.

    Raise ValueError for anything that is not an http or https address.
    """
    base = text.strip().rstrip("/")
    parts = urlsplit(base)
    expected = f"expected an address such as {DEFAULT_ENDPOINT}"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"got {text!r}; {expected}")
    try:
        port = parts.port
    except ValueError as error:
        raise ValueError(f"got {text!r} ({error}); {expected}") from None
    if port == 0 or not HOST.fullmatch(parts.hostname):
        raise ValueError(f"got {text!r}; {expected}")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("it holds a user name, a query or a fragment; expected the bare address")
    return base if base.endswith("/v1") else f"{base}/v1"


def is_loopback(host: str) -> bool:
    """Return True if `host` is this machine, whatever the network."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Return scheme, host and port: the key goes along only while these stay the same.

    Raise ValueError for what is no address, and where readers of addresses may differ on the host: for
    `http://a\\@b/`, urllib.parse returns b, and urllib3, which connects, a.
    """
    parts = urlsplit(url)
    if not NETLOC.fullmatch(parts.netloc):
        raise ValueError(f"{parts.netloc!r} is no plain host")
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
