"""The checkpoints that this block can use, fetching a missing one, and checks of the block's form that need one.

Another block than this one has no checkpoints here: its form is left as it is. Fetching runs ``models fetch`` as a
process of its own, the only thing in the local Studio that goes online.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from block.class_names import LabelError
from block.labels import parse_labels
from block.local_studio.data.validation import RequestError
from block.local_studio.jobs.block import Block
from block.local_studio.jobs.files import FETCH_LOG, JobFiles
from block.local_studio.jobs.log import read_end
from block.local_studio.jobs.process import INHERITED, BlockProcess, make_command
from block.model.checkpoint import DEFAULT, EMBEDDED, WEIGHTS, Checkpoint, CheckpointError, find_checkpoint
from block.model_store.catalog import CATALOG
from block.model_store.listing import format_bytes, list_checkpoints
from block.model_store.store import ModelStore
from block.runtime.places import find_action, find_model_store
from block.settings import SOUND, AuditSettings, ComputeSettings, DecisionSettings, SettingsError, WindowSettings

MODEL = "model"  # the parameter that names a checkpoint
# What `models fetch` needs of the server's environment: the hub, its token, and how to reach it.
NETWORK = (
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("HF_ENDPOINT", "HF_TOKEN", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
)
PURPOSES = {
    DEFAULT: "real labels: accurate",
    EMBEDDED: "trying things out: small and quick",
}
OPTION = re.compile(r"--[a-z-]+ is (?=[^ ;]+;)")
SENTENCE = re.compile(r"^(?=this|line|the )[a-z]")
Stamps = frozenset[tuple[str, int, int]]  # of files: path, size, and time of change in ns
CLOSE_S = 6.0  # that fetching has to end when the server stops


@dataclass(frozen=True)
class ModelChoice:
    """A checkpoint to choose: what it is good for, its size as text, and `problem` if it can't be used."""

    name: str
    purpose: str
    size: str
    is_here: bool
    can_fetch: bool
    problem: str


@dataclass(frozen=True)
class FetchState:
    """How far fetching `name` is: `done` of `total` bytes, None if unknown. `log` is the end of its output."""

    name: str
    is_running: bool
    has_failed: bool
    done: int
    total: int | None
    log: str


