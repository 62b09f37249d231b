"""In OpenVINO, the layers give the logits of PyTorch's, the same ones each time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from block.model.checkpoint import find_checkpoint
from block.model.classifier import MERGED, MERGED_INT8, Classifier, is_out_of_memory
from block.model.device import choose_device
from block.model.forward import Forward
from block.model.openvino_encoder import OpenVinoEncoder, find_group_size
from block.settings import EXACT, OPENVINO, ComputeSettings, SettingsError
from tests.conftest import EMBEDDED, ROOT
from tests.model.test_forward import PADDING, inputs, load, relative_error

ON_OPENVINO = ComputeSettings("cpu", backend=OPENVINO)


@pytest.mark.parametrize(
    "config",
    [
        {"frequency_stride": 10, "time_stride": 10, "num_attention_heads": 4},
        {"qkv_bias": False, "num_hidden_layers": 1},
        {"max_length": 512, "hidden_size": 64, "num_hidden_layers": 3},
    ],
)
def test_logits_equal_transformers_for_any_configuration(make_checkpoint: Callable[..., Path], config: Any) -> None:
    model = load(make_checkpoint(**config))
    x = inputs(3, 300, model.config.max_length)
    with torch.inference_mode():
        expected = model(x).logits
        assert relative_error(Forward(model, encode=OpenVinoEncoder(model))(x), expected) < 1e-5
    assert expected.std(dim=0).max() > 1e-3, "inputs that all get the same logits test nothing"


@pytest.fixture(scope="module")
def embedded() -> Any:
    return load(EMBEDDED)


@pytest.fixture(scope="module")
def exact(embedded: Any) -> Forward:
    return Forward(embedded, encode=OpenVinoEncoder(embedded))


@pytest.fixture(scope="module")
def int8(embedded: Any) -> Forward:
    return Forward(embedded, encode=OpenVinoEncoder(embedded, int8=True))


def test_logits_of_the_embedded_checkpoint_equal_transformers(embedded: Any, exact: Forward) -> None:
    x = inputs(3, 198)
    with torch.inference_mode():
        assert (exact(x) - embedded(x).logits).abs().max() < 1e-5


def test_merged_tokens_get_as_much_attention_as_in_pytorch(embedded: Any, exact: Forward, int8: Forward) -> None:
    x = inputs(3, 198)
    forward = Forward(embedded)
    with torch.inference_mode():
        tokens = forward.merge_padding(20, 64, PADDING)
        expected = forward(x, tokens)
        assert (expected - forward(x)).abs().max() > 1e-3, "merging that changes nothing tests nothing"
        assert (exact(x, tokens) - expected).abs().max() < 1e-4
        assert 1e-4 < (int8(x, tokens) - expected).abs().max() < 0.2


def test_groups_are_those_of_pytorch(embedded: Any, exact: Forward) -> None:
    with torch.inference_mode():
        found, expected = (one.merge_padding(20, 64, PADDING) for one in (exact, Forward(embedded)))
    assert torch.equal(found.positions, expected.positions)


@pytest.mark.parametrize("path", [EXACT, MERGED, MERGED_INT8])
def test_a_window_computed_again_has_the_same_bits_with_any_number_of_threads(path: str) -> None:
    x, before = inputs(3, 198), torch.get_num_threads()
    found = []
    try:
        for threads in (before, before, 1):
            torch.set_num_threads(threads)
            classifier = Classifier(
                find_checkpoint(str(EMBEDDED)), choose_device(ON_OPENVINO), fast=True, for_store=True
            )
            found.append(np.concatenate([classifier.logits(one, 198, path) for one in torch.split(x, 1)]))
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])
    assert np.ptp(found[0], axis=0).max() > 1e-3


def test_embeddings_follow_the_logits() -> None:
    x = inputs(2, 198)
    outputs = []
    for compute in (ComputeSettings("cpu"), ON_OPENVINO):
        classifier = Classifier(find_checkpoint(str(EMBEDDED)), choose_device(compute), keep_embeddings=True)
        outputs.append(classifier.collect([classifier.begin(x)]))
    assert outputs[0].shape == (2, 527 + 192)
    np.testing.assert_allclose(outputs[1], outputs[0], atol=1e-4)


@pytest.mark.parametrize(
    ("width", "expected"), [(768, 192), (192, 192), (1024, 128), (384, 192), (96, 96), (48, 0), (100, 0)]
)
def test_the_inputs_of_a_token_are_split_into_equal_parts(width: int, expected: int) -> None:
    assert find_group_size(width) == expected


def test_another_activation_is_refused(make_checkpoint: Callable[..., Path]) -> None:
    model = load(make_checkpoint(hidden_act="gelu_new"))
    with pytest.raises(SettingsError, match=r"--backend openvino needs hidden_act gelu, but config\.json has gelu_new"):
        OpenVinoEncoder(model)


def test_other_dtypes_are_refused() -> None:
    with pytest.raises(SettingsError, match="needs --device cpu and --dtype float32; got cpu and bfloat16"):
        choose_device(replace(ON_OPENVINO, dtype="bfloat16"))


def test_a_model_that_openvino_cannot_compile_is_refused(
    make_checkpoint: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("Exception from core.cpp:117:\nResource temporarily unavailable\n")

    monkeypatch.setattr("block.model.openvino_encoder.get_core", fail)
    with pytest.raises(SettingsError, match="can't compile the model: Resource temporarily unavailable; try --backend"):
        OpenVinoEncoder(load(make_checkpoint()))


def test_threads_share_one_core() -> None:
    code = (
        "import sys, threading; from block.model.openvino_encoder import get_core; "
        "sys.setswitchinterval(1e-6); start, cores = threading.Barrier(4), []; "
        "threads = [threading.Thread(target=lambda: (start.wait(), cores.append(get_core()))) for _ in range(4)]; "
        "[one.start() for one in threads]; [one.join() for one in threads]; print(len(cores), len(set(map(id, cores))))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "4 1\n"


def test_openvino_without_memory_is_recognized() -> None:
    text = "Exception from src/inference/src/cpp/infer_request.cpp:223:\nFailed to allocate 101056512 bytes of memory"
    assert is_out_of_memory(RuntimeError(text))


def test_without_the_package_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(SettingsError, match=r"needs OpenVINO, which can't be imported .*; run: pip install -r locked/"):
        choose_device(ON_OPENVINO)
    assert (ROOT / "locked" / "openvino.txt").exists()


def label(folder: Path, out: Path, *options: str) -> str:
    """Label a folder in another process and return what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "block", "label", str(folder), "--out", str(out), "--device", "cpu",
         "--model", "ast-tiny-audioset", "--audioset-labels", "Speech, Music", *options],
        cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout


