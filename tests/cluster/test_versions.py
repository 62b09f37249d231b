"""Which software a machine runs, and whether another's may score differently."""

from __future__ import annotations

import subprocess
import sys

from block import __version__
from block.cluster.versions import describe_differences, find_versions
from tests.conftest import ROOT


def test_a_machine_is_what_python_block_and_installed_packages_it_has() -> None:
    found = find_versions()
    assert found["block"] == __version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {"torch", "torchaudio", "transformers", "numpy", "soundfile"} <= set(found)


def test_nothing_is_imported_to_find_out() -> None:
    code = (
        "import sys, block.cluster.versions as v; v.find_versions(); "
        "print(*{'torch', 'numpy', 'ray'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_packages_of_other_versions_are_told_and_no_others() -> None:
    mine = {"python": "3.11.7", "torch": "2.11.0", "numpy": "2.2.6", "soundfile": "0.14.0"}
    assert describe_differences(mine, {**mine, "torch": "2.10.0", "numpy": "2.3.0"}) == (
        "torch 2.11.0 here, 2.10.0 there; numpy 2.2.6 here, 2.3.0 there"
    )
    assert describe_differences(mine, mine) == ""


def test_what_one_machine_lacks_and_for_whom_a_package_was_built_is_no_difference() -> None:
    assert describe_differences({"python": "3.11.7"}, {"python": "3.11.7", "torch": "2.11.0"}) == ""
    assert describe_differences({"torch": "2.11.0+cpu", "numpy": "2.2.6"}, {"torch": "2.11.0+cu130"}) == ""
