"""Check the two images and the pushed files by reading them; nothing is built here."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest

from block import __version__
from block.commands.options import parse
from block.local_studio.jobs.block import read_block
from block.local_studio.jobs.form import build_arguments
from block.model.checkpoint import DEFAULT
from demo.run import read_expected
from images.ignore import context_files, is_excluded, read_rules
from images.push import BLOCK_CONFIG, MAX_BYTES, VARIANTS, archive, lay_out
from images.runs import Outcome, Runs
from images.trial import run_outside
from tests.conftest import EMBEDDED, ROOT

FETCHED = f"models/{DEFAULT}"


@dataclass(frozen=True)
class Step:
    """One instruction of a Dockerfile."""

    name: str
    text: str


def steps(dockerfile: Path) -> list[Step]:
    text = "\n".join(line for line in dockerfile.read_text().splitlines() if not line.startswith("#"))
    lines = text.replace("\\\n", " ").splitlines()
    return [Step(*line.split(maxsplit=1)) for line in lines if line.strip()]


def last_stage(dockerfile: Path) -> list[Step]:
    found = steps(dockerfile)
    start = max(index for index, step in enumerate(found) if step.name == "FROM")
    return found[start:]


def texts(found: list[Step], name: str) -> list[str]:
    return [step.text for step in found if step.name == name]


@pytest.fixture(params=VARIANTS)
def dockerfile(request: pytest.FixtureRequest) -> Path:
    return ROOT / f"Dockerfile.{request.param}"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of the repository as a developer may have it: with caches, keys and other weights."""
    folder = tmp_path / "source"
    for path in context_files(ROOT):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, folder / path)
    for name in (".dockerignore", "Dockerfile.cpu", "Dockerfile.gpu"):
        shutil.copyfile(ROOT / name, folder / name)
    for path in STRAY:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"stray")
    for name in ("config.json", "preprocessor_config.json", "model.safetensors"):
        (folder / FETCHED).mkdir(exist_ok=True)
        (folder / FETCHED / name).write_bytes(b"large")
    return folder


STRAY = (
    ".env", ".git/config", ".venv/bin/python", ".hypothesis/x", "build/x", "tests/test_cli.py", "demo/recordings/a.wav",
    "images/push.py", "block/__pycache__/cli.cpython-312.pyc", "block/studio/__pycache__/x.pyc", "block/.DS_Store",
    "models/mine/model.safetensors", "models/.store/mine.json", "models/x.safetensors", "ids.json", "notes.txt",
    "models/ast-tiny-audioset/recipe/train.py", "models/ast-tiny-audioset/.sha256.json", "Makefile", "README.md",
)  # fmt: skip


