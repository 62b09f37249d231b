"""Errors of calls to Edge Impulse.

StudioError
├── ConnectionFailed
│   └── Unreachable
├── BadAnswer
├── Redirected
└── Refused
    ├── Unauthorized
    ├── Forbidden
    └── NotFound
"""

from __future__ import annotations


class StudioError(Exception):
    """A call to Edge Impulse failed. The message names the call, never the key."""


class ConnectionFailed(StudioError):
    """No try got a complete answer."""


class Unreachable(ConnectionFailed):
    """The server answered before, but has been unreachable for a long time."""


class BadAnswer(StudioError):
    """The answer doesn't match the API's documentation."""


class Redirected(StudioError):
    """The answer is a redirect that must not be followed, for example to a server that must not get the key."""


class Refused(StudioError):
    """The API refused the call. The message has the HTTP status, and the reason if there was one."""


class Unauthorized(Refused):
    """401: the key is wrong or expired."""


class Forbidden(Refused):
    """403: the key has no access to this."""


class NotFound(Refused):
    """404: it doesn't exist."""


BY_STATUS: dict[int, type[Refused]] = {401: Unauthorized, 403: Forbidden, 404: NotFound}
