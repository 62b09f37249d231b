"""`info.labels`: what `edge-impulse-uploader --info-file` reads, labels that change within a recording included.

`startIndex` and `endIndex` count values of one channel; `endIndex` is the last that belongs to the label. The entries
of a recording cover it whole and do not overlap: the uploader's service refuses gaps. `category` split makes the
uploader choose a fifth of the recordings for testing, by the hash of their bytes.
"""

from __future__ import annotations

import json
from functools import lru_cache

from block.folder.labeled_file import LabeledFile, OutputContext
from block.folder.listing import format_path
from block.recording import build_structured_labels

UPLOADED_ENDINGS, UPLOADED_BYTES = (".wav",), 100 << 20
HEAD, TAIL = '{"version": 1, "files": [', "\n]}\n"


def format_entry(file: LabeledFile, surroundings: OutputContext) -> str:
    """The recording's object in the array `files`."""
    described = {**surroundings.metadata, "ast_mode": file.mode}
    return json.dumps(
        {
            "path": format_path(surroundings.from_out(file.path)),
            "category": "split",
            "label": {"type": "multi-label", "labels": build_structured_labels(file.segments)},
            "metadata": {key: _ascii(value) for key, value in described.items()},
        },
        ensure_ascii=False,
    )


def is_uploadable(file: LabeledFile) -> bool:
    """Does the uploader take this kind of file, and one of this size? It passes over others and names them."""
    return file.path.lower().endswith(UPLOADED_ENDINGS) and file.size < UPLOADED_BYTES


@lru_cache
def _ascii(value: str) -> str:
    # The uploader sends metadata in a header of HTTP, which cannot hold more.
    return value.encode("ascii", "backslashreplace").decode()