def names(data: bytes) -> set[str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {str(PurePosixPath(entry.name)) for entry in tar if entry.isfile()}


def test_every_copied_path_is_in_the_build_context(dockerfile: Path) -> None:
    files = context_files(ROOT)
    copied = [text.split()[:-1] for text in texts(steps(dockerfile), "COPY") if not text.startswith("--from")]
    assert copied
    for name in (name for sources in copied for name in sources):
        assert any(file.is_relative_to(name) for file in files), name


def test_the_last_stage_copies_only_what_the_first_stage_has(dockerfile: Path) -> None:
    available = {
        name for text in texts(steps(dockerfile), "COPY") if "--from" not in text for name in text.split()[:-1]
    }
    for text in texts(last_stage(dockerfile), "COPY"):
        if text.startswith("--from=contents "):
            assert {source.removeprefix("/app/") for source in text.split()[1:-1]} <= available


def test_the_block_starts_unbuffered_from_app(dockerfile: Path) -> None:
    stage = last_stage(dockerfile)
    (start,) = texts(stage, "ENTRYPOINT")
    program, *arguments = json.loads(start)
    assert program.endswith("/python3")
    assert arguments == ["-u", "/app/transform.py"]
    (workdir,) = texts(stage, "WORKDIR")
    assert workdir == "/app"
    assert not texts(stage, "CMD")


def test_dependencies_come_before_weights_and_weights_before_source(dockerfile: Path) -> None:
    order = [step.text for step in last_stage(dockerfile) if step.name in ("RUN", "COPY")]
    places = [
        next(i for i, text in enumerate(order) if what in text) for what in ("pip", "models", "block", "transform")
    ]
    assert places == sorted(places)


def test_base_index_and_weights_are_build_arguments_with_public_defaults(dockerfile: Path) -> None:
    arguments = dict(text.partition("=")[::2] for text in texts(steps(dockerfile), "ARG"))
    index = "https://download.pytorch.org/whl/cpu" if dockerfile.suffix == ".cpu" else ""
    assert arguments["BASE"] == "python:3.12-slim-bookworm"
    assert arguments["TORCH_INDEX"] == index
    assert arguments["MODELS"] == "fetch"
    assert arguments["VERSION"] == __version__


def test_every_stage_uses_the_base_argument(dockerfile: Path) -> None:
    assert {text.split()[0] for text in texts(steps(dockerfile), "FROM")} == {"${BASE}"}


def test_no_build_argument_variable_or_label_is_a_secret(dockerfile: Path) -> None:
    values = [*texts(steps(dockerfile), "ARG"), *texts(steps(dockerfile), "ENV"), *texts(steps(dockerfile), "LABEL")]
    assert not re.search(r"key|token|password|secret", " ".join(values), re.IGNORECASE)


def test_the_checkpoint_from_the_context_is_the_default_one(dockerfile: Path) -> None:
    assert f"big={DEFAULT} " in " ".join(texts(steps(dockerfile), "RUN"))


def test_the_packages_of_the_first_stage_suffice_to_fetch_a_checkpoint_and_list_its_labels() -> None:
    first = texts(steps(ROOT / "Dockerfile.cpu"), "RUN")[0]
    assert re.findall(r"-r (\S+)", first) == ["locked/run.txt"]
    named = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    there = (ROOT / "locked" / "run.txt").read_text().splitlines()
    missing = [pin.partition("==")[0] for pin in named if f"{pin} \\" not in there]
    assert missing == ["torch", "torchaudio"]
    code = f"""
import sys
sys.modules.update(dict.fromkeys({missing}))
import block.model_store.fetch, block.model_store.hub
from block.cli import main_command
sys.argv[1:] = ["labels", "--model", "ast-tiny-audioset"]
main_command()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_dockerfiles_differ_only_in_the_torch_index_and_nvidias_variables() -> None:
    cpu, gpu = (set(steps(ROOT / f"Dockerfile.{variant}")) for variant in VARIANTS)
    assert {step.text.partition("=")[0] for step in cpu ^ gpu} == {"TORCH_INDEX", "NVIDIA_VISIBLE_DEVICES"}


def test_stray_files_stay_out_of_the_build_context(source: Path) -> None:
    files = {str(path) for path in context_files(source)}
    assert not files.intersection(STRAY)
    assert f"{FETCHED}/model.safetensors" in files
    assert {f"models/{EMBEDDED.name}/{name}" for name in ("config.json", "model.safetensors")} <= files


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_push_is_small_and_complete_without_other_files(variant: str, source: Path, tmp_path: Path) -> None:
    folder = lay_out(variant, tmp_path / "push", source)
    data = archive(folder)
    assert len(data) < MAX_BYTES
    pushed = names(data)
    assert pushed == {str(path) for path in context_files(ROOT) if not path.is_relative_to(FETCHED)} | {
        "Dockerfile",
        ".dockerignore",
    }
    assert (folder / "Dockerfile").read_text() == (ROOT / f"Dockerfile.{variant}").read_text()
    assert json.loads((folder / "parameters.json").read_text())["type"] == "ai-action"


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_push_has_every_path_that_its_dockerfile_copies(variant: str, tmp_path: Path) -> None:
    folder = lay_out(variant, tmp_path / "push")
    rules = read_rules((folder / ".dockerignore").read_text())
    for text in texts(steps(folder / "Dockerfile"), "COPY"):
        if not text.startswith("--from"):
            for name in text.split()[:-1]:
                assert (folder / name).exists()
                assert not is_excluded(PurePosixPath(name), rules)


def test_laying_out_again_deletes_old_files_except_the_blocks_configuration(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "push"
    (folder / "old").mkdir(parents=True)
    (folder / "old" / "file.py").write_text("old")
    (folder / BLOCK_CONFIG).write_text("{}")
    lay_out("cpu", folder, source)
    (folder / "block" / "__pycache__").mkdir()
    (folder / "block" / "__pycache__" / "cli.pyc").write_bytes(b"")
    assert not (folder / "old").exists()
    assert (folder / BLOCK_CONFIG).read_text() == "{}"
    assert not [name for name in names(archive(folder)) if name == BLOCK_CONFIG or name.endswith(".pyc")]


def test_the_forms_defaults_start_the_pushed_block(tmp_path: Path) -> None:
    folder = lay_out("cpu", tmp_path / "push")
    options = parse([*build_arguments(read_block(folder), {}), "--data-ids-file", "ids.json"], warn=pytest.fail)
    assert options.model == DEFAULT
    # The image has the form's default model by default.
    assert "ARG MODELS=fetch" in (folder / "Dockerfile").read_text()


@pytest.mark.slow
def test_a_trial_run_outside_an_image_gives_the_demos_labels(tmp_path: Path) -> None:
    outcome = Runs(tmp_path).label(run_outside, "--model", EMBEDDED.name, "--device", "cpu")
    assert (outcome.code, outcome.errors) == (0, "")
    found = {}
    for name, labels in outcome.labels.items():
        with wave.open(str(ROOT / "demo" / "recordings" / name)) as file:
            rate_hz = file.getframerate()
        found[name] = [(one["startIndex"] / rate_hz, (one["endIndex"] + 1) / rate_hz, one["label"]) for one in labels]
    assert found == read_expected()


def test_every_trial_run_gets_the_forms_defaults_and_unlabeled_recordings(tmp_path: Path) -> None:
    given = []

    def run(arguments: Sequence[str], environment: dict[str, str], ids: Path) -> Outcome:
        assert set(environment) == {"EI_API_ENDPOINT", "EI_PROJECT_API_KEY", "EI_PROJECT_ID"}
        given.append(parse([*arguments, "--data-ids-file", ids.name], warn=pytest.fail))
        assert json.loads(ids.read_text()) == [1, 2, 3, 4, 5]
        return Outcome(3, "out", "errors")

    runs = Runs(tmp_path)
    for _ in range(2):
        outcome = runs.label(run, "--device", "cuda")
        assert (outcome.code, outcome.output, outcome.errors) == (3, "out", "errors")
        assert outcome.labels == {name: [] for name in read_expected()}
    # The form joins several lines into one argument, with the two characters \\ and n between them.
    lines = ["--audioset-labels", "speech\\nmusic"]
    assert given == [parse([*lines, "--device", "cuda", "--data-ids-file", "ids.json"], warn=pytest.fail)] * 2


@pytest.mark.parametrize(
    ("path", "excluded"),
    [
        ("a", True),
        ("b", False),
        ("b/c/d", False),
        ("b/skip/d", True),
        ("b/x.pyc", True),
        ("b/.hidden", True),
        ("bb", True),
    ],
)
def test_the_last_rule_that_matches_a_path_or_its_folder_decides(path: str, excluded: bool) -> None:
    rules = read_rules("# comment\n*\n\n!b\nb/skip\n**/*.pyc\n**/.*\n")
    assert is_excluded(PurePosixPath(path), rules) is excluded
