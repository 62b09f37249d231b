"""`python -m block models`: its arguments and its output."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from block.commands.models import main
from block.model import checkpoint
from block.model.checkpoint import CONFIG, DEFAULT, WEIGHTS, CheckpointError, find_checkpoint
from block.model_store.catalog import CATALOG
from block.model_store.listing import format_bytes, list_checkpoints
from block.model_store.records import SUMS
from block.model_store.store import ModelStore
from block.runtime.hashing import LARGE_BYTES, MEMORY
from block.settings import SettingsError
from tests.conftest import EMBEDDED, ROOT
from tests.model_store.conftest import REPOSITORY, with_ballast
from tests.model_store.standin import COMMIT, StandIn


def test_list_shows_a_line_for_each_checkpoint(
    store: ModelStore, checkpoint_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("tiny", "cut", "mine"):
        shutil.copytree(checkpoint_folder, store.path(name))
    (store.path("cut") / CONFIG).unlink()
    (store.folder / ".store").mkdir()
    (store.folder / "README.md").write_text("no checkpoint")
    assert main(["list"], store) == 0
    heading, small, tiny, cut, mine = capsys.readouterr().out.splitlines()
    assert heading.split() == ["checkpoint", "state", "size", "from"]
    assert small.split() == ["small", "missing", f"{REPOSITORY}@{COMMIT[:12]}"]
    assert tiny.split()[:2] == ["tiny", "valid"]
    assert "embedded  in git; no known digest of config.json" in tiny
    assert cut.split()[:2] == ["cut", "INVALID"]
    assert cut.endswith("the checkpoint is incomplete: config.json is missing")
    assert mine.split()[:2] == ["mine", "valid"]
    assert main(["record", "tiny"], store) == 0
    assert capsys.readouterr().out == f"digests of tiny recorded in {store.path('tiny') / SUMS}\n"
    assert main(["list"], store) == 0
    assert capsys.readouterr().out.splitlines()[2].endswith("embedded  in git")


def test_list_knows_the_default_and_the_embedded_one(tmp_path: Path) -> None:
    default, embedded = list_checkpoints(ModelStore(tmp_path / "nothing", CATALOG))
    assert (default.name, default.marks, default.size) == (DEFAULT, ("default",), 346_404_948)
    assert default.note == "MIT/ast-finetuned-audioset-10-10-0.4593@f826b80d2822"
    assert (embedded.name, embedded.marks, embedded.state) == (checkpoint.EMBEDDED, ("embedded",), "missing")


def test_sizes_are_printed_in_bytes_or_megabytes() -> None:
    assert [format_bytes(size) for size in (0, 99_999, 100_000, 346_404_948)] == [
        "0 bytes", "99999 bytes", "0.1 MB", "346.4 MB",
    ]  # fmt: skip


def test_the_embedded_checkpoint_matches_its_digests_in_git() -> None:
    if not (EMBEDDED / SUMS).is_file():
        pytest.skip(f"its digests are not recorded yet; run python -m block models record {EMBEDDED.name}")
    (line,) = [one for one in list_checkpoints(ModelStore(), deep=True) if "embedded" in one.marks]
    assert (line.state, line.note) == ("valid", "in git")
    assert line.size is not None
    assert line.size <= 15_000_000


def test_list_uses_the_cached_digest_of_a_large_file_unless_deep(
    store: ModelStore, hub: StandIn, contents: dict[str, bytes]
) -> None:
    hub.files[f"/{REPOSITORY}/{WEIGHTS}"] = with_ballast(contents[WEIGHTS], bytes(LARGE_BYTES))
    main(["fetch", "small"], store)
    folder = store.path("small")
    assert (folder / MEMORY).is_file()  # so that the first run does not have to compute it
    weights = folder / WEIGHTS
    was = weights.stat()
    with weights.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")
    os.utime(weights, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert list_checkpoints(store)[0].state == "valid"
    deep = list_checkpoints(store, deep=True)[0]
    assert (deep.state, deep.note.split(":")[0].split()[0]) == ("INVALID", WEIGHTS)
    os.utime(weights)
    # With another time the digest is no longer cached, so only the size is checked, and that is right.
    (shallow, *_) = list_checkpoints(store)
    assert (shallow.state, shallow.note.split("; ")[1]) == ("valid", "model.safetensors not hashed yet (use --deep)")


def test_a_checkpoint_that_is_packed_and_fetched_elsewhere_has_the_same_bytes(
    store: ModelStore, hub: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fetch", "small"], store) == 0
    archive = tmp_path / "carried.tar"
    assert main(["pack", "small", "--out", str(archive)], store) == 0
    assert f"models fetch small --from {archive}" in capsys.readouterr().out
    other = ModelStore(tmp_path / "air-gapped", store.catalog)
    count = len(hub.asked)
    assert main(["fetch", "small", "--from", str(archive)], other) == 0
    assert len(hub.asked) == count
    assert main(["verify", "small"], other) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "small is valid"
    assert "FAILED" not in out
    first, second = (find_checkpoint("small", one.folder) for one in (store, other))
    assert first.sha256() == second.sha256()


def test_verify_exits_with_1_for_an_invalid_checkpoint(
    store: ModelStore, checkpoint_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(checkpoint_folder, store.path("mine"))
    (store.path("mine") / WEIGHTS).write_bytes(b"")
    assert main(["verify", "mine"], store) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "mine is INVALID"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["lisst"], "invalid choice: 'lisst'"),
        (["fetch", "--form", "x"], "unrecognized arguments: --form"),
        (["fetch", "small", "--from", ""], "--from is empty"),
        (["pack", "--out"], "expected one argument"),
    ],
)
def test_invalid_arguments_are_settings_errors(store: ModelStore, arguments: list[str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        main(arguments, store)


def test_a_command_that_fails_raises_a_checkpoint_error(store: ModelStore) -> None:
    for arguments in (["verify", "small"], ["pack", "small"], ["record", "small"], ["fetch", "mine"]):
        with pytest.raises(CheckpointError):
            main(arguments, store)


def test_a_disk_error_is_one_clear_error(store: ModelStore, checkpoint_folder: Path) -> None:
    (store.folder / ".store").write_text("a file instead of the folder")
    with pytest.raises(CheckpointError, match=r"\.store.*: (File exists|Not a directory)"):
        main(["fetch", "mine", "--from", str(checkpoint_folder)], store)


SCRIPT = """
import sys
from pathlib import Path
from block.commands.models import main
from block.model_store.store import ModelStore
try:
    main(sys.argv[2:], ModelStore(Path(sys.argv[1])))
except (Exception, SystemExit) as error:
    print(type(error).__name__)
heavy = {"torch", "transformers", "huggingface_hub", "soundfile"} & set(sys.modules)
print("heavy:", ", ".join(sorted(heavy)) or "none")
"""


@pytest.mark.parametrize(
    "arguments", [["list"], ["--help"], ["fetch", "--help"], ["verify", "nowhere"], ["fetch", "nowhere"], ["pack", "x"]]
)
def test_list_help_and_refusals_import_no_heavy_packages(tmp_path: Path, arguments: list[str]) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, str(tmp_path), *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert result.stderr == ""
    assert result.stdout.splitlines()[-1] == "heavy: none"
