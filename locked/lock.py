"""What pip installs, to the byte: python locked/lock.py

Pins what the requirements bring along, for every Python from 3.10 to 3.13, in `constraints.txt`, and writes with the
SHA-256 of every file that pip may use the parts that are installed:

    run.txt      requirements.txt, without what torch.txt has
    torch.txt    torch, torchaudio and what only they need, so that these alone can come from PyTorch's own index
    studio.txt   what requirements-studio.txt adds to run.txt
    offline.txt  what requirements-offline.txt adds to run.txt
    ray.txt      what requirements-ray.txt adds to run.txt
    dev.txt      what requirements-dev.txt adds to all of those
    bench.txt    what requirements-bench.txt adds to run.txt and studio.txt
    audit.txt    all that `make audit` runs, in an environment of its own

pip knows no hashes in constraints, so a part is installed by itself: `pip install -r locked/PART.txt`, after or along
with those it adds to. To make them takes `uv`.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CONSTRAINTS = ROOT / "constraints.txt"
# No wheel, no package: to build one would bring tools along that nothing pins.
OPTIONS = "--require-hashes\n--only-binary :all:\n"
TORCHS = re.compile(r"(torch|torchaudio|triton|nvidia-.*|cuda-.*)==")
# What is there when a part is installed: it need not name that again, and has to name all else.
ADDED_TO: dict[str, tuple[str, ...]] = {
    "run": (),
    "studio": ("run",),
    "offline": ("run",),
    "ray": ("run",),
    "dev": ("run", "studio", "offline", "ray"),
    "bench": ("run", "studio"),
}


def compiled(*requirements: str, hashes: bool = True, constraints: Path | None = None) -> str:
    """What uv resolves these requirements to. Raises CalledProcessError."""
    command = ["uv", "pip", "compile", "--universal", "--python-version", "3.10", "--no-header", "--no-annotate",
               "--no-emit-index-url", "--no-emit-find-links", "--quiet"]  # fmt: skip
    command += ["--generate-hashes"] if hashes else []
    command += ["--constraint", str(constraints)] if constraints else []
    done = subprocess.run([*command, *requirements], cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S603
    return done.stdout


def entries(text: str) -> list[str]:
    """The packages in a lock, each with its hashes, as they stand there."""
    return re.findall(r"^[^\s#].*\n(?:\s+.*\n)*", text, flags=re.MULTILINE)


def main() -> None:
    """Write all of them."""
    CONSTRAINTS.write_text(compiled("requirements-dev.txt", "requirements-bench.txt", hashes=False), encoding="utf-8")
    brought: dict[str, list[str]] = {}
    for part, there in ADDED_TO.items():
        source = "requirements.txt" if part == "run" else f"requirements-{part}.txt"
        known = {entry for one in there for entry in brought[one]}
        brought[part] = [entry for entry in entries(compiled(source, constraints=CONSTRAINTS)) if entry not in known]
        write(part, [entry for entry in brought[part] if not TORCHS.match(entry)])
        if part == "run":
            write("torch", [entry for entry in brought[part] if TORCHS.match(entry)])
    write("audit", entries(compiled("requirements-audit.txt")))


def write(part: str, packages: list[str]) -> None:
    """One part, into `locked/`."""
    (HERE / f"{part}.txt").write_text("".join((OPTIONS, *packages)), encoding="utf-8")


if __name__ == "__main__":
    main()
