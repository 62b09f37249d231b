"""The label files of a run: all that was asked for, each whole or as it was before, and none that was not asked for."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from block.folder import audacity, info_labels, label_files, label_studio
from block.folder.labeled_file import LabeledFile, OutputContext
from block.runtime.atomic_file import open_atomic, write_atomic

FAILED, CSV, INFO, TASKS = "failed.csv", "labels.csv", "info.labels", "label-studio.json"
INTERFACE = "label-studio.xml"
OF_FORMAT = {"csv": (CSV,), "info.labels": (INFO,), "label-studio": (TASKS, INTERFACE)}


def write_outputs(
    out: Path,
    formats: Collection[str],
    files: Sequence[LabeledFile],
    failed: Mapping[str, str],
    surroundings: OutputContext,
) -> None:
    """Write the label files of `files`, in their order, into `out`, and `failed`: names and why they have no labels.

    What an earlier run wrote in a format that is not among `formats` is removed: it would speak of other labels.
    Raises OSError.
    """
    write_atomic(out / FAILED, label_files.rows([("file", "reason"), *failed.items()]))
    with ExitStack() as stack:
        if "csv" in formats:
            table = stack.enter_context(open_atomic(out / CSV))
            table.write(label_files.header())
            for file in files:
                table.write(label_files.labels_of(file))
        for chosen, name, module, one in (
            ("info.labels", INFO, info_labels, info_labels.entry),
            ("label-studio", TASKS, label_studio, label_studio.task),
        ):
            if chosen not in formats:
                continue
            array = stack.enter_context(open_atomic(out / name))
            array.write(module.HEAD)
            for number, file in enumerate(files):
                array.write(",\n" if number else "\n")
                array.write(one(file, surroundings))
            array.write(module.TAIL)
        if "label-studio" in formats:
            stack.enter_context(open_atomic(out / INTERFACE)).write(label_studio.interface(surroundings))
    audacity.write_tracks(out, files if "audacity" in formats else ())
    for chosen, names in OF_FORMAT.items():
        for name in names if chosen not in formats else ():
            (out / name).unlink(missing_ok=True)


COLUMNS = ("file", "start_s", "end_s", "start_index", "end_index", "label", "score")


def header() -> str:
    """The first line."""
    return rows([COLUMNS])


def labels_of(file: LabeledFile) -> str:
    """A row a segment. `end_index` is the last value of the segment; `end_s` is the time at which the next begins."""
    return rows(
        (
            file.name, f"{file.seconds(segment.start):.6f}", f"{file.seconds(segment.end):.6f}",
            segment.start, segment.end - 1, segment.label, f"{segment.score:.4f}",
        )
        for segment in file.segments
    )  # fmt: skip


def rows(cells: Iterable[Sequence[object]]) -> str:
    """Lines of CSV, each with CR LF at its end. In quotes: what holds a comma, a quote or the end of a line."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(cells)
    return text.getvalue()
