"""Installed packages are pinned by version and hash, and `make audit` looks up their known vulnerabilities."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement

from tests.conftest import ROOT

LOCKED = ROOT / "locked"
OPTIONS = "--require-hashes\n--only-binary :all:\n"
PARTS = sorted(path for path in LOCKED.glob("*.txt"))
# Files with commands that are typed or run.
RECIPES = ("Makefile", "Dockerfile.cpu", "Dockerfile.gpu", "docs/air-gapped.md", "images/inside.sh", "images/base.sh",
           "images/build.sh", ".ci/run")  # fmt: skip


def module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
BESIDE: dict[str, tuple[str, ...]] = module(LOCKED / "lock.py").BESIDE
LOCKED_EXTRAS = BESIDE.keys()


def entries(path: Path) -> list[str]:
    """Return the packages of a lock, one line each, with their hashes. pip's options must come before them."""
    head, packages = path.read_text().replace("\\\n", " ").split(OPTIONS)
    assert head == "", path
    return packages.splitlines()


def pins(path: Path) -> set[str]:
    return {entry.partition(" ")[0] for entry in entries(path)}


def test_every_package_is_pinned_with_sha256s_and_no_lock_names_an_index() -> None:
    assert {path.stem for path in PARTS} == {
        "run", "torch", "studio", "folder", "ray", "openvino", "dev", "bench", "audit"
    }  # fmt: skip
    line = re.compile(r"[a-z0-9.-]+==[\w.!+-]+( ; [^#@]+?)?(\s+--hash=sha256:[0-9a-f]{64})+")
    for path in PARTS:
        assert entries(path), path
        assert [entry[:80] for entry in entries(path) if not line.fullmatch(entry)] == [], path
        assert not re.search(r"https?:|--(extra-)?index|find-links|@ ", path.read_text()), path


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
def test_the_parts_agree_on_one_version_of_a_package(python: str, system: str) -> None:
    environment = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": system}
    versions: dict[str, set[str]] = {}
    for path in PARTS:
        if path.stem == "audit":
            continue
        for entry in entries(path):
            pin, _, marker = entry.partition("--hash")[0].partition(" ; ")
            if not marker or Marker(marker).evaluate(environment):
                name, _, version = pin.strip().partition("==")
                versions.setdefault(name, set()).add(version)
    assert {"torch", "pyarrow", "ray", "pytest"} <= versions.keys()
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


def test_everything_that_pyproject_names_is_locked() -> None:
    named = {
        ("run", "torch"): PROJECT["project"]["dependencies"],
        ("audit",): PROJECT["dependency-groups"]["audit"],
        **{("run", extra): EXTRAS[extra] for extra in LOCKED_EXTRAS},
    }
    for parts, requirements in named.items():
        wanted = {
            f"{one.name}{one.specifier}"
            for one in map(Requirement, requirements)
            if one.name != PROJECT["project"]["name"]
        }
        assert wanted, parts
        assert wanted <= set().union(*(pins(LOCKED / f"{part}.txt") for part in parts)), parts


def test_all_extras_but_the_recipe_are_locked() -> None:
    assert EXTRAS.keys() - LOCKED_EXTRAS == {"recipe"}
    [others] = [one.extras for one in map(Requirement, EXTRAS["dev"]) if one.name == PROJECT["project"]["name"]]
    assert others == set(BESIDE["dev"])


def test_a_part_leaves_out_only_what_make_installs_before_it() -> None:
    rules = re.findall(r"^\$\(VENV\)/(\.\w+): (.+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    needs = {stamp: (re.findall(r"locked/(\w+)", text), re.findall(r"\)/(\.\w+)", text)) for stamp, text in rules}

    def list_installed(stamp: str) -> set[str]:
        parts, before = needs[stamp]
        return set(parts).union(*map(list_installed, before))

    for part, beside in {"run": (), **{extra: ("run", *beside) for extra, beside in BESIDE.items()}}.items():
        stamps = [stamp for stamp, (parts, _) in needs.items() if part in parts]
        assert stamps, part
        assert all({part, *beside} <= list_installed(stamp) for stamp in stamps), part


def test_the_ray_extra_includes_the_score_store() -> None:
    assert any(pin.startswith("pyarrow==") for pin in pins(LOCKED / "ray.txt"))


