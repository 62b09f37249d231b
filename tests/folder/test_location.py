"""Locations: folders on this machine, and object stores through Arrow's and fsspec's file systems."""

from __future__ import annotations

import io
import json
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest
import soundfile

from block.folder import object_store
from block.folder import object_store_filesystems as filesystems
from block.folder.label_studio import format_task
from block.folder.labeled_file import LabeledFile, OutputContext
from block.folder.listing import UNKNOWN, FileStamp, FolderListing
from block.folder.location import LocalFolder
from block.folder.manifest import FileEntry, Manifest
from block.folder.object_store import Bucket, parse_location
from block.folder.object_store_filesystems import describe_error, translate_errors
from block.folder.object_store_uri import object_uri, parse_uri
from block.folder.output_folder import parse_out
from block.folder.source import Folder, is_unchanged
from block.recording import RecordingError, RecordingLost, Segment
from block.settings import SettingsError
from tests.folder import readers
from tests.folder.conftest import rows, tones
from tests.folder.test_label import FILES, read_outputs

Command = Callable[..., int]
NOWHERE = Path("/nowhere")


def wav(seconds: float = 1, seed: int = 0) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, tones(seconds, 16000, seed), 16000, format="WAV")
    return file.getvalue()


class FakeStore:
    """A store whose objects, error and times a test sets; `asked` are the requests."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects
        self.times = dict.fromkeys(objects, 10**18)
        self.trouble: Exception | None = None
        self.asked: list[str] = []
        self.after_a_part = lambda: None

    def list_files(self, unreadable: dict[str, str]) -> Iterator[tuple[str, FileStamp]]:
        self._ask("list")
        for path in self.objects:
            yield path, FileStamp(len(self.objects[path]), self.times[path])

    def check(self) -> None:
        self._ask("check")

    def read_stamp(self, path: str) -> FileStamp:
        self._ask(f"stamp {path}")
        if path not in self.objects:
            raise FileNotFoundError
        return FileStamp(len(self.objects[path]), self.times[path])

    def read_parts(self, path: str, size: int, part: int) -> Iterator[bytes]:
        for start in range(0, size, part):
            self._ask(f"read {path}")
            if got := self.objects[path][start : start + part]:
                yield got
            self.after_a_part()

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.trouble is not None:
            raise self.trouble


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    """Return fsspec's in-memory file system, empty."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


@pytest.fixture
def make_bucket(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Bucket, FakeStore]]:
    """Return a function that makes a bucket with these objects."""

    def fill(objects: dict[str, bytes]) -> tuple[Bucket, FakeStore]:
        location, store = Bucket(parse_uri("s3://fake/a%20b")), FakeStore(objects)
        monkeypatch.setattr(object_store, "_filesystems", {location.uri: store})
        return location, store

    return fill


def make_manifest(*paths: str) -> Manifest:
    return Manifest(Path("x"), [FileEntry(path) for path in paths])


def fetch_entry(location: Bucket, path: str) -> FileEntry:
    """Fetch a recording and return its entry in the manifest."""
    known = make_manifest(path)
    Folder(location, known, lambda text: None).fetch(1, lambda values: None)
    return known.get_entry(1)


def test_a_path_is_a_folder_and_a_uri_is_a_bucket() -> None:
    assert parse_location("a//b/") == LocalFolder("a/b")
    assert parse_location("odd:/name") == LocalFolder("odd:/name")
    assert isinstance(parse_location("s3://bucket/x"), Bucket)
    assert parse_location("/tmp/../usr").name == "/usr"
    assert parse_location("file:///tmp/../usr").name == "/usr"


def test_a_file_uri_gives_the_same_files_as_the_path_byte_for_byte(audio: Path, label: Command) -> None:
    (audio / "empty.wav").touch()
    (audio / "text.wav").write_text("hello")
    (audio / "cut.wav").write_bytes((audio / "one.wav").read_bytes()[:5000])
    (audio / "Ö 100%#?.wav").write_bytes(wav())
    (audio / "gone.wav").symlink_to("nowhere")
    (audio / "round").symlink_to(".")
    os.mkfifo(audio / "pipe.wav")
    renamed = audio.parent / "au dio#%41"
    audio.rename(renamed)
    plain, out = audio.parent / "plain", audio.parent / "out"
    assert label(renamed, plain) == 1
    assert label(f"file://{audio.parent}/au dio#%2541", out) == 1
    assert read_outputs(out) == read_outputs(plain)
    assert len(rows(out / "failed.csv")) == 5
    assert {row["file"] for row in rows(out / "labels.csv")} == {*FILES, "Ö 100%#?.wav"}


