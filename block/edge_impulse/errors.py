"""What can go wrong between this block and Edge Impulse.

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
    """No complete answer came, after all tries."""


class Unreachable(ConnectionFailed):
    """A server that had answered before has been out of reach for long."""


class BadAnswer(StudioError):
    """The answer is not what the API promises."""


class Redirected(StudioError):
    """The answer points elsewhere, where the key does not go."""


class Refused(StudioError):
    """The API said no; the message holds the HTTP status, and the reason if it gave one."""


class Unauthorized(Refused):
    """401: the key is wrong or expired."""


class Forbidden(Refused):
    """403: the key is good for something else."""


class NotFound(Refused):
    """404: there is no such thing."""


BY_STATUS: dict[int, type[Refused]] = {401: Unauthorized, 403: Forbidden, 404: NotFound}
