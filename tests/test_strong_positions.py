"""The recipe of the checkpoint with strong positions: what it promises of them, without training."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
import torch
from transformers import ASTForAudioClassification

EMBEDDED = Path(__file__).resolve().parent.parent / "models" / "ast-tiny-audioset"


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(EMBEDDED)
    from recipe import strong_positions

    return strong_positions


@pytest.fixture
def model() -> ASTForAudioClassification:
    return ASTForAudioClassification.from_pretrained(EMBEDDED).eval().requires_grad_(False)


def test_positions_have_the_norm_asked_for_and_are_made_again_from_the_same_seed(recipe: ModuleType) -> None:
    table = recipe.strong_positions(7.5, 192, torch.Generator().manual_seed(3))
    assert table.shape == (512, 192)
    assert float(table.norm(dim=1).mean()) == pytest.approx(7.5, rel=1e-5)
    assert torch.equal(table, recipe.strong_positions(7.5, 192, torch.Generator().manual_seed(3)))


def test_positions_near_in_time_are_alike_but_not_smooth(recipe: ModuleType) -> None:
    grid = recipe.strong_positions(1.0, 192, torch.Generator().manual_seed(0)).view(8, 64, 192)
    near = torch.cosine_similarity(grid[:, 1:], grid[:, :-1], dim=2)
    far = torch.cosine_similarity(grid[:, 10:], grid[:, :-10], dim=2)
    assert 0.8 < float(near.mean()) < 0.95
    assert float(far.mean()) < 0.5


def test_positions_are_held_at_the_norm_of_the_patches(recipe: ModuleType, model: ASTForAudioClassification) -> None:
    patches = torch.randn(100, 256, generator=torch.Generator().manual_seed(0))
    special = model.audio_spectrogram_transformer.embeddings.position_embeddings[0, :2].clone()
    recipe.scale_positions(model, patches)
    positions = model.audio_spectrogram_transformer.embeddings.position_embeddings[0]
    expected = float(recipe.embedded(model, patches).norm(dim=1).mean())
    assert float(positions[2:].norm(dim=1).mean()) == pytest.approx(expected, rel=1e-4)
    assert torch.equal(positions[:2], special)


def test_the_training_forward_pass_with_all_patches_is_exact(
    recipe: ModuleType, model: ASTForAudioClassification
) -> None:
    inputs = torch.randn(2, 1024, 128, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(recipe.logits(model, inputs), model(input_values=inputs).logits, atol=1e-4)


def test_content_patches_have_the_layout_that_the_model_reads(
    recipe: ModuleType, model: ASTForAudioClassification
) -> None:
    inputs = torch.randn(1, 1024, 128, generator=torch.Generator().manual_seed(0))
    patches = recipe.content(inputs, [400 + 160 * 40])  # 41 frames: two whole columns
    with torch.inference_mode():
        grid = model.audio_spectrogram_transformer.embeddings.patch_embeddings(inputs).view(8, 64, -1)
        expected = grid[:, :2].transpose(0, 1).flatten(0, 1)
        assert torch.allclose(recipe.embedded(model, patches), expected, atol=1e-4)
