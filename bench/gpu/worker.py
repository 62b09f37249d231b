"""`python -m bench.gpu.worker`: run steps one after another, and append what they find to a file, line by line."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.gpu.facts import NOT_ASKED, Fact
from bench.gpu.sizes import BUDGETS_S, DRY, FULL, STEPS

if TYPE_CHECKING:
    from bench.gpu.subject import Subject

DEVICE_IS_LOST = 75  # exit code: the CUDA context can't be used any more, so another process has to continue
LOST_SIGNS = ("cuda error", "cudnn_status_execution_failed", "cublas_status_execution_failed", "illegal memory access")
MEMORY_SIGN = "out of memory"


def main(argv: Sequence[str]) -> int:
    """Run the steps that the arguments name. Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu.worker", allow_abbrev=False)
    parser.add_argument("steps", nargs="+", choices=STEPS)
    parser.add_argument("--lines", type=Path, required=True, help="file to append to")
    parser.add_argument("--work", type=Path, required=True, help="folder for what is made")
    parser.add_argument("--dry", action="store_true")
    parser.add_argument("--audio", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--clip", type=Path)
    options = parser.parse_args(argv)
    with options.lines.open("a", encoding="utf-8") as file:

        def write(**line: Any) -> None:
            file.write(json.dumps(line) + "\n")
            file.flush()

        try:
            subject = _make_subject(options)
        except Exception as broken:  # a broken installation can raise anything
            write(broken=_describe(broken))
            raise
        from bench import machine

        write(machine=machine.describe())
        for name in options.steps:
            if name == "golden" and options.model is None:
                write(step=name, left_out=f"{NOT_ASKED}: MODEL is the folder of the published checkpoint")
                continue
            subject.ends_at = time.monotonic() + BUDGETS_S[name]
            write(step=name)
            error = _run_step(load_step(name), subject, write)
            write(end=name, failed=_describe(error) if error is not None else "")
            if error is not None and is_device_lost(error):
                return DEVICE_IS_LOST
            del error  # and with it the tensors that its traceback keeps
            if subject.is_cuda:
                subject.accelerator.free_cache()
    return 0


def _make_subject(options: argparse.Namespace) -> Subject:
    import torch

    from bench.gpu.subject import Subject

    if not options.dry and not torch.cuda.is_available():
        raise RuntimeError("PyTorch finds no CUDA device; for a trial on a CPU: python -m bench gpu --dry")
    device = torch.device("cpu" if options.dry else "cuda")
    sizes = DRY if options.dry else FULL
    return Subject(device, sizes, options.work, options.audio, options.model, options.clip)


def load_step(name: str) -> Callable[[Subject], Iterator[Fact]]:
    """Return the function of a step. Its module is imported only now: one that can't be imported costs one step."""

    def run(subject: Subject) -> Iterator[Fact]:
        module = importlib.import_module(f"bench.gpu.steps.{name.replace(' ', '_')}")
        yield from module.run(subject)

    return run


def _run_step(
    run: Callable[[Subject], Iterator[Fact]], subject: Subject, write: Callable[..., None]
) -> Exception | None:
    try:
        for fact in run(subject):
            write(fact=asdict(fact))
    except Exception as error:  # whatever it is, the other steps have to run
        traceback.print_exc()
        return error
    return None


def _describe(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"


def is_device_lost(error: Exception) -> bool:
    """Return True if no later call in this process can use the GPU. Running out of memory isn't that bad."""
    text = str(error).lower()
    return MEMORY_SIGN not in text and any(sign in text for sign in LOST_SIGNS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
