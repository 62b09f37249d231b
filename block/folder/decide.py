"""From what a run knows, its manifest and its scores, to what its label files say: no audio, no model, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from block.decisions import is_silent
from block.folder.info_labels import is_uploaded
from block.folder.label_files import FAILED, write_outputs
from block.folder.labeled_file import LabeledFile, OutputContext
from block.folder.listing import shown
from block.folder.manifest import FileEntry, Manifest
from block.folder.output_folder import RunFile
from block.labeling.job import describe, metadata
from block.recording import LabeledRecording
from block.score_store import Scored, ScoreStore
from block.score_store.relabel import NamedRecording, relabel
from block.settings import DecisionSettings, SettingsError

NO_SCORES = "not labelled yet: label the folder again"


@dataclass(frozen=True)
class FolderDecisions:
    """The files of a folder: those with labels, and by name, in order, why the others have none."""

    labeled: list[LabeledFile]
    failed: dict[str, str]


def is_enough(scored: Scored, decisions: DecisionSettings) -> bool:
    """Were all the windows that `decisions` wants heard also heard when the scores were computed?"""
    was_heard = np.array(scored.piece_counts) > 0
    return bool((was_heard | is_silent(scored.levels_dbfs, decisions)).all())


def decide_all(
    manifest: Manifest,
    store: ScoreStore,
    decisions: DecisionSettings,
    broken: str = "",
    decided: Mapping[str, LabeledRecording] | None = None,
) -> FolderDecisions:
    """Decide the labels of all files of `manifest` that `store` holds scores of; `broken` as in `outcome`.

    `decided` are labels, by path, that were decided in this run from the same scores: that is not done again. Raises
    SettingsError where windows are needed that were left out as silent.
    """
    held = store.contents()
    before = decided or {}
    named = [
        NamedRecording(number, entry.path, entry.content)
        for number, entry in enumerate(manifest.entries, start=1)
        if not entry.problem and entry.content in held
    ]
    labeled = {one.name: before[one.name] for one in named if one.name in before}
    rest = [one for one in named if one.name not in before]
    return outcome(manifest, {**labeled, **{one.name: one for one in relabel(store, rest, decisions)}}, broken)


def outcome(manifest: Manifest, labeled: Mapping[str, LabeledRecording], broken: str = "") -> FolderDecisions:
    """The files of `manifest` with the labels in `labeled`, by path. `broken` is why scores could not be kept."""
    lacking = f"its scores could not be stored: {broken}" if broken else NO_SCORES
    files: list[LabeledFile] = []
    failed = {shown(folder): f"the folder cannot be read: {why}" for folder, why in manifest.unreadable.items()}
    for entry in manifest.entries:
        if entry.path in labeled:
            one = labeled[entry.path]
            files.append(LabeledFile(entry.path, entry.size, one.values, _rate_hz(entry), one.segments, one.mode))
        else:
            failed[shown(entry.path)] = entry.problem or lacking
    return FolderDecisions(files, failed)


def write(out: Path, run: RunFile, decisions: DecisionSettings, found: FolderDecisions) -> None:
    """Write the label files of `found` into `out`. Raises OSError."""
    names = dict.fromkeys([label.name for label in decisions.labels] + [decisions.other_label])
    key = run.key
    described = metadata(decisions, key.windows, key.fill, run.model, key.checkpoint, key.dtype)
    surroundings = OutputContext(run.folder, str(out.resolve()), described, tuple(names))
    write_outputs(out, run.options["formats"], found.labeled, found.failed, surroundings)


def tell(out: Path, run: RunFile, found: FolderDecisions) -> None:
    """Say what is in `out`, and what to make of it."""
    print(f"{len(found.labeled)} recordings with labels in {shown(str(out))}")
    refused = sum(not is_uploaded(file) for file in found.labeled)
    if refused and "info.labels" in run.options["formats"]:
        print(f"{refused} of them edge-impulse-uploader does not take: it takes .wav, under 100 MiB")
    if found.failed:
        print(f"{len(found.failed)} without labels are listed in {shown(str(out / FAILED))}")
    print(end="", flush=True)


def check_text(decisions: DecisionSettings) -> None:
    """Raises SettingsError for labels that no file in UTF-8 can hold."""
    for name in (decisions.other_label, describe(decisions.labels), *(label.name for label in decisions.labels)):
        try:
            name.encode()
        except UnicodeEncodeError:
            raise SettingsError(f"the label {name!r} is no text in UTF-8") from None


def _rate_hz(entry: FileEntry) -> int:
    if entry.rate_hz < 1:
        raise ValueError(f"a rate of {entry.rate_hz} Hz for {entry.path!r}")
    return entry.rate_hz
