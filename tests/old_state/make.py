"""Write the fixtures of this folder: the files that one version of the block leaves, complete and interrupted.

    python -m tests.old_state.make

This script wrote the folder 0.1.0. It runs the block as a user does, in separate processes, so that it can kill them.
In the fixtures, constants replace the machine's paths and the local Studio's port.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from block import __version__
from tests.conftest import ROOT
from tests.old_state.options import ENDPOINT, FAST, LABELS, MODEL, PLACE, PREVIEW, RELABELED
from tests.old_state.reader import Json, Reader
from tests.old_state.recordings import DEMO, NAME, lay_out, read_table

HERE = Path(__file__).resolve().parent
COPIES = {
    "announcement.wav": "announcement.wav",
    "attic/waltz.wav": "waltz.wav",
    "phone_call.wav": "phone_call.wav",
    "station/platform.wav": "platform.wav",
    "station/radio_play.wav": "radio_play.wav",
    "waltz.wav": "waltz.wav",
}
FIRST_MTIME_NS = 1_767_225_600_123_456_789  # on January 1st, 2026
BLOCK = "/block"

# Runs a command of the block, with every score written immediately, and kills it just before the n-th time that it
# opens a new file of scores, adds a recording to the journal, or sends labels or metadata.
KILLED = """
import http.client, os, signal, sys
what, last, *argv = sys.argv[1:]
left = int(last)

def saw(event):
    global left
    if event == what:
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

def write(file, data, real=os.write):
    if data.startswith(b'{"labeled"'):
        saw("note")
    return real(file, data)

def putrequest(self, method, url, *rest, real=http.client.HTTPConnection.putrequest, **more):
    if method == "POST":
        saw(url.rpartition("/")[2])
    return real(self, method, url, *rest, **more)

def watch(event, arguments):
    if event == "open" and str(arguments[0]).endswith(".tmp") and "/scores-" in str(arguments[0]):
        saw("scores")

os.write, http.client.HTTPConnection.putrequest = write, putrequest
sys.addaudithook(watch)
from block import cli
from block.score_store import store
store.FLUSH_CHUNKS = 1
sys.exit(cli.run_action(argv) if argv[0].startswith("--") else cli.run_command(argv))
"""


def main() -> None:
    """Write the folder of this version, unless it exists: fixtures of a version are never rewritten."""
    fixture = HERE / __version__
    if fixture.exists():
        raise SystemExit(
            f"{fixture} already exists: fixtures of a version are never rewritten; raise block.__version__ first"
        )
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        made = work / __version__
        made.mkdir()
        write_table(made)
        write_labels(made / "label", work, lay_out(work / "audio", read_table(made)))
        write_action(made / "action", work / "for-action", made)
        write_studio(made / "studio", work / "for-studio", made)
        for path in made.rglob("*"):
            if path.suffix in (".json", ".jsonl", ".txt"):
                path.write_bytes(remove_own_paths(path.read_bytes(), work))
        shutil.copytree(made, fixture)


def remove_own_paths(content: bytes, work: Path) -> bytes:
    """Return `content` with constants instead of this run's paths and ports."""
    for place in (work / "for-action", work / "for-studio", work):
        content = content.replace(str(place.resolve()).encode(), PLACE.encode())
    content = content.replace(str(ROOT).encode(), BLOCK.encode())
    return re.sub(rb"http://127\.0\.0\.1:\d+/v1", ENDPOINT.encode(), content)


def write_table(made: Path) -> None:
    """Write the table of recordings."""
    table = {
        path: {
            "copy_of": name,
            "sha256": hashlib.sha256((DEMO / name).read_bytes()).hexdigest(),
            "mtime_ns": FIRST_MTIME_NS + number * 10**9,
        }
        for number, (path, name) in enumerate(COPIES.items())
    }
    write_json(made / NAME, table)


