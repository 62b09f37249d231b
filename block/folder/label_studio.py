"""`label-studio.json`: tasks with predictions for Label Studio, and the labelling interface that they fit.

A task names its sound by `/data/local-files/?d=`, relative to the folder above the recordings: Label Studio serves
local files from LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT, and wants a storage to be a folder below that. A sound in an
object store is named by its URI, which Label Studio asks a storage with that bucket for.
"""

from __future__ import annotations

import hashlib
import json
import os
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from block.folder.labeled_file import LabeledFile, OutputContext
from block.folder.listing import format_path

HEAD, TAIL = "[", "\n]\n"
CONTROL, SOUND = "label", "audio"


def format_task(file: LabeledFile, surroundings: OutputContext) -> str:
    """The recording's task, its segments a prediction. Times are in seconds; a region's score lies in 0…1."""
    # Ids have to differ within a project, and stay the same when labels are written again.
    track = hashlib.sha256(os.fsencode(file.path)).hexdigest()[:12]
    mean = sum(segment.score * segment.length for segment in file.segments) / file.values
    result = [
        {
            "id": f"{track}-{number}",
            "from_name": CONTROL,
            "to_name": SOUND,
            "type": "labels",
            "original_length": round(file.seconds(file.values), 6),
            "value": {
                "start": round(file.seconds(segment.start), 6),
                "end": round(file.seconds(segment.end), 6),
                "channel": 0,
                "labels": [segment.label],
            },
            "score": round(segment.score, 4),
        }
        for number, segment in enumerate(file.segments, start=1)
    ]
    return json.dumps(
        {
            "data": {SOUND: _address(file, surroundings)},
            "meta": {"file": file.name},
            "predictions": [
                {"model_version": surroundings.metadata["ast_model"], "score": round(mean, 4), "result": result}
            ],
        },
        ensure_ascii=False,
    )


def _address(file: LabeledFile, surroundings: OutputContext) -> str:
    if surroundings.is_remote:
        return format_path(surroundings.from_out(file.path))
    below = os.path.join(os.path.basename(surroundings.folder), file.path)
    # Of the bytes of the name: they need not be text.
    return "/data/local-files/?d=" + quote(os.fsencode(below.replace(os.sep, "/")), safe="/")


def format_interface(surroundings: OutputContext) -> str:
    """The labelling interface, for a project's settings, Labeling Interface, Code."""
    labels = "".join(f"    <Label value={quoteattr(label)}/>\n" for label in surroundings.labels)
    return (
        f'<View>\n  <Labels name="{CONTROL}" toName="{SOUND}">\n{labels}  </Labels>\n'
        f'  <Audio name="{SOUND}" value="${SOUND}"/>\n</View>\n'
    )
