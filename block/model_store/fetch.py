"""Fetch a checkpoint into the store: copy its files, check their digests, and only then move it to its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from block.model.checkpoint import FILES, PREPROCESSOR, WEIGHTS, CheckpointError, find_checkpoint, read_checkpoint
from block.model_store.catalog import ExpectedFile
from block.model_store.hub import HubSource, endpoint, find_on_hub
from block.model_store.records import Record, write_record
from block.model_store.sources import CheckpointSource, describe_place, open_place
from block.model_store.staging import Staging, check_replaceable, open_staging, restore
from block.model_store.store import ModelStore, drop_folder, find_problem
from block.model_store.web import hide_secrets
from block.runtime.hashing import remember
from block.runtime.places import is_wheel

REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class FetchTarget:
    """What to fetch: the name in the store and, if known, the place on the hub."""

    name: str
    repository: str | None = None
    revision: str | None = None


def read_target(store: ModelStore, text: str, name: str | None = None) -> FetchTarget:
    """Return the target that `NAME` or `OWNER/REPO[@REVISION]` stands for. Raise CheckpointError if there is none.

    Without a revision, a repository that was fetched before has the commit recorded then.
    """
    place, at, revision = text.partition("@")
    if "/" not in place:
        if at or name:
            raise CheckpointError(f"{text!r}: a revision and --name only work with a repository; expected OWNER/REPO")
        origin = store.find_known(place) or store.read_record(place)
        return FetchTarget(place, origin.repository, origin.revision) if origin else FetchTarget(place)
    if not REPOSITORY.fullmatch(place) or (at and not revision):
        raise CheckpointError(f"{text!r} is not a repository; expected OWNER/REPO or OWNER/REPO@REVISION")
    for known in store.catalog:
        if known.repository == place and revision in ("", known.revision) and name in (None, known.name):
            return FetchTarget(known.name, place, known.revision)
    name = name or place.rpartition("/")[2]
    if store.find_known(name) is not None:
        raise CheckpointError(f"{name} is the name of another checkpoint, not of {text}; choose a name with --name")
    record = store.read_record(name)
    if record is not None and record.repository is not None:
        if record.repository != place:
            raise CheckpointError(
                f"{name} was fetched from {record.repository}, not {place}; choose a name with --name"
            )
        revision = revision or record.revision or ""
    return FetchTarget(name, place, revision or "main")


def fetch(
    store: ModelStore,
    target: FetchTarget,
    place: str | None = None,
    force: bool = False,
    say: Callable[[str], object] = print,
) -> None:
    """Fetch `target` into `store`, from the hub or from `place`. Raise CheckpointError if that fails.

    Unless `force`, do nothing if a valid checkpoint is already there. `say` gets each line of the output.
    """
    folder = store.path(target.name)
    restore(store, target.name)
    known = store.find_known(target.name)
    before = store.read_record(target.name)
    expected = store.expected_files(target.name)
    if folder.is_dir():
        problem = find_problem(folder, expected)
        if problem is None and not force:
            if place is None and before is not None and before.revision not in (None, target.revision):
                _find_on_hub(store, target)  # raises if the hub has a different commit
            say(f"{target.name} is already there and valid; nothing to do (--force fetches it again)")
            return
        if problem is not None:
            say(f"{target.name} is already there but invalid: {problem}")
    if known is not None and known.is_embedded:
        advice = "install this package again" if is_wheel() else f"restore it with `git checkout -- {folder}`"
        where = "part of this package" if is_wheel() else "kept in git"
        raise CheckpointError(f"{target.name} is {where}, not fetched; {advice}")
    check_replaceable(folder)
    opening: AbstractContextManager[CheckpointSource]
    if place is None:
        source = _find_on_hub(store, target)
        origin = f"{hide_secrets(endpoint())}/{source.repository}@{source.commit}"
        record = Record(origin, (), source.repository, source.commit)
        opening = nullcontext(source)
    else:
        origin = describe_place(place)
        # If the checkpoint once came from the hub, keep that record: files from any source must match it.
        record = before or Record(origin, ())
        opening = open_place(place, store.hidden_path(target.name, "partial"))
    say(f"fetching {target.name} from {origin}")
    with open_staging(store, target.name) as staging:
        with opening as opened_source:
            files = _copy_files(opened_source, origin, expected, staging)
        write_record(store.hidden_path(target.name, "json"), replace(record, files=files))
        staging.install()
    remember(folder / WEIGHTS, files[-1].sha256, (folder / WEIGHTS).stat())
    for file in files:
        note = "" if file.name in expected else " (recorded)"
        say(f"{file.name}: {file.size} bytes, sha256 {file.sha256}{note}")
    say(f"{target.name} is in {folder}")


def _find_on_hub(store: ModelStore, target: FetchTarget) -> HubSource:
    if target.repository is None or target.revision is None:
        names = ", ".join(known.name for known in store.catalog if not known.is_embedded)
        raise CheckpointError(
            f"the source of {target.name} is unknown; use OWNER/REPO or --from DIR|ARCHIVE|URL (known names: {names})"
        )
    source = find_on_hub(target.repository, target.revision)
    record = store.read_record(target.name)
    if record is not None and record.repository is not None and record.revision != source.commit:
        raise CheckpointError(
            f"{target.name} is recorded at commit {record.revision} of {record.repository}, but {target.revision} is "
            f"{source.commit}; fetch it under another name with --name"
        )
    return source


def _copy_files(
    source: CheckpointSource, origin: str, expected: Mapping[str, ExpectedFile], staging: Staging
) -> tuple[ExpectedFile, ...]:
    """Copy and check every file; return the files with their digests and sizes."""
    stated = source.read_sums()
    for name in stated.keys() & expected.keys():
        if stated[name].sha256 != expected[name].sha256:
            raise CheckpointError(
                f"{name} in {origin} has SHA-256 {stated[name].sha256}; expected {expected[name].sha256}"
            )
    wanted = {**stated, **expected}
    files: list[ExpectedFile] = []
    for name in FILES:
        file = wanted.get(name)
        source.copy(name, staging.folder, file.size if file else None)
        files.append(staging.accept(name, file))
        if name == PREPROCESSOR:
            # Check that this is a usable AST before the large file is transferred.
            _check_usable(staging.whole, read_checkpoint)
    _check_usable(staging.whole, lambda folder: find_checkpoint(str(folder)))
    return tuple(files)


def _check_usable(folder: Path, read: Callable[[Path], object]) -> None:
    try:
        read(folder)
    except CheckpointError as error:
        raise CheckpointError(
            f"the fetched files are unusable and were deleted: {drop_folder(folder, error)}"
        ) from None
