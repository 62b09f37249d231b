"""URIs of object stores: parse them, write them, and refuse those that hold a secret.

A secret in a URI ends up in shell histories, process lists and label files. Credentials come from the environment
instead, as for the store's own tools.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from block.settings import SettingsError

# Arrow's file systems; all others are fsspec's.
ARROW = ("s3", "gs", "gcs", "hdfs", "viewfs", "abfs", "abfss", "file")
ACCOUNT_FIRST = ("abfs", "abfss")  # container@account: what stands before the @ is no user
ANONYMOUS = "anonymous"  # gs://anonymous@bucket: no credentials at all
SECRET = re.compile(r"key|token|secret|pass|pwd|sig|cred|auth|jwt|sas|session", re.IGNORECASE)
PLAIN = ("credential_kind", "blob_storage_authority", "dfs_storage_authority")  # Arrow's, for abfs
HINT = "give credentials as the store's own tools have them, AWS_ACCESS_KEY_ID and its like in the environment"


def is_uri(text: str) -> bool:
    """Return True for `scheme://…`, False for a path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text) is not None


def object_uri(location: str, path: str) -> str:
    """Return the URI of the object at `path`, with "/" between parts, below the location with this name.

    Nothing in it is percent-encoded: tools of object stores, and Label Studio, take what follows the bucket as the key.
    """
    return f"{unquote(location, errors='surrogateescape')}/{path}"


@dataclass(frozen=True)
class ObjectStoreUri:
    """The parts of a URI. `path` is decoded, begins with a "/" unless it is empty, and does not end with one."""

    scheme: str
    authority: str
    path: str
    query: str

    @property
    def name(self) -> str:
        """The URI without its query. Nothing in it is a secret."""
        return f"{self.scheme}://{self.authority}{quote(self.path, errors='surrogateescape')}"

    @property
    def for_arrow(self) -> str:
        """The URI with its query, percent-encoded, for Arrow."""
        # Arrow does not take an empty path for the root of this machine's files.
        return self.name + "/" * (not self.path) + f"?{self.query}" * bool(self.query)

    @property
    def for_fsspec(self) -> str:
        """The URI for fsspec, without percent-encoding."""
        return f"{self.scheme}://{self.authority}{self.path}"


def parse_uri(uri: str) -> ObjectStoreUri:
    """Return the parts of `uri`. Percent signs are decoded; characters that need encoding may be given as they are.

    Raise SettingsError if it cannot be understood, or holds what looks like a secret, which the message does not quote.
    """
    try:
        # A # is part of a name here; Arrow would drop it and the rest.
        parts = urlsplit(uri.replace("#", "%23"))
    except ValueError:
        raise SettingsError(
            "the address of the recordings cannot be understood; expected scheme://bucket/path"
        ) from None
    scheme = parts.scheme.lower()
    _check_authority(scheme, parts.netloc)
    _check_query(scheme, parts.query)
    if not parts.netloc and scheme != "file" and not parts.path.strip("/"):
        raise SettingsError(f"{scheme}:// names no bucket; expected {scheme}://bucket/path")
    path = unquote(parts.path, errors="surrogateescape").rstrip("/")
    return ObjectStoreUri(scheme, parts.netloc, path, parts.query)


def _check_authority(scheme: str, authority: str) -> None:
    """Raise SettingsError for a user or a password between :// and the first /, whole or cut short by a slash."""
    user, at, host = authority.rpartition("@")
    if at and scheme in ACCOUNT_FIRST and ":" not in user:
        user = ""
    if at and scheme in ("gs", "gcs") and user == ANONYMOUS:
        user = ""
    _, colon, port = host.partition(":") if not host.startswith("[") else ("", "", "")
    if user or (at and not authority.partition("@")[0]) or (colon and not port.isdecimal()):
        raise SettingsError(f"the recordings' address holds a user or a password; leave it out, and {HINT}")


def _check_query(scheme: str, query: str) -> None:
    if query and scheme not in ARROW:
        raise SettingsError(f"{scheme}:// takes no options after a ?; write a ? in a name as %3F")
    for name, value in parse_qsl(query, keep_blank_values=True):
        if ("@" in value or SECRET.search(name)) and name not in PLAIN:
            shown = name if re.fullmatch(r"\w{1,40}", name) else "one"
            raise SettingsError(
                f"of the options in the recordings' address, {shown!r} looks like a secret; leave it out, and {HINT}"
            )
