"""Parse and write URIs of object stores, and refuse those that contain a secret.

A secret in a URI ends up in shell histories, process lists and label files. Credentials belong in the environment,
where the store's own tools look for them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from block.settings import SettingsError

# Schemes of Arrow's file systems; fsspec handles all others.
ARROW = ("s3", "gs", "gcs", "hdfs", "viewfs", "abfs", "abfss", "file")
ACCOUNT_FIRST = ("abfs", "abfss")  # container@account: the part before the @ is not a user
ANONYMOUS = "anonymous"  # gs://anonymous@bucket: without credentials
SECRET = re.compile(r"key|token|secret|pass|pwd|sig|cred|auth|jwt|sas|session", re.IGNORECASE)
PLAIN = ("credential_kind", "blob_storage_authority", "dfs_storage_authority")  # Arrow's, for abfs
HINT = "set credentials where the store's own tools look for them, such as AWS_ACCESS_KEY_ID in the environment"


def is_uri(text: str) -> bool:
    """Return True for `scheme://…`, False for a path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text) is not None


def object_uri(location: str, path: str) -> str:
    """Return the URI of the object at `path`, with "/" between parts, in the location with this name.

    Nothing in it is percent-encoded: Label Studio and the stores' own tools use everything after the bucket as the key.
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
        """The URI without its query; it contains no secret."""
        return f"{self.scheme}://{self.authority}{quote(self.path, errors='surrogateescape')}"

    @property
    def for_arrow(self) -> str:
        """The URI with its query, percent-encoded, for Arrow."""
        # Arrow needs "/" for the root of this machine's files; an empty path fails.
        return self.name + "/" * (not self.path) + f"?{self.query}" * bool(self.query)

    @property
    def for_fsspec(self) -> str:
        """The URI for fsspec, without percent-encoding."""
        return f"{self.scheme}://{self.authority}{self.path}"


def parse_uri(uri: str) -> ObjectStoreUri:
    """Return the parts of `uri`, decoded. Characters that should be percent-encoded may also be given as they are.

    Raise SettingsError if it is invalid or seems to contain a secret, which the message does not quote.
    """
    try:
        # Here, "#" is part of a name; Arrow would drop it and everything after it.
        parts = urlsplit(uri.replace("#", "%23"))
    except ValueError:
        raise SettingsError("the recordings' address is not a valid URI; expected scheme://bucket/path") from None
    scheme = parts.scheme.lower()
    _refuse_credentials(scheme, parts.netloc)
    _check_query(scheme, parts.query)
    if not parts.netloc and scheme != "file" and not parts.path.strip("/"):
        raise SettingsError(f"{scheme}:// names no bucket; expected {scheme}://bucket/path")
    path = unquote(parts.path, errors="surrogateescape").rstrip("/")
    return ObjectStoreUri(scheme, parts.netloc, path, parts.query)


def _refuse_credentials(scheme: str, authority: str) -> None:
    """Raise SettingsError for a user or a password after ://, even if a slash in the password cuts it short."""
    user, at, host = authority.rpartition("@")
    if at and scheme in ACCOUNT_FIRST and ":" not in user:
        user = ""
    if at and scheme in ("gs", "gcs") and user == ANONYMOUS:
        user = ""
    _, colon, port = host.partition(":") if not host.startswith("[") else ("", "", "")
    if user or (at and not authority.partition("@")[0]) or (colon and not port.isdecimal()):
        raise SettingsError(f"the recordings' address contains a user name or a password; remove it, and {HINT}")


def _check_query(scheme: str, query: str) -> None:
    if query and scheme not in ARROW:
        raise SettingsError(f"{scheme}:// takes no options after a ?; write a ? in a name as %3F")
    for name, value in parse_qsl(query, keep_blank_values=True):
        if ("@" in value or SECRET.search(name)) and name not in PLAIN:
            option = f"the option {name!r}" if re.fullmatch(r"\w{1,40}", name) else "an option"
            raise SettingsError(f"{option} in the recordings' address looks like a secret; remove it, and {HINT}")