def installs(text: str) -> list[str]:
    """Return each pip command in the text that installs or downloads something, from `-r` or the first package on."""
    lines = [line for line in text.replace("\\\n", " ").splitlines() if not line.startswith("#")]
    given = {"$PIP": "pip", **{f"${name}": value for name, value in re.findall(r'(\w+)="([^"]*)"', "\n".join(lines))}}
    found = []
    for command in (command for line in lines for command in re.split(r"&&|;|`", line)):
        filled = re.sub(r"\$\(?(\w+)\)?", lambda word: given.get(f"${word[1]}", word[0]), command)
        found += re.findall(r"\bpip (?:.* )?(?:install|download) (.+)", filled)
    return [one for one in found if "$pip" not in one and not one.startswith('--no-cache-dir --quiet"')]


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_install_uses_a_lock_except_from_pytorchs_own_index(recipe: str) -> None:
    for command in installs((ROOT / recipe).read_text()):
        if "TORCH_INDEX" in command:
            assert re.search(r"--only-binary :all: --index-url \S*TORCH_INDEX\S* ", command)
            assert 'grep -o "^torch[a-z]*==[^ ]*" locked/torch.txt' in command
        elif command.endswith("--editable ."):  # this package itself, without its dependencies
            assert {"--no-deps", "--no-index", "--no-build-isolation"} <= set(command.split())
        else:
            files = re.findall(r"-r (\S+)", command)
            assert files, command
            assert set(files) <= {*(f"locked/{path.name}" for path in PARTS), "/tmp/pyarrow.txt"}, command
            assert "locked/run.txt" in files or "/tmp/pyarrow.txt" not in files, (
                "locked/run.txt is missing; its options apply to both files"
            )
    assert not re.search(r"-r requirements", (ROOT / recipe).read_text())


def test_the_search_for_installs_finds_them() -> None:
    counts = {recipe: len(installs((ROOT / recipe).read_text())) for recipe in RECIPES}
    assert counts["Makefile"] >= 7
    assert counts["Dockerfile.cpu"] == counts["Dockerfile.gpu"] >= 4
    assert counts["docs/air-gapped.md"] >= 2


def test_an_image_takes_one_package_with_its_hashes_from_a_lock() -> None:
    found = re.search(r"sed -n '(.+?)' (\S+)", (ROOT / "Dockerfile.cpu").read_text())
    assert found is not None
    taken = subprocess.run(["sed", "-n", found[1], found[2]], cwd=ROOT, capture_output=True, text=True, check=True)
    assert [entry for entry in entries(LOCKED / "folder.txt") if entry.startswith("pyarrow==")] == [
        taken.stdout.replace("\\\n", " ").rstrip("\n")
    ]


def wheel(folder: Path, content: bytes) -> Path:
    """Make a wheel of a package named `harmless` with one module."""
    path = folder / "harmless-1.0-py3-none-any.whl"
    files = {
        "harmless.py": content,
        "harmless-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: harmless\nVersion: 1.0\n",
        "harmless-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(text).digest()).rstrip(b'=').decode()},{len(text)}"
        for name, text in files.items()
    ]
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        archive.writestr("harmless-1.0.dist-info/RECORD", "\n".join([*rows, "harmless-1.0.dist-info/RECORD,,", ""]))
    return path


@pytest.mark.parametrize("genuine", [True, False])
def test_pip_installs_only_the_locked_bytes(tmp_path: Path, genuine: bool) -> None:
    package = wheel(tmp_path, b"GOOD = True\n")
    locked = tmp_path / "locked.txt"
    locked.write_text(
        f"{OPTIONS}harmless==1.0 \\\n    --hash=sha256:{hashlib.sha256(package.read_bytes()).hexdigest()}\n"
    )
    if not genuine:
        wheel(tmp_path, b"GOOD = False\n")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "--isolated", "install",
         "--no-index", "--find-links", tmp_path, "--target", tmp_path / "there", "-r", locked],
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode == 0) == genuine, done.stderr
    assert (tmp_path / "there" / "harmless.py").exists() == genuine
    assert genuine or "DO NOT MATCH THE HASHES" in done.stderr


ANSWERING = """#!{python}
import json, sys
pins = open(sys.argv[-1]).read().split()
{before}
print(json.dumps({{"dependencies": [
    {{"name": pin.split("==")[0], "version": pin.split("==")[1], **({answer})}} for pin in pins]}}))
"""


@pytest.mark.parametrize(
    ("before", "answer", "code", "message"),
    [
        ("", '{"vulns": [{"id": "CVE-1"}] if pin == "jinja2==2.10" else []}', 0, "0 with known vulnerabilities"),
        ("", '{"vulns": [{"id": "CVE-1"}] if pin[:7] in ("jinja2=", "urllib3") else []}', 1, "urllib3=="),
        ("", '{"vulns": []}', 2, "the audit failed"),
        ("", '{"skip_reason": "not found"}', 2, "available here: not found"),
        ("sys.exit('no route to the index')", "{}", 2, "no route to the index"),
    ],
)  # fmt: skip
def test_the_audit_reports_vulnerabilities_and_says_when_it_cannot_tell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], before: str, answer: str, code: int, message: str
) -> None:
    audit = module(LOCKED / "audit.py")
    fake = tmp_path / "python"
    fake.write_text(ANSWERING.format(python=sys.executable, before=before, answer=answer))
    fake.chmod(0o755)
    assert audit.main(str(fake)) == code
    assert message in capsys.readouterr().out


def test_the_audit_covers_every_locked_package() -> None:
    assert set(module(LOCKED / "audit.py").read_pins()) == set().union(*(pins(path) for path in PARTS))
