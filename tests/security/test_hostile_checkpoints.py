"""A checkpoint from someone else costs one short error and little memory, and only its three files are ever read."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from block.model.checkpoint import CheckpointError, find_checkpoint
from block.model.classifier import Classifier
from block.model.device import choose_device
from block.model.extractor import CheckpointFeatures
from block.model.transformers_loader import load_extractor, load_model
from block.model_store.fetch import FetchTarget, fetch
from block.model_store.pack import pack, record
from block.model_store.store import ModelStore
from block.model_store.verify import read_subject, verify
from block.settings import ComputeSettings
from tests.fuzz.test_fuzz_checkpoints import CONFIG, FRONT_END, WEIGHTS, read_weights, write_weights
from tests.security.folder_commands import Payload

Damage = Callable[[Path], object]


@pytest.fixture
def mine(tmp_path: Path, checkpoint_folder: Path) -> Path:
    """A copy of a good checkpoint, in a store."""
    return Path(shutil.copytree(checkpoint_folder, tmp_path / "models" / "mine"))


def put(name: str, key: str, text: str) -> Damage:
    """Return what gives `key` the value with this JSON `text` in a file."""

    def act(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        content.pop(key, None)
        rest = json.dumps(content).removeprefix("{")
        (folder / name).write_text(f"{{{json.dumps(key)}: {text}, {rest}")

    return act


def edit_header(change: Callable[[dict[str, Any]], object]) -> Damage:
    def act(folder: Path) -> None:
        header, body = read_weights(folder / WEIGHTS)
        change(header)
        write_weights(folder / WEIGHTS, header, body)

    return act


def repeat_tensor(folder: Path) -> None:
    header, body = read_weights(folder / WEIGHTS)
    entry = json.dumps({"classifier.dense.bias": header["classifier.dense.bias"]})
    write_weights(folder / WEIGHTS, f"{json.dumps(header)[:-1]}, {entry[1:]}".encode(), body)


def overlap(header: dict[str, Any]) -> None:
    one, other = [entry for name, entry in header.items() if entry.get("shape") == [32, 32]][:2]
    other["data_offsets"] = one["data_offsets"]


def rename(name: str) -> Damage:
    return edit_header(lambda header: header.update({name: header.pop("classifier.dense.bias")}))


def set_bias(**fields: Any) -> Damage:
    return edit_header(lambda header: header["classifier.dense.bias"].update(fields))


def grow(name: str, size: int) -> Damage:
    return lambda folder: os.truncate(folder / name, size)


DEEP, LONG, DIGITS = "[" * 900 + "]" * 900, json.dumps("x" * 500_000), "9" * 4300
NAMES = {str(at): f"class {at}" for at in range(7)}
HOSTILE: dict[str, tuple[Damage, str]] = {
    **{f"{key} of {what}": (put(CONFIG, key, text), f"config.json: {key} is .*; expected a whole number from 1 to")
       for key, what, text in (
        ("hidden_size", "4,300 digits", DIGITS), ("num_hidden_layers", "10^9", "1000000000"), ("patch_size", "0", "0"),
        ("num_attention_heads", "-1", "-1"), ("intermediate_size", "NaN", "NaN"), ("time_stride", "text", LONG),
        ("frequency_stride", "true", "true"), ("max_length", "a list", "[1024]"), ("num_mel_bins", "128.5", "128.5"))},
    **{f"{key} that is nested": (put(name, key, DEEP), f"{name} can't be read as JSON: it has 90[01] nested levels; e")
       for name, key in ((CONFIG, "hidden_size"), (CONFIG, "more"), (CONFIG, "model_type"), (CONFIG, "num_labels"),
                         (FRONT_END, "sampling_rate"), (FRONT_END, "do_normalize"), (FRONT_END, "more"))},
    "a config of 1 GiB": (grow(CONFIG, 1 << 30), "config.json has 1073741824 bytes; expected at most 4194304"),
    "a front end of 1 GiB": (grow(FRONT_END, 1 << 30), "config.json has 1073741824 bytes; expected at most 1048576"),
    "a million values": (put(CONFIG, "more", f"[{'[],' * 999_999}[]]"), "JSON values; expected at most 262144"),
    "a key twice": (put(CONFIG, "hidden_act", '"relu", "hidden_act": "gelu"'), "has the key 'hidden_act' twice"),
    "a long model type": (put(CONFIG, "model_type", LONG), "a model of type 'xxx.*xxx'; expected 'audio-spectro"),
    "code as an activation": (put(CONFIG, "hidden_act", '"__import__(\'os\')"'), "hidden_act is .*; expected one of"),
    "an epsilon of NaN": (put(CONFIG, "layer_norm_eps", "NaN"), "layer_norm_eps is nan; expected a number from 0 to 1"),
    "quantized weights": (put(CONFIG, "quantization_config", '{"quant_method": "x"}'), "expected weights that aren't"),
    "no classes but a list": (put(CONFIG, "id2label", '["a"]'), "id2label is missing or empty"),
    "a number as a class": (put(CONFIG, "id2label", json.dumps({**NAMES, "3": 5})), "id2label has no name for class 3"),
    "a class twice": (put(CONFIG, "id2label", '{"0": "a", "0": "b"}'), "has the key '0' twice"),
    "a lone surrogate": (put(CONFIG, "id2label", json.dumps({**NAMES, "2": "\ud800"})), "class 2; expected .* Unicode"),
    "a huge name": (put(CONFIG, "id2label", json.dumps({**NAMES, "2": "x" * 10**6})), "expected at most 500 charac"),
    "10^9 mel bins": (put(FRONT_END, "num_mel_bins", "1000000000"), "unusable front end: .*; expected mel_bins 4 to"),
    "10^9 frames": (put(FRONT_END, "max_length", "1000000000"), "unusable front end: .*; expected .*max_frames 1 to"),
    "a rate of 4,300 digits": (put(FRONT_END, "sampling_rate", DIGITS), "sampling_rate is 9+...9+; expected 16000"),
    "a mean of 4,300 digits": (put(FRONT_END, "mean", DIGITS), "unusable front end: .*; expected .*, mean within"),
    "normalizing by text": (put(FRONT_END, "do_normalize", '"no"'), "do_normalize is 'no'; expected true or false"),
    "another extractor": (put(FRONT_END, "feature_extractor_type", LONG), "the front end is 'xxx.*; expected 'AST"),
    "overlapping tensors": (edit_header(overlap), "its header puts 'audio.*' at byte .*; expected byte"),
    "a tensor twice": (repeat_tensor, "it has the key 'classifier.dense.bias' twice"),
    "negative offsets": (set_bias(data_offsets=[-28, 0]), "offsets .-28, 0.; expected whole numbers of 0 or more"),
    "offsets beyond the file": (set_bias(data_offsets=[1 << 40, (1 << 40) + 28]), "at byte .*; expected byte"),
    "three offsets": (set_bias(data_offsets=[0, 28, 28]), "expected whole numbers of 0 or more"),
    "integers": (set_bias(dtype="I32"), "the type 'I32'; expected F64, F32, F16, BF16"),
    "half the bytes": (set_bias(dtype="F64"), "7 in 28 bytes of F64: impossible"),
    "a shape of truth": (set_bias(shape=[True, 7]), r"the shape \[True, 7\] .*; expected whole numbers"),
    "a shape of 10^400": (set_bias(shape=[0, 10**400]), "expected whole numbers of 0 or more"),
    "more about a tensor": (set_bias(more=1), "expected dtype, shape and data_offsets"),
    "a tensor named by digits": (rename(f"encoder.layer.{DIGITS}9.x"), "has the name 'enc.*'; expected at most 200"),
    "a tensor named by an escape": (rename("\x1b[2J"), r"has the name '\\x1b\[2J'; expected at most 200 letters"),
    "metadata that isn't text": (edit_header(lambda header: header.update(__metadata__=[1])), "expected text by name"),
    "a header of 9 MB": (edit_header(lambda header: header.update(__metadata__={"": LONG * 20})), "at most 1048576"),
    "weights of 1 TiB": (grow(WEIGHTS, 1 << 40), "has 1099511627776 bytes; expected at most 8589934592"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_checkpoint_costs_one_short_error(mine: Path, tmp_path: Path, case: str) -> None:
    damage, message = HOSTILE[case]
    damage(mine)
    store = ModelStore(mine.parent, ())
    commands: dict[str, Callable[[], object]] = {
        "load": lambda: find_checkpoint(str(mine)),
        "pack": lambda: pack(store, "mine", tmp_path / "mine.tar"),
        "record": lambda: record(store, "mine"),
        "fetch": lambda: fetch(ModelStore(tmp_path / "b", ()), FetchTarget("b"), str(mine), say=lambda text: None),
    }
    for name, run in commands.items():
        tracemalloc.start()
        try:
            with pytest.raises(CheckpointError) as caught:
                run()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 30 << 20, name
        assert len(str(caught.value)) < 800
        if "GiB" not in case and "TiB" not in case:  # a fetch compares sizes first, with other words
            assert caught.match(message), name
    (check,) = verify(read_subject(store, "mine"))
    assert not check.is_ok
    assert not (tmp_path / "mine.tar").exists()
    assert not (tmp_path / "b" / "b").exists()


def test_only_the_three_files_of_a_checkpoint_are_read(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    device = choose_device(ComputeSettings("cpu"))
    expected = load_model(find_checkpoint(str(mine)), device).state_dict()
    settings = load_extractor(find_checkpoint(str(mine))).to_dict()
    monkeypatch.setattr(torch, "load", None)
    canary = tmp_path / "canary"
    for name in ("adapter_model.bin", "pytorch_model.bin", ".metadata", "distributed/.metadata"):
        (mine / name).parent.mkdir(exist_ok=True)
        (mine / name).write_bytes(pickle.dumps(Payload(canary)))
    others = {name: tensor + 1 for name, tensor in load_file(mine / WEIGHTS).items()}
    save_file(others, mine / "other.safetensors", metadata={"format": "pt"})
    (mine / "model.safetensors.index.json").write_text('{"metadata": {}, "weight_map": {"a": "other.safetensors"}}')
    (mine / "adapter_config.json").write_text('{"base_model_name_or_path": "other"}')
    (mine / "processor_config.json").write_text('{"feature_extractor": {"max_length": 1000000000, "mean": 5}}')
    (mine / "mine.py").write_text(f"import os\nos.mkdir({str(canary)!r})\nclass Mine: pass\n")
    original = (mine / CONFIG).read_text()
    for named in ("adapter_model.bin", "other.safetensors", "../mine/other.safetensors", "nowhere.safetensors", 5):
        more = {
            "transformers_weights": named, "auto_map": {"AutoConfig": "mine.Mine"}, "trust_remote_code": True,
            "fusion_config": {"mine": True}, "attn_implementation": "mine/mine", "_attn_implementation": "mine/mine",
            "dtype": "int64", "torch_dtype": "nonsense", "extra_files": ["pytorch_model.bin"], "use_safetensors": False,
        }  # fmt: skip
        (mine / CONFIG).write_text(json.dumps({**json.loads(original), **more}))
        checkpoint = find_checkpoint(str(mine))
        found = load_model(checkpoint, device).state_dict()
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
        assert load_extractor(checkpoint).to_dict() == settings
    assert not canary.exists()


@pytest.mark.parametrize("name", ["pad", "__call__", "_extract_fbank_features", "fbank", "__class__", "__dict__"])
def test_no_setting_of_the_front_end_replaces_a_function(mine: Path, name: str) -> None:
    put(FRONT_END, name, '"mine"')(mine)
    checkpoint = find_checkpoint(str(mine))
    if name == "pad":
        with pytest.raises(CheckpointError, match="has the key pad, a function of the extractor; expected settings"):
            load_extractor(checkpoint)
    else:
        CheckpointFeatures(checkpoint, choose_device(ComputeSettings("cpu")).device, print).load()


ODD_CONTENT = {"nested": b"[" * 100_000, "escapes": b"\xff\x1b[2J" * 9, "empty": b""}


@pytest.mark.parametrize("content", [*ODD_CONTENT, "huge"])
def test_digests_beside_a_checkpoint_take_neither_memory_nor_time(mine: Path, content: str) -> None:
    for name in ("SHA256SUMS", ".sha256.json"):
        (mine / name).write_bytes(ODD_CONTENT.get(content, b""))
        os.truncate(mine / name, 1 << 40 if content == "huge" else len(ODD_CONTENT[content]))
        if name == "SHA256SUMS" and content != "empty":
            with pytest.raises(CheckpointError, match=r"SHA256SUMS(: line 1 isn't| can't be read)"):
                read_subject(ModelStore(mine.parent / "other", ()), str(mine))
            (mine / name).unlink()
    assert all(check.is_ok for check in verify(read_subject(ModelStore(mine.parent / "other", ()), str(mine))))


def test_a_model_that_needs_more_memory_than_there_is_is_refused(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("block.model.transformers_loader.find_available_bytes", lambda: 1000)
    with pytest.raises(CheckpointError, match=r"needs \d+ bytes of memory; 1000 are available"):
        Classifier(find_checkpoint(str(mine)), choose_device(ComputeSettings("cpu")))
