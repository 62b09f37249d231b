"""Fetch from a folder, an archive, or a URL of either, and make the archive."""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import block.model_store.web
from block.model.checkpoint import CONFIG, FILES, MAX_BYTES, PREPROCESSOR, WEIGHTS, CheckpointError, find_checkpoint
from block.model_store.catalog import ExpectedFile, KnownCheckpoint
from block.model_store.fetch import FetchTarget, fetch
from block.model_store.pack import pack, record
from block.model_store.records import SUMS, format_sums, parse_sums
from block.model_store.store import ModelStore
from block.model_store.web import download
from tests.conftest import NAMES
from tests.model_store.standin import StandIn, served


@pytest.fixture
def web() -> Iterator[StandIn]:
    with served(StandIn()) as standin:
        yield standin


@pytest.fixture
def folder(contents: dict[str, bytes], tmp_path: Path) -> Path:
    return put(tmp_path / "stick", contents)


@pytest.fixture
def packed(store: ModelStore, folder: Path, tmp_path: Path) -> Path:
    """An archive made from another store than `store`."""
    other = ModelStore(tmp_path / "elsewhere", ())
    shutil.copytree(folder, other.path("mine"))
    return pack(other, "mine", tmp_path / "mine.tar")


def put(folder: Path, contents: dict[str, bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


def fetch_into(store: ModelStore, place: Path | str, name: str = "mine", force: bool = False) -> list[str]:
    lines: list[str] = []
    fetch(store, FetchTarget(name), str(place), force, lines.append)
    return lines


def files_of(store: ModelStore, name: str = "mine") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.path(name).iterdir()}


def archive(path: Path, *members: tuple[tarfile.TarInfo | str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for member, content in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            if info.isreg():
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def test_a_checkpoint_is_fetched_from_a_folder_without_a_network(
    store: ModelStore, folder: Path, contents: dict[str, bytes]
) -> None:
    (folder / "README.md").write_text("not needed")
    fetch_into(store, folder)
    assert files_of(store) == contents
    assert find_checkpoint("mine", store.folder).class_names == NAMES
    found = store.read_record("mine")
    assert found is not None
    assert (found.origin, found.repository) == (str(folder), None)


def test_files_of_a_folder_are_checked_against_its_own_sums(store: ModelStore, folder: Path) -> None:
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES}
    (folder / SUMS).write_text(format_sums({**digests, WEIGHTS: "0" * 64, "README.md": "1" * 64}))
    with pytest.raises(
        CheckpointError, match=r"is wrong and was deleted: model\.safetensors has SHA-256 .*expected 000"
    ):
        fetch_into(store, folder)
    assert not store.path("mine").exists()


def test_a_folder_with_missing_files_or_only_pickles_is_refused(store: ModelStore, folder: Path) -> None:
    (folder / PREPROCESSOR).unlink()
    with pytest.raises(CheckpointError, match=r"stick does not contain preprocessor_config\.json"):
        fetch_into(store, folder)
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"has only pickled weights \(pytorch_model\.bin\)"):
        fetch_into(store, folder)
    with pytest.raises(CheckpointError, match="expected a folder, an archive, or a URL"):
        fetch_into(store, folder / "nowhere")


def test_built_in_digests_are_checked_for_every_source(
    store: ModelStore, folder: Path, contents: dict[str, bytes]
) -> None:
    wrong = ExpectedFile(WEIGHTS, "0" * 64, len(contents[WEIGHTS]))
    strict = ModelStore(store.folder, (KnownCheckpoint("mine", "a/b", "0" * 40, (wrong,)),))
    with pytest.raises(CheckpointError, match="expected 0000"):
        fetch_into(strict, folder)
    wrong_size = ModelStore(
        store.folder, (KnownCheckpoint("mine", "a/b", "0" * 40, (ExpectedFile(WEIGHTS, "0" * 64, 5),)),)
    )
    with pytest.raises(CheckpointError, match=r"model\.safetensors has \d+ bytes; expected 5"):
        fetch_into(wrong_size, folder)


def test_a_fetched_archive_packs_to_the_same_archive(
    store: ModelStore, packed: Path, contents: dict[str, bytes]
) -> None:
    fetch_into(store, packed)
    assert files_of(store) == contents
    out = pack(store, "mine", packed.with_name("again.tar"))
    assert out.read_bytes() == packed.read_bytes()


def test_the_bytes_of_an_archive_do_not_depend_on_who_packs_it_and_when(
    store: ModelStore, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, store.path("mine"))
    first = pack(store, "mine", tmp_path / "first.tar").read_bytes()
    for path in store.path("mine").iterdir():
        path.touch()
        path.chmod(0o600)
    assert pack(store, "mine", tmp_path / "second.tar").read_bytes() == first
    with tarfile.open(tmp_path / "first.tar") as tar:
        assert tar.getnames() == [SUMS, *FILES]
        assert {(one.uid, one.gid, one.mtime, one.uname, one.mode) for one in tar} == {(0, 0, 0, "", 0o644)}
        sums = tar.extractfile(SUMS)
        assert sums is not None
        assert set(parse_sums(sums.read().decode(), "it")) == set(FILES)


def test_pack_refuses_an_invalid_checkpoint_and_an_existing_archive(
    store: ModelStore, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, store.path("mine"))
    out = pack(store, "mine", tmp_path)
    assert out == tmp_path / "mine.tar"
    with pytest.raises(CheckpointError, match=r"mine\.tar already exists; use --force to overwrite it"):
        pack(store, "mine", out)
    pack(store, "mine", out, force=True)
    record(store, "mine")
    path = store.path("mine") / CONFIG
    path.write_text(path.read_text() + " ")
    with pytest.raises(CheckpointError, match=r"is invalid, so it was not packed: config\.json has"):
        pack(store, "mine", out, force=True)
    with pytest.raises(CheckpointError, match="no checkpoint 'yours'"):
        pack(store, "yours")
    path.write_text(path.read_text()[:-1])
    with pytest.raises(CheckpointError, match=r"nowhere/x\.tar can't be written: No such file"):
        pack(store, "mine", tmp_path / "nowhere" / "x.tar")
    assert not list(tmp_path.glob(".*.part"))


def test_an_archive_that_does_not_match_its_sums_is_refused(store: ModelStore, packed: Path) -> None:
    content = bytearray(packed.read_bytes())
    content[-12000] ^= 1  # in the weights, before the padding at the end
    packed.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"is wrong and was deleted: model\.safetensors has SHA-256"):
        fetch_into(store, packed)
    assert not store.path("mine").exists()


