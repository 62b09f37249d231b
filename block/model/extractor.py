"""A checkpoint's own feature extractor, and the batched filter banks that stand in for it where both agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from block.model.checkpoint import PREPROCESSOR, SETTINGS, Checkpoint, CheckpointError, FrontEnd
from block.model.features import FilterBanks, check_length
from block.model.transformers_loader import load_extractor

TOLERANCE = 1e-5
PROBE_VALUES = 16000  # one second: frames of sound, then frames of padding


class CheckpointFeatures:
    """Turn windows into input tensors as the checkpoint's own `ASTFeatureExtractor` does, on `device`.

    The extractor is loaded with the first window, or by `load`. Its settings build the batched `FilterBanks`, and one
    window is computed both ways on the CPU. If they differ by more than 1e-5, which another version of transformers or
    an unusual preprocessor_config.json may cause, the extractor itself computes every window, and `warn` says so.
    """

    def __init__(self, checkpoint: Checkpoint, device: torch.device, warn: Callable[[str], None]) -> None:
        self.checkpoint, self.device = checkpoint, device
        self.front_end = checkpoint.front_end
        self._warn = warn

    def load(self) -> None:
        """Load and compare. Raise CheckpointError if the extractor is unusable, or SettingsError if transformers is.

        Calling it again does nothing.
        """
        _ = self._compute

    def __call__(self, waveforms: Tensor) -> Tensor:
        """Return the input tensors of waveforms on the CPU. Shapes and errors as for `FilterBanks` and `load`."""
        return self._compute(waveforms)

    @cached_property
    def _compute(self) -> Callable[[Tensor], Tensor]:
        extractor = load_extractor(self.checkpoint)
        settings = _read_settings(extractor, self.front_end)
        probe = _make_probe()
        try:
            expected = self._extract(extractor, probe)
        except Exception as error:  # an unusual preprocessor_config.json can make the extractor raise anything
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise CheckpointError(
                f"{self.checkpoint.folder / PREPROCESSOR}: transformers' feature extractor fails: {reason}"
            ) from error
        if settings != self.front_end:
            problem = f"transformers reads {settings} from {PREPROCESSOR}, but this block reads {self.front_end}"
        else:
            difference = float((FilterBanks(settings, torch.device("cpu"))(probe) - expected).abs().max())
            if difference <= TOLERANCE:
                return FilterBanks(settings, self.device)
            problem = f"for a test window, the block's own filter banks differ by {difference:.1e}"
        self._warn(
            f"{problem}; transformers' ASTFeatureExtractor computes the model's input instead, which is slower; scores "
            "may differ from those of other versions of transformers"
        )
        return lambda waveforms: self._extract(extractor, waveforms).to(self.device)

    def _extract(self, extractor: Any, waveforms: Tensor) -> Tensor:
        front_end = self.front_end
        check_length(front_end, waveforms.shape[1])
        found = extractor(list(waveforms.numpy()), sampling_rate=front_end.rate_hz, return_tensors="pt")
        inputs: Tensor = found["input_values"].float()
        expected = (len(waveforms), front_end.max_frames, front_end.mel_bins)
        if inputs.shape != expected:
            raise ValueError(f"the input tensors have shape {tuple(inputs.shape)}; expected {expected}")
        return inputs


def _read_settings(extractor: Any, front_end: FrontEnd) -> FrontEnd:
    """Return the extractor's settings; those of `front_end` where it doesn't have one."""
    found = {field: getattr(extractor, name, getattr(front_end, field)) for field, name in SETTINGS.items()}
    return replace(front_end, **found)


def _make_probe() -> Tensor:
    """Return a waveform to compare with, shape `(1, values)`: noise that gets louder, so every bin is far from 0."""
    noise = torch.randn(1, PROBE_VALUES, generator=torch.Generator().manual_seed(0))
    return noise * torch.linspace(1e-3, 0.3, PROBE_VALUES)
