"""Lock the packages that pip installs, with hashes: python locked/lock.py, or make lock. It needs uv.

Resolve the dependencies and extras of `pyproject.toml` together, for every Python that the block supports, and write
these parts, with the SHA-256 of every file that pip may use:

    run.txt     the dependencies, without those in torch.txt
    torch.txt   torch, torchaudio and what only they need, so that only these come from PyTorch's own index
    EXTRA.txt   what an extra adds to run.txt, torch.txt and the parts of the extras in BESIDE
    audit.txt   the packages of `make audit`, which has a separate environment

Install a part together with, or after, the parts it adds to: pip install -r locked/PART.txt
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Wheels only: building a package would need unpinned tools.
OPTIONS = "--require-hashes\n--only-binary :all:\n"
TORCHS = re.compile(r"(torch|torchaudio|triton|nvidia-.*|cuda-.*)==")
# Each extra, with the extras it is installed together with.
BESIDE: dict[str, tuple[str, ...]] = {
    "folder": (),
    "studio": (),
    "ray": (),
    "openvino": (),
    "bench": ("openvino",),
    "dev": ("folder", "studio", "ray", "openvino"),
}


def resolve(*wanted: str, constraints: str = "") -> list[str]:
    """Return the packages that uv resolves `wanted` to, each with its hashes. Raise CalledProcessError if it can't.

    `wanted` are uv's arguments: files, extras, groups. `constraints` pins the versions of packages.
    """
    command = ["uv", "pip", "compile", "--universal", "--python-version", "3.11", "--generate-hashes", "--no-header",
               "--no-annotate", "--no-emit-index-url", "--no-emit-find-links", "--quiet", "--constraint=-"]  # fmt: skip
    done = subprocess.run(  # noqa: S603
        [*command, *wanted], cwd=HERE.parent, input=constraints, check=True, stdout=subprocess.PIPE, text=True
    )
    return re.findall(r"^[^\s#].*\n(?:\s+.*\n)*", done.stdout, flags=re.MULTILINE)


def resolve_extras(*extras: str, constraints: str = "") -> list[str]:
    """Return the packages that the block needs with these extras."""
    return resolve("pyproject.toml", *(f"--extra={extra}" for extra in extras), constraints=constraints)


def write(part: str, packages: list[str]) -> None:
    """Write one part into `locked/`."""
    (HERE / f"{part}.txt").write_text("".join((OPTIONS, *packages)), encoding="utf-8")


def main() -> None:
    """Write all parts."""
    everything = "".join(resolve_extras(*BESIDE))
    run = resolve_extras(constraints=everything)
    write("run", [package for package in run if not TORCHS.match(package)])
    write("torch", [package for package in run if TORCHS.match(package)])
    found = {extra: resolve_extras(extra, constraints=everything) for extra in BESIDE}
    for extra, beside in BESIDE.items():
        there = {*run}.union(*(found[other] for other in beside))
        write(extra, [package for package in found[extra] if package not in there])
    write("audit", resolve("--group=audit"))


if __name__ == "__main__":
    main()