def test_out_must_not_be_or_contain_the_folder_of_a_file_uri(audio: Path, label: Command) -> None:
    for out, message in [(audio, "is the folder of recordings; "), (audio.parent, "contains the folder of recordings")]:
        with pytest.raises(SettingsError, match=message):
            label(f"file://{audio}", out)


def test_a_bucket_is_labeled_like_a_folder_and_its_recordings_are_named_by_their_uris(
    audio: Path, label: Command, relabel: Command, memory: fsspec.AbstractFileSystem
) -> None:
    plain, out = audio.parent / "plain", audio.parent / "out"
    memory.put(str(audio), "/field/20 26", recursive=True)
    assert label(audio, plain) == 0
    assert label("memory://field/20%2026", out) == 0
    assert json.loads((out / "run.json").read_text())["folder"] == "memory://field/20%2026"
    for name in ("labels.csv", "failed.csv", "audacity/one.wav.txt", "audacity/dogs/two.FLAC.txt"):
        assert (out / name).read_bytes() == (plain / name).read_bytes()
    for _ in range(2):
        uris = {f"memory://field/20 26/{name}" for name in FILES}
        assert set(readers.info_labels((out / "info.labels").read_text())) == uris
        assert {one["data"]["audio"] for one in json.loads((out / "label-studio.json").read_text())} == uris
        memory.rm("/field", recursive=memory.exists("/field"))
        memory.mkdir("/field")
        assert relabel(out) == 0


