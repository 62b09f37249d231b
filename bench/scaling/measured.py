"""Measure the driver's steps on this machine, with the real code and without Ray.

Each step is timed with recordings of two lengths, which gives the time per recording and per window. The fastest of
several rounds counts, because other processes can only add to it.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from bench.scaling.costs import LOGITS_BYTES
from block.cluster.executor import FLUSH_PIECES
from block.cluster.report import LABELED, RecordingResult, Report, pack, unpack
from block.folder import decide as folder_decide
from block.folder.location import LocalFolder
from block.folder.manifest import FileEntry, Manifest
from block.folder.output_folder import RunFile
from block.folder.source import Folder
from block.labels import parse_labels
from block.model.checkpoint import EMBEDDED, find_checkpoint
from block.score_store import Key, Scored, ScoreStore
from block.score_store.relabel import decide
from block.settings import DecisionSettings, WindowSettings

Logits = npt.NDArray[np.float32]

RATE_HZ, WINDOW_VALUES = 16000, 32000
SHORT, LONG = 4, 64  # windows
ROUNDS = 3
STORED_WINDOWS = 5 * FLUSH_PIECES
FILES = 50_000
FORMATS = ("csv", "info.labels")
WINDOWS = WindowSettings(2000, 2000)


def measure(scratch: Path) -> dict[str, float]:
    """Return the measured constants of `Driver` and `Workers` by name, in seconds. `scratch` is on the disk to test."""
    return {**_manifest(scratch), **_outcomes(), **_store(scratch), **_preparing(scratch)}


def _fitted(took: Callable[[int], float]) -> tuple[float, float]:
    """Return seconds per recording and per window, from the times for recordings of `SHORT` and `LONG` windows."""
    short, long = (min(took(windows) for _ in range(ROUNDS)) for windows in (SHORT, LONG))
    slope = max(0.0, (long - short) / (LONG - SHORT))
    return max(0.0, short - SHORT * slope), slope


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _scored(number: int, windows: int, logits: Logits) -> Scored:
    content = hashlib.sha256(f"{number} {windows}".encode()).hexdigest()
    levels = np.full(windows, -30, np.float32)
    return Scored(content, windows * WINDOW_VALUES, Fraction(RATE_HZ), (1,) * windows, levels, logits[:windows])


def _entry(number: int, one: Scored) -> FileEntry:
    path = f"site {number // 1000:04d}/2026-01-01/recording {number:07d}.wav"
    return FileEntry(path, 2 * one.values + 44, 1_700_000_000_000_000_000 + number, one.content, one.values, RATE_HZ)


def _logits(windows: int) -> Logits:
    """Return typical logits: a class is likely in a fifth of the windows, none in the others."""
    classes = len(find_checkpoint(EMBEDDED).class_names)
    found = np.random.default_rng(0).normal(-6, 2, (windows, classes)).astype(np.float32)
    found[::5, 0] += 10
    return found


def _manifest(scratch: Path) -> dict[str, float]:
    entries = [_entry(number, _scored(number, 1, _logits(1))) for number in range(FILES)]
    manifest = Manifest(scratch / "manifest.json", entries)

    def put() -> None:
        for entry in entries:
            manifest.put(entry)

    return {
        "put_s": min(_seconds(put) for _ in range(ROUNDS)) / FILES,
        "save_s": min(_seconds(manifest.save) for _ in range(ROUNDS)) / FILES,
    }


def _outcomes() -> dict[str, float]:
    logits, settings = _logits(LONG), _decisions()

    def took(windows: int) -> float:
        report = Report("a worker")
        for number in range(50):
            one = _scored(number, windows, logits)
            report.results.append(
                RecordingResult(number, LABELED, "", decide(one, WINDOWS, settings), _entry(number, one), one)
            )
        packed = pack(report)
        return _seconds(lambda: unpack(packed)) / 50

    recording, window = _fitted(took)
    return {"outcome_s": recording, "outcome_byte_s": window / LOGITS_BYTES}


def _decisions() -> DecisionSettings:
    names = find_checkpoint(EMBEDDED).class_names
    return DecisionSettings(parse_labels("Speech, Music (tune), Dog (0.4)", names, 0.2))


def _store(scratch: Path) -> dict[str, float]:
    """Measure adding to the store, deciding from it, and writing label files."""
    checkpoint, logits, settings = find_checkpoint(EMBEDDED), _logits(LONG), _decisions()
    key = Key("0" * 64, WINDOWS, "pad", "exact", "float32")
    adding: dict[int, float] = {}
    deciding: dict[int, float] = {}
    writing: dict[int, float] = {}
    for windows in (SHORT, LONG):
        count = STORED_WINDOWS // windows
        for _ in range(ROUNDS):
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                target = Path(folder)
                rows = [_scored(number, windows, logits) for number in range(count)]
                with ScoreStore(target / "scores", key, checkpoint.class_names) as store:
                    store.flush_chunks = FLUSH_PIECES

                    def add(store: ScoreStore = store, rows: list[Scored] = rows) -> None:
                        for row in rows:
                            store.add(row)
                        store.flush()

                    _least(adding, windows, _seconds(add) / count)
                    files = Manifest(target / "manifest.json", map(_entry, range(count), rows))
                    came = {
                        entry.path: decide(row, WINDOWS, settings)
                        for entry, row in zip(files.entries, rows, strict=True)
                    }
                    started = time.perf_counter()
                    found = folder_decide.decide_all(files, store, settings, decided=came)
                    _least(deciding, windows, (time.perf_counter() - started) / count)
                run = RunFile(str(target), checkpoint.name, checkpoint.class_names, key, {"formats": FORMATS}, True)
                started = time.perf_counter()
                folder_decide.write_label_files(target, run, settings, found)
                _least(writing, windows, (time.perf_counter() - started) / count)
    add_s, piece_s = _fitted(adding.__getitem__)
    decide_s, decide_window_s = _fitted(deciding.__getitem__)
    write_s, write_window_s = _fitted(writing.__getitem__)
    return {
        "store_add_s": add_s, "store_window_s": piece_s, "decide_s": decide_s, "decide_window_s": decide_window_s,
        "write_s": write_s, "write_window_s": write_window_s,
    }  # fmt: skip


def _least(found: dict[int, float], windows: int, seconds: float) -> None:
    found[windows] = min(seconds, found.get(windows, seconds))


def _preparing(scratch: Path) -> dict[str, float]:
    """Measure reading a minute of 16-bit audio from a cached file, hashing and decoding it."""
    minute = np.random.default_rng(0).normal(0, 0.1, 60 * RATE_HZ).astype(np.float32)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        names = [f"{number}.wav" for number in range(10)]
        for name in names:
            soundfile.write(Path(folder, name), minute, RATE_HZ, subtype="PCM_16")

        def read() -> None:
            source = Folder(LocalFolder(folder), Manifest(Path(folder, "manifest.json"), map(FileEntry, names)), print)
            for number in range(1, len(names) + 1):
                source.fetch(number, lambda values: None)

        return {"prepare_s": min(_seconds(read) for _ in range(ROUNDS)) / (60 * len(names))}