def write_labels(made: Path, work: Path, audio: Path) -> None:
    """Keep the output of `label` (exact, fast, and killed), and that of `relabel` and `evaluate` from its scores."""
    made.mkdir()
    out = work / "out"
    for name, options in (("exact", ()), ("fast", FAST)):
        block("label", str(audio), "--out", str(out), *LABELS, *options)
        shutil.move(out, made / name)
    with (made / "fast" / "info.labels").open(encoding="utf-8") as file:
        assert "fast merged" in file.read(), "no window was computed on a fast path; run this again"

    run_killed("scores", 4, "label", str(audio), "--out", str(out), *LABELS)
    assert not (out / "labels.csv").exists()
    shutil.move(out, made / "cut-off")

    shutil.copytree(made / "exact", out)
    block("relabel", str(out), *RELABELED)
    shutil.copy(out / "labels.csv", made / "relabeled.csv")
    shutil.rmtree(out)

    shutil.copytree(made / "exact" / "scores", out / "scores")
    block("evaluate", str(audio), "--annotations", write_annotations(made), "--out", str(out), *LABELS,
          "--bootstrap", "100")  # fmt: skip
    for name in ("evaluation-files.json", "evaluation.json"):
        shutil.copy(out / name, made)


def write_annotations(made: Path) -> str:
    """Write the demo's annotations, except for `other`, for the paths of the copies; return the file's path."""
    with (ROOT / "demo" / "expected.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with (made / "annotations.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "start_s", "end_s", "label"))
        for path, name in COPIES.items():
            spans = [row for row in rows if row["file"] == name and row["label"] != "other"]
            writer.writerows((path, row["start_s"], row["end_s"], row["label"]) for row in spans)
    return str(made / "annotations.csv")


def write_action(made: Path, work: Path, fixture: Path) -> None:
    """Keep the AI Action's score stores: of a preview followed by a run, and of a killed run."""
    made.mkdir()
    with studio(lay_out(work / "audio", read_table(fixture))) as there:
        ids = sorted(one["id"] for one in there.reader.samples().values())
        store = work / "scores"
        there.action(ids, *LABELS, "--score-store", str(store), "--propose-actions", str(PREVIEW))
        there.action(ids, *LABELS, "--score-store", str(store))
        write_json(made / "samples.json", there.reader.samples())
        shutil.move(store, made / "complete")
    shutil.rmtree(work)
    with studio(lay_out(work / "audio", read_table(fixture))) as there:
        there.killed_action("note", 3, ids, *LABELS, "--score-store", str(store))
        shutil.move(store, made / "cut-off")


def write_studio(made: Path, work: Path, fixture: Path) -> None:
    """Keep a local Studio after a finished run, edits by hand, a killed run, and an open preview."""
    made.mkdir()
    audio = lay_out(work / "audio", read_table(fixture))
    with studio(audio) as there:
        reader = there.reader
        id_of = {name: one["id"] for name, one in reader.samples().items()}
        first = ("announcement.wav", "attic/waltz.wav", "phone_call.wav", "station/platform.wav")
        there.job("run", [id_of[name] for name in first])

        reader.post(f"1/raw-data/{id_of['announcement.wav']}/metadata", {"metadata": {"site": "north"}})
        reader.post(f"1/raw-data/{id_of['attic/waltz.wav']}/disable", {})
        changed = halves(reader.samples()["phone_call.wav"], "voice", "rest")
        reader.post(f"1/raw-data/{id_of['phone_call.wav']}/structured-labels", {"structuredLabels": changed})
        by_hand = halves(reader.samples()["station/radio_play.wav"], "play", "applause")
        reader.label_by_hand(id_of["station/radio_play.wav"], by_hand)
        reader.post(f"1/raw-data/{id_of['waltz.wav']}/edit-label", {"label": "lobby"})

        other = (*MODEL, "--audioset-labels", "speech (voice)\nmusic (tune)")
        there.killed_action("metadata", 2, [id_of["station/platform.wav"]], *other)
        there.job("preview", [id_of["announcement.wav"], id_of["waltz.wav"]], **{"p.min-confidence": "0.78"})
        write_json(made / "everything.json", reader.everything((1, 2)))
    shutil.copy(audio / ".local-studio.sqlite3", made / "local-studio.sqlite3")
    assert not (audio / ".local-studio.sqlite3-wal").exists()
    shutil.copytree(audio / ".local-studio" / "jobs", made / "jobs")


