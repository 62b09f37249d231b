"""What can go wrong between this block and Edge Impulse.

StudioError              anything below
├── ConnectionFailed     no whole answer came, after all tries
│   └── Unreachable      a server that had answered before has been out of reach for long
├── BadAnswer            an answer came that is not what the API promises
├── Redirected           the answer points elsewhere, and the key is not taken there
└── Refused              the API said no, with HTTP `status`
    ├── Unauthorized     401: the key is wrong or expired
    ├── Forbidden        403: the key is good for something else
    └── NotFound         404
"""

from __future__ import annotations


class StudioError(Exception):
    """A call to Edge Impulse failed. The message names the call, never the key."""


class ConnectionFailed(StudioError):
    """No whole answer came, after all tries."""


class Unreachable(ConnectionFailed):
    """A server that had answered before has been out of reach for long."""


class BadAnswer(StudioError):
    """An answer came that is not what the API promises."""


class Redirected(StudioError):
    """The answer points to another host, to which the key does not go."""


class Refused(StudioError):
    """The API said no, with HTTP `status`; the message holds its reason where it gave one."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Unauthorized(Refused):
    """401: the key is wrong or expired."""


class Forbidden(Refused):
    """403: the key is good for something else."""


class NotFound(Refused):
    """404: there is no such thing."""


BY_STATUS: dict[int, type[Refused]] = {401: Unauthorized, 403: Forbidden, 404: NotFound}
