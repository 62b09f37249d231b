"""`python -m block models …`: list, fetch, verify, pack and record checkpoints.

Errors are raised as CheckpointError or SettingsError and end as one line and exit code 2 where commands are run.
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
from block.settings import SettingsError

DONE, NOT_SOUND = 0, 1


def main(argv: Sequence[str], store: ModelStore | None = None) -> int:
    """Run one sub-command on `store`, which is models/ if not given. Returns the exit code.

    Codes: 0 done or sound, 1 verified and not sound. Raises CheckpointError or SettingsError for what could not be
    done, and no OSError but BrokenPipeError.
    """
    options = parser().parse_args(list(argv))
    try:
        return _run(store or ModelStore(), options)
    except BrokenPipeError:
        raise
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
        print(f"{out}: {out.stat().st_size} bytes; fetch it elsewhere with: models fetch {options.name} --from {out}")
        return DONE
    print(f"digests of {options.name} are in {record(store, options.name, options.force)}")
    return DONE


def parser() -> argparse.ArgumentParser:
    """The parser of `models`. Raises SettingsError for arguments that cannot be used."""
    top = CommandParser(prog="python -m block models", allow_abbrev=False,
                  description="The checkpoints in models/: what is there, and getting more.")  # fmt: skip
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    listing = commands.add_parser("list", help="what is there, whether it is sound, and where it comes from",
                                  allow_abbrev=False)  # fmt: skip
    listing.add_argument("--deep", action="store_true", help="read and hash every file")

    fetch = commands.add_parser(
        "fetch",
        help="get a checkpoint; the only command that goes online",
        description="Get a checkpoint into models/ and hold every file to its digest. HF_ENDPOINT names a mirror of "
        "the hub, HF_TOKEN opens private repositories.",
        allow_abbrev=False,
    )
    fetch.add_argument("name", nargs="?", default=DEFAULT, metavar="NAME|OWNER/REPO[@REVISION]",
                       help="default: %(default)s")  # fmt: skip
    fetch.add_argument("--name", dest="as_name", metavar="NAME", help="what to call a repository's checkpoint here")
    fetch.add_argument("--from", dest="place", metavar="DIR|ARCHIVE|URL",
                       help="get it there instead: a folder with the files, an archive made by pack, or a URL of "
                       "either; a URL ending in .tar is an archive")  # fmt: skip
    fetch.add_argument("--force", action="store_true", help="fetch it even if a sound one is there")

    verify = commands.add_parser("verify", help="hash, load and run a checkpoint; exit code 1 if it is not sound",
                                 allow_abbrev=False)  # fmt: skip
    verify.add_argument("name", nargs="?", default=DEFAULT, metavar="NAME|DIR", help="default: %(default)s")
    verify.add_argument("--clip", type=Path, metavar="WAV", help="the golden clip, to hold the logits to known ones")

    packing = commands.add_parser("pack", help="make the archive that fetch --from reads", allow_abbrev=False)
    packing.add_argument("name", nargs="?", default=DEFAULT, metavar="NAME", help="default: %(default)s")
    packing.add_argument("--out", type=Path, metavar="FILE", help="default: NAME.tar, here")
    packing.add_argument("--force", action="store_true", help="replace an archive that is there")

    recording = commands.add_parser(
        "record",
        help="hold a checkpoint put here by hand to its present digests",
        description=f"Keep a checkpoint's digests, to hold it to them from now on; those of {EMBEDDED} go into its "
        "SHA256SUMS.",
        allow_abbrev=False,
    )
    recording.add_argument("name", metavar="NAME")
    recording.add_argument("--force", action="store_true", help="forget what was recorded before")
    return top


def _fetch(store: ModelStore, options: argparse.Namespace) -> int:
    # Imported here: it brings an HTTP client, which the other commands have no use for.
    from block.model_store.fetch import fetch, read_target

    if options.place == "":
        raise SettingsError("--from is empty; expected a folder, an archive or a URL")
    fetch(store, read_target(store, options.name, options.as_name), options.place, options.force)
    return DONE


def _verify(store: ModelStore, options: argparse.Namespace) -> int:
    from block.model_store.verify import read_clip, read_subject, verify

    subject = read_subject(store, options.name)
    clip = read_clip(subject, options.clip) if options.clip is not None else None
    sound = True
    for check in verify(subject, clip):
        sound = sound and check.is_ok
        print(f"{'ok    ' if check.is_ok else 'FAILED'}  {make_printable(check.finding, 400)}", flush=True)
    print(f"{subject.folder.name} is {'sound' if sound else 'NOT SOUND'}")
    return DONE if sound else NOT_SOUND
