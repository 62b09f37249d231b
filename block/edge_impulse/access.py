"""The API's address and key, which Edge Impulse passes to a block in environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from block.edge_impulse.endpoint import DEFAULT_ENDPOINT, is_loopback, normalize_endpoint
from block.settings import SettingsError


@dataclass(frozen=True)
class Access:
    """The API's address and key. If `project_id` is None, use the only project that the key gives access to."""

    endpoint: str
    key: str = field(repr=False)
    project_id: int | None

    @property
    def is_exposed(self) -> bool:
        """Return True if others on the network can read the key: without TLS, except on this machine's loopback."""
        parts = urlsplit(self.endpoint)
        return parts.scheme != "https" and not is_loopback(parts.hostname or "")


def read_access(environment: Mapping[str, str]) -> Access:
    """Read the environment variables that Edge Impulse sets. Raise SettingsError, without the key in its message."""
    key = environment.get("EI_PROJECT_API_KEY", "").strip()
    if not key:
        raise SettingsError(
            "EI_PROJECT_API_KEY is not set; set it to the API key of your project (in Studio: Dashboard > Keys)"
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise SettingsError(
            f"EI_PROJECT_API_KEY ({len(key)} characters) contains spaces or special characters; expected ei_…"
        )
    typed = environment.get("EI_API_ENDPOINT", "").strip()
    try:
        endpoint = normalize_endpoint(typed or DEFAULT_ENDPOINT)
    except ValueError as error:
        _refuse_key("EI_API_ENDPOINT", typed, key)
        raise SettingsError(f"EI_API_ENDPOINT is not a valid address: {error}") from None
    project_id = environment.get("EI_PROJECT_ID", "").strip()
    if project_id and not (project_id.isascii() and project_id.isdecimal() and len(project_id) < 19):
        _refuse_key("EI_PROJECT_ID", project_id, key)
        raise SettingsError(f"EI_PROJECT_ID is {project_id[:40]!r}; expected a whole number")
    return Access(endpoint, key, int(project_id) if project_id else None)


def _refuse_key(name: str, text: str, key: str) -> None:
    """Raise SettingsError, without quoting `text`, if `text` contains a key because the variables were mixed up."""
    if "ei_" in text or key in text:
        raise SettingsError(
            f"{name} contains what looks like an API key ({len(text)} characters); put it in EI_PROJECT_API_KEY"
        )
