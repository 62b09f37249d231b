"""Train: many cheap steps with merged padding, then some with the exact forward pass; the weights are averaged.

One process per core works on its share of every batch, and the gradients are averaged. On a few cores this is faster
than several threads in one process, and suffers less if other programs use the cores.
"""

from __future__ import annotations

import copy
import math
import multiprocessing
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from transformers import ASTForAudioClassification

from .labels import Labels
from .network import feature_extractor, new_student, pooled, whiten
from .windows import Batch, Tracks, draw, draw_columns

# Training starts with an easier task: padding counts little (it far outweighs the content of a short window), fewer
# windows are changed, and the mean of the content is scored too. All three fade out over 40 % of the steps.
HUSH = 6.0


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train."""

    steps: int  # with merged padding and without some patches
    exact_steps: int  # with the exact forward pass
    peak_rate: float = 1.2e-3
    processes: int = 2
    limit_s: float = 1e9  # training ends by then, with the learning rates fully decayed
    tokens: int = 6000  # patches per batch, over all processes
    keep: float = 0.5  # share of the patches that are read
    group: int = 64  # columns of padding per token
    seed: int = 7


def loss_of(logits: torch.Tensor, guessed: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Return the mean loss of a batch.

    Sigmoid cross-entropy sets the absolute level of the logits, softmax cross-entropy makes the right class lead, a
    third term penalizes classes that are certainly absent, and a fourth predicts the teacher's embedding.
    """
    presence = F.binary_cross_entropy_with_logits(logits, batch.presence, reduction="none").sum(dim=1)
    logs = logits.log_softmax(dim=1)
    share = -(batch.share * logs).sum(dim=1)
    guard = -(batch.absent * torch.log1p(-logs.exp().clamp(max=0.999))).sum(dim=1)
    likeness = 1 - F.cosine_similarity(guessed, batch.embedding, dim=1)
    return (0.15 * presence + share + 2.0 * guard + 2.0 * likeness).mean()


def gradient_of(parameter: torch.nn.Parameter) -> torch.Tensor:
    """Return the parameter's gradient. Raise RuntimeError if the backward pass gave it none."""
    if parameter.grad is None:
        raise RuntimeError(f"a parameter of shape {tuple(parameter.shape)} has no gradient: the loss does not use it")
    return parameter.grad


def average_gradients(parameters: list[torch.nn.Parameter], processes: int, number: float) -> float:
    """Replace every gradient by its mean over the processes; return the mean of each one's `number`."""
    gradients = [gradient_of(p) for p in parameters]
    flat = torch.cat([one.reshape(-1) for one in gradients] + [torch.tensor([number])])
    dist.all_reduce(flat)
    flat /= processes
    start = 0
    for one in gradients:
        one.copy_(flat[start : start + one.numel()].view_as(one))
        start += one.numel()
    return float(flat[-1])


