"""Find and download the files of a repository on a Hugging Face hub. Only this module uses `huggingface_hub`.

It is imported inside the functions because it reads HF_HUB_OFFLINE on import. HF_ENDPOINT names a mirror, and HF_TOKEN
gives access to private repositories; the token is sent only to that endpoint and never printed.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from block import __version__
from block.model.checkpoint import CONFIG, FILES, WEIGHTS, CheckpointError
from block.model_store.catalog import ExpectedFile
from block.model_store.staging import check_size, size_limit
from block.model_store.web import BUSY, PICKLE, FileNotFound, PickledWeights, hide_secrets
from block.runtime.deadline import DeadlinePassed
from block.runtime.hashing import SHA256

if TYPE_CHECKING:
    from huggingface_hub import HfFileMetadata

ENDPOINT = "https://huggingface.co"
COMMIT = re.compile(r"[0-9a-f]{40}")
TRUE = ("1", "ON", "YES", "TRUE")  # as huggingface_hub reads it


def endpoint() -> str:
    """Return the hub's URL: HF_ENDPOINT, or huggingface.co. Raise CheckpointError if it isn't a URL."""
    given = os.environ.get("HF_ENDPOINT") or ENDPOINT
    if not re.match(r"https?://[^/]", given):
        raise CheckpointError(f"HF_ENDPOINT is {given!r}; expected http:// or https:// and a host")
    return given.rstrip("/")


@dataclass(frozen=True)
class HubSource:
    """The files of a repository at one commit."""

    repository: str
    commit: str
    files: Mapping[str, HfFileMetadata]

    def read_sums(self) -> Mapping[str, ExpectedFile]:
        """Return the SHA-256s that the hub states as entity tags. Those of small files are Git hashes, not SHA-256s."""
        return {
            name: ExpectedFile(name, file.etag, file.size)
            for name, file in self.files.items()
            if file.etag is not None and SHA256.fullmatch(file.etag)
        }

    def copy(self, name: str, folder: Path, size: int | None) -> None:
        """Download the file; see `CheckpointSource`."""
        from huggingface_hub import hf_hub_download, hf_hub_url

        from block.model_store.hub_client import HubClient

        there = self.files[name].size
        if there is not None:
            url = hf_hub_url(self.repository, name, revision=self.commit, endpoint=endpoint())
            check_size(hide_secrets(url), name, there, size, folder)
        HubClient.start_download(size_limit(name) if there is None else there)
        with _translate_errors(self.repository, self.commit, name, f"the download of {name} was interrupted"):
            hf_hub_download(
                self.repository, name, revision=self.commit, endpoint=endpoint(), local_dir=folder,
                cache_dir=folder / "no-cache",  # otherwise a file in the user's cache would be copied
                library_name="ast-ai-action", library_version=__version__,
            )  # fmt: skip


def find_on_hub(repository: str, revision: str) -> HubSource:
    """Ask the hub for the files of `repository` at `revision`, which is a branch, a tag or a commit.

    Raise CheckpointError that names the repository, revision or file that doesn't exist.
    """
    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if os.environ.get(variable, "").upper() in TRUE:
            raise CheckpointError(
                f"{variable} is set, so the hub can't be used; unset it, or use --from with a folder or archive"
            )
    _configure_client()
    config = _ask(repository, revision, CONFIG)
    commit = str(config.commit_hash)
    if COMMIT.fullmatch(revision) and commit != revision:
        raise CheckpointError(f"{repository}: the hub answered with commit {commit}; expected {revision}")
    files = {CONFIG: config}
    for name in FILES[1:]:
        try:
            files[name] = _ask(repository, commit, name)
        except FileNotFound:
            if name == WEIGHTS:
                with suppress(FileNotFound):
                    _ask(repository, commit, PICKLE)
                    raise PickledWeights(repository) from None
            raise
    return HubSource(repository, commit, files)


def _ask(repository: str, revision: str, name: str) -> HfFileMetadata:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    with _translate_errors(repository, revision, name, "the hub can't be reached"):
        url = hf_hub_url(repository, name, revision=revision, endpoint=endpoint())
        file = get_hf_file_metadata(
            url, library_name="ast-ai-action", library_version=__version__, retry_on_errors=True
        )
    if file.commit_hash is None or file.etag is None:
        raise CheckpointError(
            f"{repository}: {hide_secrets(endpoint())} sent no X-Repo-Commit or no ETag header for {name} at "
            f"{revision!r}; expected a Hugging Face hub: check HF_ENDPOINT, or use --from"
        )
    return file


def _configure_client() -> None:
    """Make huggingface_hub send the token only to the endpoint, contact no other hosts, log no secrets, and give up."""
    import httpx2
    from huggingface_hub import constants, set_client_factory

    if constants.is_offline_mode():
        raise CheckpointError("huggingface_hub is in offline mode, so the hub can't be used")
    constants.HF_HUB_DISABLE_TELEMETRY = constants.HF_HUB_DISABLE_XET = True
    for handler in logging.getLogger("huggingface_hub").handlers:
        handler.addFilter(_hide_secrets_of_urls)
    try:
        home = httpx2.URL(endpoint())
    except httpx2.InvalidURL:
        raise CheckpointError(f"HF_ENDPOINT is {hide_secrets(endpoint())!r}; expected a valid URL") from None

    from block.model_store.hub_client import HubClient

    set_client_factory(lambda: HubClient(home, constants.HF_HUB_DOWNLOAD_TIMEOUT))


def _hide_secrets_of_urls(record: logging.LogRecord) -> bool:
    record.msg, record.args = re.sub(r"https?://\S+", lambda url: hide_secrets(url[0]), record.getMessage()), ()
    return True


@contextmanager
def _translate_errors(repository: str, revision: str, name: str, failure: str) -> Iterator[None]:
    """Turn huggingface_hub's errors into CheckpointError; `failure` is the message for network errors."""
    import httpx2
    from huggingface_hub import errors

    where = f"at {hide_secrets(endpoint())}"
    messages: dict[type[Exception], str] = {
        errors.HFValidationError: f"{repository!r} is not a valid repository name; expected OWNER/REPO",
        errors.GatedRepoError: f"{repository} {where} is gated: accept its terms there, and set HF_TOKEN",
        errors.RepositoryNotFoundError: f"no repository {repository} {where}; if it is private, set HF_TOKEN",
        errors.RevisionNotFoundError: f"{repository} {where} has no revision {revision!r}",
    }
    try:
        try:
            yield
        except errors.LocalEntryNotFoundError as error:
            raise error.__cause__ or error from None  # the error of the request
    except (errors.HFValidationError, errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise CheckpointError(next(text for kind, text in messages.items() if isinstance(error, kind))) from None
    except errors.RemoteEntryNotFoundError:
        raise FileNotFound(f"{repository} {where} has no file {name} at revision {revision}") from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status == 404:
            raise FileNotFound(f"{repository}, revision {revision}, {name}: not found {where} (404)") from None
        if status in BUSY:
            text = f"{repository} {where}: the hub answered {status}; run the same command again later"
        else:
            hint = "; set HF_TOKEN, or check it" if status in (401, 403) else ""
            text = f"{repository}, {name}: the hub {where} answered {status}{hint}"
        raise CheckpointError(text) from None
    except CheckpointError as error:
        raise CheckpointError(f"{repository} {where}, {name}: {error}") from None
    except DeadlinePassed as error:
        raise CheckpointError(f"{repository} {where}: {failure}: {name} was {error}") from None
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # an error of the disk
        # ValueError: redirected to an invalid address. OSError: the file is shorter than stated.
        raise CheckpointError(f"{repository} {where}: {failure} ({type(error).__name__})") from None
