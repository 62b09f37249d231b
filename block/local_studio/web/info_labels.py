"""Labels of a project ↔ `info.labels`, the file that `edge-impulse-uploader --info-file` reads.

A recording's `path` is that below the project's folder, where the file belongs; one that was added by a program has no
file, and gets a path by its id. The uploader sends metadata in a header of HTTP: of other than ASCII, it holds escapes.
The category `anomaly`, which the file does not know, becomes `testing`.

What is read may come from anywhere. Each recording's labels keep the rules of the API or are refused for themselves;
all that pass are written in one transaction, so that what the report says is there or, with a full disk, nothing is.
An entry without labels changes nothing: a file can give labels, and takes none away.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from block.folder.info_labels import HEAD, TAIL
from block.local_studio.data import rows, validation
from block.local_studio.data.sample import LocalSample, StructuredLabel
from block.local_studio.data.store import BY_HAND, SampleStore
from block.local_studio.data.validation import RequestError
from block.local_studio.web.recordings_list import HAND, given_by

CATEGORIES = ("training", "testing", "validation", "post-processing")


@dataclass(frozen=True)
class LabelChange:
    """What is to be written on a sample, as it was at `revision`; one of `label` and `structured_labels` is None."""

    path: str
    sample_id: int
    revision: int
    label: str | None
    structured_labels: tuple[StructuredLabel, ...] | None
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class Refusal:
    """An entry that was not taken, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class ImportPlan:
    """What a file would do: `settings`; `unlabelled` entries, for nothing; `unknown` paths; `refused` entries."""

    settings: tuple[LabelChange, ...]
    unlabelled: int
    unknown: tuple[str, ...]
    refused: tuple[Refusal, ...]


def exported(samples: Iterable[LocalSample]) -> str:
    """The file for `samples`."""
    return HEAD + "\n" + ",\n".join(json.dumps(_entry(sample), ensure_ascii=False) for sample in samples) + TAIL


def path_of(sample: LocalSample) -> str:
    """The path of a sample in the file, "/" between parts."""
    return sample.path.decode("utf-8", "backslashreplace")


def planned(text: str, samples: Sequence[LocalSample], *, replace_hand: bool) -> ImportPlan:
    """What the file `text` says of `samples`. Labels set by hand stay unless `replace_hand`. Raises Refused."""
    entries = _entries(text)
    names = _SampleNames(samples, [path for path, _ in entries])
    settings: dict[int, LabelChange] = {}
    unlabelled, unknown, refused = 0, [], []
    for path, entry in entries:
        try:
            sample = names.find(path)
            if sample is None:
                unknown.append(path)
                continue
            setting = _setting(path, entry, sample)
            if setting is None:
                unlabelled += 1
                continue
            if sample.id in settings:
                raise RequestError(
                    f"the file says this of {settings[sample.id].path} and again, for the same recording"
                )
            if given_by(sample) == HAND and not replace_hand and not _is_same(setting, sample):
                raise RequestError("other labels were set here by hand")
            settings[sample.id] = setting
        except RequestError as error:
            refused.append(Refusal(path, error.message))
    return ImportPlan(tuple(settings.values()), unlabelled, tuple(unknown), tuple(refused))


def write(store: SampleStore, settings: Iterable[LabelChange]) -> list[Refusal]:
    """Write `settings` in one transaction; returns those whose sample has changed since they were planned."""
    stale = []
    with store.transaction() as db:
        for one in settings:
            labels = None if one.structured_labels is None else rows.dump_labels(one.structured_labels)
            done = db.execute(
                "UPDATE samples SET label = COALESCE(?, label), structured_labels = ?, metadata = ?, modified = ?, "
                "revision = revision + 1 WHERE id = ? AND revision = ? AND NOT is_missing",
                (one.label, labels, rows.dump(dict(one.metadata)), rows.now(), one.sample_id, one.revision),
            )
            if not done.rowcount:
                stale.append(Refusal(one.path, "the recording was changed meanwhile"))
    return stale


