"""Decide the labels of a folder from its manifest and stored scores: no audio, no model, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from block.folder.clips import ClipsReport, write_clips
from block.folder.info_labels import is_uploadable
from block.folder.label_files import CLIPS, FAILED, write_outputs
from block.folder.labeled_file import LabeledFile, OutputContext
from block.folder.listing import name_uniquely, show_path
from block.folder.location import Location
from block.folder.manifest import Manifest
from block.folder.output_folder import RunFile
from block.formatting import count, describe_totals, list_first, make_printable
from block.labeling.job import build_metadata, format_labels
from block.recording import LabeledRecording
from block.score_store import ScoreStore
from block.score_store.relabel import NamedRecording, find_uncertain, missing_windows, relabel
from block.settings import DecisionSettings, SettingsError

NO_SCORES = "not labeled yet: run label again"
NOT_STORED = "its scores could not be stored"


@dataclass(frozen=True)
class FolderDecisions:
    """The labeled files of a folder, and the names of the others, in order, with why they have no labels.

    `truncated` are the names of labeled files that are cut off, with how much is there.
    """

    labeled: list[LabeledFile]
    failed: dict[str, str]
    truncated: dict[str, str]


@dataclass(frozen=True)
class ScoreNeeds:
    """Which recordings lack scores for their labels; the ids are those of a manifest.

    `unscored` are to be read: their content is unknown, or the store lacks a window, or has a fast score whose error
    could change a label. `fast` are the others with scores that aren't exact. `uncertain_windows` is the number of
    windows with such an error, `uncertain_recordings` that of their recordings.
    """

    unscored: list[int]
    fast: list[int]
    uncertain_windows: int
    uncertain_recordings: int

    def describe(self) -> list[str]:
        """Return, for the user, how many labels may differ from those of exact mode; nothing if none may."""
        if not self.uncertain_windows:
            return []
        return [
            f"{count(self.uncertain_windows, 'window')} of {count(self.uncertain_recordings, 'recording')} have scores "
            "from fast mode that are so close to a threshold or another label, or of unknown error, that exact mode "
            "may give another label; to compute these windows exactly, run label again with these options"
        ]


def find_score_needs(
    manifest: Manifest,
    store: ScoreStore,
    decisions: DecisionSettings,
    trusts_unknown: bool = False,
    needs_embeddings: bool = False,
) -> ScoreNeeds:
    """Return which recordings `store` lacks scores of, or embeddings if it `needs_embeddings`.

    `trusts_unknown` is as in `find_uncertain`.
    """
    sufficient, fast, uncertain = set[str](), set[str](), dict[str, int]()
    for one in store.find_all({entry.content for entry in manifest.entries if entry.content}):
        windows = int(find_uncertain(one, store.key.windows, decisions, trusts_unknown).sum())
        if windows:
            uncertain[one.content] = windows
        elif not missing_windows(one, decisions) and (one.embedded == one.chunks or not needs_embeddings):
            sufficient.add(one.content)
            if one.errors.any():
                fast.add(one.content)
    numbered = list(enumerate(manifest.entries, start=1))
    affected = [uncertain[entry.content] for _, entry in numbered if entry.content in uncertain]
    return ScoreNeeds(
        [number for number, entry in numbered if entry.content not in sufficient],
        [number for number, entry in numbered if entry.content in fast],
        sum(affected),
        len(affected),
    )


def decide_all(
    manifest: Manifest,
    store: ScoreStore,
    decisions: DecisionSettings,
    write_error: str = "",
    decided: Mapping[str, LabeledRecording] | None = None,
) -> FolderDecisions:
    """Decide the labels of all files of `manifest` that have scores in `store`.

    `write_error` is as in `collect_files`. `decided` are labels, by path, that this run has already decided from the
    same scores. Raise SettingsError if `decisions` needs windows that were skipped as silent.
    """
    decided, stored = decided or {}, store.contents()
    labeled: dict[str, LabeledRecording] = {}
    undecided: list[NamedRecording] = []
    for number, entry in enumerate(manifest.entries, start=1):
        if entry.problem or entry.content not in stored:
            continue
        if entry.path in decided:
            labeled[entry.path] = decided[entry.path]
        else:
            undecided.append(NamedRecording(number, entry.path, entry.content))
    labeled |= {one.name: one for one in relabel(store, undecided, decisions)}
    return collect_files(manifest, labeled, write_error)


def collect_files(
    manifest: Manifest, labeled: Mapping[str, LabeledRecording], write_error: str = ""
) -> FolderDecisions:
    """Return the files of `manifest` with their labels; `labeled` has them by path.

    `write_error` says why the score store could not be written; empty if it could.
    """
    no_scores = f"{NOT_STORED}: {write_error}" if write_error else NO_SCORES
    files: list[LabeledFile] = []
    truncated: dict[str, str] = {}
    failed = {name_uniquely(folder): f"the folder can't be read: {why}" for folder, why in manifest.unreadable.items()}
    for entry in manifest.entries:
        if entry.path not in labeled:
            failed[name_uniquely(entry.path)] = entry.problem or no_scores
            continue
        if entry.rate_hz < 1:
            raise ValueError(f"a rate of {entry.rate_hz} Hz for {entry.path!r}")
        one = labeled[entry.path]
        if entry.missing:
            truncated[name_uniquely(entry.path)] = entry.missing
        files.append(
            LabeledFile(entry.path, entry.size, one.values, entry.rate_hz, one.segments, one.mode, entry.content)
        )
    return FolderDecisions(files, failed, truncated)


def find_unscored(found: FolderDecisions) -> list[str]:
    """Return the names of recordings that have no labels only because they have no scores."""
    return [name for name, reason in found.failed.items() if reason.startswith((NO_SCORES, NOT_STORED))]


def write_label_files(out: Path, run: RunFile, decisions: DecisionSettings, found: FolderDecisions) -> None:
    """Write the label files of `found` into `out`. Raise OSError."""
    names = dict.fromkeys([label.name for label in decisions.labels] + [decisions.other_label])
    key = run.key
    described = build_metadata(decisions, key.windows, key.fill, run.model, key.checkpoint, key.dtype)
    context = OutputContext(run.folder, str(out.resolve()), described, tuple(names))
    write_outputs(out, run.options["formats"], found.labeled, found.failed, context)


def write_chosen_clips(out: Path, run: RunFile, found: FolderDecisions, location: Location | None) -> ClipsReport:
    """Write the clips of `found` into `out` if the run's formats include them, and remove them otherwise.

    See `write_clips`. Raise OSError.
    """
    files = found.labeled if CLIPS in run.options["formats"] else ()
    return write_clips(out, files, location, run.options.get("clip-pad-ms", 0))


def print_summary(out: Path, run: RunFile, found: FolderDecisions) -> None:
    """Print what is in `out`, where failures are listed, and the totals per label."""
    print(f"{count(len(found.labeled), 'recording')} with labels in {show_path(out)}")
    refused = sum(not is_uploadable(file) for file in found.labeled)
    if refused and "info.labels" in run.options["formats"]:
        print(f"{refused:,} can't be uploaded: edge-impulse-uploader needs WAV files under 100 MiB")
    if found.truncated:
        names = [f"{make_printable(name)} ({missing})" for name, missing in found.truncated.items()]
        print(f"cut off, so only what there is was labeled: {list_first(names)}")
    if found.failed:
        print(f"{len(found.failed):,} without labels; {show_path(out / FAILED)} lists them with the reasons")
    segments = ((one.label, file.to_seconds(one.length)) for file in found.labeled for one in file.segments)
    if totals := describe_totals(segments):
        print("\n  ".join(["total per label:", *totals]))
    print(end="", flush=True)


def check_labels(decisions: DecisionSettings) -> None:
    """Raise SettingsError if a label can't be written in UTF-8."""
    for name in (decisions.other_label, format_labels(decisions.labels), *(label.name for label in decisions.labels)):
        try:
            name.encode()
        except UnicodeEncodeError:
            raise SettingsError(f"the label {name!r} can't be written in UTF-8; use another name") from None