class Studio:
    """A local Studio in its own process, and runs of the AI Action on it as from a shell."""

    def __init__(self, url: str, key: str, folder: Path) -> None:
        self.reader = Reader(url, key)
        self._folder = folder
        self._variables = {**os.environ, "EI_API_ENDPOINT": f"{url}/v1", "EI_PROJECT_API_KEY": key}

    def action(self, ids: Sequence[int], *options: str) -> None:
        run([sys.executable, "transform.py", *self._ids(ids), *options], self._variables)

    def killed_action(self, what: str, last: int, ids: Sequence[int], *options: str) -> None:
        run_killed(what, last, *self._ids(ids), *options, variables=self._variables)

    def job(self, do: str, ids: Sequence[int], **fields: str) -> None:
        """Start a job from its page, and wait until it has finished."""
        form = {
            "which": "given", "ids": ", ".join(map(str, ids)), "at-most": "", "do": do,
            "p.audioset-labels": "speech\nmusic", "p.other-label": "other", "p.win-size-ms": "2000",
            "p.win-stride-ms": "2000", "p.min-confidence": "0.2", "p.model": "ast-tiny-audioset",
            "p.score-function": "softmax", "p.min-segment-ms": "0", "p.silence-dbfs": "", "p.fill": "pad",
            "p.mode": "exact", "p.min-agreement": "0.99", "p.max-hours": "", **fields,
        }  # fmt: skip
        job = int(self.reader.send("/actions", **form).rpartition("/")[2])
        while (state := self.reader.job(job)["state"]) == "running":
            time.sleep(0.1)
        assert state == "finished", self.reader.job(job)["text"]

    def _ids(self, ids: Sequence[int]) -> tuple[str, str]:
        path = self._folder / "ids.json"
        path.write_text(json.dumps({"ids": list(ids)}))
        return "--data-ids-file", str(path)


@contextmanager
def studio(audio: Path) -> Iterator[Studio]:
    """Run a local Studio over `audio` while the context lasts."""
    process = subprocess.Popen(
        [sys.executable, "-m", "block", "studio", str(audio), "--port", "0"],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        url = key = ""
        while not key:
            line = process.stdout.readline()
            assert line, "the local Studio did not start"
            url = line.partition("EI_API_ENDPOINT=")[2].strip().removesuffix("/v1") or url
            key = line.partition("EI_PROJECT_API_KEY=")[2].strip()
        yield Studio(url, key, audio.parent)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def halves(sample: Json, first: str, second: str) -> list[Json]:
    """Return two labels, one for each half of a sample."""
    middle, values = sample["valuesCount"] // 2, sample["valuesCount"]
    return [
        {"startIndex": 0, "endIndex": middle - 1, "label": first},
        {"startIndex": middle, "endIndex": values - 1, "label": second},
    ]


def block(*argv: str) -> None:
    """Run a command of the block; raise CalledProcessError if it fails."""
    run([sys.executable, "-m", "block", *argv])


def run_killed(what: str, last: int, *argv: str, variables: dict[str, str] | None = None) -> None:
    """Run a command of the block and kill it just before it does `what` for the `last`-th time."""
    done = subprocess.run([sys.executable, "-c", KILLED, what, str(last), *argv], cwd=ROOT, env=variables)
    assert done.returncode == -signal.SIGKILL


def run(command: list[str], variables: dict[str, str] | None = None) -> None:
    subprocess.run(command, cwd=ROOT, env=variables, check=True)


def write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
