"""Fetch a checkpoint into the store: find its files, bring each one, hold it to its digest, and only then let the
checkpoint appear under its name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from block.model.checkpoint import FILES, PREPROCESSOR, WEIGHTS, CheckpointError, find_checkpoint, read_checkpoint
from block.model_store import hub
from block.model_store.catalog import ExpectedFile
from block.model_store.records import Record, write_record
from block.model_store.sources import CheckpointSource, HubSource, open_place, origin_of
from block.model_store.staging import Staging, check_replaceable, restore, staging
from block.model_store.store import ModelStore, mismatch, problem_of, within
from block.model_store.transfer import DownloadTimeouts, shown
from block.runtime.hashing import remember, sha256_of

REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class FetchTarget:
    """What to fetch: `name` in the store and, where it has one, its place on the hub."""

    name: str
    repository: str | None = None
    revision: str | None = None


def read_target(store: ModelStore, text: str, name: str | None = None) -> FetchTarget:
    """What `NAME` or `OWNER/REPO[@REVISION]` stands for. Raises CheckpointError if it cannot be fetched.

    A repository that was fetched before is fetched at the commit recorded then, unless a revision is given.
    """
    place, at, revision = text.partition("@")
    if "/" not in place:
        if at or name:
            raise CheckpointError(f"{text!r}: a revision and --name belong to a repository; expected OWNER/REPO")
        known, record = store.find_known(place), store.record(place)
        if known is not None:
            return FetchTarget(place, known.repository, known.revision)
        return FetchTarget(place, record.repository, record.revision) if record is not None else FetchTarget(place)
    if not REPOSITORY.fullmatch(place) or (at and not revision):
        raise CheckpointError(f"{text!r} is no repository; expected OWNER/REPO or OWNER/REPO@REVISION")
    for one in store.known:
        if one.repository == place and revision in ("", one.revision) and name in (None, one.name):
            return FetchTarget(one.name, one.repository, one.revision)
    name = name or place.rpartition("/")[2]
    if store.find_known(name) is not None:
        raise CheckpointError(f"{name} stands for another checkpoint than {text}; give this one a name with --name")
    record = store.record(name)
    if record is not None and record.repository is not None:
        if record.repository != place:
            raise CheckpointError(
                f"{name} is recorded as {record.repository}, not {place}; give this one another name with --name"
            )
        revision = revision or record.revision or ""
    store.path(name)
    return FetchTarget(name, place, revision or "main")


def fetch(
    store: ModelStore,
    target: FetchTarget,
    place: str | None = None,
    force: bool = False,
    patience: DownloadTimeouts = DownloadTimeouts(),  # noqa: B008 (frozen)
    say: Callable[[str], object] = print,
) -> None:
    """Bring `target` into `store`, from the hub or from `place`. Raises CheckpointError.

    A sound checkpoint that is there already is left alone unless `force`.
    """
    folder = store.path(target.name)
    restore(store, target.name)
    known = store.find_known(target.name)
    expected = store.expected(target.name)
    if folder.is_dir():
        problem = problem_of(folder, expected)
        if problem is None and not force:
            before = store.record(target.name)
            if place is None and before is not None and before.revision not in (None, target.revision):
                _locate(store, target, patience)  # which refuses another commit than the one that is there
            say(f"{target.name} is there and sound: left alone (--force fetches it again)")
            return
        if problem is not None:
            say(f"{target.name} is there but not sound: {problem}")
    if known is not None and known.embedded:
        raise CheckpointError(f"{target.name} is kept in git, not fetched: restore it with `git checkout -- {folder}`")
    check_replaceable(folder)
    with _opened(store, target, place, patience) as opening:
        _bring(store, target, opening, expected, say)


@dataclass(frozen=True)
class _OpenSource:
    """A source that is open. `origin` is in words; `record` is what will be recorded, its files still missing."""

    staging: Staging
    source: CheckpointSource
    origin: str
    record: Record


@contextmanager
def _opened(
    store: ModelStore, target: FetchTarget, place: str | None, patience: DownloadTimeouts
) -> Iterator[_OpenSource]:
    if place is not None:
        origin = origin_of(place)
        with staging(store, target.name, origin) as stage, open_place(place, stage, patience) as source:
            # A record of the hub stays one: the files are held to it, wherever they come from this time.
            before = store.record(target.name)
            yield _OpenSource(stage, source, origin, before or Record(origin, ()))
        return
    located = _locate(store, target, patience)
    origin = f"{shown(hub.endpoint())}/{target.repository}@{located.commit}"
    with staging(store, target.name, origin) as stage:
        yield _OpenSource(
            stage, HubSource(located, patience), origin, Record(origin, (), target.repository, located.commit)
        )


def _locate(store: ModelStore, target: FetchTarget, patience: DownloadTimeouts) -> hub.HubFiles:
    if target.repository is None or target.revision is None:
        names = ", ".join(one.name for one in store.known if not one.embedded)
        raise CheckpointError(
            f"where {target.name} comes from is not known; name it as OWNER/REPO, or say --from DIR|ARCHIVE|URL "
            f"(known: {names})"
        )
    located = hub.locate(target.repository, target.revision, patience)
    record = store.record(target.name)
    if record is not None and record.repository is not None and record.revision != located.commit:
        raise CheckpointError(
            f"{target.name} is recorded at commit {record.revision} of {record.repository}; {target.revision} is "
            f"{located.commit}: fetch it under another name with --name"
        )
    return located


def _bring(
    store: ModelStore,
    target: FetchTarget,
    opening: _OpenSource,
    expected: Mapping[str, ExpectedFile],
    say: Callable[[str], object],
) -> None:
    stage, source, record = opening.staging, opening.source, opening.record
    wanted = _agreed(expected, source.stated(), opening.origin)
    files: list[ExpectedFile] = []
    for name in FILES:
        digest = _whole_already(name, wanted.get(name), stage, source)
        if digest is None:
            file = wanted.get(name)
            source.bring(name, file.size if file is not None else None, stage)
            digest = stage.accept(name, file)
        files.append(ExpectedFile(name, digest, (stage.whole / name).stat().st_size))
        if name == PREPROCESSOR:
            # Before the large file is waited for: is this an AST at all, and one that can be used?
            _usable(stage, lambda: read_checkpoint(stage.whole))
    _usable(stage, lambda: find_checkpoint(str(stage.whole)))
    folder = store.path(target.name)
    seen = [file.name for file in files if file.name not in expected]
    write_record(store.hidden(target.name, "json"), Record(record.origin, tuple(files), record.repository,
                                                           record.revision))  # fmt: skip
    stage.install(folder)
    weights = folder / WEIGHTS
    remember(weights, files[-1].sha256, weights.stat())
    for file in files:
        say(f"{file.name}: {file.size} bytes, sha256 {file.sha256}" + (" (recorded)" if file.name in seen else ""))
    say(f"{target.name} is in {folder}")


def _agreed(
    expected: Mapping[str, ExpectedFile], stated: Mapping[str, ExpectedFile], origin: str
) -> dict[str, ExpectedFile]:
    """What is known and what the source says, which must not differ."""
    for name, file in expected.items():
        other = stated.get(name)
        if other is not None and other.sha256 != file.sha256:
            raise CheckpointError(f"{name} in {origin} has SHA-256 {other.sha256}; expected {file.sha256}")
    return {**stated, **expected}


def _whole_already(name: str, expected: ExpectedFile | None, stage: Staging, source: CheckpointSource) -> str | None:
    """The digest of a file that an earlier fetch, cut short later on, made whole; None if it has to be brought."""
    path = stage.whole / name
    if not path.is_file():
        return None
    if expected is not None:
        return expected.sha256 if mismatch(path, expected) is None else None
    return sha256_of(path) if source.is_current(name, stage) else None


def _usable(stage: Staging, check: Callable[[], object]) -> None:
    try:
        check()
    except CheckpointError as error:
        for name in FILES:
            stage.discard(name)
        raise CheckpointError(
            f"what was received cannot be used and was deleted: {within(stage.whole, error)}"
        ) from None
