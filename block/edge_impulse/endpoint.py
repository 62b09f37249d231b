"""Addresses: normalize the API's, tell whether two are the same server, and find keys in them."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import unquote, urlsplit

HOST = re.compile(r"[A-Za-z0-9_.:-]+")
NETLOC = re.compile(r"[A-Za-z0-9_.:\[\]-]*")
DEFAULT_ENDPOINT = "https://studio.edgeimpulse.com/v1"


def normalize_endpoint(text: str) -> str:
    """Return the API's base address, with `/v1` and without a trailing slash, from any form that users type.

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
        raise ValueError("it contains a user name, a query or a fragment; expected only the address")
    return base if base.endswith("/v1") else f"{base}/v1"


def is_loopback(host: str) -> bool:
    """Return True if `host` always means this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Return scheme, host and port. A redirect gets the key only if all three stay the same.

    Raise ValueError if `url` is not an address, or if parsers may disagree on its host: for `http://a\\@b/`,
    urllib.parse returns b, but urllib3, which connects, uses a.
    """
    parts = urlsplit(url)
    if not NETLOC.fullmatch(parts.netloc):
        raise ValueError(f"{parts.netloc!r} is not a plain host")
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def contains_key(address: str, key: str) -> bool:
    """Return True if `address` contains `key`, in upper or lower case, percent-encoded up to twice or not at all."""
    decoded = unquote(address)
    return any(key.lower() in spelling.lower() for spelling in (address, decoded, unquote(decoded)))