class _SampleNames:
    """Finds the sample that a path in the file means."""

    def __init__(self, samples: Sequence[LocalSample], paths: Iterable[str]) -> None:
        self._by_path = {path_of(sample): sample for sample in samples}
        self._by_name: dict[str, list[LocalSample]] = {}
        for path, sample in self._by_path.items():
            self._by_name.setdefault(_last(path), []).append(sample)
        self._meant = Counter(_last(path) for path in paths)

    def find(self, path: str) -> LocalSample | None:
        """By its path; by the end of it where the file lies outside the folder; else by a name that only it has."""
        parts = [part for part in path.split("/") if part not in ("", ".")]
        is_outside = path.startswith("/") or ".." in parts
        for i in range(len(parts) if is_outside else 1):
            if (found := self._by_path.get("/".join(parts[i:]))) is not None:
                return found
        found_by_name = self._by_name.get(_last(path), [])
        if len(found_by_name) > 1 or (found_by_name and self._meant[_last(path)] > 1):
            raise RequestError("no recording has this path, and the name alone is that of more than one")
        return found_by_name[0] if found_by_name else None


def _entry(sample: LocalSample) -> dict[str, object]:
    entry: dict[str, object] = {"path": path_of(sample)}
    entry["category"] = sample.category if sample.category in CATEGORIES else "testing"
    entry["label"] = _label(sample)
    if sample.metadata:
        entry["metadata"] = {_ascii(key): _ascii(value) for key, value in sample.metadata.items()}
    return entry


def _label(sample: LocalSample) -> dict[str, object]:
    if sample.structured_labels:
        return {"type": "multi-label", "labels": [one.to_json() for one in sample.structured_labels]}
    return {"type": "label", "label": sample.label} if sample.label else {"type": "unlabeled"}


def _entries(text: str) -> list[tuple[str, Mapping[str, object]]]:
    """The entries of the file by their paths."""
    if text.lstrip("\ufeff \r\n\t").startswith('{"__ndjson"'):
        raise RequestError(
            "this is a large export, with a line of JSON a recording, which the local Studio does not read"
        )
    try:
        value = json.loads(text.lstrip("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise RequestError(f"this is no info.labels: it is not valid JSON ({error})") from None
    if not isinstance(value, dict) or value.get("version") != 1 or not isinstance(value.get("files"), list):
        raise RequestError('this is no info.labels: it must be {"version": 1, "files": […]}')
    entries: list[tuple[str, Mapping[str, object]]] = []
    for i, item in enumerate(value["files"]):
        if not isinstance(item, dict) or not isinstance(item.get("path"), str):
            raise RequestError(f"this is no info.labels: files[{i}] has no path")
        entries.append((validation.parse_text(item["path"], f"files[{i}].path"), item))
    return entries


def _setting(path: str, entry: Mapping[str, object], sample: LocalSample) -> LabelChange | None:
    """What an entry sets, None where it has no labels. Raises Refused."""
    if entry.get("boundingBoxes", []) != []:
        raise RequestError("a recording has no bounding boxes")
    said = entry.get("label")
    if not isinstance(said, dict):
        raise RequestError("it has no label, not even one that says unlabeled")
    label, labels = None, None
    if said.get("type") == "label":
        label = validation.parse_text(said.get("label"), "label.label")
    elif said.get("type") == "multi-label":
        labels = validation.parse_labels(said.get("labels"), sample.values_count, "label.labels")
    elif said.get("type") != "unlabeled":
        raise RequestError(f"label.type must be unlabeled, label or multi-label, got {str(said.get('type'))[:40]!r}")
    if not label and not labels:
        return None
    given = validation.parse_metadata(entry.get("metadata", {}), "metadata")
    metadata = {**sample.metadata, **BY_HAND, **given}
    return LabelChange(path, sample.id, sample.revision, label, labels, metadata)


def _is_same(setting: LabelChange, sample: LocalSample) -> bool:
    if setting.structured_labels is not None:
        return setting.structured_labels == sample.structured_labels
    return not sample.structured_labels and setting.label == sample.label


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _ascii(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode()
