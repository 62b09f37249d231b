"""Labels of a project ↔ `info.labels`, the file that `edge-impulse-uploader --info-file` reads.

A recording's `path` starts at the project's folder, where the file belongs. The uploader sends metadata in an HTTP
header, so non-ASCII characters are escaped. The file has no category `anomaly`; it becomes `testing`.

An imported file may come from anywhere. Labels that break the API's rules are refused one recording at a time. All
others are written in one transaction: all that the report names is stored or, on a full disk, nothing. An entry without
labels changes nothing: a file can add labels, but not remove them.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from block.folder.info_labels import HEAD, TAIL
from block.folder.listing import name_uniquely
from block.local_studio.data import rows, validation
from block.local_studio.data.sample import LocalSample, StructuredLabel
from block.local_studio.data.store import BY_HAND, SampleStore
from block.local_studio.data.validation import RequestError
from block.local_studio.web.recordings_list import HAND, find_labeler

CATEGORIES = ("training", "testing", "validation", "post-processing")


@dataclass(frozen=True)
class LabelChange:
    """What to write to a sample if it is still at `revision`; one of `label` and `structured_labels` is None."""

    path: str
    sample_id: int
    revision: int
    label: str | None
    structured_labels: tuple[StructuredLabel, ...] | None
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class Refusal:
    """An entry that was refused, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class ImportPlan:
    """What a file would do; `unlabeled` counts entries without labels, `unknown` are paths of no recording."""

    changes: tuple[LabelChange, ...]
    unlabeled: int
    unknown: tuple[str, ...]
    refused: tuple[Refusal, ...]


def export(samples: Iterable[LocalSample]) -> str:
    """Return the text of the file for `samples`."""
    return HEAD + "\n" + ",\n".join(json.dumps(_make_entry(sample), ensure_ascii=False) for sample in samples) + TAIL


def plan_import(text: str, samples: Sequence[LocalSample], *, replace_hand: bool) -> ImportPlan:
    """Return what the file `text` would change. Labels set by hand stay unless `replace_hand`. Raise RequestError."""
    entries = _read_entries(text)
    paths = _SamplePaths(samples, [path for path, _ in entries])
    changes: dict[int, LabelChange] = {}
    unlabeled, unknown, refused = 0, [], []
    for path, entry in entries:
        try:
            sample = paths.find_sample(path)
            if sample is None:
                unknown.append(path)
                continue
            change = _read_change(path, entry, sample)
            if change is None:
                unlabeled += 1
                continue
            if sample.id in changes:
                raise RequestError(f"the file says this of {changes[sample.id].path} and again, for the same recording")
            if find_labeler(sample) == HAND and not replace_hand and not _is_same(change, sample):
                raise RequestError("other labels were set here by hand")
            changes[sample.id] = change
        except RequestError as error:
            refused.append(Refusal(path, error.message))
    return ImportPlan(tuple(changes.values()), unlabeled, tuple(unknown), tuple(refused))


def write(store: SampleStore, changes: Iterable[LabelChange]) -> list[Refusal]:
    """Write `changes` in one transaction. Return those whose sample has changed since they were planned."""
    stale = []
    with store.transaction() as db:
        for change in changes:
            labels = None if change.structured_labels is None else rows.dump_labels(change.structured_labels)
            done = db.execute(
                "UPDATE samples SET label = COALESCE(?, label), structured_labels = ?, metadata = ?, modified = ?, "
                "revision = revision + 1 WHERE id = ? AND revision = ? AND NOT is_missing",
                (change.label, labels, rows.dump(change.metadata), rows.now(), change.sample_id, change.revision),
            )
            if not done.rowcount:
                stale.append(Refusal(change.path, "the recording was changed meanwhile"))
    return stale


