"""Measure peak memory, each time in a separate process: `python -m bench.memory` prints its own."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.plan import BenchError
from block.settings import EXACT, TORCH, ComputeSettings

ROOT = Path(__file__).resolve().parents[1]
STATUS = Path("/proc/self/status")
LONG_WINDOW_MS = 10000
MIB = 1 << 20


@dataclass(frozen=True)
class Memory:
    """The peak memory of a process in MiB; `cuda_mib` is PyTorch's peak on a GPU."""

    what: str
    mib: float
    cuda_mib: float | None = None


def measure_contender(
    kind: str, checkpoint: Path, batch: int, audio: Path, compute: ComputeSettings, export_to: Path, patience_s: float
) -> Memory:
    """Measure the peak memory of one contender with one batch of 2 s windows. Raise BenchError if that fails."""
    return _measure(
        kind,
        ["--contender", kind, "--batch", str(batch), "--export-to", str(export_to)],
        checkpoint, audio, compute, patience_s,
    )  # fmt: skip


def measure_recording(
    what: str, checkpoint: Path, recording: Path, compute: ComputeSettings, patience_s: float
) -> Memory:
    """Measure the peak memory of labeling one recording in 10 s windows. Raise BenchError if that fails."""
    return _measure(what, [], checkpoint, recording, compute, patience_s)


def _measure(
    what: str, arguments: Sequence[str], checkpoint: Path, audio: Path, compute: ComputeSettings, patience_s: float
) -> Memory:
    command = [
        sys.executable, "-m", "bench.memory", *arguments, "--checkpoint", str(checkpoint.resolve()),
        "--audio", str(audio.resolve()), "--device", compute.device, "--dtype", compute.dtype,
        "--backend", compute.backend,
    ]  # fmt: skip
    try:
        done = subprocess.run(  # noqa: S603
            command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=patience_s
        )
    except subprocess.TimeoutExpired:
        raise BenchError(f"memory of {what}: not done within {patience_s:.0f} s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise BenchError(f"memory of {what}: {lines[-1]}")
    answer = json.loads(done.stdout.splitlines()[-1])
    return Memory(what, answer["mib"], answer["cuda_mib"])


def peak_mib() -> float:
    """Return the peak memory of this process, in MiB.

    Prefer the kernel's own mark: `getrusage` starts at the memory of the process that this one was forked from.
    """
    if STATUS.is_file():
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB


def main(argv: Sequence[str]) -> None:
    """Run one contender or label one recording, then print the peak memory as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.memory", allow_abbrev=False)
    parser.add_argument("--contender", help="default: label a recording")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--export-to", type=Path, default=Path())
    for name in ("--checkpoint", "--audio"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--backend", default=TORCH)
    options = parser.parse_args(argv)

    import torch

    from bench import inputs, stages
    from bench.contenders import Field
    from block.model.checkpoint import find_checkpoint
    from block.model.device import choose_device

    device = choose_device(ComputeSettings(options.device, options.dtype, backend=options.backend))
    field = Field(find_checkpoint(str(options.checkpoint)), device, options.export_to, options.contender != EXACT)
    if options.contender:
        rate_hz = field.checkpoint.front_end.rate_hz
        windows = inputs.cut_windows([options.audio], 2 * rate_hz, options.batch, rate_hz)
        field.contender(options.contender, options.batch).run(windows)
    else:
        with tempfile.TemporaryDirectory() as folder:
            stages.measure(field.classifier, [options.audio], 1, Path(folder) / "labels.jsonl", LONG_WINDOW_MS)
    on_cuda = device.device.type == "cuda"
    cuda_mib = torch.cuda.max_memory_allocated(device.device) / MIB if on_cuda else None
    print(json.dumps({"mib": peak_mib(), "cuda_mib": cuda_mib}))


if __name__ == "__main__":
    main(sys.argv[1:])
