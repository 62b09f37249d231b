"""Why a call of `requests` came to nothing, in words that quote nothing of it."""

from __future__ import annotations

import requests
import urllib3

from block.studio.retries import Timeouts


def found_nobody(error: requests.RequestException) -> bool:
    """Could no connection be made, so that nothing was asked?"""
    if isinstance(error, requests.exceptions.SSLError):
        return False
    cause = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(error, (requests.exceptions.ConnectTimeout, requests.exceptions.ProxyError)) or isinstance(
        cause, urllib3.exceptions.NewConnectionError
    )


def in_words(error: requests.RequestException, timeouts: Timeouts) -> str:
    """What went wrong with a call that waited for as long as `timeouts` says."""
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate could not be verified"
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return f"no connection within {timeouts.connect_s:g} s"
    if isinstance(error, requests.exceptions.Timeout):
        return f"no answer within {timeouts.read_s:g} s"
    if isinstance(error, requests.exceptions.ProxyError):
        return "no connection to the proxy, or none through it"
    if isinstance(error, requests.exceptions.ConnectionError):
        return "no connection could be made" if found_nobody(error) else "the connection broke off"
    return type(error).__name__
