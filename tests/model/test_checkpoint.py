from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from block.model.checkpoint import DEFAULT, Checkpoint, CheckpointError, FrontEnd, find_checkpoint, read_checkpoint
from block.model.classifier import Classifier
from block.model.device import choose_device
from block.model.model_config import ACTIVATIONS, ModelConfig
from block.model.safetensors_header import read_shapes
from block.runtime.hashing import LARGE_BYTES, MEMORY
from block.settings import ComputeSettings, SettingsError
from tests.conftest import EMBEDDED, NAMES


@pytest.fixture
def copy(checkpoint_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoint_folder, tmp_path / "mine"))


def edit(path: Path, **changes: object) -> None:
    content = json.loads(path.read_text())
    for key, value in changes.items():
        content.pop(key, None)
        if value is not None:
            content[key] = value
    path.write_text(json.dumps(content))


def test_a_checkpoint_is_found_by_folder_and_by_name_in_the_store(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_folder = find_checkpoint(str(copy))
    assert by_folder == find_checkpoint("mine", store=copy.parent)
    assert by_folder.name == "mine"
    assert by_folder.class_names == NAMES
    assert by_folder.front_end == FrontEnd()
    monkeypatch.chdir(copy.parent)
    assert find_checkpoint("mine").class_names == NAMES
    monkeypatch.chdir(copy)
    assert find_checkpoint(".").name == "mine"


def test_the_digest_is_that_of_the_weights(copy: Path) -> None:
    expected = hashlib.sha256((copy / "model.safetensors").read_bytes()).hexdigest()
    assert find_checkpoint(str(copy)).sha256() == expected


def large_weights(folder: Path) -> Checkpoint:
    """Make a checkpoint whose weights, all zeros, are large enough for their digest to be cached."""
    with (folder / "model.safetensors").open("wb") as file:
        file.truncate(LARGE_BYTES)
    return Checkpoint(folder, "large", NAMES, FrontEnd())


def test_the_digest_of_a_large_file_is_computed_once_and_cached(tmp_path: Path) -> None:
    checkpoint = large_weights(tmp_path)
    digest = checkpoint.sha256()
    assert digest == hashlib.sha256(bytes(LARGE_BYTES)).hexdigest()
    memory = tmp_path / MEMORY
    entries = json.loads(memory.read_text())
    assert entries["model.safetensors"]["sha256"] == digest
    # Put another digest into the cache to see that it is used.
    entries["model.safetensors"]["sha256"] = "0" * 64
    memory.write_text(json.dumps(entries))
    assert checkpoint.sha256() == "0" * 64
    assert sorted(path.name for path in tmp_path.iterdir()) == [MEMORY, "model.safetensors"]


def test_the_digest_is_recomputed_when_size_or_time_change(tmp_path: Path) -> None:
    checkpoint = large_weights(tmp_path)
    before = checkpoint.sha256()
    with checkpoint.weights.open("r+b") as file:
        file.write(b"changed")
    os.utime(checkpoint.weights, ns=(1, 1))
    changed = checkpoint.sha256()
    assert changed != before
    with checkpoint.weights.open("ab") as file:
        file.write(b"longer")
    os.utime(checkpoint.weights, ns=(1, 1))
    assert checkpoint.sha256() not in (before, changed)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"model.safetensors": 1}', '{"model.safetensors": {"size": 1}}'])
def test_a_damaged_digest_cache_is_rewritten(tmp_path: Path, content: str) -> None:
    (tmp_path / MEMORY).write_text(content)
    digest = large_weights(tmp_path).sha256()
    assert json.loads((tmp_path / MEMORY).read_text())["model.safetensors"]["sha256"] == digest


def test_a_digest_that_cannot_be_cached_is_computed_each_time_without_a_message(tmp_path: Path) -> None:
    checkpoint = large_weights(tmp_path)
    # A folder at the path of the cache stops even root from writing it.
    (tmp_path / MEMORY).mkdir()
    assert checkpoint.sha256() == checkpoint.sha256() == hashlib.sha256(bytes(LARGE_BYTES)).hexdigest()
    assert sorted(path.name for path in tmp_path.iterdir()) == [MEMORY, "model.safetensors"]


def test_the_digest_of_a_small_file_is_not_cached(copy: Path) -> None:
    before = sorted(copy.iterdir())
    find_checkpoint(str(copy)).sha256()
    assert sorted(copy.iterdir()) == before


def test_the_digest_of_missing_weights_is_an_error(copy: Path) -> None:
    checkpoint = find_checkpoint(str(copy))
    checkpoint.weights.unlink()
    with pytest.raises(CheckpointError, match="can't be read: No such file"):
        checkpoint.sha256()