def work(rank: int, meeting: str, tracks: Tracks, labels: Labels, out: Path, plan: Plan, start: Path | None) -> None:
    """Run one training process; the first one reports and saves."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=plan.processes)
    torch.manual_seed(plan.seed)
    rng = np.random.default_rng([plan.seed, rank])
    lengths = np.random.default_rng([plan.seed, 1000])  # the same in every process, so that they keep pace
    model = ASTForAudioClassification.from_pretrained(start) if start else new_student(labels.names)
    model.train()
    guess = torch.nn.Linear(model.config.hidden_size, 1024)
    if start and (start / "guess.pt").exists():
        guess.load_state_dict(torch.load(start / "guess.pt", weights_only=True))
    if not start:
        whiten(model, torch.cat([draw(tracks, np.random.default_rng(k), 13, 9000).pixels for k in range(4)]))
    average = copy.deepcopy(model)
    everything = [*model.parameters(), *guess.parameters()]
    # Muon learns more per step than AdamW from the matrices inside the layers; AdamW trains the rest.
    inside = [p for p in model.audio_spectrogram_transformer.layers.parameters() if p.ndim == 2]
    chosen = {id(p) for p in inside}
    outside = [p for p in everything if id(p) not in chosen]
    optimizers: list[tuple[torch.optim.Optimizer, float]] = [
        (torch.optim.Muon(inside, momentum=0.9, weight_decay=0.02, adjust_lr_fn="match_rms_adamw"), 2 * plan.peak_rate),
        (torch.optim.AdamW(outside, betas=(0.9, 0.98), weight_decay=0.02), plan.peak_rate),
    ]
    total, warm = plan.steps + plan.exact_steps, min(200, plan.steps // 10 + 1)
    began, running, seen = time.time(), 0.0, 0
    done = 0.0  # the finished share of the training, by steps or by time, whichever is larger
    for step in range(total):
        exact = done >= plan.steps / total
        rate = min(1.0, (step + 1) / warm) * (0.5 + 0.5 * math.cos(math.pi * done)) + 0.005
        for optimizer, peak in optimizers:
            optimizer.param_groups[0]["lr"] = peak * rate
        young = 0.0 if start else max(0.0, 1 - done / 0.4)
        change = 0.95 * (1 - 0.7 * young)
        batch = draw(tracks, rng, draw_columns(lengths), plan.tokens // plan.processes, change)
        if exact:  # the exact pass always reads all 514 tokens, so use fewer windows
            size = max(8, plan.tokens // plan.processes // 514)
            batch = Batch(*(getattr(batch, name)[:size] for name in Batch.__dataclass_fields__))
        with torch.autocast("cpu", torch.bfloat16):
            if exact:
                summary = pooled(model, batch.pixels, 1, 1.0, rng)
            else:
                summary = pooled(model, batch.pixels, plan.group, plan.keep, rng, HUSH * young)
            heard = [summary.special] if young == 0 else [summary.special, summary.content]
            answers = [(model.classifier(vector), guess(vector)) for vector in heard]
        loss = torch.stack([loss_of(logits.float(), guessed.float(), batch) for logits, guessed in answers]).mean()
        for p in everything:
            p.grad = None
        torch.autograd.backward(loss)
        spent = average_gradients(everything, plan.processes, (time.time() - began) / plan.limit_s)
        done = max((step + 1) / total, min(spent, 1.0))
        torch.nn.utils.clip_grad_norm_(everything, 1.0)
        for optimizer, _ in optimizers:
            optimizer.step()
        running, seen = running + loss.item(), seen + len(batch.pixels)
        last = done >= 1.0
        if rank:
            if last:
                break
            continue
        decay = min(0.998, (step + 1) / (step + 20))
        with torch.no_grad():
            for mean, now in zip(average.parameters(), model.parameters(), strict=True):
                mean.lerp_(now, 1 - decay)
        if (step + 1) % 100 == 0:
            print(
                f"step {step + 1}/{total} loss {running / 100:.3f} {seen} windows {time.time() - began:.0f} s",
                flush=True,
            )
            running = 0.0
        if (step + 1) % 250 == 0 or last:
            save(average, out)
            torch.save(guess.state_dict(), out / "guess.pt")
        if last:
            break
    dist.destroy_process_group()


def train(tracks: Tracks, labels: Labels, out: Path, plan: Plan, start: Path | None = None) -> None:
    """Train from scratch, or from a checkpoint `start`, and save the averaged weights in `out`."""
    # Fork, so that the tracks are in memory only once; PyTorch's threads haven't started yet.
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as folder:
        meeting = str(Path(folder) / "meeting")
        workers = [
            context.Process(target=work, args=(rank, meeting, tracks, labels, out, plan, start))
            for rank in range(plan.processes)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if any(worker.exitcode for worker in workers):
            raise RuntimeError(f"training processes exited with {[worker.exitcode for worker in workers]}")


def save(model: ASTForAudioClassification, out: Path) -> None:
    """Write config.json, preprocessor_config.json and model.safetensors."""
    out.mkdir(parents=True, exist_ok=True)
    model.eval()
    model.save_pretrained(out)
    feature_extractor().save_pretrained(out)
