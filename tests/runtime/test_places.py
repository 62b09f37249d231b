"""Where the block finds its files in a checkout and in a wheel, and how it spells its own commands."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from block.model import checkpoint
from block.model.checkpoint import DEFAULT, EMBEDDED, CheckpointError, find_checkpoint, find_folder
from block.model_store.listing import list_checkpoints
from block.model_store.store import ModelStore
from block.runtime import imports, places
from block.runtime.places import find_action, find_model_store, name_program, spell_command
from tests.conftest import ROOT


@pytest.fixture
def wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Pretend that the package comes from a wheel; return the folder of the user's data."""
    bundled = ROOT / "models"
    monkeypatch.setattr(places, "BUNDLED_MODELS", bundled)
    monkeypatch.setattr(checkpoint, "BUNDLED_MODELS", bundled)
    monkeypatch.setattr(places, "is_wheel", lambda: True)
    monkeypatch.setattr(checkpoint, "is_wheel", lambda: True)
    monkeypatch.setattr(imports, "is_wheel", lambda: True)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data"


def test_in_a_checkout_models_and_the_action_lie_beside_the_package() -> None:
    assert find_model_store() == ROOT / "models"
    assert find_action() == ROOT
    assert find_folder(EMBEDDED, ROOT / "elsewhere") == ROOT / "elsewhere" / EMBEDDED


def test_a_wheel_has_the_embedded_checkpoint_and_fetches_others_into_the_users_data(wheel: Path) -> None:
    store = find_model_store()
    assert store == wheel / "ast-label" / "models"
    assert find_checkpoint(EMBEDDED, store).folder == ROOT / "models" / EMBEDDED
    assert find_folder(DEFAULT, store) == store / DEFAULT
    states = {one.name: one.state for one in list_checkpoints(ModelStore(store))}
    assert states == {DEFAULT: "missing", EMBEDDED: "valid"}
    with pytest.raises(CheckpointError, match=f"available in {store}: {EMBEDDED}$"):
        find_checkpoint("other", store)


def test_a_relative_data_folder_is_ignored_as_its_specification_demands(
    wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in ("", "data"):
        monkeypatch.setenv("XDG_DATA_HOME", value)
        monkeypatch.setenv("HOME", "/home/someone")
        assert find_model_store() == Path("/home/someone/.local/share/ast-label/models")


@pytest.mark.usefixtures("wheel")
def test_the_advice_for_a_wheel_names_its_extra_and_not_a_file_of_the_checkout() -> None:
    assert imports.describe_install("folder") == (
        "install this package again with its extra folder, for example: pip install '.[folder]'"
    )
    assert "locked" not in imports.describe_install()


def test_commands_are_named_as_the_user_started_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    programs = tmp_path / "my venv"
    programs.mkdir()
    for name in ("ast-label", "python"):
        (programs / name).touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(programs / "python"))

    monkeypatch.setattr(sys, "argv", [str(programs / "ast-label"), "label"])
    assert (name_program(), spell_command("models fetch")) == ("ast-label", "'my venv/ast-label' models fetch")
    monkeypatch.setattr(sys, "argv", ["block/__main__.py", "label"])
    assert (name_program(), spell_command("models list")) == (
        "python -m block", "'my venv/python' -m block models list"
    )  # fmt: skip

    monkeypatch.setenv("PATH", str(programs))
    assert spell_command("models list") == "python -m block models list"
    monkeypatch.setattr(sys, "argv", [str(programs / "ast-label"), "label"])
    assert spell_command("models fetch") == "ast-label models fetch"