def test_the_error_for_a_missing_default_checkpoint_comes_with_two_lines_to_copy(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is not a folder; fetch it, or use the small embedded one") as caught:
        find_checkpoint(DEFAULT, store=tmp_path)
    fetch, other = (line.partition("  #")[0] for line in caught.value.__notes__)
    assert fetch.endswith("-m block models fetch")
    assert other == "--model ast-tiny-audioset"


def test_an_unknown_name_is_refused_with_the_available_names(copy: Path) -> None:
    (copy.parent / ".store").mkdir()
    with pytest.raises(CheckpointError, match="available in .*: mine"):
        find_checkpoint("yours", store=copy.parent)


def damage_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


def pickle_weights(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda f: (f / "config.json").unlink(), "config.json is missing"),
    "config is not JSON": (lambda f: (f / "config.json").write_text("{"), "config.json can't be read as JSON"),
    "config is a list": (lambda f: (f / "config.json").write_text("[]"), "it is a JSON list; expected an object"),
    "another architecture": (lambda f: edit(f / "config.json", model_type="vit"), "a model of type 'vit'"),
    "no labels": (lambda f: edit(f / "config.json", id2label=None), "has no class names"),
    "a gap in the labels": (lambda f: edit(f / "config.json", id2label={"0": "a", "2": "b"}), "no name for class 1"),
    "an empty label": (lambda f: edit(f / "config.json", id2label={"0": " "}), "no name for class 0"),
    "no preprocessor": (lambda f: (f / "preprocessor_config.json").unlink(), "preprocessor_config.json is missing"),
    "another front end": (
        lambda f: edit(f / "preprocessor_config.json", feature_extractor_type="WhisperFeatureExtractor"),
        "front end is 'WhisperFeatureExtractor'",
    ),
    "other frames": (lambda f: edit(f / "preprocessor_config.json", max_length=512), "128 mel bins × 512 frames; the"),
    "other bins": (lambda f: edit(f / "preprocessor_config.json", num_mel_bins=64), "64 mel bins × 1024 frames; the"),
    "another rate": (
        lambda f: edit(f / "preprocessor_config.json", sampling_rate=8000),
        "sampling_rate is 8000; expected 16000",
    ),
    "a mean that is text": (lambda f: edit(f / "preprocessor_config.json", mean="low"), "mean is 'low'"),
    "a mean of NaN": (
        lambda f: edit(f / "preprocessor_config.json", mean=float("nan")), "an unusable front end"
    ),
    "a std of 0": (lambda f: edit(f / "preprocessor_config.json", std=0), "an unusable front end"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "model.safetensors is missing"),
    "pickled weights": (pickle_weights, r"pickled weights \(pytorch_model.bin\), which are never loaded"),
    "truncated weights": (damage_weights, "is damaged or not a safetensors file: it has"),
    "a Git LFS pointer instead of weights": (
        lambda f: (f / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n"),
        "damaged or not a safetensors file",
    ),
    "a header longer than the file": (
        lambda f: (f / "model.safetensors").write_bytes(b"\xff" * 7 + b"\x00" + b"{}"), "bytes, but the file has 10"
    ),
    "empty weights": (lambda f: (f / "model.safetensors").write_bytes(b""), "damaged or not a safetensors file"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_unusable_checkpoint_is_refused_and_the_file_named(copy: Path, damage: str) -> None:
    do_damage, message = DAMAGES[damage]
    do_damage(copy)
    with pytest.raises(CheckpointError, match=message):
        find_checkpoint(str(copy))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id2label": {"0": "a", "1": "b", "2": "c"}}, "classifier.dense.weight is 7 × 32; expected 3 × 32"),
        ({"num_hidden_layers": 3}, "the number of layers is 2; expected 3"),
        ({"time_stride": 8}, "position_embeddings is 1 × 514 × 32; expected 1 × 1018 × 32"),
        ({"hidden_size": None}, "classifier.dense.weight is 7 × 32; expected 7 × 768"),
    ],
)
def test_weights_that_do_not_match_their_config_are_refused_before_they_are_loaded(
    copy: Path, changes: dict[str, object], message: str
) -> None:
    edit(copy / "config.json", **changes)
    with pytest.raises(CheckpointError, match=f"model.safetensors does not match its config.json: .*{message}"):
        find_checkpoint(str(copy))


@pytest.mark.parametrize(("name", "value"), [("mean", 1e6), ("mean", -1e6), ("std", 1e6), ("std", -1e6), ("std", 1e-6)])
def test_a_mean_or_deviation_at_its_limit_is_accepted(copy: Path, name: str, value: float) -> None:
    edit(copy / "preprocessor_config.json", **{name: value})
    assert getattr(read_checkpoint(copy).front_end, name) == value


@pytest.mark.parametrize(("axes", "allowed"), [(8, True), (9, False)])
def test_weights_have_at_most_eight_axes(tmp_path: Path, axes: int, allowed: bool) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [1] * axes, "data_offsets": [0, 4]}}).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    if allowed:
        assert read_shapes(path) == {"a": (1,) * axes}
    else:
        with pytest.raises(ValueError, match="'a' 9 axes in 4 bytes of F32: impossible"):
            read_shapes(path)