def link(name: str, kind: bytes, to: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info


STRANGE: dict[str, tuple[Callable[[dict[str, bytes]], list[tuple[tarfile.TarInfo | str, bytes]]], str]] = {
    "a parent path": (lambda c: [(f"../{name}", c[name]) for name in FILES], "does not contain config.json, prepro"),
    "an absolute path": (lambda c: [(f"/tmp/{name}", c[name]) for name in FILES], "does not contain config.json, pre"),
    "a folder": (lambda c: [(f"mine/{name}", c[name]) for name in FILES], "does not contain config.json, prepro"),
    "a symbolic link": (
        lambda c: [(link(CONFIG, tarfile.SYMTYPE, "/etc/passwd"), b"")], "config.json is a link or another special"
    ),
    "a hard link": (lambda c: [(link(WEIGHTS, tarfile.LNKTYPE, CONFIG), b"")], "model.safetensors is a link or"),
    "a device": (lambda c: [(link(WEIGHTS, tarfile.CHRTYPE, ""), b"")], "model.safetensors is a link or"),
    "a pipe": (lambda c: [(link(CONFIG, tarfile.FIFOTYPE, ""), b"")], "config.json is a link or another"),
    "a file twice": (lambda c: [(CONFIG, c[CONFIG]), (f"./{CONFIG}", b"{}")], "contains config.json twice"),
    "a pickle": (
        lambda c: [(CONFIG, c[CONFIG]), (PREPROCESSOR, c[PREPROCESSOR]), ("pytorch_model.bin", b"x")],
        r"has only pickled weights \(pytorch_model.bin\), which are never loaded",
    ),
    "no weights": (lambda c: [(CONFIG, c[CONFIG]), (PREPROCESSOR, c[PREPROCESSOR])], "does not contain model.safet"),
    "a huge config": (lambda c: [(CONFIG, b" " * (5 << 20))], "5242880 bytes; expected at most 4194304"),
    "malformed sums": (lambda c: [(SUMS, b"what?\n"), *c.items()], "line 1 isn't a SHA-256, two spaces"),
    "too many members": (lambda c: [(f"x{i}", b"") for i in range(1100)], "has over 1000 members"),
    "nothing": (lambda c: [], "does not contain config.json"),
}  # fmt: skip


@pytest.mark.parametrize("what", STRANGE)
def test_an_unexpected_archive_is_refused_and_writes_nothing(
    store: ModelStore, contents: dict[str, bytes], tmp_path: Path, what: str
) -> None:
    members, message = STRANGE[what]
    path = archive(tmp_path / "strange.tar", *members(contents))
    before = sorted(tmp_path.iterdir())
    with pytest.raises(CheckpointError, match=message):
        fetch_into(store, path)
    assert sorted(tmp_path.iterdir()) == before
    assert not store.path("mine").exists()


def test_other_members_of_an_archive_are_ignored(store: ModelStore, contents: dict[str, bytes], tmp_path: Path) -> None:
    members: list[tuple[tarfile.TarInfo | str, bytes]] = [(f"./{name}", content) for name, content in contents.items()]
    path = archive(tmp_path / "by-hand.tar", ("./", b""), ("./README.md", b"hello"), *members)
    fetch_into(store, path)
    assert files_of(store) == contents


def test_compressed_archives_and_other_files_have_their_own_errors(store: ModelStore, packed: Path) -> None:
    squeezed = packed.with_name("mine.tar.gz")
    squeezed.write_bytes(gzip.compress(packed.read_bytes()))
    with pytest.raises(CheckpointError, match=r"mine\.tar\.gz is compressed; expected an uncompressed tar"):
        fetch_into(store, squeezed)
    squeezed.write_bytes(b"hello" * 1000)
    with pytest.raises(CheckpointError, match="is not a tar archive; expected an uncompressed tar"):
        fetch_into(store, squeezed)


def test_a_truncated_archive_is_refused(store: ModelStore, packed: Path) -> None:
    packed.write_bytes(packed.read_bytes()[:100_000])
    with pytest.raises(CheckpointError, match=r"is truncated|is damaged"):
        fetch_into(store, packed)
    assert not store.path("mine").exists()


def test_a_checkpoint_is_fetched_from_the_url_of_an_archive_after_an_interruption(
    store: ModelStore, web: StandIn, packed: Path, contents: dict[str, bytes]
) -> None:
    web.files["/models/mine.tar"] = packed.read_bytes()
    web.break_after, web.breaks = 150_000, 1
    fetch_into(store, f"{web.url}/models/mine.tar?token=secret")
    assert files_of(store) == contents
    assert [one.status for one in web.got("secret")] == [200, 200]
    found = store.read_record("mine")
    assert found is not None
    assert found.origin == f"{web.url}/models/mine.tar"


def test_a_damaged_archive_at_a_url_is_downloaded_only_once(store: ModelStore, web: StandIn, packed: Path) -> None:
    web.files["/mine.tar"] = b"hello" * 1000
    with pytest.raises(CheckpointError, match=f"^{web.url}/mine.tar is not a tar archive"):
        fetch_into(store, f"{web.url}/mine.tar")
    assert len(web.asked) == 1
    assert not store.hidden_path("mine", "partial").exists()
    web.files["/mine.tar"] = packed.read_bytes()
    fetch_into(store, f"{web.url}/mine.tar")
    assert find_checkpoint("mine", store.folder).class_names == NAMES


def test_a_checkpoint_is_fetched_from_the_url_of_a_folder_even_in_offline_mode(
    store: ModelStore, web: StandIn, large: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    web.add(large, "/models/mine")
    web.break_after, web.breaks = 400_000, 1
    fetch_into(store, f"{web.url}/models/mine/")
    assert files_of(store) == large
    assert [one.status for one in web.got(WEIGHTS)] == [200, 200]


def test_a_url_whose_download_is_always_interrupted_leaves_nothing(
    store: ModelStore, web: StandIn, large: dict[str, bytes]
) -> None:
    web.add(large, "/mine")
    web.break_after, web.breaks = 400_000, 1000
    with pytest.raises(
        CheckpointError, match=f"^{web.url}/mine/{WEIGHTS}: the connection was interrupted, 4 times in a row$"
    ):
        fetch_into(store, f"{web.url}/mine")
    assert not store.path("mine").exists()
    assert not store.hidden_path("mine", "partial").exists()
    web.breaks = 0
    fetch_into(store, f"{web.url}/mine")
    assert files_of(store) == large
    assert [one.range for one in web.got(WEIGHTS)] == [None] * 5


def test_a_server_that_stops_sending_or_stays_busy_is_given_up(
    store: ModelStore, web: StandIn, large: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block.model_store.web, "READ_S", 0.2)
    web.add(large, "/mine")
    web.stall = True
    with pytest.raises(CheckpointError, match=r"model\.safetensors: no data for 0\.2 s, 4 times in a row"):
        fetch_into(store, f"{web.url}/mine")
    web.stall, web.busy = False, 1000
    with pytest.raises(CheckpointError, match="the server answered 503 Service Unavailable, 4 times in a row"):
        fetch_into(store, f"{web.url}/mine")
    web.busy = 2
    fetch_into(store, f"{web.url}/mine")
    assert files_of(store) == large


def test_a_server_that_sends_too_much_is_refused(
    store: ModelStore, web: StandIn, contents: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MAX_BYTES, CONFIG, len(contents[CONFIG]) - 1)
    web.add(contents, "/mine")
    with pytest.raises(CheckpointError, match=r"config\.json has \d+ bytes; expected at most \d+"):
        fetch_into(store, f"{web.url}/mine")
    web.lengths = False
    with pytest.raises(CheckpointError, match=r"config\.json has more than \d+ bytes"):
        fetch_into(store, f"{web.url}/mine")
    monkeypatch.undo()
    fetch_into(store, f"{web.url}/mine")
    assert files_of(store) == contents


def test_only_a_terminal_gets_a_progress_bar(web: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    web.files["/model.safetensors"] = bytes(2_000_000)
    for is_terminal in (True, False):
        stream = io.StringIO()
        monkeypatch.setattr(stream, "isatty", lambda is_terminal=is_terminal: is_terminal)
        monkeypatch.setattr(sys, "stderr", stream)
        download(f"{web.url}/model.safetensors?token=secret", tmp_path / WEIGHTS)
        shown = stream.getvalue()
        assert ("model.safetensors:   0%" in shown) == is_terminal
        assert ("/2.00M" in shown) == is_terminal
        assert shown.endswith("\r") == is_terminal  # the bar is erased
    assert (tmp_path / WEIGHTS).stat().st_size == 2_000_000


def test_the_error_for_a_missing_url_names_the_file(
    store: ModelStore, web: StandIn, contents: dict[str, bytes]
) -> None:
    with pytest.raises(CheckpointError, match=f"{web.url}/mine/config.json was not found: the server answered 404"):
        fetch_into(store, f"{web.url}/mine?key=secret")
    web.add({name: contents[name] for name in (CONFIG, PREPROCESSOR)}, "/mine")
    with pytest.raises(CheckpointError, match=r"model\.safetensors was not found"):
        fetch_into(store, f"{web.url}/mine")
    web.files["/mine/pytorch_model.bin"] = b"x"
    with pytest.raises(CheckpointError, match="has only pickled weights"):
        fetch_into(store, f"{web.url}/mine")


@pytest.mark.parametrize("url", ["http://", "http://[x", "https://host:99999999/a", "http://user:secret@host:x/a.tar"])
def test_an_invalid_url_is_refused_without_printing_its_secrets(store: ModelStore, url: str) -> None:
    with pytest.raises(CheckpointError, match="--from is an invalid URL; expected"):
        fetch_into(store, url)


def test_the_digests_of_a_copied_checkpoint_can_be_recorded(store: ModelStore, folder: Path) -> None:
    shutil.copytree(folder, store.path("mine"))
    path = record(store, "mine")
    assert path == store.hidden_path("mine", "json")
    assert set(store.expected_files("mine")) == set(FILES)
    config = store.path("mine") / CONFIG
    config.write_text(config.read_text() + " ")
    with pytest.raises(CheckpointError, match=r"config\.json has SHA-256 .*; expected .* \(--force records it"):
        record(store, "mine")
    record(store, "mine", force=True)
    assert record(store, "mine") == path
    found = store.read_record("mine")
    assert found is not None
    assert found.origin == "put here by hand"


def test_the_digests_of_the_embedded_checkpoint_are_recorded_in_its_folder(store: ModelStore, folder: Path) -> None:
    shutil.copytree(folder, store.path("tiny"))
    path = record(store, "tiny")
    assert path == store.path("tiny") / SUMS
    expected = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES}
    assert parse_sums(path.read_text(), path) == expected
    assert {name: file.sha256 for name, file in store.expected_files("tiny").items()} == expected


def test_built_in_digests_cannot_be_overwritten(store: ModelStore, folder: Path) -> None:
    strict = ModelStore(store.folder, (KnownCheckpoint("mine", "a/b", "0" * 40, (ExpectedFile(WEIGHTS, "0" * 64),)),))
    shutil.copytree(folder, store.path("mine"))
    for force in (False, True):
        with pytest.raises(CheckpointError, match=r"model\.safetensors has SHA-256 .*; expected 0000"):
            record(strict, "mine", force)


def test_a_damaged_record_is_an_error(store: ModelStore, folder: Path) -> None:
    shutil.copytree(folder, store.path("mine"))
    path = record(store, "mine")
    for content in ("{", "[]", '{"origin": "x", "files": {"config.json": {"sha256": "?", "size": 1}}}',
                    '{"origin": "x", "files": {"../x": {"sha256": "' + "0" * 64 + '", "size": 1}}}'):  # fmt: skip
        path.write_text(content)
        with pytest.raises(CheckpointError, match="is damaged .*delete it to record"):
            store.expected_files("mine")
