"""Where the files of a repository on a Hugging Face hub are: the only place that uses `huggingface_hub`.

It is imported inside the functions, after the environment has been looked at: it reads HF_HUB_OFFLINE when it is
imported. HF_ENDPOINT names a mirror, HF_TOKEN opens repositories that are not public; the token goes to that endpoint
alone and into no message.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from block import __version__
from block.model.checkpoint import CONFIG, FILES, WEIGHTS, CheckpointError
from block.model_store.transfer import BUSY, DownloadTimeouts, FileNotFound, Interrupted, Remote, patiently, shown

ENDPOINT = "https://huggingface.co"
ATTEMPTS = 3
PICKLE = "pytorch_model.bin"
COMMIT = re.compile(r"[0-9a-f]{40}")
TRUE = ("1", "ON", "YES", "TRUE")  # as huggingface_hub reads it


@dataclass(frozen=True)
class HubFiles:
    """The files of a repository at one commit. `commit` is as the hub names it, or as it was asked for."""

    commit: str
    files: Mapping[str, Remote]


def endpoint() -> str:
    """The hub to ask: HF_ENDPOINT, or huggingface.co. Raises CheckpointError if it is no URL."""
    given = os.environ.get("HF_ENDPOINT") or ENDPOINT
    if not re.match(r"https?://[^/]", given):
        raise CheckpointError(f"HF_ENDPOINT is {given!r}; expected http:// or https:// and a host")
    return given.rstrip("/")


def locate(repository: str, revision: str, patience: DownloadTimeouts) -> HubFiles:
    """Ask the hub for the files of `repository` at `revision`, which is a branch, a tag or a commit.

    Raises CheckpointError, saying which of repository, revision or file is not there.
    """
    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if os.environ.get(variable, "").upper() in TRUE:
            raise CheckpointError(
                f"{variable} is set, which forbids the hub; unset it to fetch, or use --from with a folder or archive"
            )
    first = _ask(repository, revision, CONFIG, patience)
    commit = first.commit or revision
    if COMMIT.fullmatch(revision) and commit != revision:
        raise CheckpointError(f"{repository}: the hub answered with commit {commit}; asked for {revision}")
    if not COMMIT.fullmatch(commit):
        raise CheckpointError(
            f"{repository}: {shown(endpoint())} does not say which commit {revision!r} is; give one: OWNER/REPO@COMMIT"
        )
    files = {CONFIG: first.remote}
    for name in FILES:
        if name not in files:
            try:
                files[name] = _ask(repository, commit, name, patience).remote
            except FileNotFound:
                if name == WEIGHTS and _has(repository, commit, PICKLE, patience):
                    raise CheckpointError(
                        f"{repository} holds pickled weights only ({PICKLE}), which are never loaded; {WEIGHTS} is "
                        "needed"
                    ) from None
                raise
    return HubFiles(commit, files)


@dataclass(frozen=True)
class _Answer:
    remote: Remote
    commit: str | None


def _has(repository: str, commit: str, name: str, patience: DownloadTimeouts) -> bool:
    try:
        _ask(repository, commit, name, patience)
    except FileNotFound:
        return False
    return True


def _ask(repository: str, revision: str, name: str, patience: DownloadTimeouts) -> _Answer:
    answers: list[_Answer] = []
    what = f"{repository} at {shown(endpoint())}"
    # Nothing is lost by asking again later: who has no network should hear so soon.
    soon = replace(patience, attempts=min(patience.attempts, ATTEMPTS))
    patiently(lambda: answers.append(_ask_once(repository, revision, name, patience)), lambda: 0, soon, what)
    return answers[0]


def _ask_once(repository: str, revision: str, name: str, patience: DownloadTimeouts) -> _Answer:
    # No statistics on whoever fetches, and no request for what would go into them.
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    import httpx2
    from huggingface_hub import constants, get_hf_file_metadata, get_token, hf_hub_url
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        OfflineModeIsEnabled,
        RemoteEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    constants.HF_HUB_DISABLE_TELEMETRY = True
    where = f"at {shown(endpoint())}"
    try:
        url = hf_hub_url(repository, name, revision=revision, endpoint=endpoint())
        metadata = get_hf_file_metadata(
            url, timeout=patience.read_s, library_name="ast-ai-action", library_version=__version__
        )
    except HFValidationError:
        raise CheckpointError(f"{repository!r} cannot be a repository's name; expected OWNER/REPO") from None
    except GatedRepoError:
        raise CheckpointError(f"{repository} {where} is gated: accept its terms there, and set HF_TOKEN") from None
    except RepositoryNotFoundError:
        raise CheckpointError(f"no repository {repository} {where}; if it is private, set HF_TOKEN") from None
    except RevisionNotFoundError:
        raise CheckpointError(f"{repository} {where} has no revision {revision!r}") from None
    except RemoteEntryNotFoundError:
        raise FileNotFound(f"{repository} {where} has no file {name} at revision {revision}") from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in BUSY:
            raise Interrupted(f"the hub answered {status}") from None
        if status == 404:
            raise FileNotFound(f"{repository}, revision {revision}, {name}: not found {where} (404)") from None
        hint = "; set HF_TOKEN, or check it" if status in (401, 403) else ""
        raise CheckpointError(f"{repository}, {name}: the hub {where} answered {status}{hint}") from None
    except OfflineModeIsEnabled:
        raise CheckpointError("the hub's client is in offline mode, which forbids the hub") from None
    except httpx2.InvalidURL:
        raise CheckpointError(f"HF_ENDPOINT, {shown(endpoint())}, is no URL that can be asked") from None
    except httpx2.HTTPError as error:
        raise Interrupted(f"the hub cannot be reached ({type(error).__name__})") from None
    token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
    return _Answer(Remote(url, metadata.size, metadata.etag, token), metadata.commit_hash)
