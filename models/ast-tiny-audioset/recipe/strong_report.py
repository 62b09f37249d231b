"""How faithful the checkpoint with strong positions is to its teacher, and how much it needs its positions."""

from __future__ import annotations

import copy

import torch
from transformers import ASTForAudioClassification

from block.model.features import FilterBanks

from .network import COLUMNS, ROWS
from .sources import TRAIN, Clip
from .strong_windows import RATE, content, embedded, load, tensors
from .windows import PATCH

SILENT = 1e-3  # root mean square, -60 dBFS: quieter windows are left out
SECONDS = (0.5, 2.0, 5.0)
MOST = 80  # windows of one kind, other than the 2 s of ESC-10

Figures = dict[str, float | int]


def held_back(clips: list[Clip], kind: str, seconds: float) -> list[torch.Tensor]:
    """Windows side by side of recordings that training did not see; none overlap, none are silent."""
    values = round(seconds * RATE)
    chosen = [load(clip) for clip in clips if clip.split != TRAIN and clip.kind == kind]
    cuts = [w for waveform in chosen for w in torch.split(waveform, values) if len(w) == values]
    return [w for w in cuts if w.square().mean().sqrt() > SILENT]


@torch.inference_mode()
def answers(model: ASTForAudioClassification, inputs: torch.Tensor) -> torch.Tensor:
    """Logits of transformers' own forward pass in float32. Shape: (windows, 1024, 128) → (windows, classes)."""
    return torch.cat([model(input_values=part).logits for part in torch.split(inputs, 8)])


def compare(heard: torch.Tensor, taught: torch.Tensor) -> Figures:
    """Two sets of logits, (windows, classes): how often the first class agrees, and how near the scores are."""
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


def shuffled(model: ASTForAudioClassification, seed: int) -> ASTForAudioClassification:
    """The model with its 8 · 64 positions in another order."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        table = other.audio_spectrogram_transformer.embeddings.position_embeddings[0, 2:]
        table.copy_(table[torch.randperm(len(table), generator=torch.Generator().manual_seed(seed))])
    return other


def evened(model: ASTForAudioClassification, first: int) -> ASTForAudioClassification:
    """The model with the positions from column `first` on replaced by the mean of their row.

    Their order would not matter: all tokens of padding hold the same. Merging each row's into one is the same as this.
    """
    other = copy.deepcopy(model)
    with torch.no_grad():
        table = other.audio_spectrogram_transformer.embeddings.position_embeddings[0, 2:].view(ROWS, COLUMNS, -1)
        table[:, first:] = table[:, first:].mean(dim=1, keepdim=True)
    return other


def strength(model: ASTForAudioClassification, patches: torch.Tensor) -> Figures:
    """Mean L2 norms of position embeddings and of patch embeddings before positions are added, and their likeness."""
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
    """All figures, on recordings that were held back: ESC-10 fold 4, speakers of digits, effects."""
    rows: dict[str, Figures] = {}
    for kind, seconds in [("esc10", s) for s in SECONDS] + [("effect", 2.0), ("digit", 0.5)]:
        waveforms, main = held_back(clips, kind, seconds), (kind, seconds) == ("esc10", 2.0)
        waveforms = waveforms if main else waveforms[:: -(-len(waveforms) // MOST)]
        inputs, name = tensors(banks, waveforms), f"{kind}, {seconds:g} s"
        own, taught = answers(student, inputs), answers(teacher, inputs)
        rows[f"{name}: student and teacher"] = compare(own, taught)
        if main:
            patches = content(inputs, [len(w) for w in waveforms])
            # The first column that holds nothing but padding.
            padding = -(-(1 + (len(waveforms[0]) - 400) // 160) // PATCH)
            for who, model, before in (("student", student, own), ("teacher", teacher, taught)):
                rows[f"{who}: strength"] = strength(model, patches)
                changed = {"positions shuffled": shuffled(model, seed), "padding evened": evened(model, padding)}
                for what, other in changed.items():
                    rows[f"{name}: {who}, {what}"] = compare(answers(other, inputs), before)
    return rows
