"""Labels of a project in the formats that `label` writes: a table, Audacity tracks, and tasks for Label Studio.

A segment's score is what the newest job reported for it. A label that no job gave there is a person's: its score is 1.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from block.folder import audacity, label_studio
from block.folder.csv_table import BOM, format_rows
from block.folder.label_files import COLUMNS, CSV, INTERFACE, TASKS, format_segments
from block.folder.labeled_file import LabeledFile, OutputContext
from block.local_studio.data.sample import LocalSample, StructuredLabel
from block.local_studio.web.recording_view import can_draw
from block.local_studio.web.recordings_list import NEWEST_DETAILS
from block.local_studio.web.segments import BlockLabels, describe_segments
from block.local_studio.web.site import WebSite
from block.recording import Segment

PERSON_SCORE = 1.0
TRACKS = "audacity.zip"
WRITER = "local Studio"  # what Label Studio calls the model whose predictions these are


@dataclass(frozen=True)
class ExportFormat:
    """A format: its title, the file's name and media type, and how to make its content."""

    title: str
    file: str
    media_type: str
    make: Callable[[Sequence[LabeledFile], OutputContext], bytes]


def export_labels(site: WebSite, chosen: ExportFormat) -> bytes:
    """Return the labels of all recordings that have some and can be drawn, in the chosen format."""
    details = {row["sample_id"]: row["details"] for row in site.project.store.read(NEWEST_DETAILS)}
    files = [
        _make_file(sample, details.get(sample.id, "{}"))
        for sample in site.project.samples()
        if can_draw(sample) and (sample.structured_labels or sample.label)
    ]
    labels = tuple(dict.fromkeys(segment.label for file in files for segment in file.segments))
    root = str(site.project.root)
    return chosen.make(files, OutputContext(root, root, {"ast_model": WRITER}, labels))


def _make_file(sample: LocalSample, details: str) -> LabeledFile:
    labels = sample.structured_labels or (StructuredLabel(0, sample.values_count - 1, sample.label),)
    report = BlockLabels.from_details(0, json.loads(details))
    described = describe_segments(labels, sample.frequency_hz, [report], lambda label: 0)
    segments = tuple(Segment(one["start"], one["end"], one["label"], _find_score(one["why"])) for one in described)
    path = os.fsdecode(sample.path)
    return LabeledFile(path, 0, sample.values_count, round(sample.frequency_hz), segments, "")


def _find_score(why: Mapping[str, object] | None) -> float:
    score = None if why is None or why["was"] is not None else why["score"]
    return PERSON_SCORE if score is None else float(str(score))


def _make_table(files: Sequence[LabeledFile], context: OutputContext) -> bytes:
    return (BOM + format_rows([COLUMNS]) + "".join(map(format_segments, files))).encode("utf-8", "replace")


def _make_tracks(files: Sequence[LabeledFile], context: OutputContext) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        tracks = audacity.track_paths(file.path for file in files)
        for file in files:
            archive.writestr(tracks[file.path], audacity.format_track(file))
    return target.getvalue()


def _make_tasks(files: Sequence[LabeledFile], context: OutputContext) -> bytes:
    tasks = ",\n".join(label_studio.format_task(file, context) for file in files)
    return f"{label_studio.HEAD}\n{tasks}{label_studio.TAIL}".encode()


def _make_interface(files: Sequence[LabeledFile], context: OutputContext) -> bytes:
    return label_studio.format_interface(context).encode()


FORMATS: Mapping[str, ExportFormat] = {
    "csv": ExportFormat("CSV table", CSV, "text/csv", _make_table),
    "audacity": ExportFormat("Audacity tracks", TRACKS, "application/zip", _make_tracks),
    "label-studio": ExportFormat("Label Studio tasks", TASKS, "application/json", _make_tasks),
    "label-studio-interface": ExportFormat("Label Studio interface", INTERFACE, "application/xml", _make_interface),
}
