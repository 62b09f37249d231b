"""Try an image: run the block inside it, and compare its labels with those of a run outside.

    python -m images.trial cpu|gpu

The block runs read-only, as an ordinary user, with no network but the loopback of a local Studio. This needs root,
Linux, buildah and the packages in `locked/studio.txt`. The exit code is 1 if a step fails.
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


class TrialFailed(Exception):
    """An image behaves differently than expected; the message says how in one line."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m images.trial", description="Run the block inside an image and check its labels."
    )
    parser.add_argument("variant", choices=("cpu", "gpu"))
    variant = parser.parse_args(argv).variant
    if not is_cut_off():
        cut_off([sys.executable, "-m", "images.trial", variant])
    with tempfile.TemporaryDirectory() as scratch, Container(f"localhost/ast-ai-action:{variant}") as container:
        trial = Trial(container, Runs(Path(scratch)), variant)
        for step in (trial.torch, trial.ordinary_user, trial.mounted_models, trial.bucket, trial.no_gpu):
            try:
                print(f"ok      {step()}", flush=True)
            except TrialFailed as error:
                print(f"FAILED  {error}")
                return 1
    print(f"the {variant} image gives the same labels as the block outside it")
    return 0


class Trial:
    """The steps of a trial, in order; each returns its finding or raises TrialFailed."""

    def __init__(self, container: Container, runs: Runs, variant: str) -> None:
        self.container = container
        self.runs = runs
        self.variant = variant
        self.outside = runs.label(run_outside, "--model", EMBEDDED, "--device", "cpu")
        _expect(
            self.outside.code == 0,
            f"the run outside exited with {self.outside.code}; expected 0: {self.outside.errors}",
        )

    def torch(self) -> str:
        """Import torch; in the GPU image it must have CUDA."""
        code = "import torch; print(torch.__version__, torch.version.cuda)"
        done = self.container.run(["/opt/venv/bin/python3", "-c", code], {}, USER)
        _expect(done.returncode == 0, f"torch can't be imported: {done.stderr}")
        version, cuda = done.stdout.split()
        _expect(self.variant == "cpu" or cuda != "None", f"torch {version} in the GPU image was built without CUDA")
        return f"torch {version} imports, CUDA {cuda}"

    def ordinary_user(self) -> str:
        """Run as in the README's `docker run`, with only the environment and the ids."""
        self._compare(self._inside(USER), "--model", EMBEDDED, "--device", "cpu")
        return f"user {USER}, read-only, no HOME, only the ids mounted: same labels as outside"

    def mounted_models(self) -> str:
        """Mount models/ read-only over the image's own, and check that the log says why no GPU is used."""
        models = Mount(ROOT / "models", "/app/models")
        outcome = self._compare(self._inside(ANOTHER_USER, models), "--model", EMBEDDED, "--device", "auto")
        line = next((line for line in outcome.output.splitlines() if line.startswith("device: ")), "")
        _expect(line.startswith("device: cpu (no CUDA device: "), f"--device auto gives no reason: {line!r}")
        return f"user {ANOTHER_USER}, models/ mounted read-only: same labels; {line}"

    def bucket(self) -> str:
        """Use a checkpoint in a bucket mounted as Edge Impulse does it, where only root may read."""
        bucket = self.runs.folder / "bucket"
        shutil.copytree(ROOT / "models" / EMBEDDED, bucket / "my-checkpoint", ignore=shutil.ignore_patterns("recipe"))
        bucket.chmod(0o700)
        os.chown(bucket, 0, 0)
        inside = self._inside(SUPERUSER, Mount(bucket, BUCKET))
        self._compare(inside, "--model", f"{BUCKET}/my-checkpoint", "--device", "cpu")
        return "as root, with a checkpoint in a bucket that others can't read: same labels"

    def no_gpu(self) -> str:
        """Ask for a missing GPU: one line, exit code 2, nothing labeled."""
        outcome = self.runs.label(self._inside(USER), "--model", EMBEDDED, "--device", "cuda")
        lines = outcome.errors.splitlines()
        found = f"--device cuda without a GPU: exit code {outcome.code}, {lines}"
        _expect(outcome.code == 2 and len(lines) == 1 and not any(outcome.labels.values()), found)
        return f"--device cuda without a GPU: exit code 2, {lines[0]}"

    def _compare(self, run: Callable[..., Outcome], *arguments: str) -> Outcome:
        outcome = self.runs.label(run, *arguments)
        _expect(outcome.code == 0, f"the run inside exited with {outcome.code}; expected 0: {outcome.errors}")
        for name, expected in self.outside.labels.items():
            found = outcome.labels[name]
            _expect(bool(found) and found == expected, f"{name}: the labels inside are {found}; outside {expected}")
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


def _expect(is_right: bool, finding: str) -> None:
    if not is_right:
        raise TrialFailed(finding)


if __name__ == "__main__":
    raise SystemExit(main())
