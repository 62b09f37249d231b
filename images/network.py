"""Run this process in a network namespace that has only the loopback interface."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from collections.abc import Sequence
from typing import NoReturn

# From Linux' <linux/sockios.h> and <linux/if.h>.
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
MARK = "AST_CUT_OFF"  # set in the environment of a process that `cut_off` started


def cut_off(command: Sequence[str]) -> NoReturn:
    """Replace this process by `command` in a new network namespace, where `is_cut_off` is True. Root only."""
    os.execvpe("unshare", ["unshare", "--net", "--", *command], {**os.environ, MARK: "1"})  # noqa: S606, S607


def is_cut_off() -> bool:
    """Return True if `cut_off` started this process, and bring the loopback interface up.

    Raise RuntimeError if there is another interface anyway.
    """
    if MARK not in os.environ:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))
    others = [name for _, name in socket.if_nameindex() if name != "lo"]
    if others:
        raise RuntimeError(f"the network is not cut off: found {', '.join(others)}; expected only lo")
    return True
