"""`python -m block models …`: list, fetch, verify, pack and record checkpoints.

Errors are raised as CheckpointError or SettingsError; `block.cli` prints them as one line and exits with code 2.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from block.commands.options import CommandParser
from block.formatting import make_printable
from block.model.checkpoint import DEFAULT, EMBEDDED, CheckpointError
from block.model_store.listing import format_table, list_checkpoints
from block.model_store.pack import pack, record
from block.model_store.store import ModelStore
from block.runtime.places import name_program
from block.settings import SettingsError

DONE, INVALID = 0, 1


def main(argv: Sequence[str], store: ModelStore | None = None) -> int:
    """Run one subcommand on `store` (default: models/) and return the exit code.

    The code is 0 for success and 1 if `verify` found an invalid checkpoint. Raise CheckpointError or SettingsError if
    the command fails.
    """
    options = parser().parse_args(list(argv))
    try:
        return _run(store or ModelStore(), options)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise CheckpointError(f"{where}{error.strerror or error}") from None


def _run(store: ModelStore, options: argparse.Namespace) -> int:
    if options.command == "list":
        for line in format_table(list_checkpoints(store, options.deep)).splitlines():
            print(make_printable(line, 400))
        return DONE
    if options.command == "fetch":
        return _fetch(store, options)
    if options.command == "verify":
        return _verify(store, options)
    if options.command == "pack":
        out = pack(store, options.name, options.out, options.force)
        text = f"{out}: {out.stat().st_size} bytes; fetch it elsewhere with: models fetch {options.name} --from {out}"
        print(make_printable(text, 1000))
        return DONE
    print(f"digests of {options.name} recorded in {record(store, options.name, options.force)}")
    return DONE


def parser() -> argparse.ArgumentParser:
    """Return the parser of `models`. It raises SettingsError for invalid arguments."""
    top = CommandParser(prog=f"{name_program()} models", allow_abbrev=False,
                  description="List, fetch, verify, pack and record the checkpoints in models/.")  # fmt: skip
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, summary: str, description: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=summary, description=description, allow_abbrev=False)

    listing = add(
        "list", "show the checkpoints, their state and their source",
        "Show the checkpoints in models/ and those that can be fetched, with their state and their source.",
    )  # fmt: skip
    listing.add_argument("--deep", action="store_true", help="read and hash every file, not only small ones")

    fetch = add(
        "fetch", "download a checkpoint; no other command goes online",
        "Download a checkpoint into models/ and check the digest of every file. Set HF_ENDPOINT to use a mirror of the "
        "hub, and HF_TOKEN for private repositories.",
    )  # fmt: skip
    fetch.add_argument("name", nargs="?", default=DEFAULT, metavar="NAME|OWNER/REPO[@REVISION]",
                       help="a known checkpoint or a repository on the hub (default: %(default)s)")  # fmt: skip
    fetch.add_argument("--name", dest="as_name", metavar="NAME", help="name of the checkpoint in models/")
    fetch.add_argument("--from", dest="place", metavar="DIR|ARCHIVE|URL",
                       help="source to use instead of the hub: a folder with the files, an archive made by pack, or "
                       "a URL of either; a URL that ends in .tar is an archive")  # fmt: skip
    fetch.add_argument("--force", action="store_true", help="fetch even if a valid checkpoint is already there")

    verify = add(
        "verify", "hash, load and run a checkpoint; exit code 1 if it is invalid",
        "Compare the digests of a checkpoint's files with the known ones, then load and run it. The exit code is 1 if "
        "it is invalid.",
    )  # fmt: skip
    verify.add_argument("name", nargs="?", default=DEFAULT, metavar="NAME|DIR",
                        help="a name in models/ or a folder (default: %(default)s)")  # fmt: skip
    verify.add_argument("--clip", type=Path, metavar="WAV",
                        help="the golden clip, jfk.wav: compare its logits with known ones")  # fmt: skip

    packing = add(
        "pack", "make an archive for fetch --from",
        "Make an archive of a checkpoint, for `models fetch --from` on a machine without a network.",
    )  # fmt: skip
    packing.add_argument("name", nargs="?", default=DEFAULT, metavar="NAME",
                         help="name in models/ (default: %(default)s)")  # fmt: skip
    packing.add_argument("--out", type=Path, metavar="FILE", help="default: NAME.tar in the current folder")
    packing.add_argument("--force", action="store_true", help="overwrite an existing archive")

    recording = add(
        "record", "record the digests of a checkpoint that you copied into models/",
        f"Record a checkpoint's digests, which are checked from then on. Those of {EMBEDDED} go into its SHA256SUMS.",
    )  # fmt: skip
    recording.add_argument("name", metavar="NAME", help="name of its folder in models/")
    recording.add_argument("--force", action="store_true", help="overwrite the recorded digests")
    return top


def _fetch(store: ModelStore, options: argparse.Namespace) -> int:
    # Imported here because only this command needs an HTTP client.
    from block.model_store.fetch import fetch, read_target

    if options.place == "":
        raise SettingsError("--from is empty; expected a folder, an archive or a URL")
    target = read_target(store, options.name, options.as_name)
    fetch(store, target, options.place, options.force, lambda text: print(make_printable(text, 1000)))
    return DONE


def _verify(store: ModelStore, options: argparse.Namespace) -> int:
    from block.model_store.verify import read_clip, read_subject, verify

    subject = read_subject(store, options.name)
    clip = read_clip(subject, options.clip) if options.clip is not None else None
    is_valid = True
    for check in verify(subject, clip):
        is_valid = is_valid and check.is_ok
        print(f"{'ok    ' if check.is_ok else 'FAILED'}  {make_printable(check.finding, 400)}", flush=True)
    print(f"{make_printable(subject.folder.name)} is {'valid' if is_valid else 'INVALID'}")
    return DONE if is_valid else INVALID
