"""The model's input is what the checkpoint's own feature extractor computes, whatever its settings and version."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import ASTFeatureExtractor

from block.labeling.engine import Engine
from block.model.checkpoint import CheckpointError, find_checkpoint
from block.model.extractor import CheckpointFeatures
from block.model.features import FilterBanks
from tests.labeling.test_engine import Notices, make_engine

CPU = torch.device("cpu")


@pytest.fixture
def copy(checkpoint_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoint_folder, tmp_path / "mine"))


def configure(folder: Path, **settings: object) -> Path:
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
    return folder


def waveforms(count: int = 3, values: int = 32000) -> Tensor:
    return 0.1 * torch.randn(count, values, generator=torch.Generator().manual_seed(count))


def extract(folder: Path, x: Tensor) -> Tensor:
    extractor = ASTFeatureExtractor.from_pretrained(folder)
    found: Tensor = extractor(list(x.numpy()), sampling_rate=16000, return_tensors="pt")["input_values"]
    return found


@dataclass
class Calls:
    """Count the waveforms that go through the extractor's and the block's own filter banks."""

    extractor: list[int] = field(default_factory=list)
    banks: list[int] = field(default_factory=list)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    calls, extract, compute = Calls(), ASTFeatureExtractor.__call__, FilterBanks.__call__

    def count_extracted(self: Any, raw_speech: Any, *rest: Any, **options: Any) -> Any:
        calls.extractor.append(len(raw_speech))
        return extract(self, raw_speech, *rest, **options)

    def count_computed(self: FilterBanks, x: Tensor) -> Tensor:
        calls.banks.append(len(x))
        return compute(self, x)

    monkeypatch.setattr(ASTFeatureExtractor, "__call__", count_extracted)
    monkeypatch.setattr(FilterBanks, "__call__", count_computed)
    return calls


@pytest.mark.parametrize(
    "settings",
    [
        {}, {"mean": -6.5, "std": 3.2}, {"do_normalize": False}, {"feature_size": 128, "padding_value": 3.0},
        {"a_setting_of_others": 1}, {"mean": None, "std": None},
    ],
)  # fmt: skip
def test_usual_and_unusual_settings_give_the_extractors_input_in_batches(
    copy: Path, calls: Calls, settings: dict[str, object]
) -> None:
    configure(copy, **settings)
    if None in settings.values():  # left out, so transformers' defaults count
        path = copy / "preprocessor_config.json"
        path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if v is not None}))
    warnings: list[str] = []
    features = CheckpointFeatures(find_checkpoint(str(copy)), CPU, warnings.append)
    got = features(waveforms())
    assert calls.extractor == [1], "only the test window goes through the extractor"
    assert calls.banks == [1, 3]
    assert (got - extract(copy, waveforms())).abs().max() <= 1e-5
    assert warnings == []


def test_other_sizes_give_the_extractors_input(make_checkpoint: Callable[..., Path]) -> None:
    folder = make_checkpoint(num_mel_bins=64, max_length=256)
    warnings: list[str] = []
    got = CheckpointFeatures(find_checkpoint(str(folder)), CPU, warnings.append)(waveforms())
    assert got.shape == (3, 256, 64)
    assert (got - extract(folder, waveforms())).abs().max() <= 1e-5
    assert warnings == []


def scale(monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    """Give transformers an extractor whose features are `factor` times as large, padding included."""
    original = ASTFeatureExtractor._extract_fbank_features

    def scaled(self: Any, *waveform: Any, **options: Any) -> Any:
        return original(self, *waveform, **options) * factor

    monkeypatch.setattr(ASTFeatureExtractor, "_extract_fbank_features", scaled)


def test_an_extractor_that_disagrees_computes_the_input_itself_and_the_log_says_so(
    checkpoint_folder: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    scale(monkeypatch, 1.001)
    warnings: list[str] = []
    features = CheckpointFeatures(find_checkpoint(str(checkpoint_folder)), CPU, warnings.append)
    features.load()
    features.load()
    got = features(waveforms())
    assert calls.extractor == [1, 3]
    assert calls.banks == [1]
    assert torch.equal(got, extract(checkpoint_folder, waveforms()))
    (line,) = warnings
    assert line.startswith("for a test window, the block's own filter banks differ by ")
    assert "transformers' ASTFeatureExtractor computes the model's input instead" in line


@pytest.mark.parametrize(("factor", "agrees"), [(1 + 1e-7, True), (1 + 1e-4, False), (float("nan"), False)])
def test_the_limit_is_1e_5(
    checkpoint_folder: Path, monkeypatch: pytest.MonkeyPatch, factor: float, agrees: bool
) -> None:
    scale(monkeypatch, factor)
    warnings: list[str] = []
    CheckpointFeatures(find_checkpoint(str(checkpoint_folder)), CPU, warnings.append).load()
    assert (warnings == []) is agrees


def test_an_extractor_that_reads_other_settings_computes_the_input_itself(
    checkpoint_folder: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = ASTFeatureExtractor.__init__

    def init(self: Any, *arguments: Any, **options: Any) -> None:
        original(self, *arguments, **options)
        self.mean += 1.0

    monkeypatch.setattr(ASTFeatureExtractor, "__init__", init)
    warnings: list[str] = []
    got = CheckpointFeatures(find_checkpoint(str(checkpoint_folder)), CPU, warnings.append)(waveforms())
    assert torch.equal(got, extract(checkpoint_folder, waveforms()))
    assert calls.banks == []
    (line,) = warnings
    assert line.startswith("transformers reads FrontEnd(rate_hz=16000, mel_bins=128, max_frames=1024, mean=-3.267739")


def test_an_extractor_that_cannot_be_loaded_is_refused_with_the_first_line_of_the_reason(
    checkpoint_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(self: Any, *arguments: Any, **options: Any) -> None:
        raise ValueError("a setting is odd\nand more")

    monkeypatch.setattr(ASTFeatureExtractor, "__init__", init)
    features = CheckpointFeatures(find_checkpoint(str(checkpoint_folder)), CPU, lambda text: None)
    with pytest.raises(CheckpointError) as refusal:
        features.load()
    assert str(refusal.value) == (
        f"the feature extractor in {checkpoint_folder} can't be loaded: ValueError: a setting is odd"
    )


@pytest.mark.parametrize("values", [399, 164_081])
def test_windows_that_are_too_short_or_too_long_are_refused_either_way(
    checkpoint_folder: Path, monkeypatch: pytest.MonkeyPatch, values: int
) -> None:
    scale(monkeypatch, 1.001)
    features = CheckpointFeatures(find_checkpoint(str(checkpoint_folder)), CPU, lambda text: None)
    with pytest.raises(ValueError, match=f"a window has {values} values .* 400 to 164080"):
        features(torch.zeros(1, values))


def test_an_extractor_that_fails_or_gives_another_shape_is_refused(
    checkpoint_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = find_checkpoint(str(checkpoint_folder))
    original = ASTFeatureExtractor._extract_fbank_features
    for change, message in (
        (lambda features: features[:100], r"have shape \(1, 100, 128\); expected \(1, 1024, 128\)"),
        (lambda features: features.no_such_attribute, "AttributeError"),
    ):
        monkeypatch.setattr(
            ASTFeatureExtractor,
            "_extract_fbank_features",
            lambda self, *waveform, change=change, **options: change(original(self, *waveform, **options)),
        )
        with pytest.raises(CheckpointError, match=f"preprocessor_config.json: .* fails: .*{message}"):
            CheckpointFeatures(checkpoint, CPU, lambda text: None).load()


def logits(engine: Engine, notices: Notices) -> np.ndarray:
    from block.labeling.labeler import ExactLabeler
    from block.recording import Window

    labeler = engine.load_labeler(notices)
    assert isinstance(labeler, ExactLabeler)
    return labeler.compute_outputs([(waveform.numpy(), Window(0, 32000)) for waveform in waveforms()])


def test_the_labels_are_those_of_the_pipeline_whatever_its_extractor_does(
    checkpoint_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import ASTForAudioClassification

    model = ASTForAudioClassification.from_pretrained(checkpoint_folder).eval()
    found = {}
    for factor in (1.0, 1.5):
        with monkeypatch.context() as patch:
            scale(patch, factor)
            notices = Notices()
            found[factor] = logits(make_engine(checkpoint_folder), notices)
            assert len(notices.warnings) == (factor != 1)
            with torch.inference_mode():
                expected = model(extract(checkpoint_folder, waveforms())).logits.numpy()
        np.testing.assert_allclose(found[factor], expected, atol=1e-3)
    assert np.abs(found[1.0] - found[1.5]).max() > 0.1


def test_where_scores_are_stored_the_extractor_is_loaded_with_the_first_window(
    checkpoint_folder: Path, calls: Calls
) -> None:
    labeler = make_engine(checkpoint_folder).load_labeler(Notices(), stored=True)
    assert calls.extractor == []
    assert calls.banks == []
    make_engine(checkpoint_folder).load_labeler(Notices())
    assert calls.extractor == [1]
    assert labeler is not None