def test_only_changed_objects_of_a_bucket_are_read_again(
    tmp_path: Path, label: Command, memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for number in range(3):
        memory.pipe_file(f"/b/{number}.wav", wav(1, number))
    assert label("memory://b", tmp_path / "out") == 0
    read: list[str] = []
    cat_file = type(memory).cat_file
    monkeypatch.setattr(
        type(memory), "cat_file", lambda self, path, **rest: read.append(path) or cat_file(self, path, **rest)
    )
    assert label("memory://b", tmp_path / "out") == 0
    assert "3 of 3 recordings did not change" in capsys.readouterr().out
    assert read == []
    memory.pipe_file("/b/1.wav", wav(2, 1))
    assert label("memory://b", tmp_path / "out") == 0
    assert read == ["/b/1.wav"]


def test_an_object_that_is_deleted_before_it_is_read_fails_and_the_others_do_not(
    tmp_path: Path, label: Command, memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        memory.pipe_file(f"/b/{number}.wav", wav(1, number))
    find = Bucket.find_recordings

    def find_and_lose(self: Bucket, exclude: Path) -> FolderListing:
        found = find(self, exclude)
        memory.rm("/b/1.wav")
        return found

    monkeypatch.setattr(Bucket, "find_recordings", find_and_lose)
    assert label("memory://b", tmp_path / "out") == 1
    assert rows(tmp_path / "out" / "failed.csv") == [
        {"file": "1.wav", "reason": "the file can't be read: No such file or directory"}
    ]
    assert {row["file"] for row in rows(tmp_path / "out" / "labels.csv")} == {"0.wav", "2.wav"}


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("unknown://knows/this", "unknown:// is not supported; expected a folder, s3://"),
        ("memory://not/there", "memory://not/there can't be read: No such file or directory"),
        ("file:///not/there", "file:///not/there can't be read: No such file or directory"),
        ("s3://bucket/x?color=red", "s3://bucket/x can't be read: Unexpected query parameter in S3 URI: 'color'"),
    ],
)
def test_an_unreadable_address_is_refused_before_anything_is_written(
    tmp_path: Path, label: Command, memory: fsspec.AbstractFileSystem, uri: str, message: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        label(uri, tmp_path / "out")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_bucket_needs_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(SettingsError, match=r"pip install -r locked/folder\.txt"):
        Bucket(parse_uri("s3://never-opened-before/x")).check()


def test_a_single_file_is_not_a_location(tmp_path: Path, memory: fsspec.AbstractFileSystem) -> None:
    (tmp_path / "a.wav").touch()
    memory.pipe_file("/b/a.wav", b"x")
    for uri in (f"file://{tmp_path}/a.wav", "memory://b/a.wav"):
        with pytest.raises(SettingsError, match="it is a file; expected a folder"):
            Bucket(parse_uri(uri)).check()


SECRET = "hush-hush"


@pytest.mark.parametrize(
    "uri",
    [
        f"s3://AKIA:{SECRET}@bucket/x", f"s3://{SECRET}@bucket/x", f"s3://AKIA:{SECRET}/with/slashes@bucket/x",
        f"s3://AKIA:{SECRET}#hash@bucket/x", f"s3://:{SECRET}@bucket", f"gs://{SECRET}@bucket/x",
        f"abfs://container:{SECRET}@account.dfs.core.windows.net/x", f"abfs://:{SECRET}@account.dfs.core.windows.net/x",
        f"sftp://user:{SECRET}@host/x", f"s3://bucket/x?secret_key={SECRET}", f"s3://bucket/x?region=a&token={SECRET}",
        f"s3://bucket/x?X-Amz-Signature={SECRET}", f"s3://bucket/x?sig={SECRET}",
        f"s3://bucket?endpoint_override=user:{SECRET}@host", f"s3://bucket/x?{SECRET}key%20!=1",
    ],
)  # fmt: skip
def test_an_address_with_a_secret_is_refused_without_quoting_it(uri: str) -> None:
    with pytest.raises(SettingsError, match=r"remove it, and set credentials where") as caught:
        parse_location(uri)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "name", "full"),
    [
        ("s3://bucket", "s3://bucket", "s3://bucket/"),
        ("S3://bucket/a b/%C3%A9#c/", "s3://bucket/a%20b/%C3%A9%23c", "s3://bucket/a%20b/%C3%A9%23c"),
        ("s3://b/x@y/z:w?region=eu-1&scheme=http&endpoint_override=host:9000", "s3://b/x%40y/z%3Aw",
         "s3://b/x%40y/z%3Aw?region=eu-1&scheme=http&endpoint_override=host:9000"),
        ("gs://anonymous@bucket/x", "gs://anonymous@bucket/x", "gs://anonymous@bucket/x"),
        ("abfs://box@account.dfs.core.windows.net/x?credential_kind=default", "abfs://box@account.dfs.core.windows.net/x",
         "abfs://box@account.dfs.core.windows.net/x?credential_kind=default"),
        ("hdfs://host:9000/x", "hdfs://host:9000/x", "hdfs://host:9000/x"),
        ("file:///", "file://", "file:///"),
    ],
)  # fmt: skip
def test_the_name_of_an_address_has_no_options(uri: str, name: str, full: str) -> None:
    parsed = parse_uri(uri)
    assert (parsed.name, parsed.for_arrow) == (name, full)


@pytest.mark.parametrize("uri", ["s3://", "s3:///", "memory://", "memory://b?x=1", "s3://[bad/x"])
def test_an_invalid_address_is_refused(uri: str) -> None:
    with pytest.raises(SettingsError):
        parse_location(uri)


def test_out_must_be_a_folder_on_this_machine() -> None:
    with pytest.raises(SettingsError, match="--out is a URI; expected a folder on this machine"):
        parse_out("s3://bucket/labels")
    assert parse_out("s3:/bucket") == Path("s3:/bucket")


def test_a_bucket_is_pickled_without_its_connection(memory: fsspec.AbstractFileSystem) -> None:
    memory.pipe_file("/b/1.wav", b"x")
    location = Bucket(parse_uri("memory://b"))
    assert location.find_recordings(NOWHERE).files == ("1.wav",)
    sent = pickle.dumps(location)
    assert b"fsspec" not in sent
    assert pickle.loads(sent).find_recordings(NOWHERE) == location.find_recordings(NOWHERE)


