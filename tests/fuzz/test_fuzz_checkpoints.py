"""Any files in a checkpoint's folder load as a model or raise CheckpointError before they take much memory."""

from __future__ import annotations

import json
import math
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from block.model.checkpoint import Checkpoint, CheckpointError, find_checkpoint
from block.model.classifier import Classifier
from block.model.device import choose_device
from block.model.features import FilterBanks
from block.settings import ComputeSettings
from tests.fuzz.drawn import any_text, examples, flipped, json_values, odd_numbers

CONFIG, FRONT_END, WEIGHTS = "config.json", "preprocessor_config.json", "model.safetensors"
DEVICE = choose_device(ComputeSettings("cpu"))


@pytest.fixture
def copy(checkpoint_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoint_folder, tmp_path / "mine"))


def load(folder: Path) -> Checkpoint | None:
    """Find and load a checkpoint as a run does; return None if it is refused."""
    try:
        checkpoint = find_checkpoint(str(folder))
        Classifier(checkpoint, DEVICE)
    except CheckpointError:
        return None
    FilterBanks(checkpoint.front_end, DEVICE.device)(torch.zeros(1, checkpoint.front_end.frame_values))
    return checkpoint


SIZES = ["hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "patch_size",
         "frequency_stride", "time_stride", "max_length", "num_mel_bins"]  # fmt: skip
OTHERS = ["model_type", "id2label", "label2id", "num_labels", "hidden_act", "layer_norm_eps", "dtype", "architectures",
          "quantization_config", "auto_map", "qkv_bias", "hidden_dropout_prob", "initializer_range", "problem_type",
          "attn_implementation", "output_hidden_states", "return_dict", "transformers_version"]  # fmt: skip
FRONT = ["sampling_rate", "num_mel_bins", "max_length", "mean", "std", "do_normalize", "feature_extractor_type"]
config_changes = st.dictionaries(st.sampled_from(SIZES + OTHERS) | any_text, json_values | odd_numbers, max_size=3)
front_changes = st.dictionaries(st.sampled_from(FRONT), json_values | odd_numbers, max_size=3)


@examples(80)
@given(config_changes, front_changes)
@example({"hidden_size": 10**9, "num_attention_heads": 1}, {})
@example({"hidden_size": 10**400}, {})
@example({"intermediate_size": 10**12}, {})
@example({"num_labels": 10**12}, {})
@example({"num_mel_bins": 10**9, "frequency_stride": (10**9 - 16) // 7}, {"num_mel_bins": 10**9})
@example({"max_length": 10**9, "time_stride": (10**9 - 16) // 63}, {"max_length": 10**9})
@example({}, {"mean": 10**400})
@example({}, {"std": 1e-300})
@example({"label2id": [[]]}, {})
def test_any_values_in_the_two_json_files_load_or_are_refused(
    copy: Path, config: dict[str, Any], front_end: dict[str, Any]
) -> None:
    before = {name: (copy / name).read_text() for name in (CONFIG, FRONT_END)}
    try:
        for name, changes in ((CONFIG, config), (FRONT_END, front_end)):
            (copy / name).write_text(json.dumps({**json.loads(before[name]), **changes}))
        load(copy)
    finally:
        for name, text in before.items():
            (copy / name).write_text(text)


@examples(60)
@given(st.sampled_from([CONFIG, FRONT_END]), json_values.map(lambda value: json.dumps(value).encode()) | st.binary())
@example(CONFIG, b"[" * 100_000)
@example(CONFIG, b"\xff\xfe{\x00}\x00")
@example(FRONT_END, b'{"mean": ' + b"9" * 5000 + b"}")
def test_any_content_of_the_two_json_files_loads_or_is_refused(copy: Path, name: str, content: bytes) -> None:
    before = (copy / name).read_bytes()
    (copy / name).write_bytes(content)
    try:
        load(copy)
    finally:
        (copy / name).write_bytes(before)


def read_weights(path: Path) -> tuple[dict[str, Any], bytes]:
    """Return a safetensors file's header and the bytes that follow it."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def write_weights(path: Path, header: Any, body: bytes, length: int | None = None) -> None:
    """Write a safetensors file that gives its header `length` bytes, by default its real length."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + body)


extents = st.lists(st.integers(0, 2000) | odd_numbers | json_values, max_size=4)
entry_changes = st.fixed_dictionaries(
    {},
    optional={
        "shape": extents | json_values,
        "data_offsets": extents,
        "dtype": st.sampled_from(["F64", "F32", "F16", "BF16", "I64", "BOOL", "F4", "F8_E4M3"]) | json_values,
        "more": json_values,
    },
)


@examples(80)
@given(st.data())
def test_any_header_of_the_weights_loads_or_is_refused(copy: Path, data: st.DataObject) -> None:
    path = copy / WEIGHTS
    before = path.read_bytes()
    header, body = read_weights(path)
    names = st.sampled_from(sorted(header))
    for name, changes in data.draw(st.dictionaries(names, entry_changes, max_size=2)).items():
        header[name] = {**header[name], **changes}
    for name in data.draw(st.sets(names, max_size=1)):
        header[data.draw(any_text | names)] = header.pop(name)
    if data.draw(st.booleans()):
        header["__metadata__"] = data.draw(json_values)
    length = data.draw(st.none() | st.sampled_from([0, 1, 2**63, 2**64 - 1, 100_000_001]) | st.integers(0, 2**64 - 1))
    write_weights(path, header, body[: data.draw(st.just(len(body)) | st.integers(0, len(body)))], length)
    try:
        load(copy)
    finally:
        path.write_bytes(before)


@examples(60)
@given(st.data())
def test_any_bytes_of_the_weights_load_or_are_refused(copy: Path, data: st.DataObject) -> None:
    path = copy / WEIGHTS
    before = path.read_bytes()
    path.write_bytes(data.draw(st.binary(max_size=100)) if data.draw(st.booleans()) else flipped(data.draw, before))
    try:
        load(copy)
    finally:
        path.write_bytes(before)


HEADERS: dict[str, Any] = {
    "offsets of words": {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, "4"]}},
    "offsets of lists": {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, [4]]}},
    "an endless extent": {"a": {"dtype": "F32", "shape": [math.inf], "data_offsets": [0, 4]}},
    "half an extent": {"a": {"dtype": "F32", "shape": [0.5], "data_offsets": [0, 4]}},
    "a thousand axes": {"a": {"dtype": "F32", "shape": [10**400] * 1000, "data_offsets": [0, 4]}},
    "a tensor of nothing but size": {"a": {"dtype": "F32", "shape": [10**9, 10**9], "data_offsets": [0, 4]}},
    "no tensors": {},
    "a list": [],
}


