"""Make the folder that `edge-impulse-blocks push` sends: python -m images.push cpu|gpu

It has the Dockerfile at its root, parameters.json, the source and the embedded checkpoint. The big checkpoint would
make the archive too large; the Dockerfile fetches it when Edge Impulse builds the image.
"""

from __future__ import annotations

import argparse
import io
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from images.ignore import context_files, is_excluded, read_rules

ROOT = Path(__file__).resolve().parent.parent
VARIANTS = ("cpu", "gpu")
FETCHED = "models/ast-finetuned-audioset-10-10-0.4593"
BLOCK_CONFIG = ".ei-block-config"  # written by `edge-impulse-blocks init`; without it, a push creates a new block
# The CLI and the image builder exclude what these lines match. Everything else in the folder is needed, so no line
# has to include anything.
IGNORED = (BLOCK_CONFIG, "**/__pycache__", "**/*.pyc", "**/.DS_Store")
ALWAYS_IGNORED = (".git", ".hg")
MAX_BYTES = 20_000_000


def lay_out(variant: str, folder: Path, source: Path = ROOT) -> Path:
    """Fill `folder` with the files to push for `variant`, delete others except the block's configuration; return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != BLOCK_CONFIG:
            entry.unlink()
    for path in context_files(source):
        if not path.is_relative_to(FETCHED):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / path, target)
    shutil.copyfile(source / f"Dockerfile.{variant}", folder / "Dockerfile")
    (folder / ".dockerignore").write_text("".join(f"{line}\n" for line in IGNORED), encoding="utf-8")
    return folder


def archive(folder: Path) -> bytes:
    """Return the archive that the CLI would send: tar.gz, links followed, without what `.dockerignore` excludes."""
    lines = (folder / ".dockerignore").read_text(encoding="utf-8")
    rules = read_rules("\n".join((*ALWAYS_IGNORED, lines)))

    def keep(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        return None if is_excluded(PurePosixPath(entry.name), rules) else entry

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", dereference=True) as tar:
        tar.add(folder, arcname=".", filter=keep)
    return buffer.getvalue()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return the exit code: 1 if the archive is too large."""
    parser = argparse.ArgumentParser(prog="python -m images.push", description="Make the folder to push.")
    parser.add_argument("variant", choices=VARIANTS)
    variant = parser.parse_args(argv).variant
    folder = lay_out(variant, ROOT / "build" / f"push-{variant}")
    size = len(archive(folder))
    place = folder.relative_to(ROOT)
    print(f"{place}: {sum(path.is_file() for path in folder.rglob('*'))} files, {size / 1e6:.1f} MB as an archive")
    if size >= MAX_BYTES:
        print(f"the archive is too large: expected less than {MAX_BYTES / 1e6:.0f} MB; remove unneeded files")
        return 1
    first = "" if (folder / BLOCK_CONFIG).exists() else "edge-impulse-blocks init && "
    print(f"to push it, run:  cd {place} && {first}edge-impulse-blocks push")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