def test_a_bucket_is_listed_like_a_folder(memory: fsspec.AbstractFileSystem) -> None:
    names = ["b.wav", "B.WAV", "a/z.flac", "a-b.ogg", "é.mp3", "a/b/c.opus", "鳥 #?%.wav"]
    skipped = [".a.wav", ".git/b.wav", "d/.e/f.wav", "._g.wav", "x.txt", "wav", "c.wav.bak"]
    for name in names + skipped:
        memory.pipe_file(f"/b/.c/{name}", b"x" * len(name))
    memory.mkdir("/b/.c/folder.wav")
    listing = Bucket(parse_uri("memory://b/.c")).find_recordings(NOWHERE)
    assert list(listing.files) == sorted(names, key=os.fsencode)
    assert listing.other_files == {".txt": 1, "": 1, ".bak": 1}
    assert (listing.linked_folders, listing.unreadable) == ((), {})
    assert {path: stamp.size for path, stamp in (listing.stamps or {}).items()} == {name: len(name) for name in names}


def test_objects_that_stand_for_folders_are_skipped_and_folders_without_a_name_are_reported(
    make_bucket: Callable[..., tuple[Bucket, FakeStore]],
) -> None:
    location, _ = make_bucket(
        dict.fromkeys(["a.wav", "b.wav/", "c/", "d//e.wav", "/f.wav", "g/h//i//j.wav", "d//.k.wav", "n/.o/p.wav"], b"")
    )
    listing = location.find_recordings(NOWHERE)
    assert listing.files == ("a.wav",)
    assert not listing.other_files
    assert listing.unreadable == dict.fromkeys(["/", "d//", "g/h//"], "it has no name")