@pytest.mark.parametrize("case", HEADERS)
def test_an_invalid_header_is_refused_before_torch_reads_it(copy: Path, case: str) -> None:
    write_weights(copy / WEIGHTS, HEADERS[case], b"1234")
    with pytest.raises(CheckpointError, match="is damaged or not a safetensors file"):
        find_checkpoint(str(copy))


def test_tensors_that_are_large_only_in_the_header_are_refused(copy: Path) -> None:
    # The shapes that a config.json with a hidden size of 10^6 asks for.
    header, body = read_weights(copy / WEIGHTS)
    wide = 10**6
    for name, entry in header.items():
        if name != "__metadata__":
            entry["shape"] = [wide if extent == 32 else extent for extent in entry["shape"]]
    write_weights(copy / WEIGHTS, header, body)
    config = json.loads((copy / CONFIG).read_text())
    (copy / CONFIG).write_text(json.dumps({**config, "hidden_size": wide}))
    with pytest.raises(CheckpointError, match="is damaged or not a safetensors file: its header gives"):
        find_checkpoint(str(copy))


def replace_with(name: str, put: Callable[[Path], object]) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        (folder / name).unlink()
        put(folder / name)

    return act


ODD_FILES: dict[str, Callable[[Path], object]] = {
    "a folder": lambda path: path.mkdir(),
    "a pipe": os.mkfifo,
    "a link to nowhere": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a file without end": lambda path: (path.touch(), os.truncate(path, 1 << 40)),
}


@pytest.mark.parametrize("name", [CONFIG, FRONT_END, WEIGHTS])
@pytest.mark.parametrize("case", ODD_FILES)
def test_anything_but_a_plain_file_is_refused(copy: Path, name: str, case: str) -> None:
    replace_with(name, ODD_FILES[case])(copy)
    with pytest.raises(CheckpointError, match=name):
        find_checkpoint(str(copy))


def test_links_to_the_files_are_followed(copy: Path, tmp_path: Path) -> None:
    for name in (CONFIG, FRONT_END, WEIGHTS):
        (copy / name).rename(tmp_path / name)
        (copy / name).symlink_to(tmp_path / name)
    assert load(copy) is not None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_weights_that_are_not_finite_are_refused_when_they_are_loaded(copy: Path, value: float) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(copy / WEIGHTS)
    tensors["classifier.dense.bias"][0] = value
    save_file(tensors, copy / WEIGHTS, metadata={"format": "pt"})
    checkpoint = find_checkpoint(str(copy))
    with pytest.raises(CheckpointError, match="contains NaN or infinite values, first in classifier.dense.bi"):
        Classifier(checkpoint, DEVICE)
