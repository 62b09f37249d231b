"""Turn windows of a waveform into AST's input tensors, in batches and on the model's device.

This computes the same as transformers' ASTFeatureExtractor, which calls torchaudio's Kaldi-compatible filter banks on
the CPU, one waveform at a time. Per frame of 25 ms: subtract the mean, pre-emphasize by 0.97, apply a symmetric
Hann window, zero-pad to a power of two, take the power spectrum, weight it by triangular mel filters from 20 Hz to
half the rate, take the logarithm. Kaldi's definition: https://kaldi-asr.org/doc/feat.html. For each checkpoint,
`CheckpointFeatures` compares the two.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torchaudio.compliance.kaldi import get_mel_banks

from block.model.checkpoint import FrontEnd

GPU_WINDOWS = 64
LOW_HZ = 20.0
PREEMPHASIS = 0.97
# Kaldi's mel filters can be warped for vocal tract length; a factor of 1 leaves these bounds unused.
VTLN = {"vtln_low": 100.0, "vtln_high": -500.0, "vtln_warp_factor": 1.0}


def repeat(waveforms: Tensor, values: int) -> Tensor:
    """Repeat waveforms, without crossfades, up to `values` values. Shape: `(batch, n)` in, `(batch, values)` out."""
    return waveforms.repeat(1, -(-values // waveforms.shape[1]))[:, :values]


class Features(Protocol):
    """Turn windows into input tensors, with the settings of `front_end`."""

    front_end: FrontEnd

    def __call__(self, waveforms: Tensor) -> Tensor:
        """Return the input tensors of waveforms of the same length. Shapes and errors as for `FilterBanks`."""
        ...


def check_length(front_end: FrontEnd, values: int) -> None:
    """Raise ValueError unless a window of `values` values has at least one frame and fits the model's input."""
    if not front_end.frame_values <= values <= front_end.limit_values:
        raise ValueError(
            f"a window has {values} values at {front_end.rate_hz} Hz; expected {front_end.frame_values} to "
            f"{front_end.limit_values}"
        )


class FilterBanks:
    """Log-mel filter banks of `front_end`, computed on `device` in float32."""

    def __init__(self, front_end: FrontEnd, device: torch.device) -> None:
        self.front_end = front_end
        self.device = device
        self.fft_size = 1 << (front_end.frame_values - 1).bit_length()
        mel, _ = get_mel_banks(front_end.mel_bins, self.fft_size, float(front_end.rate_hz), LOW_HZ, 0.0, **VTLN)
        # The filters leave out the bin at half the rate, so it gets weight 0. Shape: (mel bins, fft_size / 2 + 1).
        self._mel = torch.nn.functional.pad(mel, (0, 1)).to(device)
        self._hann = torch.hann_window(front_end.frame_values, periodic=False, device=device)

    def __call__(self, waveforms: Tensor) -> Tensor:
        """Return the input tensors of waveforms of the same length.

        Shape: `(batch, values)` in, in ±1 at the front end's rate; `(batch, max_frames, mel_bins)` out, float32.
        Padding frames are 0 before normalization, as in training. Raise ValueError for less than one frame or more
        than `front_end.limit_values`.
        """
        batch, values = waveforms.shape
        check_length(self.front_end, values)
        if self.device.type == "cuda":
            waveforms = waveforms.pin_memory()  # so that the copy overlaps the previous pass
        on_device = waveforms.to(self.device, non_blocking=True)
        # A GPU computes a few windows at a time, because frames take many times the memory of the result.
        step = batch if self.device.type == "cpu" else GPU_WINDOWS
        parts = [self._compute(part) for part in torch.split(on_device, step)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _compute(self, waveforms: Tensor) -> Tensor:
        frames = waveforms.unfold(1, self.front_end.frame_values, self.front_end.hop_values)
        batch, count = frames.shape[:2]
        # One row per frame, so that the products below have the same shapes as in the reference.
        rows = frames.reshape(batch * count, -1)
        rows = rows - rows.mean(dim=1, keepdim=True)
        before = torch.cat((rows[:, :1], rows[:, :-1]), dim=1)
        rows = (rows - PREEMPHASIS * before) * self._hann
        power = torch.fft.rfft(torch.nn.functional.pad(rows, (0, self.fft_size - rows.shape[1]))).abs().pow(2.0)
        mel = torch.mm(power, self._mel.T)
        log_mel = torch.clamp(mel, min=torch.finfo(torch.float32).eps).log().view(batch, count, -1)
        padded = torch.nn.functional.pad(log_mel, (0, 0, 0, self.front_end.max_frames - count))
        if not self.front_end.normalize:
            return padded
        return (padded - self.front_end.mean) / (self.front_end.std * 2)
