"""The software versions of a machine, and how they differ from another's."""

from __future__ import annotations

import subprocess
import sys

from block import __version__
from block.cluster.versions import describe_differences, find_versions
from block.settings import OPENVINO
from tests.conftest import ROOT


def test_versions_include_python_the_block_and_installed_packages() -> None:
    found = find_versions()
    assert found["block"] == __version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {"torch", "torchaudio", "transformers", "numpy", "soundfile"} <= set(found)
    assert find_versions(OPENVINO).keys() - found.keys() == {"openvino"}


def test_finding_versions_imports_no_package() -> None:
    code = (
        "import sys, block.cluster.versions as v; v.find_versions(); "
        "print(*{'torch', 'numpy', 'ray'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_only_packages_with_different_versions_are_described() -> None:
    mine = {"python": "3.11.7", "torch": "2.11.0", "numpy": "2.2.6", "soundfile": "0.14.0"}
    assert describe_differences(mine, {**mine, "torch": "2.10.0", "numpy": "2.3.0"}) == (
        "torch 2.11.0 here, 2.10.0 there; numpy 2.2.6 here, 2.3.0 there"
    )
    assert describe_differences(mine, mine) == ""


def test_missing_packages_and_build_suffixes_do_not_count_as_differences() -> None:
    assert describe_differences({"python": "3.11.7"}, {"python": "3.11.7", "torch": "2.11.0"}) == ""
    assert describe_differences({"torch": "2.11.0+cpu", "numpy": "2.2.6"}, {"torch": "2.11.0+cu130"}) == ""
