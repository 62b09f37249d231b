"""How many windows go through the network at once: all that fit on a GPU, cache-sized slices on a CPU."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from block.labeling.labeler import ExactLabeler
from block.labels import parse_labels
from block.model import classifier as classifier_module
from block.model import encoder as encoder_module
from block.model import forward as forward_module
from block.model.checkpoint import find_checkpoint
from block.model.classifier import CPU_PASS_WINDOWS, MERGED, Classifier
from block.model.device import Device, choose_device
from block.model.features import FilterBanks
from block.model.forward import Forward
from block.recording import Recording
from block.settings import ComputeSettings, DecisionSettings, WindowSettings
from tests.conftest import EMBEDDED
from tests.model.test_forward import load

LAYERS = 2  # of the checkpoint of the tests
GIB = 1 << 30


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Collect the number of windows in each real pass through the network, by its calls of attention."""
    calls: list[int] = []
    attend = functional.scaled_dot_product_attention

    def count(queries: Any, *rest: Any, **options: Any) -> Any:
        calls.append(len(queries))
        return attend(queries, *rest, **options)

    monkeypatch.setattr(functional, "scaled_dot_product_attention", count)
    monkeypatch.setattr(encoder_module, "heads_work", lambda: False)
    return calls


def label(folder: Path, windows: int, device: str = "cpu", **options: Any) -> None:
    """Label one recording of `windows` windows."""
    checkpoint, chosen = find_checkpoint(str(folder)), choose_device(ComputeSettings(device))
    decisions = DecisionSettings(parse_labels("Speech", checkpoint.class_names, 0.2))
    classifier = Classifier(checkpoint, chosen, **options)
    banks = FilterBanks(checkpoint.front_end, chosen.device)
    labeler = ExactLabeler(classifier, banks, WindowSettings(100, 100), decisions, lambda text: None)
    waveform = np.random.default_rng(0).normal(0, 0.1, 1600 * windows).astype(np.float32)
    labeler.label([labeler.prepare(Recording(1, "one", 16000, len(waveform), waveform))])


def per_pass(calls: list[int], layers: int = LAYERS) -> list[int]:
    """Return the windows of each pass, which calls attention once in every layer."""
    assert all(calls[at] == calls[at - at % layers] for at in range(len(calls)))
    return calls[::layers]


def test_a_cpu_computes_a_pass_in_slices_that_fit_its_cache(passes: list[int]) -> None:
    model = load(EMBEDDED)
    with torch.inference_mode():
        Forward(model)(torch.zeros(7, 1024, 128))
    assert per_pass(passes, model.config.num_hidden_layers) == [2, 2, 2, 1]
    width, tokens = model.config.intermediate_size, 514
    assert 2 * width * tokens <= forward_module.CPU_ACTIVATIONS < 3 * width * tokens
    # A single window of the full-size model already takes more.
    assert forward_module.CPU_ACTIVATIONS < 3072 * 1214


def test_on_a_cpu_a_batch_has_passes_of_at_most_8_windows_and_slices_within_them(
    checkpoint_folder: Path, passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    label(checkpoint_folder, 20)
    assert per_pass(passes) == [7, 7, 6]
    assert max(passes) <= CPU_PASS_WINDOWS
    passes.clear()
    monkeypatch.setattr(forward_module, "CPU_ACTIVATIONS", 3 * 64 * 514)
    label(checkpoint_folder, 20)
    assert per_pass(passes) == [3, 3, 1, 3, 3, 1, 3, 3]


@pytest.mark.parametrize(
    ("options", "expected"),
    [({"for_store": True}, {1: 20}), ({"batch_size": 5}, {5: 4}), ({"batch_size": 20}, {20: 1})],
)
def test_on_a_cpu_stored_scores_get_one_window_per_pass_and_a_batch_size_is_kept(
    checkpoint_folder: Path, passes: list[int], options: dict[str, Any], expected: dict[int, int]
) -> None:
    label(checkpoint_folder, 20, **options)
    assert Counter(per_pass(passes)) == expected


def test_off_the_cpu_all_windows_go_through_the_network_at_once(passes: list[int], checkpoint_folder: Path) -> None:
    # The meta device computes shapes only, so that this needs no GPU.
    model = load(checkpoint_folder).to("meta")
    with torch.inference_mode():
        found = Forward(model)(torch.zeros(300, 1024, 128, device="meta"))
    assert per_pass(passes) == [300]
    assert len(found) == 300


@pytest.mark.parametrize("options", [{}, {"for_store": True}])
def test_on_cuda_memory_alone_limits_a_pass(
    checkpoint_folder: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    def find_capacity(free: int) -> int:
        classifier = Classifier(
            find_checkpoint(str(checkpoint_folder)), choose_device(ComputeSettings("cpu")), **options
        )
        classifier.__dict__.pop("capacity", None)
        assert classifier.paths  # load the model, on the CPU
        classifier.device = Device(torch.device("cuda"), torch.float32, "pretended")
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, free))
        return classifier.capacity

    small, large = find_capacity(8 * GIB), find_capacity(80 * GIB)
    assert small > 100
    assert large == pytest.approx(10 * small, rel=0.01)


def test_a_fast_path_merges_the_padding_tokens_that_go_through_the_layers(checkpoint_folder: Path) -> None:
    checkpoint = find_checkpoint(str(checkpoint_folder))
    classifier = Classifier(checkpoint, choose_device(ComputeSettings("cpu")), fast=True)
    # 64 columns of 8 patches, and two special tokens. The first 13 columns hold the 198 frames.
    assert classifier.count_tokens(198) == 2 + 8 * 64
    assert classifier.count_tokens(198, MERGED) == 2 + 8 * 13 + 128


@pytest.mark.parametrize("windows", [40, 500])
def test_a_recordings_windows_that_fit_share_one_pass(
    checkpoint_folder: Path, passes: list[int], monkeypatch: pytest.MonkeyPatch, windows: int
) -> None:
    # As on CUDA: no slices, and a capacity from memory.
    monkeypatch.setattr(forward_module, "CPU_ACTIVATIONS", 1 << 50)
    monkeypatch.setattr("block.model.classifier.CPU_PASS_WINDOWS", 10_000)
    monkeypatch.setattr("block.model.classifier.CPU_BUDGET_BYTES", 1 << 50)
    monkeypatch.setattr("block.model.classifier.find_available_bytes", lambda: 64 * GIB)
    label(checkpoint_folder, windows)
    assert per_pass(passes) == [windows]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("windows", [40, 1000])
def test_on_a_gpu_a_recordings_windows_share_one_pass(checkpoint_folder: Path, passes: list[int], windows: int) -> None:
    label(checkpoint_folder, windows, device="cuda")
    assert per_pass(passes) == [windows]


def test_batches_that_overlap_load_the_model_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With scores stored, the first batch loads the model, and on a GPU a second one begins meanwhile."""
    checkpoint, device = find_checkpoint(EMBEDDED), choose_device(ComputeSettings("cpu"))
    load_model, loaded = classifier_module.load_model, []

    def load_slowly(*given: Any) -> Any:
        loaded.append(given)
        time.sleep(0.2)
        return load_model(*given)

    monkeypatch.setattr(classifier_module, "load_model", load_slowly)
    classifier = Classifier(checkpoint, device, for_store=True)
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda _: classifier.capacity, range(2)))
    assert found == [1, 1]
    assert len(loaded) == 1
