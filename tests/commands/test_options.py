from __future__ import annotations

import json
from pathlib import Path

import pytest

from block.commands import label
from block.commands.options import OPTIONS, parse
from block.commands.transform import read_action
from block.edge_impulse.details import SCORES_VARIABLE
from block.model.checkpoint import EMBEDDED
from block.settings import ComputeSettings, DecisionSettings, SettingsError, WindowSettings
from tests.conftest import ROOT

FORM = json.loads((ROOT / "parameters.json").read_text())
ITEMS = {item["param"]: item for item in FORM["parameters"]}
# Options that Edge Impulse passes itself, or that only make sense when a person runs the block.
HOST_ONLY = {
    "data-ids-file", "propose-actions", "failed-ids-file", "dry-run", "verbose",
    "device", "dtype", "backend", "batch-size", "audit-seed", "fast-ids-file", "score-store", "journal",
    "keep-embeddings", "details", "skip-labeled", "ray", "ray-workers", "ray-worker-cpus", "ray-worker-gpus",
    "ray-requests",
}  # fmt: skip


def parse_options(*arguments: str) -> object:
    return parse([*arguments, "--data-ids-file", "ids.json"], warn=lambda text: None)


def test_edge_impulse_accepts_parameters_json() -> None:
    assert (FORM["version"], FORM["type"], FORM["info"]["operatesOn"]) == (1, "ai-action", ["audio"])
    assert FORM["info"]["name"]
    assert FORM["info"]["description"]
    known = {"name", "value", "type", "param", "help", "hint", "valid", "optional", "readonly", "showIf", "section",
             "multiline", "placeholder", "allowEmpty"}  # fmt: skip
    for item in FORM["parameters"]:
        assert {"name", "value", "type", "param", "help"} <= set(item) <= known
        assert isinstance(item["value"], (str, int, float))
        assert item["type"] in ("string", "int", "float", "select", "flag")
        assert item.get("section", "advanced") == "advanced"
        if "showIf" in item:
            assert item["showIf"]["parameter"] in ITEMS
            assert isinstance(item["showIf"]["value"], str)


def test_every_option_is_either_a_form_item_or_host_only() -> None:
    names = {option.name for option in OPTIONS}
    assert set(ITEMS) | HOST_ONLY == names
    assert not set(ITEMS) & HOST_ONLY


@pytest.mark.parametrize("name", ITEMS)
def test_a_form_item_has_the_type_and_default_of_its_option(name: str) -> None:
    option = next(option for option in OPTIONS if option.name == name)
    item = ITEMS[name]
    assert item["type"] == option.kind
    # Studio passes an optional item without a default as an empty value or leaves it out. Both mean unset.
    assert item["value"] == ("" if option.default is None else option.default)
    assert item.get("optional", False) is (option.default is None)
    if item["type"] not in ("flag",) and option.default is not None:
        assert option.read(str(item["value"])) == option.default
    for choice in item.get("valid", ()):
        assert option.read(choice["value"]) == choice["value"]


def test_the_default_options_are_valid_together() -> None:
    options = parse_options()
    assert options.audioset_labels == "speech\nmusic"
    WindowSettings(options.win_size_ms, options.win_stride_ms)
    ComputeSettings(options.device, options.dtype, options.batch_size, options.mode, options.fill)


