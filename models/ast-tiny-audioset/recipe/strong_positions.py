"""Make a checkpoint for tests: the small AST with position embeddings as strong as a vision transformer's.

In the embedded checkpoint, position embeddings are a fifth as long as patch embeddings, so tokens that differ only in
position, such as padding, are alike. The large checkpoint's positions started as DeiT's. Features that rely on such
tokens being alike are therefore also measured on the checkpoint made here. Its positions are a random grid,
interpolated in time as AST's authors did with DeiT's, plus noise, with the same mean L2 norm as the patch embeddings.
All weights are then fitted to give the embedded checkpoint's answers on real windows of 0.5 to 10.24 s.

Training never merges tokens and doesn't favor similar padding tokens, which would make the test easy. To save time,
most of it reads a random part of the tokens, each with its own position; the rest reads all. Even that favors a model
that doesn't depend on which padding tokens it reads: with enough time, `EXACT = 1` is the harder case. The report says
how much the answers change if the positions of padding are averaged.

python models/ast-tiny-audioset/recipe/strong_positions.py --audio DIR --out DIR [--minutes 20] [--seed 0]

This reads the recordings like the recipe (see `__main__`), and writes the checkpoint and `report.json` into OUT.
Training stops by the clock, so another run with the same seed gives a similar checkpoint, not the same bytes. If other
programs use the cores, one thread (OMP_NUM_THREADS=1) is several times as fast as two.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path

if __package__ in (None, ""):  # run as a file: make the modules a package, and find the block
    here = Path(__file__).resolve()
    sys.path[:0] = [str(here.parents[1]), str(here.parents[3])]
    __package__ = "recipe"

import torch
import torch.nn.functional as F
from transformers import ASTForAudioClassification

from block.model import checkpoint as checkpoints
from block.model.features import FilterBanks

from .network import COLUMNS, ROWS
from .sources import TRAIN, all_clips
from .strong_report import report
from .strong_windows import Windows, content, embedded
from .train import save

VIT_SIDE = 24  # DeiT at 384 × 384 has a grid of 24 × 24
NOISE = 0.15  # share of the norm: noise added after interpolation
RAMP = 0.3  # share of the training during which the new positions replace the old ones
BATCH = 16  # half of it when all patches are read, which is faster per window
POOL = 1500  # training windows, drawn and scored by the teacher once
KEEP = 0.4  # share of the patches read in the first part of the training
EXACT = 0.4  # share of the training, at its end, that reads all of them


def strong_positions(norm: float, width: int, generator: torch.Generator) -> torch.Tensor:
    """Return random position embeddings with the mean L2 norm `norm`. Shape: (8 · 64, width), row by row.

    As in a ViT, positions of one row (or column) are related: a third each of the grid's power comes from the row, the
    column and the position. The grid's middle rows are kept and its columns interpolated.
    """

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(width, *shape, generator=generator)

    grid = noise(VIT_SIDE, 1) + noise(1, VIT_SIDE) + noise(VIT_SIDE, VIT_SIDE)
    first = (VIT_SIDE - ROWS) // 2
    rows = grid[None, :, first : first + ROWS]
    table = F.interpolate(rows, size=(ROWS, COLUMNS), mode="bilinear")[0].flatten(1).T
    table = table / table.norm(dim=1).mean()
    own = torch.randn(table.shape, generator=generator) / width**0.5
    table = table + NOISE * own
    scaled: torch.Tensor = norm * table / table.norm(dim=1).mean()
    return scaled


def logits(model: ASTForAudioClassification, inputs: torch.Tensor, keep: float = 1.0) -> torch.Tensor:
    """Return logits from a random share `keep` of the patches of each window. Shape: (windows, classes).

    In attention, each patch stands for 1 / keep patches. 1.0 is the exact model.
    """
    ast, heads = model.audio_spectrogram_transformer, model.config.num_attention_heads
    tokens = ast.embeddings(inputs)
    count, patches, width = len(tokens), tokens.shape[1] - 2, tokens.shape[2]
    weight = torch.zeros(1)
    if keep < 1:
        read = 2 + torch.rand(count, patches).argsort(dim=1)[:, : round(keep * patches)]
        tokens = torch.cat([tokens[:, :2], tokens.gather(1, read[..., None].expand(-1, -1, width))], dim=1)
        weight = torch.full((tokens.shape[1],), -math.log(keep))
        weight[:2] = 0
    for layer in ast.layers:
        normed, attention = layer.layernorm_before(tokens), layer.attention
        q, k, v = (p(normed).view(count, -1, heads, width // heads).transpose(1, 2)
                   for p in (attention.q_proj, attention.k_proj, attention.v_proj))  # fmt: skip
        # Written out, as in `network`, because it is faster than fused attention here.
        scores = q @ k.transpose(-1, -2) * (width // heads) ** -0.5 + weight.to(q.dtype)
        mixed = scores.softmax(dim=-1).to(v.dtype) @ v
        tokens = tokens + attention.o_proj(mixed.transpose(1, 2).reshape(count, -1, width))
        tokens = tokens + layer.mlp.fc2(F.gelu(layer.mlp.fc1(layer.layernorm_after(tokens))))
    answer: torch.Tensor = model.classifier(ast.layernorm(tokens[:, :2]).mean(dim=1))
    return answer


def difference(heard: torch.Tensor, taught: torch.Tensor) -> torch.Tensor:
    """Return the mean loss of logits against the teacher's: by softmax, by sigmoid, and directly."""
    share = F.kl_div(heard.log_softmax(dim=1), taught.log_softmax(dim=1), reduction="batchmean", log_target=True)
    sure = taught.sigmoid()
    presence = F.binary_cross_entropy_with_logits(heard, sure) - F.binary_cross_entropy(sure, sure)
    return share + 50 * presence + 0.5 * F.mse_loss(heard, taught)


