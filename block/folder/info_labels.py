"""`info.labels`, for `edge-impulse-uploader --info-file`: recordings whose label changes over time.

`startIndex` and `endIndex` count values of one channel; `endIndex` is the last value with the label. A recording's
entries cover all of it without overlaps; Edge Impulse refuses gaps. With the category `split`, the uploader puts a
fifth of the recordings into the test set, chosen by the hash of their bytes.
"""

from __future__ import annotations

import json
from functools import lru_cache

from block.folder.labeled_file import LabeledFile, OutputContext
from block.folder.listing import name_uniquely
from block.recording import build_structured_labels

UPLOADED_ENDINGS, UPLOADED_BYTES = (".wav",), 100 << 20
HEAD, TAIL = '{"version": 1, "files": [', "\n]}\n"


def format_file_entry(file: LabeledFile, context: OutputContext) -> str:
    """Return the recording's object in the array `files`."""
    described = {**context.metadata, "ast_mode": file.mode}
    return json.dumps(
        {
            "path": name_uniquely(context.locate(file.path)),
            "category": "split",
            "label": {"type": "multi-label", "labels": build_structured_labels(file.segments)},
            "metadata": {key: _escape(value) for key, value in described.items()},
        },
        ensure_ascii=False,
    )


def is_uploadable(file: LabeledFile) -> bool:
    """Return True if the uploader accepts files of this kind and size. It skips others and names them."""
    return file.path.lower().endswith(UPLOADED_ENDINGS) and file.size < UPLOADED_BYTES


@lru_cache
def _escape(value: str) -> str:
    # The uploader sends metadata in an HTTP header, which is limited to ASCII.
    return value.encode("ascii", "backslashreplace").decode()
