"""The HTTP session that files are fetched with: a token or password goes to the host that it is for, and to no other.

requests by itself sends along what ~/.netrc has for a host, a `default` entry to every host, and looks again whenever
it is redirected. Here a password comes from the URL or not at all.
"""

from __future__ import annotations

import requests
from requests.auth import AuthBase, HTTPBasicAuth
from requests.utils import get_auth_from_url


class FileSession(requests.Session):
    """Sends `token`, or else the user name and password in a URL; neither to where a server redirects to elsewhere."""

    def __init__(self, token: str | None = None) -> None:
        super().__init__()
        self.auth = _Given(token)

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Called by requests for a redirect; its own also asks ~/.netrc about the new host."""
        before, now = response.request.url or "", prepared_request.url or ""
        try:
            elsewhere = super().should_strip_auth(before, now)  # type: ignore[no-untyped-call]
        except ValueError:
            raise requests.exceptions.InvalidURL("redirected to what is no address") from None
        if elsewhere:
            prepared_request.headers.pop("Authorization", None)


class _Given(AuthBase):
    """As `auth`, not as a header: else requests would prefer what ~/.netrc says."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
            return request
        user, password = get_auth_from_url(request.url or "")
        return HTTPBasicAuth(user, password)(request) if user or password else request
