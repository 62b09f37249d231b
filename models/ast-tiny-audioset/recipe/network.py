"""The student, and a cheap forward pass for training that merges padding and can leave out patches."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification

from .windows import MEAN, PATCH, STD

COLUMNS = 64  # patches along 1024 frames
ROWS = 8  # patches along 128 mel bins


@dataclass(frozen=True)
class Summary:
    """The output of the layers for each window. Both have shape (windows, width)."""

    special: torch.Tensor  # mean of the two special tokens: what the model's head reads
    content: torch.Tensor  # mean of the content's tokens: helps at the start of training


def new_student(names: tuple[str, ...], width: int = 192, layers: int = 6, heads: int = 3) -> ASTForAudioClassification:
    """Return a small AST with the large one's front end. Position embeddings start as sines, which saves data."""
    config = ASTConfig(
        hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=4 * width,
        patch_size=PATCH, frequency_stride=PATCH, time_stride=PATCH, max_length=1024, num_mel_bins=128,
        id2label=dict(enumerate(names)), label2id={name: k for k, name in enumerate(names)},
    )  # fmt: skip
    model = ASTForAudioClassification(config)
    quarter = width // 4
    rates = torch.exp(-math.log(200.0) * torch.arange(quarter) / quarter)

    def waves(count: int) -> torch.Tensor:
        angle = torch.arange(count)[:, None] * rates
        return torch.cat([angle.sin(), angle.cos()], dim=1)

    grid = torch.cat([waves(ROWS)[:, None].expand(-1, COLUMNS, -1), waves(COLUMNS)[None].expand(ROWS, -1, -1)], dim=2)
    with torch.no_grad():
        model.audio_spectrogram_transformer.embeddings.position_embeddings[0, 2:] = 0.2 * grid.reshape(-1, width)
        model.classifier.dense.bias.fill_(-5.0)
        # transformers draws all weights with a deviation of 0.02, which attenuates too much in such a narrow model.
        for layer in model.audio_spectrogram_transformer.layers:
            attention, mlp = layer.attention, layer.mlp
            for linear, gain in (
                (attention.q_proj, 1.0),
                (attention.k_proj, 1.0),
                (attention.v_proj, 1.0),
                (attention.o_proj, 0.4),
                (mlp.fc1, 1.0),
                (mlp.fc2, 0.4),
            ):
                torch.nn.init.normal_(linear.weight, std=gain / linear.weight.shape[1] ** 0.5)
    return model


def whiten(model: ASTForAudioClassification, pixels: torch.Tensor) -> None:
    """Initialize the patch embedding with whitening filters, so that fine structure counts as much as loudness.

    pixels: some training windows, (windows, 16·columns, 128).
    """
    project = model.audio_spectrogram_transformer.embeddings.patch_embeddings.projection
    width = project.weight.shape[0]
    patches = pixels.view(len(pixels), -1, PATCH, ROWS, PATCH).permute(0, 3, 1, 4, 2).reshape(-1, PATCH * PATCH)
    mean = patches.mean(dim=0)
    power, directions = torch.linalg.eigh((patches - mean).T @ (patches - mean) / len(patches))
    filters = (directions[:, -width:] / (power[-width:] + 0.003).sqrt()).T
    mixed = 0.4 * torch.linalg.qr(torch.randn(width, width)).Q @ filters
    with torch.no_grad():
        project.weight.copy_(mixed.view(width, 1, PATCH, PATCH))
        project.bias.copy_(-(mixed @ mean))


def feature_extractor() -> ASTFeatureExtractor:
    """Return the large checkpoint's front end."""
    return ASTFeatureExtractor(mean=MEAN, std=STD, max_length=1024, num_mel_bins=128, sampling_rate=16000)


def pooled(
    model: ASTForAudioClassification,
    pixels: torch.Tensor,
    group: int,
    keep: float,
    rng: np.random.Generator,
    hush: float = 0.0,
) -> Summary:
    """Return the summary of each window, before the classifier. Shape: (windows, 16·columns, 128) → (windows, width).

    The columns after the content are padding. They are merged, row by row, into groups of `group` columns. A group is
    one token with the mean position; the logarithm of its size is added to the attention it gets, so that it weighs as
    much as its members (divided by exp(`hush`)). `group` 1 is the exact model. Only the share `keep` of the content is
    read.
    """
    ast, heads = model.audio_spectrogram_transformer, model.config.num_attention_heads
    table = ast.embeddings.position_embeddings[0]
    project = ast.embeddings.patch_embeddings.projection
    width = table.shape[1]
    count, columns = pixels.shape[0], pixels.shape[1] // PATCH
    # (windows, columns, 16 frames, 8 rows, 16 bins) → patches in AST's order: row by row, bins before frames.
    patches = pixels.view(count, columns, PATCH, ROWS, PATCH).permute(0, 3, 1, 4, 2).reshape(count, ROWS * columns, -1)
    weight = project.weight.view(width, -1)
    positions = table[2:].view(ROWS, COLUMNS, width)
    if keep < 1:
        chosen = torch.from_numpy(rng.random((count, patches.shape[1]))).argsort(dim=1)[
            :, : math.ceil(keep * patches.shape[1])
        ]
        patches = patches.gather(1, chosen[..., None].expand(-1, -1, patches.shape[2]))
        content = F.linear(patches, weight, project.bias) + positions[:, :columns].reshape(-1, width)[chosen]
        # Each content token stands for 1 / keep tokens, so that the padding doesn't weigh more.
        content_bias = -math.log(keep)
    else:
        content = F.linear(patches, weight, project.bias) + positions[:, :columns].reshape(1, -1, width)
        content_bias = 0.0
    blank = weight.sum(dim=1) * (-MEAN / (2 * STD)) + project.bias
    bounds = [(start, min(start + group, COLUMNS)) for start in range(columns, COLUMNS, group)]
    padding = [blank + positions[:, start:end].mean(dim=1) for start, end in bounds]
    sizes = [math.log(end - start) - hush for start, end in bounds for _ in range(ROWS)]
    special = torch.cat([ast.embeddings.cls_token, ast.embeddings.distillation_token], dim=1) + table[:2]
    parts = [special.expand(count, -1, -1), content]
    if padding:
        parts.append(torch.cat(padding)[None].expand(count, -1, -1))
    tokens = torch.cat(parts, dim=1)
    weights = torch.tensor([0.0, 0.0] + [content_bias] * content.shape[1] + sizes)[None, None, None]
    bias = None if group == 1 and keep == 1 and hush == 0 else weights
    for layer in ast.layers:
        normed = layer.layernorm_before(tokens)
        attention = layer.attention
        q, k, v = (p(normed).view(count, -1, heads, width // heads).transpose(1, 2)
                   for p in (attention.q_proj, attention.k_proj, attention.v_proj))  # fmt: skip
        # Written out, because for so few tokens this is faster than fused attention on a CPU in bfloat16.
        scores = q @ k.transpose(-1, -2) * (width // heads) ** -0.5
        mixed = (scores if bias is None else scores + bias.to(q.dtype)).softmax(dim=-1).to(v.dtype) @ v
        tokens = tokens + attention.o_proj(mixed.transpose(1, 2).reshape(count, -1, width))
        tokens = tokens + layer.mlp.fc2(F.gelu(layer.mlp.fc1(layer.layernorm_after(tokens))))
    normed = ast.layernorm(tokens[:, : 2 + content.shape[1]])
    return Summary(normed[:, :2].mean(dim=1), normed[:, 2:].mean(dim=1))
