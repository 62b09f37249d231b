"""Fixtures for all tests: a clean environment, and small checkpoints."""

from __future__ import annotations

import json
import os
import resource
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# With pytest-xdist, a test and its processes get one thread each, because the workers share the cores.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"

# A slow machine doesn't fail a test.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

# A test that takes too much memory fails; it doesn't take down other tests or the machine.
_, HARD = resource.getrlimit(resource.RLIMIT_DATA)
resource.setrlimit(resource.RLIMIT_DATA, (12 << 30 if HARD == resource.RLIM_INFINITY else min(12 << 30, HARD), HARD))

# Set before a hub client is imported: tests don't use the network.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
EMBEDDED = ROOT / "models" / "ast-tiny-audioset"
NAMES = (
    "Speech",
    "Male speech, man speaking",
    "Music",
    "Whimper",
    "Whimper (dog)",
    "Dog",
    "Silence",
)


@pytest.fixture(autouse=True)
def _scrubbed_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the keys, endpoints and proxies of the person who runs the tests."""
    for name in list(os.environ):
        if name.startswith("EI_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def make_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that makes a small AST checkpoint with seeded random weights, whose scores differ by input."""

    def make(names: tuple[str, ...] = NAMES, seed: int = 0, **config: int) -> Path:
        import torch
        from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification
        from transformers.utils import logging

        logging.disable_progress_bar()
        small = {
            "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
            "frequency_stride": 16, "time_stride": 16,
        }  # fmt: skip
        labels = {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = ASTForAudioClassification(ASTConfig(**{**small, **config}, **labels))
            extractor = ASTFeatureExtractor(max_length=model.config.max_length, num_mel_bins=model.config.num_mel_bins)
            with torch.no_grad():
                model.audio_spectrogram_transformer.embeddings.position_embeddings.normal_(0, 0.02)
                # With initial weights, every input gets nearly the same logits, so tests could not tell inputs apart.
                # These weights of the head separate tones and noises, with a standard deviation of 2 per logit.
                time = torch.arange(16000) / 16000
                sounds = [0.3 * torch.sin(2 * torch.pi * hz * time) for hz in (200, 400, 800, 1600, 3200)]
                sounds += [sound + 0.02 * torch.randn(16000) for sound in sounds]
                inputs = extractor([sound.numpy() for sound in sounds], sampling_rate=16000, return_tensors="pt")
                pooled = model.audio_spectrogram_transformer(**inputs).pooler_output
                hidden = model.classifier.layernorm(pooled)
                spread = hidden - hidden.mean(dim=0)
                weight = torch.randn(len(names), len(sounds)) @ spread
                weight *= 2 / (spread @ weight.T).std(dim=0)[:, None]
                model.classifier.dense.weight.copy_(weight)
                model.classifier.dense.bias.copy_(-weight @ hidden.mean(dim=0))
        folder = tmp_path_factory.mktemp("checkpoint")
        model.save_pretrained(folder)
        extractor.save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def checkpoint_folder(make_checkpoint: Callable[..., Path]) -> Path:
    return make_checkpoint()


@pytest.fixture
def ids_file(tmp_path: Path) -> Callable[[object], str]:
    """Return a function that writes its argument as JSON and returns the path."""

    def write(content: object) -> str:
        path = tmp_path / "ids.json"
        path.write_text(json.dumps(content))
        return str(path)

    return write


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print one line: what was skipped and why, and whether slow tests were left out."""
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[reason.removeprefix("Skipped: ")] += 1
    parts = [f"{count} skipped: {reason}" for reason, count in sorted(reasons.items())]
    if terminalreporter.config.option.markexpr == "not slow":
        parts.append("slow tests run in make test-all")
    terminalreporter.write_line("; ".join(parts) or "nothing was skipped")