class _SamplePaths:
    """Finds the sample that a path in the file means."""

    def __init__(self, samples: Sequence[LocalSample], paths: Iterable[str]) -> None:
        self._by_path = {_path(sample): sample for sample in samples}
        self._by_name: dict[str, list[LocalSample]] = {}
        for path, sample in self._by_path.items():
            self._by_name.setdefault(_file_name(path), []).append(sample)
        self._name_counts = Counter(_file_name(path) for path in paths)

    def find_sample(self, path: str) -> LocalSample | None:
        """Find a sample by its path, by the end of a path outside the folder, or by a name that only it has."""
        parts = [part for part in path.split("/") if part not in ("", ".")]
        is_outside = path.startswith("/") or ".." in parts
        for i in range(len(parts) if is_outside else 1):
            if (found := self._by_path.get("/".join(parts[i:]))) is not None:
                return found
        same_name = self._by_name.get(_file_name(path), [])
        if len(same_name) > 1 or (same_name and self._name_counts[_file_name(path)] > 1):
            raise RequestError("no recording has this path, and the name alone is that of more than one")
        return same_name[0] if same_name else None


def _path(sample: LocalSample) -> str:
    """Return the path of a sample in the file, with "/" between its parts, unique as in the files of `label`."""
    return name_uniquely(os.fsdecode(sample.path))


def _make_entry(sample: LocalSample) -> dict[str, object]:
    entry: dict[str, object] = {"path": _path(sample)}
    entry["category"] = sample.category if sample.category in CATEGORIES else "testing"
    if sample.structured_labels:
        entry["label"] = {"type": "multi-label", "labels": [one.to_json() for one in sample.structured_labels]}
    else:
        entry["label"] = {"type": "label", "label": sample.label} if sample.label else {"type": "unlabeled"}
    if sample.metadata:
        entry["metadata"] = {_ascii(key): _ascii(value) for key, value in sample.metadata.items()}
    return entry


def _read_entries(text: str) -> list[tuple[str, Mapping[str, object]]]:
    """Return the entries of the file, each with its path. Raise RequestError if it isn't an `info.labels`."""
    if text.lstrip("\ufeff \r\n\t").startswith('{"__ndjson"'):
        raise RequestError(
            "this is a large export, with a line of JSON a recording, which the local Studio does not read"
        )
    try:
        value = json.loads(text.lstrip("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise RequestError(f"this is not an info.labels file: it is not valid JSON ({error})") from None
    if not isinstance(value, dict) or value.get("version") != 1 or not isinstance(value.get("files"), list):
        raise RequestError('this is not an info.labels file: it must be {"version": 1, "files": […]}')
    entries: list[tuple[str, Mapping[str, object]]] = []
    for i, item in enumerate(value["files"]):
        if not isinstance(item, dict) or not isinstance(item.get("path"), str):
            raise RequestError(f"this is not an info.labels file: files[{i}] has no path")
        entries.append((validation.parse_text(item["path"], f"files[{i}].path"), item))
    return entries


def _read_change(path: str, entry: Mapping[str, object], sample: LocalSample) -> LabelChange | None:
    """Return what an entry changes, None if it has no labels. Raise RequestError if it breaks a rule."""
    if entry.get("boundingBoxes", []) != []:
        raise RequestError("a recording has no bounding boxes")
    given = entry.get("label")
    if not isinstance(given, dict):
        raise RequestError("it has no label, not even one that says unlabeled")
    label, labels = None, None
    if given.get("type") == "label":
        label = validation.parse_text(given.get("label"), "label.label")
    elif given.get("type") == "multi-label":
        labels = validation.parse_labels(given.get("labels"), sample.values_count, "label.labels")
    elif given.get("type") != "unlabeled":
        raise RequestError(f"label.type must be unlabeled, label or multi-label, got {str(given.get('type'))[:40]!r}")
    if not label and not labels:
        return None
    metadata = {**sample.metadata, **BY_HAND, **validation.parse_metadata(entry.get("metadata", {}), "metadata")}
    return LabelChange(path, sample.id, sample.revision, label, labels, metadata)


def _is_same(change: LabelChange, sample: LocalSample) -> bool:
    if change.structured_labels is not None:
        return change.structured_labels == sample.structured_labels
    return not sample.structured_labels and change.label == sample.label


def _file_name(path: str) -> str:
    return path.rpartition("/")[2]


def _ascii(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode()
