"""Settings of config.json that move logits are recorded; all others leave the logits as they are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from block.model.arithmetic import MAX_TEXT, MOVES_LOGITS, describe_config, dump_changes
from block.model.checkpoint import Checkpoint, find_checkpoint, read_checkpoint
from block.model.classifier import Classifier
from block.model.device import choose_device
from block.settings import ComputeSettings
from tests.conftest import EMBEDDED

# Other values of these don't fit the same weights, or differ from preprocessor_config.json.
FIXED_BY_SHAPES = {
    "hidden_size", "num_hidden_layers", "intermediate_size", "patch_size", "qkv_bias", "max_length", "num_mel_bins",
}  # fmt: skip
# Dropout is off when a model is used, and initial values are replaced by the weights.
ONLY_IN_TRAINING = {"hidden_dropout_prob", "attention_probs_dropout_prob", "initializer_range"}


@pytest.fixture
def copy(checkpoint_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoint_folder, tmp_path / "mine"))


def change(folder: Path, **settings: object) -> Checkpoint:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
    return find_checkpoint(str(folder))


def compute_logits(checkpoint: Checkpoint) -> torch.Tensor:
    inputs = torch.randn(2, 1024, 128, generator=torch.Generator().manual_seed(3))
    return torch.from_numpy(Classifier(checkpoint, choose_device(ComputeSettings("cpu"))).logits(inputs))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_attention_heads", 4), ("hidden_act", "relu"), ("layer_norm_eps", 0.1), ("frequency_stride", 15),
    ],
)  # fmt: skip
def test_a_setting_that_moves_logits_changes_the_description(copy: Path, name: str, value: object) -> None:
    before = find_checkpoint(str(copy))
    expected = compute_logits(before)
    after = change(copy, **{name: value})
    assert (compute_logits(after) - expected).abs().max() > 1e-3
    assert after.config != before.config
    assert json.loads(after.config)[name] == value
    assert after.sha256() == before.sha256()


@pytest.mark.parametrize("name", ["hidden_dropout_prob", "initializer_range", "problem_type", "a_setting_of_others"])
def test_a_setting_that_does_not_move_logits_changes_nothing(copy: Path, name: str) -> None:
    before = find_checkpoint(str(copy))
    expected = compute_logits(before)
    after = change(copy, **{name: "multi_label_classification" if name == "problem_type" else 0.5})
    assert torch.equal(compute_logits(after), expected)
    assert after.config == before.config


def test_every_setting_of_the_architecture_is_accounted_for() -> None:
    from transformers import ASTConfig, PreTrainedConfig

    own = ASTConfig().to_dict().keys() - PreTrainedConfig().to_dict().keys()
    assert own == MOVES_LOGITS.keys() | FIXED_BY_SHAPES | ONLY_IN_TRAINING
    defaults = ASTConfig().to_dict()
    assert all(defaults.get(name) == value for name, value in MOVES_LOGITS.items())


def test_published_checkpoints_have_nothing_to_describe() -> None:
    from transformers import ASTConfig

    assert find_checkpoint(str(EMBEDDED)).config == ""
    assert describe_config({}, is_usual_size=True) == ""
    assert describe_config(ASTConfig().to_dict(), is_usual_size=True) == ""
    assert describe_config({"frequency_stride": 16, "time_stride": 16}, is_usual_size=True) == ""
    assert describe_config({"frequency_stride": 12, "time_stride": 12}, is_usual_size=True) != ""


def test_strides_are_described_where_the_number_of_positions_does_not_tell_them_apart(
    make_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    # With 32 bins and 32 frames, strides of 10 and of 16 both give 2 × 2 patches.
    configs = [{"frequency_stride": stride, "time_stride": stride} for stride in (10, 16)]
    texts = {describe_config(config, is_usual_size=False) for config in configs}
    assert len(texts) == 2
    short = read_checkpoint(make_checkpoint(max_length=512))
    assert '"time_stride": 16' in short.config


def test_a_long_description_is_replaced_by_its_digest() -> None:
    first, second = ({"hidden_act": letter * MAX_TEXT} for letter in "ab")
    texts = {describe_config(config, is_usual_size=True) for config in (first, second)}
    assert len(texts) == 2
    assert all(text.startswith("sha256 ") and len(text) < 100 for text in texts)
    assert dump_changes({"a": 1}, {"a": 1.0}) == ""


def test_a_description_of_500_characters_is_written_out_and_a_longer_one_is_not() -> None:
    longest = dump_changes({"a": "x" * 491}, {})
    assert longest == json.dumps({"a": "x" * 491})
    assert len(longest) == 500
    assert dump_changes({"a": "x" * 492}, {}).startswith("sha256 ")


def test_settings_of_the_front_end_are_described_unless_they_have_no_effect(copy: Path) -> None:
    path = copy / "preprocessor_config.json"
    usual = json.loads(path.read_text())

    def read(**settings: object) -> str:
        path.write_text(json.dumps({**usual, **settings}))
        return read_checkpoint(copy).front_end.changes

    assert read() == read(feature_size=128, padding_value=1.0, padding_side="left") == ""
    assert read(mean=-4.0) == '{"mean": -4.0}'  # as block 0.1.0 wrote it into score stores
    assert read(do_normalize=False) == '{"normalize": false}'
    assert read(dither=1.0) != read(dither=2.0) != ""
