"""The options of label and relabel."""

from __future__ import annotations

from pathlib import Path

import pytest

from block import cli
from block.commands.label_options import DECIDING, FORMATS, LABEL, STUDIO, collect_run_options, read_label, read_relabel
from block.commands.options import OPTIONS
from block.settings import SettingsError


def test_label_has_every_option_of_the_ai_action_except_those_about_studio() -> None:
    names = {option.name for option in OPTIONS}
    assert {option.name for option in LABEL} == names - set(STUDIO)
    assert set(DECIDING) <= names


def test_defaults_are_those_of_the_ai_action() -> None:
    options = read_label(["DIR", "--out", "OUT"])
    for option in LABEL:
        assert getattr(options, option.field) == option.default
    assert (options.folder, options.out, options.formats, options.no_score_store) == ("DIR", "OUT", FORMATS, False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["DIR"], "--out is required"),
        (["DIR", "--out", ""], "--out is required"),
        (["--out", "OUT"], "SOURCE"),
        (["DIR", "--out", "OUT", "--win-size", "3"], "--win-size"),
        (["DIR", "--out", "OUT", "--formats", "csv,raven"], "got 'raven', expected one or more of csv,info.labels"),
        (["DIR", "--out", "OUT", "--min-confidence", "2"], "expected a number from 0 to 1"),
    ],
)
def test_wrong_options_are_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        read_label(arguments)


@pytest.mark.parametrize(
    "option",
    ["--win-size-ms", "--win-stride-ms", "--model", "--fill", "--context-ms", "--mode", "--dtype", "--device", "--out"],
)
def test_relabel_names_and_refuses_options_that_scores_depend_on(option: str) -> None:
    for arguments in (["OUT", option, "1"], ["OUT", f"{option}=1"]):
        with pytest.raises(SettingsError, match=f"{option} can't change in relabel"):
            read_relabel(arguments)


def test_relabel_keeps_options_that_are_not_given_and_resets_empty_ones_to_their_defaults() -> None:
    given = [
        "--audioset-labels",
        "dog",
        "--silence-dbfs",
        "-60",
        "--no-merge",
        "--other-label",
        "x",
        "--formats",
        "csv",
    ]
    before = collect_run_options(read_label(["DIR", "--out", "OUT", *given]))
    before["formats"] = list(before["formats"])  # JSON has no tuples
    same = read_relabel(["OUT"], before)
    assert (same.audioset_labels, same.silence_dbfs, same.no_merge, same.other_label) == ("dog", -60, True, "x")
    assert same.formats == ("csv",)
    other = read_relabel(["OUT", "--silence-dbfs", "", "--merge", "--formats", "", "--min-confidence", "0.5"], before)
    assert (other.silence_dbfs, other.no_merge, other.formats, other.min_confidence) == (None, False, FORMATS, 0.5)
    assert other.audioset_labels == "dog"


@pytest.mark.parametrize("command", ["label", "relabel"])
def test_help_is_printed(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.run_command([command, "--help"])
    assert ended.value.code == 0
    assert "--audioset-labels" in capsys.readouterr().out


def test_relabel_refuses_a_folder_that_label_did_not_write(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"was not written by `python -m block label`: it has no run\.json"):
        cli.run_command(["relabel", str(tmp_path)])