class BlockModels:
    """The checkpoints of `block`, None of them if it isn't this block or a copy of it."""

    def __init__(self, block: Block, files: JobFiles) -> None:
        self._block = block
        self._files = files
        self._process: BlockProcess | None = None
        self._name = ""
        self._checked: tuple[Stamps, list[ModelChoice]] = (frozenset([("", 0, 0)]), [])  # with the files as they were
        is_own = block.folder == find_action().resolve()
        is_copy = (block.folder / "block" / "model_store").is_dir()
        self.has_any = block.item(MODEL) is not None and (is_own or is_copy)
        self._store = ModelStore(find_model_store() if is_own else block.folder / "models", CATALOG)

    def choices(self) -> list[ModelChoice]:
        """Return the checkpoints in `models/`, and those that can be fetched. They are checked when a file changes."""
        if not self.has_any:
            return []
        stamps = _read_stamps(self._store.folder)
        known, choices = self._checked
        if known != stamps:
            choices = self._check()
            self._checked = stamps, choices  # in one step: other threads see both, or neither
        return choices

    def _check(self) -> list[ModelChoice]:
        return [
            ModelChoice(
                one.name,
                PURPOSES.get(one.name, "what you added it for"),
                format_bytes(one.size) if one.size is not None else "",
                one.state == "valid",
                one.name in _FETCHED,
                "" if one.state == "valid" else "not downloaded" if one.state == "missing" else f"unusable: {one.note}",
            )
            for one in list_checkpoints(self._store)
        ]

    def fetch(self, name: str) -> None:
        """Start fetching a checkpoint that this block knows, unless one is being fetched. Raise RequestError."""
        if not self.has_any or name not in _FETCHED:
            raise RequestError(f"{name[:80]!r} can't be fetched here; expected one of {', '.join(_FETCHED)}")
        if self._process is not None and not self._process.over.is_set():
            raise RequestError(f"{self._name} is being fetched; wait until that ends, or cancel it", 409)
        variables = {key: os.environ[key] for key in (*INHERITED, *NETWORK) if key in os.environ}
        words = make_command(Block(self._block.folder, "", "", (), ("-m", "block")), ["models", "fetch", name])
        try:
            log = self._files.state_path(FETCH_LOG)
            self._process = BlockProcess(words, self._block.folder, variables, log)
        except OSError as error:
            raise RequestError(f"Fetching could not be started: {error.strerror or error}", 507) from None
        self._name = name

    def cancel(self) -> None:
        """Stop fetching. What was fetched so far is deleted."""
        if self._process is not None:
            self._process.terminate()

    def fetch_state(self) -> FetchState | None:
        """Return the state of the last fetch, or None if nothing was fetched since the server started."""
        process = self._process
        if process is None:
            return None
        expected = self._store.expected_files(self._name)
        total = expected[WEIGHTS].size if WEIGHTS in expected else None
        is_running = not process.over.is_set()
        log = read_end(self._files.state_path(FETCH_LOG), not is_running).text
        done = _count_bytes(self._store.hidden_path(self._name, "partial")) if is_running else 0
        return FetchState(self._name, is_running, bool(process.exit_code), done, total, log)

    def close(self) -> None:
        """Stop fetching because the server stops."""
        self.cancel()
        if self._process is not None and not self._process.over.wait(CLOSE_S):
            self._process.kill()

    def find_problems(self, parameters: Mapping[str, str]) -> dict[str, str]:
        """Return what this block would refuse of valid form values, by parameter: all of it at once."""
        if not self.has_any:
            return {}
        problems: dict[str, str] = {}

        def check(param: str, act: Callable[[], object]) -> None:
            try:
                act()
            except (SettingsError, LabelError, CheckpointError) as error:
                text = SENTENCE.sub(lambda match: match[0].upper(), OPTION.sub("this is ", str(error)))
                problems[param] = text if text.endswith("?") else f"{text}."

        def number(param: str) -> float:
            try:
                return float(parameters.get(param) or 0)
            except ValueError:
                return 0.0  # the form's own check says what is wrong

        size, stride = int(number("win-size-ms")), int(number("win-stride-ms"))
        is_grid = parameters.get("boundaries") != SOUND
        if is_grid:
            check("win-size-ms", lambda: WindowSettings(size, 1))
        if is_grid and "win-size-ms" not in problems:
            check("win-stride-ms", lambda: WindowSettings(size, stride))
        check("min-confidence", lambda: _check_share(number("min-confidence")))
        check("min-agreement", lambda: AuditSettings(number("min-agreement")))
        merges = parameters.get("no-merge") != "true"
        segment, event, gap = (int(number(f"min-{kind}-ms")) for kind in ("segment", "event", "gap"))
        check("min-segment-ms", lambda: DecisionSettings((), merge=merges, min_segment_ms=segment))
        check("min-event-ms", lambda: DecisionSettings((), merge=merges, min_event_ms=event))
        check("min-gap-ms", lambda: DecisionSettings((), merge=merges, min_gap_ms=gap))
        if parameters.get("hysteresis"):
            check("hysteresis", lambda: DecisionSettings((), hysteresis=number("hysteresis")))
        check("context-ms", lambda: ComputeSettings(context_ms=int(number("context-ms"))))
        check("median-ms", lambda: DecisionSettings((), median_ms=int(number("median-ms"))))
        check("max-hours", lambda: _check_hours(parameters.get("max-hours", ""), number("max-hours")))
        check("silence-dbfs", lambda: DecisionSettings((), silence_dbfs=number("silence-dbfs")))
        name = parameters.get(MODEL) or DEFAULT
        check(MODEL, lambda: self._find(name))
        # The embedded checkpoint has AudioSet's classes, as the one that isn't here.
        known = EMBEDDED if MODEL in problems else name
        if text := parameters.get("audioset-labels", ""):
            threshold = 0.0 if "min-confidence" in problems else number("min-confidence")
            check("audioset-labels", lambda: parse_labels(text, self._find(known).class_names, threshold))
        return problems

    def list_labels(self, parameters: Mapping[str, str]) -> list[str]:
        """Return the names of the labels of interest in a job's parameters; none if they can't be read."""
        try:
            names = self._find(parameters.get(MODEL) or DEFAULT).class_names
            labels = parse_labels(parameters.get("audioset-labels", ""), names, 0.0)
        except (LabelError, CheckpointError):
            return []
        return list(dict.fromkeys(one.name for one in labels))

    def find_class_names(self, name: str) -> tuple[str, ...]:
        """Return the classes of one of `choices`, also of one that can be fetched. Raise RequestError (404)."""
        choice = next((one for one in self.choices() if one.name == name), None)
        if choice is None or not (choice.is_here or choice.can_fetch):
            raise RequestError(f"there is no model {name[:80]!r} here whose classes are known", 404)
        return tuple(self._find(name if choice.is_here else EMBEDDED).class_names)

    def _find(self, name: str) -> Checkpoint:
        choice = next((one for one in self.choices() if one.name == name), None)
        if choice is not None and not choice.is_here:
            advice = "fetch it, or choose another one" if choice.can_fetch else "choose another one"
            raise CheckpointError(f"{name} is {choice.problem}: {advice}")
        return find_checkpoint(name, self._store.folder)


_FETCHED = tuple(known.name for known in CATALOG if not known.is_embedded)


def _check_share(value: float) -> None:
    if not 0 <= value <= 1:
        raise SettingsError(f"this is {value:g}; expected a number from 0 to 1")


def _check_hours(text: str, value: float) -> None:
    if text and value <= 0:
        raise SettingsError(f"this is {value:g}; expected a number of hours greater than 0")


def _read_stamps(folder: Path) -> Stamps:
    found = set()
    for directory, folders, names in os.walk(folder):
        for name in (*folders, *names):
            with contextlib.suppress(OSError):  # moved at this moment
                stat = Path(directory, name).stat()
                found.add((os.path.join(directory, name), stat.st_size, stat.st_mtime_ns))
    return frozenset(found)


def _count_bytes(folder: Path) -> int:
    total = 0
    for directory, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # moved at this moment
                total += Path(directory, name).stat().st_size
    return total