@torch.no_grad()
def scale_positions(model: ASTForAudioClassification, patches: torch.Tensor) -> None:
    """Scale the positions to the mean norm of the embeddings of `patches`."""
    positions = model.audio_spectrogram_transformer.embeddings.position_embeddings
    norm = embedded(model, patches).norm(dim=1).mean()
    positions[0, 2:] *= norm / positions[0, 2:].norm(dim=1).mean()


def fit(model: ASTForAudioClassification, windows: Windows, seconds: float, seed: int) -> None:
    """Give `model` strong positions, and train it for `seconds` to answer as before."""
    generator = torch.Generator().manual_seed(seed)
    inputs, values = windows.draw(POOL)
    probe = content(inputs[:64], values[:64])
    inputs = inputs.bfloat16()  # half the memory; the products below round to bfloat16 anyway
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        taught = torch.cat([logits(model, part).float() for part in torch.split(inputs, 8)])
    print(f"{POOL} windows", flush=True)
    positions = model.audio_spectrogram_transformer.embeddings.position_embeddings
    old = positions[0, 2:].detach().clone()
    new = strong_positions(float(embedded(model, probe).detach().norm(dim=1).mean()), old.shape[1], generator)
    inside = [p for p in model.audio_spectrogram_transformer.layers.parameters() if p.ndim == 2]
    chosen = {id(p) for p in [*inside, positions]}
    outside = [p for p in model.parameters() if id(p) not in chosen]
    optimizers: list[tuple[torch.optim.Optimizer, float]] = [
        (torch.optim.Muon(inside, momentum=0.9, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"), 1.2e-3),
        (torch.optim.AdamW(outside, betas=(0.9, 0.98), weight_decay=0.0), 6e-4),
        (torch.optim.AdamW([positions], betas=(0.9, 0.98), weight_decay=0.0), 2e-4),
    ]
    began, step, done, running = time.monotonic(), 0, 0.0, 0.0
    while done < 1:
        # During the ramp the positions are set; then they are learned, at the patches' norm.
        if done < RAMP:
            with torch.no_grad():
                positions[0, 2:] = old + done / RAMP * (new - old)
        else:
            scale_positions(model, probe)
        exact = done >= 1 - EXACT
        rows = torch.randint(POOL, (BATCH // 2 if exact else BATCH,), generator=generator)
        with torch.autocast("cpu", torch.bfloat16):
            heard = logits(model, inputs[rows].float(), 1.0 if exact else KEEP).float()
        loss = difference(heard, taught[rows])
        model.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        rate = min(1.0, (step + 1) / 20) * (0.5 + 0.5 * math.cos(math.pi * done)) + 0.005
        for optimizer, peak in optimizers:
            optimizer.param_groups[0]["lr"] = peak * rate
            optimizer.step()
        step, running = step + 1, running + float(loss.detach())
        done = (time.monotonic() - began) / seconds
        if step % 20 == 0:
            agree = float((heard.argmax(dim=1) == taught[rows].argmax(dim=1)).float().mean())
            print(f"step {step} {100 * done:.0f} % loss {running / 20:.3f} agree {agree:.2f}", flush=True)
            running = 0.0
    scale_positions(model, probe)


def main() -> None:
    """Make the checkpoint, save it, and measure it."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--audio", type=Path, required=True, help="esc10, esc10.csv, effects, game_foley, …")
    p.add_argument("--out", type=Path, required=True, help="the checkpoint's folder")
    p.add_argument("--minutes", type=float, default=20, help="minutes of training, after the windows are drawn")
    p.add_argument("--seed", type=int, default=0)
    args = p.parse_args()
    torch.manual_seed(args.seed)
    checkpoint = checkpoints.find_checkpoint(checkpoints.EMBEDDED)
    banks = FilterBanks(checkpoint.front_end, torch.device("cpu"))
    model = ASTForAudioClassification.from_pretrained(checkpoint.folder)
    clips = all_clips(args.audio)
    windows = Windows([clip for clip in clips if clip.split == TRAIN], banks, args.seed)
    fit(model, windows, 60 * args.minutes, args.seed)
    save(model, args.out)
    teacher = ASTForAudioClassification.from_pretrained(checkpoint.folder).eval()
    figures = report(model.eval(), teacher, clips, banks, args.seed)
    for name, row in figures.items():
        print(name, *(f"  {what}: {figure}" for what, figure in row.items()), sep="\n")
    (args.out / "report.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
