"""Clips for training: a WAV for each segment, in a folder for each label.

`clips/Dog/yard__noon.wav_12.400-14.000.wav` is the segment from 12.4 s to 14 s of the recording `yard/noon.wav`, with
the label Dog. Clips have the rate and the channels of their recording, and its values if it is uncompressed. The other
label has a folder, too: it is the background of a training set.

A list in the folder has all clips that were written, each with what it was cut from. So a run that is repeated only
writes those that are missing, removes those that are out of date, and leaves all other files alone.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from block.audio import open_audio
from block.containers.inspect import inspect
from block.ffmpeg_decoder import Block
from block.folder.labeled_file import LabeledFile
from block.folder.location import Location
from block.folder.safe_names import distinguish, flatten_path, name_label_folder
from block.folder.wav_writer import MAX_BYTES, SampleFormat, WavFormat, append
from block.folder.written_files import is_inside, remove_file
from block.formatting import count, list_first, make_printable
from block.recording import RecordingError
from block.runtime.atomic_file import temporary_path, write_atomic
from block.runtime.hashing import compute_sha256
from block.runtime.regular_file import MAX_FILE_BYTES, read_text

FOLDER, LIST = "clips", ".written.json"


@dataclass(frozen=True)
class TrainingClip:
    """The values `[start, end)` of a recording, written to `path` below the folder of clips.

    `origin` identifies what they are cut from.
    """

    path: str
    start: int
    end: int
    origin: str


@dataclass
class ClipsReport:
    """The number of clips that were written now, and that earlier runs had written, and what went wrong, by file."""

    written: int = 0
    kept: int = 0
    problems: dict[str, str] = field(default_factory=dict)

    def print(self) -> None:
        """Print this for the user."""
        for line in self.describe():
            print(line, flush=True)

    def describe(self) -> list[str]:
        """Return this as text for the user; nothing without clips."""
        lines = []
        if self.written or self.kept:
            earlier = f", {self.kept:,} of them by an earlier run" if self.kept else ""
            lines.append(f"{count(self.written + self.kept, 'clip')} in {FOLDER}{earlier}")
        if self.problems:
            reasons = [f"{make_printable(name)} ({make_printable(why, 200)})" for name, why in self.problems.items()]
            lines.append(f"not all clips of {count(len(reasons), 'recording')} could be written: {list_first(reasons)}")
        return lines


def plan_clips(file: LabeledFile, pad_ms: int) -> list[TrainingClip]:
    """Return a clip for each segment of `file`, with `pad_ms` of what surrounds it on both sides."""
    pad = round(pad_ms * file.rate_hz / 1000)
    name = flatten_path(file.path)
    clips = []
    for segment in file.segments:
        times = f"{file.to_seconds(segment.start):.3f}-{file.to_seconds(segment.end):.3f}"
        start, end = max(0, segment.start - pad), min(file.values, segment.end + pad)
        path = f"{name_label_folder(segment.label)}/{name}_{times}.wav"
        clips.append(TrainingClip(path, start, end, f"{file.content}:{start}:{end}"))
    return clips


def write_clips(out: Path, files: Sequence[LabeledFile], location: Location | None, pad_ms: int) -> ClipsReport:
    """Write the clips of `files`, recordings at `location`, below `out`, and remove clips that are out of date.

    Without a location, write none. A recording that can't be read, or that has changed since it was labeled, gets no
    new clips, and no clip takes the place of another file; the report says so. Raise OSError if one can't be written.
    """
    folder, report = out / FOLDER, ClipsReport()
    plans = [(file, plan_clips(file, pad_ms)) for file in files]
    paths = distinguish({clip.path: clip.path for _, clips in plans for clip in clips}, ".wav")
    plans = [(file, [replace(clip, path=paths[clip.path]) for clip in clips]) for file, clips in plans]
    now = {clip.path: clip for _, clips in plans for clip in clips}
    before = _read_list(folder / LIST)
    if not before and not now:
        return report
    if folder.is_symlink():
        raise OSError(errno.ENOTDIR, f"{FOLDER} is a link, not a folder", str(folder))
    folder.mkdir(exist_ok=True)
    written = {path: entry for path, entry in before.items() if path in now and entry.is_of(now[path], folder)}
    for path in before.keys() - written.keys():
        if not (folder / path).parent.is_symlink():
            remove_file(folder, path)
    # What is there now isn't from an earlier run.
    taken = {path for path in now.keys() - written.keys() if _is_taken(folder / path)}
    # List every clip that may exist from now on first: if this run is interrupted, the next one can remove them.
    own = {path: ClipEntry() for path in now.keys() - taken}
    _write_list(folder, own | written)
    try:
        for file, clips in plans:
            _write_file(folder, file, [clip for clip in clips if clip.path not in taken], location, written, report)
            if places := [clip.path for clip in clips if clip.path in taken]:
                report.problems[file.name] = f"another file is in the place of {FOLDER}/{places[0]}"
    finally:
        _write_list(folder, {path: entry for path, entry in own.items() if (folder / path).exists()} | written)
    if not written:
        (folder / LIST).unlink()
        with contextlib.suppress(OSError):  # it isn't empty
            folder.rmdir()
    return report


def _is_taken(path: Path) -> bool:
    return os.path.lexists(path) or path.parent.is_symlink() or (path.parent.exists() and not path.parent.is_dir())


def _write_file(
    folder: Path, file: LabeledFile, clips: Sequence[TrainingClip], location: Location | None,
    written: dict[str, ClipEntry], report: ClipsReport,
) -> None:  # fmt: skip
    """Write those of the `clips` of a recording that aren't in `written`, and add them to it and to the report."""
    missing = [clip for clip in clips if clip.path not in written]
    report.kept += len(clips) - len(missing)
    if not missing:
        return
    if location is None:
        report.problems[file.name] = "it isn't in a folder on this machine; run label again to write them"
        return
    done: dict[str, ClipEntry] = {}
    try:
        _cut(folder, missing, _read_blocks(file, location), done)
        if len(done) < len(missing):
            report.problems[file.name] = f"a clip is longer than {MAX_BYTES} bytes, the limit of a WAV file"
    except RecordingError as error:
        report.problems[file.name] = str(error)
    written |= done
    report.written += len(done)


