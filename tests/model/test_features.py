from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import ASTFeatureExtractor

from block.model.checkpoint import FrontEnd
from block.model.features import FilterBanks, repeat

RNG = np.random.default_rng(7)
TIME = np.arange(32000) / 16000
SOUNDS = {
    "noise": RNG.normal(0, 0.1, (4, 32000)),
    "faint noise": RNG.normal(0, 1e-5, (3, 16000)),
    "a tone at full scale": np.sin(2 * np.pi * 440 * TIME)[None],
    "a low tone, clipped": np.clip(3 * np.sin(2 * np.pi * 50 * TIME), -1, 1)[None],
    "digital silence": np.zeros((2, 16000)),
    "a constant": np.full((1, 16000), 0.3),
    "one frame": RNG.normal(0, 0.1, (2, 400)),
    "one value less than two frames": RNG.normal(0, 0.1, (1, 559)),
    "all 1024 frames": RNG.normal(0, 0.1, (1, 164_080)),
}


@pytest.mark.parametrize("sound", SOUNDS)
def test_input_tensors_equal_those_of_transformers(sound: str) -> None:
    waveforms = SOUNDS[sound].astype(np.float32)
    expected = ASTFeatureExtractor()(list(waveforms), sampling_rate=16000, return_tensors="pt")["input_values"]
    got = FilterBanks(FrontEnd(), torch.device("cpu"))(torch.from_numpy(waveforms))
    assert got.shape == (len(waveforms), 1024, 128)
    assert (got - expected).abs().max() <= 1e-5


@pytest.mark.parametrize("values", [400, 401, 559, 32_000, 82_040, 100_000, 164_079, 164_080])
def test_a_repeated_window_equals_transformers_on_the_tiled_waveform(values: int) -> None:
    waveforms = RNG.normal(0, 0.1, (2, values)).astype(np.float32)
    tiled = [np.tile(waveform, 164_080 // values + 1)[:164_080] for waveform in waveforms]
    expected = ASTFeatureExtractor()(tiled, sampling_rate=16000, return_tensors="pt")["input_values"]
    filled = repeat(torch.from_numpy(waveforms), FrontEnd().limit_values)
    assert (filled.numpy() == tiled).all()
    assert (FilterBanks(FrontEnd(), torch.device("cpu"))(filled) - expected).abs().max() <= 1e-5


def test_a_front_end_with_other_parameters_equals_transformers() -> None:
    waveforms = RNG.normal(0, 0.1, (2, 16000)).astype(np.float32)
    front_end = FrontEnd(mel_bins=64, max_frames=128, mean=-6.0, std=3.0)
    reference = ASTFeatureExtractor(num_mel_bins=64, max_length=128, mean=-6.0, std=3.0)
    expected = reference(list(waveforms), sampling_rate=16000, return_tensors="pt")["input_values"]
    got = FilterBanks(front_end, torch.device("cpu"))(torch.from_numpy(waveforms))
    assert (got - expected).abs().max() <= 1e-5
    plain = FrontEnd(normalize=False)
    expected = ASTFeatureExtractor(do_normalize=False)(list(waveforms), sampling_rate=16000, return_tensors="pt")
    assert (
        FilterBanks(plain, torch.device("cpu"))(torch.from_numpy(waveforms)) - expected["input_values"]
    ).abs().max() <= 1e-5


def test_padding_and_digital_silence_are_different_inputs() -> None:
    features = FilterBanks(FrontEnd(), torch.device("cpu"))(torch.zeros(1, 16000))
    assert features[0, 50, 0].item() == pytest.approx(-1.278, abs=1e-3)
    assert features[0, 500, 0].item() == pytest.approx(0.467, abs=1e-3)


@pytest.mark.parametrize("values", [0, 399, 164_081])
def test_windows_that_are_too_short_or_too_long_are_refused(values: int) -> None:
    with pytest.raises(ValueError, match=f"a window has {values} values .* 400 to 164080"):
        FilterBanks(FrontEnd(), torch.device("cpu"))(torch.zeros(1, values))