@pytest.mark.parametrize("option", [o for o in OPTIONS if o.kind != "flag" and not o.required])
def test_an_empty_value_means_unset_except_for_the_preview_job(option: object) -> None:
    if option.name == "propose-actions":
        for empty in (["--propose-actions", ""], ["--propose-actions="], ["--propose-actions", "1.5"]):
            with pytest.raises(SettingsError, match="--propose-actions: got .* expected the number of a preview job"):
                parse_options(*empty)
    else:
        assert getattr(parse_options(f"--{option.name}", ""), option.field) == option.default


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--win-size-ms", "2s"], "--win-size-ms: got '2s', expected a whole number"),
        (["--win-size-ms", "2000.5"], "expected a whole number"),
        (["--min-confidence", "20"], "--min-confidence: got '20', expected a number from 0 to 1"),
        (["--min-confidence", "nan"], "expected a number from 0 to 1|expected a number"),
        (["--silence-dbfs", "quiet"], "--silence-dbfs: got 'quiet'"),
        (["--score-function", "relu"], "got 'relu', expected softmax or sigmoid"),
        (["--existing-labels", "fill"], "got 'fill', expected replace or fill-gaps or keep"),
        (
            ["--skip-labeled", "--existing-labels", "fill-gaps"],
            "--skip-labeled means --existing-labels keep, but that is fill-gaps; use only one of them",
        ),
        (["--mode", "quick"], "got 'quick', expected exact or fast"),
        (["--boundaries", "sounds"], "got 'sounds', expected grid or sound"),
        (["--fill", "loop"], "got 'loop', expected pad or repeat"),
        (["--max-hours", "0"], "got '0', expected a number of hours greater than 0"),
        (["--min-agreement", "99"], "got '99', expected a number from 0 to 1"),
        (["--dtype", "int8"], "got 'int8', expected auto or float32"),
        (["--min-confidense", "0.3"], "unknown option --min-confidense; did you mean --min-confidence?"),
        (["--no-merg"], "unknown option --no-merg; did you mean --no-merge?"),
        (["--propose-action=7"], "unknown option --propose-action; did you mean --propose-actions?"),
        (
            ["--failed-ids-file", "/no/such/folder/x.json"],
            "can't write --failed-ids-file /no/such/folder/x.json: No such file",
        ),
        (["--win-size-ms"], "--win-size-ms: expected one argument"),
        (["-dry-run"], "unknown option -dry-run; did you mean --dry-run?"),
        (["\u2014dry-run"], "did you mean --dry-run?"),
        (["-propose-actions", "5"], "did you mean --propose-actions?"),
        (["--helpp"], "did you mean --help?"),
        (["--audioset-labels", "speech", "music"], "unexpected 'music' after --audioset-labels"),
        (["--no-merge", "false"], "unexpected 'false' after --no-merge"),
        (["--no-merge=1"], "--no-merge"),
    ],
)
def test_invalid_arguments_give_a_one_line_error(arguments: list[str], message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        parse_options(*arguments)
    assert "\n" not in str(caught.value)


def test_a_missing_required_option_is_an_error_and_a_typo_gives_a_suggestion() -> None:
    with pytest.raises(SettingsError, match="did you mean --data-ids-file"):
        parse(["--data-id-file", "x"], warn=lambda text: None)
    with pytest.raises(SettingsError, match="--data-ids-file is required"):
        parse([], warn=lambda text: None)


def test_other_edge_impulse_options_are_ignored_with_one_warning() -> None:
    warnings: list[str] = []
    foreign = ["--in-file", "-a", "--in-directory", "b", "--out-directory", "c", "--hmac-key", "hush", "--metadata",
               '{"a": 1}', "--upload-category", "split", "--upload-label", "x", "--data", "y"]  # fmt: skip
    options = parse([*foreign, "--data-ids-file", "ids.json"], warn=warnings.append)
    assert options.data_ids_file == "ids.json"
    assert len(warnings) == 1
    assert "--hmac-key" in warnings[0]
    assert "hush" not in warnings[0]
    assert "with 8 values" in warnings[0]


def test_an_unknown_option_cannot_add_lines_to_the_warning() -> None:
    warnings: list[str] = []
    parse(["--foo\nERROR: all is lost", "--data-ids-file", "x"], warn=warnings.append)
    assert "\n" not in warnings[0]


@pytest.mark.parametrize(
    ("arguments", "existing"),
    [
        ([], "replace"),
        (["--existing-labels", ""], "replace"),
        (["--skip-labeled"], "keep"),
        (["--skip-labeled", "--existing-labels", "keep"], "keep"),
        (["--skip-labeled", "--existing-labels="], "keep"),
        (["--existing-labels", "replace", "--skip-labeled"], "keep"),
        (["--existing-labels", "fill-gaps"], "fill-gaps"),
    ],
)
def test_skip_labeled_is_a_name_for_keeping_existing_labels(arguments: list[str], existing: str) -> None:
    assert parse_options(*arguments).existing_labels == existing


@pytest.mark.parametrize("arguments", [["--skip-labeled"], ["--existing-labels", "fill-gaps"]])
def test_overwriting_hand_labels_has_no_effect_if_labels_are_kept_and_a_warning_says_so(arguments: list[str]) -> None:
    warnings: list[str] = []
    common = ["--data-ids-file", "ids.json", "--overwrite-hand-labels"]
    parse([*common, *arguments], warn=warnings.append)
    existing = "keep" if arguments == ["--skip-labeled"] else "fill-gaps"
    assert warnings == [f"--overwrite-hand-labels has no effect with --existing-labels {existing}"]
    parse(common, warn=warnings.append)
    assert len(warnings) == 1


def test_an_empty_value_of_a_flag_means_unset() -> None:
    assert parse_options("--no-merge=").no_merge is False


def test_a_negative_level_is_read_as_a_value_not_an_option() -> None:
    assert parse_options("--silence-dbfs", "-60").silence_dbfs == -60
    assert parse_options("--silence-dbfs", "-60.5").silence_dbfs == -60.5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WindowSettings(24, 24), "--win-size-ms is 24; expected 0 .* or at least 25"),
        (lambda: WindowSettings(-1, 1), "--win-size-ms is -1"),
        (lambda: WindowSettings(1000, 0), "--win-stride-ms is 0; expected 1 to the window size, which is 1000"),
        (lambda: WindowSettings(1000, 1001), "--win-stride-ms is 1001"),
        (lambda: WindowSettings(1000, 1000, "beat"), "--boundaries is 'beat'; expected grid or sound"),
        (lambda: DecisionSettings((), min_segment_ms=-1), "--min-segment-ms is -1"),
        (lambda: DecisionSettings((), min_segment_ms=5, merge=False), "use only one"),
        (lambda: DecisionSettings((), min_gap_ms=-5), "--min-gap-ms is -5"),
        (lambda: DecisionSettings((), min_event_ms=5, merge=False), "--min-event-ms merges short segments"),
        (lambda: DecisionSettings((), hysteresis=0.0), "--hysteresis is 0; expected more than 0, and at most 1"),
        (lambda: DecisionSettings((), hysteresis=1.1), "--hysteresis is 1.1"),
        (lambda: DecisionSettings((), median_ms=60_001), "--median-ms is 60001"),
        (lambda: ComputeSettings(context_ms=-1), "--context-ms is -1; expected 0"),
        (lambda: ComputeSettings(context_ms=10_001), "--context-ms is 10001"),
        (lambda: DecisionSettings((), silence_dbfs=3.0), "--silence-dbfs is 3"),
        (lambda: ComputeSettings("gpu"), "--device is 'gpu'; expected auto, cpu, cuda or cuda:N"),
        (lambda: ComputeSettings("cuda:x"), "--device is 'cuda:x'"),
        (lambda: ComputeSettings(batch_size=-2), "--batch-size is -2"),
        (lambda: ComputeSettings(fill="loop"), "--fill is 'loop'; expected pad or repeat"),
    ],
)
def test_invalid_settings_are_rejected(make: object, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        make()


def test_window_size_0_ignores_the_stride() -> None:
    assert str(WindowSettings(0, 0)) == "whole recording"


def test_where_the_sound_changes_window_sizes_are_ignored() -> None:
    assert WindowSettings(7, 9, "sound") == WindowSettings(boundaries="sound")
    assert str(WindowSettings(boundaries="sound")) == "between changes of the sound"


def test_checking_that_failed_ids_can_be_written_changes_no_files(tmp_path: Path) -> None:
    new, old = tmp_path / "new.json", tmp_path / "old.json"
    old.write_text("[1]")
    for path in (new, old):
        parse(["--data-ids-file", "ids.json", "--failed-ids-file", str(path)], print)
    assert not new.exists()
    assert old.read_text() == "[1]"


def test_embeddings_are_refused_without_a_place_to_store_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ids.json").write_text("[]")
    monkeypatch.setenv("EI_PROJECT_API_KEY", "ei_key")
    argv = ["--data-ids-file", str(tmp_path / "ids.json"), "--model", EMBEDDED]
    with pytest.raises(SettingsError, match="--keep-embeddings needs --score-store"):
        read_action([*argv, "--keep-embeddings"])
    assert not read_action(argv).job.compute.keep_embeddings
    assert read_action([*argv, "--keep-embeddings", "--score-store", str(tmp_path)]).job.compute.keep_embeddings
    monkeypatch.setenv(SCORES_VARIABLE, str(tmp_path))
    assert read_action(argv).job.compute.keep_embeddings
    with pytest.raises(SettingsError, match="--keep-embeddings can't be combined with --no-score-store"):
        label.main([str(tmp_path), "--model", EMBEDDED, "--keep-embeddings", "--no-score-store"])
