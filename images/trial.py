"""Try an image: run the block inside it, and hold its labels to those of a run outside.

    python -m images.trial cpu|gpu

No network but the loopback that a local Studio listens on, everything read-only, as an ordinary user. Root only, on
Linux, with buildah and what `locked/studio.txt` has. Exits with 1 where something is not as it should be.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from block.model.checkpoint import EMBEDDED
from images.container import ROOT, Container, Mount
from images.network import cut_off, is_cut_off
from images.runs import Outcome, Runs

USER, ANOTHER_USER, SUPERUSER = "12345:12345", "54321:100", "0:0"
BUCKET = "/mnt/s3fs/a-bucket"


class NotRight(Exception):
    """What an image should do and did not; one line of text."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m images.trial", description="Run the block inside an image.")
    parser.add_argument("variant", choices=("cpu", "gpu"))
    variant = parser.parse_args(argv).variant
    if not is_cut_off():
        cut_off([sys.executable, "-m", "images.trial", variant])
    with tempfile.TemporaryDirectory() as scratch, Container(f"localhost/ast-ai-action:{variant}") as container:
        trial = Trial(container, Runs(Path(scratch)), variant)
        for step in (trial.torch, trial.ordinary_user, trial.mounted_models, trial.bucket, trial.no_gpu):
            try:
                print(f"ok      {step()}", flush=True)
            except NotRight as error:
                print(f"FAILED  {error}")
                return 1
    print(f"the {variant} image labels as the block does outside it")
    return 0


class Trial:
    """The steps, in order; each returns what was found, or raises NotRight."""

    def __init__(self, container: Container, runs: Runs, variant: str) -> None:
        self.container = container
        self.runs = runs
        self.variant = variant
        self.outside = runs.label(run_outside, "--model", EMBEDDED, "--device", "cpu")
        _expect(self.outside.code == 0, f"the run outside ended with {self.outside.code}: {self.outside.errors}")

    def torch(self) -> str:
        """Torch imports, in the GPU image with CUDA."""
        code = "import torch; print(torch.__version__, torch.version.cuda)"
        done = self.container.run(["/opt/venv/bin/python3", "-c", code], {}, USER)
        _expect(done.returncode == 0, f"torch does not import: {done.stderr}")
        version, cuda = done.stdout.split()
        _expect(self.variant == "cpu" or cuda != "None", f"torch {version} in the GPU image was built without CUDA")
        return f"torch {version} imports, CUDA {cuda}"

    def ordinary_user(self) -> str:
        """The README's `docker run`: nothing but the environment and the ids."""
        self._compare(self._inside(USER), "--model", EMBEDDED, "--device", "cpu")
        return f"user {USER}, read-only, no HOME, nothing mounted but the ids: the labels of a run outside"

    def mounted_models(self) -> str:
        """A read-only models/ in the place of the image's own; and why no GPU is used."""
        models = Mount(ROOT / "models", "/app/models")
        outcome = self._compare(self._inside(ANOTHER_USER, models), "--model", EMBEDDED, "--device", "auto")
        said = next((line for line in outcome.output.splitlines() if line.startswith("device: ")), "")
        _expect(said.startswith("device: cpu (no CUDA device: "), f"--device auto does not say why: {said!r}")
        return f"user {ANOTHER_USER}, models/ mounted read-only: the same labels; {said}"

    def bucket(self) -> str:
        """A bucket as Edge Impulse mounts it, perhaps readable by root alone, with a checkpoint in it."""
        bucket = self.runs.folder / "bucket"
        shutil.copytree(ROOT / "models" / EMBEDDED, bucket / "my-checkpoint", ignore=shutil.ignore_patterns("recipe"))
        bucket.chmod(0o700)
        os.chown(bucket, 0, 0)
        inside = self._inside(SUPERUSER, Mount(bucket, BUCKET))
        self._compare(inside, "--model", f"{BUCKET}/my-checkpoint", "--device", "cpu")
        return "as root, with a checkpoint in a bucket that others cannot read: the same labels"

    def no_gpu(self) -> str:
        """A GPU that is asked for and not there: one line, exit code 2, nothing labeled."""
        outcome = self.runs.label(self._inside(USER), "--model", EMBEDDED, "--device", "cuda")
        lines = outcome.errors.splitlines()
        found = f"--device cuda without a GPU: exit code {outcome.code}, {lines}"
        _expect(outcome.code == 2 and len(lines) == 1 and not any(outcome.labels.values()), found)
        return f"--device cuda without a GPU: exit code 2, {lines[0]}"

    def _compare(self, run: Callable[..., Outcome], *arguments: str) -> Outcome:
        outcome = self.runs.label(run, *arguments)
        _expect(outcome.code == 0, f"the run inside ended with {outcome.code}: {outcome.errors}")
        for name, expected in self.outside.labels.items():
            found = outcome.labels[name]
            _expect(bool(found) and found == expected, f"{name}: inside {found}; outside {expected}")
        return outcome

    def _inside(self, user: str, *mounts: Mount) -> Callable[..., Outcome]:
        def run(arguments: Sequence[str], environment: dict[str, str], ids: Path) -> Outcome:
            place = Mount(ids.parent, "/mnt/job")
            command = [*self.container.entrypoint, *arguments, "--data-ids-file", f"{place.target}/{ids.name}"]
            return Outcome.of(self.container.run(command, environment, user, [place, *mounts]))

        return run


def run_outside(arguments: Sequence[str], environment: dict[str, str], ids: Path) -> Outcome:
    """Run the block on this machine, with this Python."""
    command = [sys.executable, "-u", str(ROOT / "transform.py"), *arguments, "--data-ids-file", str(ids)]
    everything = {**os.environ, **environment}
    done = subprocess.run(command, env=everything, capture_output=True, text=True, check=False)  # noqa: S603
    return Outcome.of(done)


def _expect(right: bool, found: str) -> None:
    if not right:
        raise NotRight(found)


if __name__ == "__main__":
    raise SystemExit(main())