def _cut(
    folder: Path, clips: Sequence[TrainingClip], blocks: Iterable[PlacedBlock], done: dict[str, ClipEntry]
) -> None:
    """Write `clips`, sorted by start and by end, while reading, and add the complete ones to `done`.

    Leave out clips that are too long for a WAV. Raise RecordingError if the recording ends before a clip does.
    """
    first = 0  # of the clips that don't end before the current block
    try:
        for block in blocks:
            clips = [clip for clip in clips if block.format.count_bytes(clip.end - clip.start) <= MAX_BYTES]
            while first < len(clips) and clips[first].end <= block.start:
                first += 1
            for clip in itertools.islice(clips, first, None):
                if clip.start >= block.end:
                    break
                path = folder / clip.path
                _append(path, clip, block)
                if clip.end <= block.end:
                    temporary_path(path).replace(path)
                    done[clip.path] = ClipEntry(clip.origin, path.stat().st_size)
        if late := [clip for clip in clips if clip.path not in done]:
            raise RecordingError(f"it ended before {late[0].end} values were read; label it again")
    finally:
        for clip in clips:
            if clip.path not in done:
                temporary_path(folder / clip.path).unlink(missing_ok=True)


def _append(path: Path, clip: TrainingClip, block: PlacedBlock) -> None:
    """Append the part of `block` that is in `clip` to the clip's temporary file."""
    start, end = max(clip.start, block.start), min(clip.end, block.end)
    content = block.format.sample.encode(block.values[start - block.start : end - block.start])
    if is_new := start == clip.start:
        content = block.format.make_header(clip.end - clip.start) + content
        path.parent.mkdir(exist_ok=True)
        temporary_path(path).unlink(missing_ok=True)
    if end == clip.end and block.format.count_bytes(clip.end - clip.start) % 2:
        content += b"\0"
    append(temporary_path(path), content, is_new)


@dataclass(frozen=True, eq=False)
class PlacedBlock:
    """Values of a recording from `start` on, shape `(values, channels)`, and the format of its clips."""

    start: int
    values: Block
    format: WavFormat

    @property
    def end(self) -> int:
        return self.start + len(self.values)


def _read_blocks(file: LabeledFile, location: Location) -> Iterator[PlacedBlock]:
    """Read a recording. Raise RecordingError if it can't be read, or isn't the one that was labeled."""
    try:
        with location.open_recording(file.path) as opened:
            if compute_sha256(opened.file) != file.content:
                raise RecordingError("it has changed since it was labeled; label it again")
            structure = inspect(opened.file)
            sample = SampleFormat.of(structure.pcm.subtype if structure.pcm else "")
            with open_audio(opened.file, structure, allow_truncated=True) as audio:
                start = 0
                while (values := audio.read_block()) is not None:
                    yield PlacedBlock(start, values, WavFormat(audio.rate_hz, values.shape[1], sample))
                    start += len(values)
    except OSError as error:
        raise RecordingError(f"it can't be read: {error.strerror or error}") from None


@dataclass(frozen=True)
class ClipEntry:
    """A clip in the list: what it was cut from, and its size; an empty `origin` means that it may be incomplete."""

    origin: str = ""
    size: int = 0

    def is_of(self, clip: TrainingClip, folder: Path) -> bool:
        """Return True if the file is there and is `clip`."""
        path = folder / clip.path
        is_file = path.is_file() and not path.is_symlink() and not path.parent.is_symlink()
        return bool(self.origin) and self.origin == clip.origin and is_file and path.stat().st_size == self.size


def _write_list(folder: Path, entries: Mapping[str, ClipEntry]) -> None:
    content = {path: [entries[path].origin, entries[path].size] for path in sorted(entries)}
    write_atomic(folder / LIST, json.dumps(content, indent=0) + "\n")


def _read_list(path: Path) -> dict[str, ClipEntry]:
    """Return the list at `path`; empty if it isn't there or is damaged."""
    try:
        return {
            name: ClipEntry(str(origin), int(size))
            for name, (origin, size) in dict(json.loads(read_text(path, MAX_FILE_BYTES))).items()
            if is_inside(name)
        }
    except (FileNotFoundError, ValueError, TypeError, RecursionError):
        return {}
