"""`label-studio.json`: tasks with predictions for Label Studio, and the labeling interface for them.

A task names a local recording as `/data/local-files/?d=` and the path relative to the folder above the recordings:
Label Studio serves local files from LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT, and a storage must be a folder below it. A
recording in an object store is named by its URI, which Label Studio reads through a storage with that bucket.
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


def format_task(file: LabeledFile, context: OutputContext) -> str:
    """Return the recording's task with its segments as a prediction. Times are in seconds, scores in 0…1."""
    # Ids must be unique in a project and stay the same when labels are written again.
    track = hashlib.sha256(os.fsencode(file.path)).hexdigest()[:12]
    mean = sum(segment.score * segment.length for segment in file.segments) / file.values
    result = [
        {
            "id": f"{track}-{number}",
            "from_name": CONTROL,
            "to_name": SOUND,
            "type": "labels",
            "original_length": round(file.to_seconds(file.values), 6),
            "value": {
                "start": round(file.to_seconds(segment.start), 6),
                "end": round(file.to_seconds(segment.end), 6),
                "channel": 0,
                "labels": [segment.label],
            },
            "score": round(segment.score, 4),
        }
        for number, segment in enumerate(file.segments, start=1)
    ]
    prediction = {"model_version": context.metadata["ast_model"], "score": round(mean, 4), "result": result}
    task = {
        "data": {SOUND: _locate(file, context)},
        "meta": {"file": file.name},
        "predictions": [prediction],
    }
    return json.dumps(task, ensure_ascii=False)


def _locate(file: LabeledFile, context: OutputContext) -> str:
    if context.is_remote:
        return format_path(context.locate(file.path))
    below = os.path.join(os.path.basename(context.folder), file.path)
    # Quote the bytes of the name: they may not be UTF-8.
    return "/data/local-files/?d=" + quote(os.fsencode(below.replace(os.sep, "/")), safe="/")


def format_interface(context: OutputContext) -> str:
    """Return the code to paste into a project's Settings > Labeling Interface > Code."""
    labels = "".join(f"    <Label value={quoteattr(label)}/>\n" for label in context.labels)
    return (
        f'<View>\n  <Labels name="{CONTROL}" toName="{SOUND}">\n{labels}  </Labels>\n'
        f'  <Audio name="{SOUND}" value="${SOUND}"/>\n</View>\n'
    )