def test_weights_with_a_missing_tensor_are_refused_when_they_are_loaded(copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(copy / "model.safetensors")
    del tensors["audio_spectrogram_transformer.encoder.layer.1.layernorm_after.weight"]
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="missing keys .*layernorm_after.weight"):
        Classifier(find_checkpoint(str(copy)), choose_device(ComputeSettings("cpu")))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": "abc"}, "hidden_size is 'abc'; expected a whole number from 1 to 1048576"),
        ({"num_attention_heads": 0}, "num_attention_heads is 0; expected a whole number from 1 to 1048576"),
        ({"num_hidden_layers": True}, "num_hidden_layers is True; expected a whole number from 1 to 1048576"),
        ({"num_attention_heads": 5}, "the sizes there are inconsistent"),
        ({"frequency_stride": 1, "time_stride": 1}, "its sizes give 114019 tokens; expected at most 32768"),
        ({"hidden_act": "__import__('os')"}, "hidden_act is .*; expected one of gelu, "),
        ({"hidden_act": ["gelu"]}, "hidden_act is .*; expected one of gelu, "),
        ({"layer_norm_eps": float("inf")}, "layer_norm_eps is inf; expected a number from 0 to 1"),
        ({"layer_norm_eps": float("nan")}, "layer_norm_eps is nan; expected a number from 0 to 1"),
        ({"layer_norm_eps": 10**400}, "layer_norm_eps is 1000.*000; expected a number from 0 to 1"),
        ({"qkv_bias": "no"}, "qkv_bias is 'no'; expected true or false"),
        ({"quantization_config": {"quant_method": "awq"}}, "quantization_config is .*; expected weights that aren't"),
    ],
)
def test_a_model_that_no_weights_can_fit_is_refused(copy: Path, changes: dict[str, object], message: str) -> None:
    edit(copy / "config.json", **changes)
    with pytest.raises(CheckpointError, match=f"config.json: {message}"):
        read_checkpoint(copy)


def test_weights_of_another_model_are_refused_with_its_message(copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(copy / "model.safetensors")
    tensors["classifier.dense.bias"] = tensors["classifier.dense.bias"][:1].clone()
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="can't be loaded on cpu: "):
        Classifier(find_checkpoint(str(copy)), choose_device(ComputeSettings("cpu")))


def test_transformers_knows_the_activations_that_a_config_may_name() -> None:
    from transformers.activations import ACT2FN

    assert set(ACTIVATIONS) < set(ACT2FN)


def test_the_number_of_values_in_the_weights_follows_from_their_config(copy: Path) -> None:
    for folder in (copy, EMBEDDED):
        checkpoint = find_checkpoint(str(folder))
        values = sum(math.prod(shape) for shape in read_shapes(checkpoint.weights).values())
        assert checkpoint.model_config.count_values(len(checkpoint.class_names)) == values
    assert ModelConfig().count_values(527) == 86_594_063  # the published model


def test_layers_that_are_large_only_in_the_config_are_refused(copy: Path) -> None:
    """transformers would make up 500 layers of 512 MB each before it says that their weights are missing."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(copy / "model.safetensors")
    tensors["large"] = torch.zeros(1 << 20, 32)
    for layer in range(2, 500):
        tensors[f"audio_spectrogram_transformer.encoder.layer.{layer}.x"] = torch.zeros(1)
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    edit(copy / "config.json", intermediate_size=1 << 20, num_hidden_layers=500)
    with pytest.raises(CheckpointError, match="it has 33597113 values; expected 34080937095"):
        find_checkpoint(str(copy))


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "/" + "y" * 5000])
def test_a_name_that_no_folder_can_have_is_refused(name: str) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint"):
        find_checkpoint(name)


def test_a_missing_device_is_refused_with_the_reason() -> None:
    if torch.cuda.is_available():
        with pytest.raises(SettingsError, match="expected at most cuda:"):
            choose_device(ComputeSettings("cuda:99"))
    else:
        with pytest.raises(SettingsError, match="--device is cuda, but there is no CUDA device: ."):
            choose_device(ComputeSettings("cuda"))
        assert choose_device(ComputeSettings("auto")).reason.startswith("no CUDA device: ")


def test_dtype_auto_is_float32_on_a_cpu() -> None:
    assert choose_device(ComputeSettings("cpu")).dtype_name == "float32"
    assert choose_device(ComputeSettings("cpu", "bfloat16")).dtype_name == "bfloat16"
