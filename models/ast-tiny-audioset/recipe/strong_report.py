"""Measure how well the checkpoint with strong positions matches its teacher, and how much its positions matter."""

from __future__ import annotations

import copy

import torch
from transformers import ASTForAudioClassification

from block.model.features import FilterBanks

from .network import COLUMNS, ROWS
from .sources import TRAIN, Clip
from .strong_windows import RATE, content, embedded, load, tensors
from .windows import PATCH

SILENT = 1e-3  # root mean square, -60 dBFS; quieter windows are left out
SECONDS = (0.5, 2.0, 5.0)
MOST = 80  # windows of one kind, other than the 2 s of ESC-10

Figures = dict[str, float | int]


def cut_held_back(clips: list[Clip], kind: str, seconds: float) -> list[torch.Tensor]:
    """Return adjacent windows of recordings that training didn't use, without silent ones."""
    values = round(seconds * RATE)
    chosen = [load(clip) for clip in clips if clip.split != TRAIN and clip.kind == kind]
    cuts = [w for waveform in chosen for w in torch.split(waveform, values) if len(w) == values]
    return [w for w in cuts if w.square().mean().sqrt() > SILENT]


@torch.inference_mode()
def answers(model: ASTForAudioClassification, inputs: torch.Tensor) -> torch.Tensor:
    """Return logits of transformers' own forward pass in float32. Shape: (windows, 1024, 128) → (windows, classes)."""
    return torch.cat([model(input_values=part).logits for part in torch.split(inputs, 8)])


def compare(heard: torch.Tensor, taught: torch.Tensor) -> Figures:
    """Compare two sets of logits, (windows, classes): agreement of the first class, and closeness of the scores."""
    scores, wanted = heard.softmax(dim=1), taught.softmax(dim=1)
    return {
        "windows": len(heard),
        "same first class": round(float((heard.argmax(dim=1) == taught.argmax(dim=1)).double().mean()), 4),
        "correlation of logits": round(float(torch.corrcoef(torch.stack([heard, taught]).flatten(1))[0, 1]), 4),
        "correlation of softmax scores": round(
            float(torch.corrcoef(torch.stack([scores, wanted]).flatten(1))[0, 1]), 4
        ),
        "mean difference of logits": round(float((heard - taught).abs().mean()), 4),
        "mean over windows of the largest difference of softmax scores": round(
            float((scores - wanted).abs().amax(dim=1).mean()), 4
        ),
    }


def shuffle_positions(model: ASTForAudioClassification, seed: int) -> ASTForAudioClassification:
    """Return the model with its 8 · 64 positions in random order."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        table = other.audio_spectrogram_transformer.embeddings.position_embeddings[0, 2:]
        table.copy_(table[torch.randperm(len(table), generator=torch.Generator().manual_seed(seed))])
    return other


def average_positions(model: ASTForAudioClassification, first: int) -> ASTForAudioClassification:
    """Return the model with the positions from column `first` on replaced by the mean of their row.

    All padding patches are equal, so this is the same as merging each row's padding into one token.
    """
    other = copy.deepcopy(model)
    with torch.no_grad():
        table = other.audio_spectrogram_transformer.embeddings.position_embeddings[0, 2:].view(ROWS, COLUMNS, -1)
        table[:, first:] = table[:, first:].mean(dim=1, keepdim=True)
    return other


def strength(model: ASTForAudioClassification, patches: torch.Tensor) -> Figures:
    """Return mean L2 norms of position embeddings and patch embeddings, and the similarity of positions."""
    table = model.audio_spectrogram_transformer.embeddings.position_embeddings[0, 2:].detach()
    norm, patch = float(table.norm(dim=1).mean()), float(embedded(model, patches).detach().norm(dim=1).mean())
    grid = table.view(ROWS, COLUMNS, -1)
    next_to = torch.cosine_similarity(grid[:, 1:], grid[:, :-1], dim=2).mean()
    along = grid.mean(dim=1, keepdim=True)
    return {
        "norm of positions": round(norm, 3),
        "norm of patches": round(patch, 3),
        "ratio": round(norm / patch, 3),
        "cosine of neighbors in time": round(float(next_to), 3),
        "share of the power that differs within a row": round(
            float((grid - along).square().sum() / grid.square().sum()), 3
        ),
    }


def report(
    student: ASTForAudioClassification,
    teacher: ASTForAudioClassification,
    clips: list[Clip],
    banks: FilterBanks,
    seed: int,
) -> dict[str, Figures]:
    """Return all figures, on held-back recordings: ESC-10 fold 4, digit speakers, effects."""
    rows: dict[str, Figures] = {}
    for kind, seconds in [("esc10", s) for s in SECONDS] + [("effect", 2.0), ("digit", 0.5)]:
        waveforms, main = cut_held_back(clips, kind, seconds), (kind, seconds) == ("esc10", 2.0)
        waveforms = waveforms if main else waveforms[:: -(-len(waveforms) // MOST)]
        inputs, name = tensors(banks, waveforms), f"{kind}, {seconds:g} s"
        own, taught = answers(student, inputs), answers(teacher, inputs)
        rows[f"{name}: student and teacher"] = compare(own, taught)
        if main:
            patches = content(inputs, [len(w) for w in waveforms])
            # The first column that is only padding.
            padding = -(-(1 + (len(waveforms[0]) - 400) // 160) // PATCH)
            for who, model, before in (("student", student, own), ("teacher", teacher, taught)):
                rows[f"{who}: strength"] = strength(model, patches)
                changed = {
                    "positions shuffled": shuffle_positions(model, seed),
                    "padding evened": average_positions(model, padding),
                }
                for what, other in changed.items():
                    rows[f"{name}: {who}, {what}"] = compare(answers(other, inputs), before)
    return rows
