"""Write the label files in the chosen formats, each completely or not at all, and remove those of other formats.

`csv_table` says how cells of labels.csv and failed.csv are written.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from block.folder import audacity, info_labels, label_studio
from block.folder.csv_table import BOM, format_cell, format_rows
from block.folder.labeled_file import LabeledFile, OutputContext
from block.runtime.atomic_file import open_atomic, write_atomic

FAILED, CSV, INFO, TASKS = "failed.csv", "labels.csv", "info.labels", "label-studio.json"
CLIPS = "clips"  # the format that `block.folder.clips` writes
INTERFACE = "label-studio.xml"
OF_FORMAT = {"csv": (CSV,), "info.labels": (INFO,), "label-studio": (TASKS, INTERFACE)}
COLUMNS = ("file", "start_s", "end_s", "start_index", "end_index", "label", "score")


def write_outputs(
    out: Path,
    formats: Collection[str],
    files: Sequence[LabeledFile],
    failed: Mapping[str, str],
    context: OutputContext,
) -> None:
    """Write the label files of `files` into `out`, in this order, and failed.csv: names in `failed` with reasons.

    Remove files that an earlier run wrote in other formats: their labels are out of date. Raise OSError.
    """
    write_atomic(out / FAILED, BOM + format_rows([("file", "reason"), *failed.items()]))
    with ExitStack() as stack:
        if "csv" in formats:
            table = stack.enter_context(open_atomic(out / CSV))
            table.write(BOM + format_rows([COLUMNS]))
            for file in files:
                table.write(format_segments(file))
        for chosen, name, module, format_file in (
            ("info.labels", INFO, info_labels, info_labels.format_file_entry),
            ("label-studio", TASKS, label_studio, label_studio.format_task),
        ):
            if chosen not in formats:
                continue
            array = stack.enter_context(open_atomic(out / name))
            array.write(module.HEAD)
            for number, file in enumerate(files):
                array.write(",\n" if number else "\n")
                array.write(format_file(file, context))
            array.write(module.TAIL)
        if "label-studio" in formats:
            stack.enter_context(open_atomic(out / INTERFACE)).write(label_studio.format_interface(context))
    audacity.write_tracks(out, files if "audacity" in formats else ())
    for chosen, names in OF_FORMAT.items():
        for name in names if chosen not in formats else ():
            (out / name).unlink(missing_ok=True)


def format_segments(file: LabeledFile) -> str:
    """Return a CSV row per segment. `end_index` is its last value; `end_s` is the start of the next segment."""
    name = format_cell(file.name)
    return "".join(
        f"{name},{file.to_seconds(segment.start):.6f},{file.to_seconds(segment.end):.6f},"
        f"{segment.start},{segment.end - 1},{format_cell(segment.label)},{segment.score:.4f}\r\n"
        for segment in file.segments
    )
