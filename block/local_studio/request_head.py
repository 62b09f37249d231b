"""Find what no browser and no client sends in the head of a request, before it is parsed any further.

h11 reads some of it in one of several ways: of two lengths it takes one, and beside `Transfer-Encoding` none. Programs
between a client and this server may read the same head in another way.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

END = re.compile(rb"\n\r?\n")
LENGTH = re.compile(rb"[0-9]{1,20}")
# The names of RFC 6265, and values as browsers send them: quotes, commas and backslashes too.
COOKIES = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+=[ -:<-~]*+(?:; ?[!#$%&'*+\-.^_`|~0-9A-Za-z]+=[ -:<-~]*+)*+")
COOKIE = "local-studio"  # of a login, whose value is random
LOGIN = re.compile(rb"[0-9a-f]{64}")
LARGEST_COOKIES = 16 << 10  # bytes
ONCE = (b"host", b"content-length", b"transfer-encoding", b"content-type", b"origin", b"cookie")


def find_odd_head(data: bytes) -> str:
    """Return what is odd about the head of the request that `data` starts with; "" if nothing is, or it isn't whole."""
    end = END.search(data)
    if end is None:
        return ""
    lines = data[: end.start()].replace(b"\r", b"").split(b"\n")[1:]
    if any(line[:1] in (b" ", b"\t") for line in lines):
        return "a header has more than one line"
    headers = [(name.lower(), value.strip(b" \t")) for name, _, value in (line.partition(b":") for line in lines)]
    for wanted in ONCE:
        if sum(name == wanted for name, _ in headers) > 1:
            return f"it has the header {wanted.decode().title()} twice"
    given = dict(headers)
    if not LENGTH.fullmatch(given.get(b"content-length", b"0")):
        return "the header Content-Length is not a number"
    if b"content-length" in given and b"transfer-encoding" in given:
        return "it has both Content-Length and Transfer-Encoding"
    if not _is_origin(given.get(b"origin", b"null")):
        return "the header Origin is not an address"
    if b"cookie" in given and (problem := _find_odd_cookies(given[b"cookie"])):
        return f"{problem}; delete the cookies of this address in the browser"
    return ""


def _is_origin(value: bytes) -> bool:
    if value == b"null":
        return True
    try:
        parts = urlsplit(value.decode("ascii"))
        _ = parts.port  # raises ValueError for what isn't one
    except ValueError:
        return False
    rest: Sequence[str | None] = (parts.path, parts.query, parts.fragment, parts.username)
    return bool(parts.scheme and parts.hostname) and not any(rest) and value.isascii() and b" " not in value


def _find_odd_cookies(value: bytes) -> str:
    if len(value) > LARGEST_COOKIES:
        return f"the header Cookie has {len(value)} bytes; expected at most {LARGEST_COOKIES}"
    if not COOKIES.fullmatch(value):
        return "the header Cookie doesn't have the form name=value; name=value"
    pairs = [one.strip(b" ").partition(b"=") for one in value.split(b";")]
    logins = [login for name, _, login in pairs if name == COOKIE.encode()]
    if len(logins) > 1 or not all(LOGIN.fullmatch(login) for login in logins):
        return f"the cookie {COOKIE} isn't one that this server sets"
    return ""