def test_a_folder_gets_the_same_labels(tmp_path: Path) -> None:
    folder = ROOT / "demo" / "recordings"
    said = [label(folder, tmp_path / backend, "--backend", backend) for backend in ("torch", OPENVINO)]
    assert re.findall("device: .*", said[0]) == ["device: cpu (as requested), float32, mode exact"]
    assert re.findall("device: .*", said[1]) == ["device: cpu (as requested), float32, OpenVINO, mode exact"]
    torch_labels, labels = (
        [line.rsplit(",", 1) for line in (tmp_path / backend / "labels.csv").read_text().splitlines()]
        for backend in ("torch", OPENVINO)
    )
    assert [line[0] for line in labels] == [line[0] for line in torch_labels]
    assert len(labels) > 5


def test_signals_are_handled_after_models_have_come_and_gone(make_checkpoint: Callable[..., Path]) -> None:
    code = (
        "import gc, os, signal, sys, time; from pathlib import Path; "
        "from tests.model.test_openvino_encoder import OpenVinoEncoder, load; "
        "model = load(Path(sys.argv[1])); signal.signal(signal.SIGINT, lambda *_: print('handled', flush=True)); "
        "one, two = OpenVinoEncoder(model), OpenVinoEncoder(model, int8=True); "
        "del one; gc.collect(); del two; gc.collect(); os.kill(os.getpid(), signal.SIGINT)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(make_checkpoint())], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


def test_nothing_is_reported_to_others() -> None:
    """OpenVINO's package for that isn't imported; it looks for a connection as soon as it is."""
    code = (
        "import sys; from block.model.openvino_encoder import import_openvino; import_openvino(); "
        "print([name for name, found in sys.modules.items() if name.startswith('openvino_telemetry') and found])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