def test_a_folder_that_cannot_be_listed_is_named_and_the_others_are_listed(
    memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a/b.wav", "locked/c.wav", "d.wav"):
        memory.pipe_file(f"/b/{name}", b"x")
    ls = type(memory).ls

    def refusing(self: fsspec.AbstractFileSystem, path: str, **rest: object) -> object:
        if path.endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return ls(self, path, **rest)

    monkeypatch.setattr(type(memory), "ls", refusing)
    listing = Bucket(parse_uri("memory://b")).find_recordings(NOWHERE)
    assert listing.files == ("a/b.wav", "d.wav")
    assert listing.unreadable == {"locked/": "Permission denied"}


def test_arrow_lists_the_same_files_and_stamps_as_a_walk(audio: Path) -> None:
    local = LocalFolder(str(audio))
    listed = dict(filesystems.open_filesystem(parse_uri(f"file://{audio}")).list_files({}))
    assert listed.pop("notes.txt").size == 9
    assert listed == {path: local.read_stamp(path) for path in local.find_recordings(NOWHERE).files}


@pytest.mark.parametrize("folders", [0, 1, 2, 40])
def test_arrow_finds_the_same_files_when_it_lists_folders_in_parallel(
    folders: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "top.wav").write_bytes(b"1")
    expected = {"top.wav"}
    for number in range(folders):
        (tmp_path / f"{number}" / "below").mkdir(parents=True)
        for name in ("a.wav", "below/b.wav"):
            (tmp_path / f"{number}" / name).write_bytes(b"1")
            expected.add(f"{number}/{name}")
    for most in (1000, 3):
        monkeypatch.setattr(filesystems, "FOLDERS", most)
        found = [path for path, _ in filesystems.open_filesystem(parse_uri(f"file://{tmp_path}")).list_files({})]
        assert sorted(found) == sorted(expected)


def test_modification_times_of_objects_are_whole_seconds(
    memory: fsspec.AbstractFileSystem,
) -> None:
    memory.pipe_file("/b/1.wav", b"x")
    stamp = Bucket(parse_uri("memory://b")).read_stamp("1.wav")
    assert stamp.mtime_ns > 10**18
    assert stamp.mtime_ns % 10**9 == 0
    for time in ("2026-01-02T03:04:05.678Z", 1767323045.678, 1767323045):
        assert filesystems._read_info({"size": 1, "LastModified": time}) == FileStamp(1, 1767323045 * 10**9)
    for info in ({"size": 1}, {"size": 1, "mtime": "some day"}, {"size": 1, "mtime": None}):
        assert filesystems._read_info(info) == FileStamp(1, UNKNOWN)


def test_a_stamp_is_read_anew_and_not_from_a_cached_listing(
    memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.pipe_file("/b/1.wav", b"x")
    order: list[str] = []
    info = type(memory).info
    monkeypatch.setattr(type(memory), "invalidate_cache", lambda self, path=None: order.append("forget"))
    monkeypatch.setattr(
        type(memory), "info", lambda self, path, **rest: order.append("ask") or info(self, path, **rest)
    )
    Bucket(parse_uri("memory://b")).read_stamp("1.wav")
    # Otherwise, file systems of fsspec answer from their last listing.
    assert order == ["forget", "ask"]


def test_stamps_of_a_listing_save_requests(make_bucket: Callable[..., tuple[Bucket, FakeStore]]) -> None:
    location, store = make_bucket({"a.wav": wav()})
    known = fetch_entry(location, "a.wav")
    listing = location.find_recordings(NOWHERE)
    store.asked.clear()
    assert is_unchanged(location, known, listing)
    assert not is_unchanged(location, FileEntry("a.wav"), listing)
    assert not is_unchanged(location, FileEntry("gone.wav", content="ab"), listing)
    assert store.asked == []
    assert is_unchanged(location, known)
    store.times["a.wav"] += 10**9
    assert not is_unchanged(location, known, location.find_recordings(NOWHERE))
    assert not is_unchanged(location, known)


def test_an_object_without_a_modification_time_never_counts_as_unchanged(
    make_bucket: Callable[..., tuple[Bucket, FakeStore]],
) -> None:
    location, store = make_bucket({"a.wav": wav(1, 1)})
    store.times["a.wav"] = UNKNOWN
    known = fetch_entry(location, "a.wav")
    assert known.content
    assert not is_unchanged(location, known)
    store.objects["a.wav"] = wav(1, 2)
    manifest = Manifest(Path("x"), [known])
    Folder(location, manifest, lambda text: None).fetch(1, lambda values: None)
    assert manifest.get_entry(1).content not in ("", known.content)


@pytest.mark.parametrize(("memory_bytes", "reads"), [(1 << 20, 1), (10_000, 4)])
def test_an_object_is_read_once_in_order_even_if_it_does_not_fit_in_memory(
    make_bucket: Callable[..., tuple[Bucket, FakeStore]], monkeypatch: pytest.MonkeyPatch, memory_bytes: int, reads: int
) -> None:
    monkeypatch.setattr(object_store, "MEMORY_BYTES", memory_bytes)
    location, store = make_bucket({"a.wav": wav()})
    known = fetch_entry(location, "a.wav")
    assert (known.size, known.values, known.rate_hz) == (32044, 16000, 16000)
    assert store.asked == ["stamp a.wav", *["read a.wav"] * reads, "stamp a.wav"]


def test_an_object_too_large_for_the_disk_fails(
    make_bucket: Callable[..., tuple[Bucket, FakeStore]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(object_store, "MEMORY_BYTES", 1000)
    monkeypatch.setattr(os, "posix_fallocate", full)
    location, _ = make_bucket({"a.wav": wav()})
    with pytest.raises(RecordingError, match="has no room for the recording's 32044 bytes: No space left on device"):
        fetch_entry(location, "a.wav")


def test_an_object_that_is_empty_or_changes_while_it_is_read_fails(
    make_bucket: Callable[..., tuple[Bucket, FakeStore]], monkeypatch: pytest.MonkeyPatch
) -> None:
    location, store = make_bucket({"a.wav": wav(), "empty.wav": b""})
    with pytest.raises(RecordingError, match="the file is empty: it has 0 bytes"):
        fetch_entry(location, "empty.wav")

    def touch() -> None:
        store.times["a.wav"] += 10**9

    store.after_a_part = touch
    with pytest.raises(RecordingError, match="the file changed while it was being read"):
        fetch_entry(location, "a.wav")

    def replace() -> None:
        store.objects["a.wav"] = wav(0.5)

    monkeypatch.setattr(object_store, "MEMORY_BYTES", 10_000)
    store.after_a_part = replace
    with pytest.raises(RecordingError, match="the file changed while it was being read"):
        fetch_entry(location, "a.wav")


def test_a_download_that_ends_early_counts_as_lost(
    make_bucket: Callable[..., tuple[Bucket, FakeStore]], monkeypatch: pytest.MonkeyPatch
) -> None:
    location, _ = make_bucket({"a.wav": wav()})
    monkeypatch.setattr(FakeStore, "read_parts", lambda self, path, size, part: iter([self.objects[path][:9000]]))
    with pytest.raises(RecordingLost, match="only 9000 of 32044 bytes arrived"):
        fetch_entry(location, "a.wav")


NETWORK = "AWS Error NETWORK_CONNECTION during HeadObject operation: curlCode: 7, Could not connect to server"


@pytest.mark.parametrize(
    ("trouble", "kind", "message"),
    [
        (FileNotFoundError("2 lines\nof it"), RecordingError, "No such file or directory"),
        (PermissionError(13, "Forbidden"), RecordingError, "Permission denied"),
        (OSError("AWS Error ACCESS_DENIED during GetObject operation:\n  no."), RecordingError, "operation: no."),
        (OSError("for key 'timed/503.wav': AWS Error ACCESS_DENIED"), RecordingError, "DENIED"),
        (ValueError(""), RecordingError, "ValueError"),
        (KeyError("size"), RecordingError, "'size'"),
        (OSError(NETWORK), RecordingLost, "Could not connect"),
        (ConnectionResetError(104, "x"), RecordingLost, "Connection reset by peer"),
        (TimeoutError("slow"), RecordingLost, "slow"),
        (OSError(113, "x"), RecordingLost, "No route to host"),
        (OSError("HTTP 503 from the store"), RecordingLost, "HTTP 503"),
    ],
)
def test_errors_of_a_store_are_one_line_and_network_errors_are_recognized(
    make_bucket: Callable[..., tuple[Bucket, FakeStore]], trouble: Exception, kind: type[Exception], message: str
) -> None:
    location, store = make_bucket({"a.wav": wav()})
    store.trouble = trouble
    with pytest.raises(RecordingError) as caught:
        fetch_entry(location, "a.wav")
    assert type(caught.value) is kind
    assert str(caught.value).startswith("the file can't be read: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    for ask in (location.check, lambda: location.find_recordings(NOWHERE)):
        with pytest.raises(SettingsError, match="^s3://fake/a%20b can't be read: "):
            ask()
    with pytest.raises(OSError, match=r".+"):
        location.read_stamp("a.wav")


def test_a_run_ends_when_a_bucket_is_unreachable_and_the_same_command_continues_it(
    tmp_path: Path, label: Command, memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for number in range(30):
        memory.pipe_file(f"/b/{number:02}.wav", wav(1, number % 3))
    with monkeypatch.context() as patch:

        def fail(self: filesystems.FsspecFileSystem, path: str) -> FileStamp:
            raise OSError(NETWORK)

        patch.setattr(filesystems.FsspecFileSystem, "read_stamp", fail)
        assert label("memory://b", tmp_path / "out") != 0
    assert "8 recordings in a row were lost to the network" in "".join(capsys.readouterr())
    assert label("memory://b", tmp_path / "out") == 0
    assert len({row["file"] for row in rows(tmp_path / "out" / "labels.csv")}) == 30


def test_error_messages_contain_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    text = describe_error(
        OSError(f"{SECRET} https://me:{SECRET}2@host/a?X-Amz-Signature=0123abcd&b=c 's3://b?x=y' " + "z" * 999)
    )
    assert text.startswith("<key> https://host/a 's3://b' zzz")
    assert len(text) == 300
    assert "0123abcd" not in text


def test_errors_for_the_user_pass_through_unchanged() -> None:
    for error in (RecordingError("x"), SettingsError("y")):
        with pytest.raises(type(error)), translate_errors():
            raise error


def test_label_studio_gets_the_key_of_an_object_unencoded() -> None:
    # Its storages use everything after the bucket as the key, without decoding it.
    assert object_uri("s3://bucket/a%20b", "c d#%?é.wav") == "s3://bucket/a b/c d#%?é.wav"
    around = OutputContext("s3://bucket/a%20b", "/out", {"ast_model": "m"}, ("x",))
    file = LabeledFile("c d.wav", 1, 10, 10, (Segment(0, 10, "x", 0.5),), "exact")
    assert json.loads(format_task(file, around))["data"] == {"audio": "s3://bucket/a b/c d.wav"}


def test_a_bucket_announces_the_number_of_values_before_it_decodes(
    make_bucket: Callable[..., tuple[Bucket, FakeStore]],
) -> None:
    location, _ = make_bucket({"a.wav": wav(2)})
    announced: list[int] = []
    recording = Folder(location, make_manifest("a.wav"), lambda text: None).fetch(1, announced.append)
    assert announced == [32000]
    assert np.array_equal(recording.waveform, soundfile.read(io.BytesIO(wav(2)), dtype="float32")[0])
