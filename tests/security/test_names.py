"""Names come from other people: no name becomes a path, controls the terminal, or becomes markup."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import unicodedata
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import requests
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from block import cli
from block.commands import models
from block.folder.audacity import track_path, track_paths
from block.folder.csv_table import read_table
from block.model_store.store import ModelStore
from tests.conftest import EMBEDDED, ROOT
from tests.security.folder_commands import ALL, ESCAPES, MARKUP, CommandOutput
from tests.security.hostile import SECRETS, Reply, run_python, sample, snapshot, studio


def is_plain(text: str) -> bool:
    """Return True if the text has only line breaks and printable characters."""
    return all(line.isprintable() for line in text.split("\n"))


def test_no_name_of_a_sample_or_label_becomes_a_path_or_controls_the_terminal(tmp_path: Path) -> None:
    def about(method: str, path: str) -> Reply | None:
        number = path.partition("/raw-data/")[2].partition("?")[0]
        if method != "GET" or not number.isdecimal():
            return None
        name = ALL[int(number) - 1]
        if number == "1":
            return Reply(400, {"success": False, "error": "".join(ESCAPES)}, reason="a")
        return Reply(body={"sample": sample(filename=name, label=name, metadata={name: name})})

    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "ids.json").write_text(json.dumps(list(range(1, len(ALL) + 1))))
    with studio(about) as server:
        done = run_python(
            ["-m", "tests.stub.action", "--data-ids-file", "ids.json", "--model", EMBEDDED, "--verbose",
             "--failed-ids-file", "failed.json", "--journal", "journal.jsonl"],
            tmp_path / "deep" / "er", **SECRETS, EI_API_ENDPOINT=server.url,
        )  # fmt: skip
    assert f"{len(ALL) - 1} labeled, 1 failed" in done.stdout, done.stdout + done.stderr
    assert {Path(path).name for path in snapshot(tmp_path)} <= {"ids.json", "failed.json", "journal.jsonl"}
    assert not Path("/tmp/escaped-by-a-name").exists()
    assert is_plain(done.stdout)
    assert is_plain(done.stderr)
    assert "\nforged line" not in done.stdout
    # No name becomes part of a URL either.
    assert all("escaped" not in path and "/.." not in path for _, path, _, _ in server.asked)


@pytest.mark.slow
@given(st.one_of(st.sampled_from(ALL), st.text(min_size=1)))
def test_the_track_of_a_recording_stays_in_its_folder(name: str) -> None:
    name = name.replace("\0", "").replace("\ud800", "") or "x"
    try:
        name.encode()
    except UnicodeEncodeError:
        return
    # Only paths that a file system can hold.
    parts = [part for part in name.split("/") if part not in ("", ".", "..")] or ["x"]
    made = track_path("/".join(parts))
    assert not made.startswith("/")
    assert not {"", ".", ".."} & set(made.split("/"))
    assert all(part.isprintable() and "\\" not in part and len(part.encode()) < 255 for part in made.split("/"))


class Reader(HTMLParser):
    """A parser that collects tags and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.names: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.names += [name for name, _ in attrs]


def test_names_of_files_and_classes_never_control_the_terminal(command_output: CommandOutput) -> None:
    printed = command_output.printed
    assert is_plain(printed)
    assert "\nforged line" not in printed


def test_file_names_never_lead_outside_the_output_folder(command_output: CommandOutput) -> None:
    top = command_output.top
    outside = {path for path in snapshot(top) if not path.startswith(("deep/out/", "deep/report/", "deep/recordings/"))}
    assert outside == {"notes.csv"}
    assert not [path for path in top.rglob("escaped*") if path.parent.name not in ("recordings", "audacity")]


def test_names_in_the_report_never_become_markup(command_output: CommandOutput) -> None:
    page = (command_output.top / "deep" / "report" / "report.html").read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(page)
    assert reader.tags.count("script") == 1
    assert "x" not in reader.tags
    assert not [name for name in reader.names if name.startswith("on")]
    assert all(text not in page for text in MARKUP[:4])
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_names_in_other_formats_stay_in_their_fields(command_output: CommandOutput) -> None:
    out = command_output.top / "deep" / "out"
    root = ElementTree.parse(out / "label-studio.xml").getroot()
    assert {one.tag for one in root.iter()} <= {"View", "Header", "Labels", "Label", "AudioPlus", "Audio", "Text"}
    with (out / "labels.csv").open(newline="", encoding="utf-8") as file:
        assert {len(row) for row in csv.reader(file)} == {7}
    assert json.loads((out / "label-studio.json").read_text(encoding="utf-8"))
    for path in (out / "audacity").rglob("*.txt"):
        assert all(len(line.split("\t")) == 3 for line in path.read_text(encoding="utf-8").splitlines())


def test_the_local_studio_serves_no_file_by_its_path(tmp_path: Path) -> None:
    pytest.importorskip("uvicorn")
    from block.local_studio.data.project import LocalProject
    from block.local_studio.server import running

    (tmp_path / "project").mkdir()
    outside = tmp_path / "outside.wav"
    soundfile.write(outside, np.zeros(1600), 16000, subtype="PCM_16")
    (tmp_path / "project" / "linked.wav").symlink_to(outside)
    soundfile.write(tmp_path / "project" / "inside.wav", np.zeros(1600), 16000, subtype="PCM_16")
    project = LocalProject(tmp_path / "project")
    project.scan()
    try:
        with running(project) as address, requests.Session() as session:
            session.trust_env = False
            base, headers = f"{address.endpoint}/api/{project.id}/raw-data", {"x-api-key": address.key}
            listed = session.get(base, params={"category": "all"}, headers=headers, timeout=10).text
            assert "inside" in listed
            assert "linked" not in listed
            for path in ("../../outside.wav", "..%2f..%2foutside.wav", "%2e%2e/inside.wav", "inside.wav", "-1", "1e0"):
                for end in ("", "/wav"):
                    answer = session.get(f"{base}/{path}{end}", headers=headers, timeout=10)
                    assert answer.status_code >= 400, (path, answer.content[:100])
                    assert not answer.content.startswith(b"RIFF")
    finally:
        project.close()


def test_names_of_folders_never_control_the_terminal(
    tmp_path: Path, checkpoint_folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os._exit", sys.exit)  # a command may leave so, and this process has to stay
    top = tmp_path / "\x1b[2Ja\rb\nforged line\x9b31m"
    recordings, out = top / "recordings", top / "out"
    recordings.mkdir(parents=True)
    soundfile.write(recordings / "a.wav", np.random.default_rng(1).normal(0, 0.1, 16000), 16000, subtype="PCM_16")
    (top / "notes.csv").write_text("file,label\na.wav,speech\n")
    folder = str(shutil.copytree(checkpoint_folder, top / "\x1b[2J\u202emodel\u200b\n"))
    model = ["--model", folder, "--device", "cpu", "--audioset-labels", "speech"]
    models.main(["fetch", "mine", "--from", folder], ModelStore(tmp_path / "store", ()))
    for words in (
        ["label", str(recordings), "--out", str(out), *model],
        ["label", str(recordings), "--out", str(recordings), *model],
        ["label", str(recordings), "--out", str(out), "--no-score-store", *model],
        ["relabel", str(out)],
        ["evaluate", str(recordings), "--annotations", str(top / "notes.csv"), "--out", str(top / "report"), *model],
        ["studio", str(top / "missing")],
        ["models", "verify", folder],
        ["models", "pack", folder],
        ["labels", "--model", folder],
    ):
        monkeypatch.setattr("sys.argv", ["x", *words])
        with pytest.raises(SystemExit):
            cli.main_command()
    (out / "scores").mkdir(exist_ok=True)
    (out / "scores" / "scores-x.tmp").touch()
    (out / "manifest.json").write_text("{")
    monkeypatch.setattr("sys.argv", ["x", "label", str(recordings), "--out", str(out), *model])
    with pytest.raises(SystemExit):
        cli.main_command()
    printed = capfd.readouterr()
    assert "wrote" in printed.out
    assert is_plain(printed.out + printed.err)
    assert "\nforged line" not in printed.out + printed.err


def test_names_in_the_greeting_of_the_local_studio_never_control_the_terminal(tmp_path: Path) -> None:
    folder = tmp_path / "\x1b[2Ja\rb\nforged line\x9b31m"
    folder.mkdir()
    soundfile.write(folder / "\x1b[2Jcut\nforged line.wav", np.zeros(16000), 16000, subtype="PCM_16")
    (cut,) = folder.iterdir()
    cut.write_bytes(cut.read_bytes()[:9000])
    words = ["-m", "block", "studio", str(folder), "--port", "0", "--allow-truncated", "--ids-file", str(folder / "x")]
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(6)]
        process.kill()
    assert "audio is cut off" in lines[0]
    assert lines[1].startswith("Serving 1 recording from")
    assert is_plain("".join(lines))
    assert not any(line.startswith("forged line") for line in lines)


AMBIGUOUS = (b"a\xff.wav", b"a\\xff.wav", b"a\\x5cxff.wav", b"a\\x5c.wav", b"a\\.wav", b"=a.wav", b"'=a.wav",
             b" =a.wav", b"a\n.wav", b"a\r\n.wav", b"a .wav", "é.wav".encode(), "e\u0301.wav".encode(), b"B.wav",
             b"b.wav", b"b.WAV", "\ufb01.wav".encode(), b"fi.wav", "\u212a.wav".encode(), b"k.wav", b"a\xfe.wav",
             b"a\x01.wav", "a\u202e.wav".encode(), "a\u200b.wav".encode(), "a\U000e0041.wav".encode(),
             b"a\xed\xa0\x80.wav", b"b.wav~" + b"0" * 16 + b".wav")  # fmt: skip


def test_no_two_names_share_one_spelling_in_label_files(tmp_path: Path, checkpoint_folder: Path) -> None:
    pytest.importorskip("uvicorn")
    from block.local_studio.data.project import LocalProject
    from block.local_studio.web import info_labels

    audio, out = tmp_path / "audio", tmp_path / "out"
    audio.mkdir()
    for at, name in enumerate(AMBIGUOUS):
        with open(os.fsencode(audio) + b"/" + name, "wb") as file:
            soundfile.write(file, np.full(16000, at / 100), 16000, format="WAV")
    words = ["--out", str(out), "--model", str(checkpoint_folder), "--device", "cpu", "--audioset-labels", "speech"]
    assert cli.run_command(["label", str(audio), *words, "--formats", "csv,info.labels,label-studio,audacity"]) == 0
    table = read_table(out / "labels.csv")
    listed = json.loads((out / "info.labels").read_text("utf-8"))["files"]
    tasks = json.loads((out / "label-studio.json").read_text("utf-8"))
    project = LocalProject(audio)
    project.scan()
    exported = json.loads(info_labels.export(project.samples()))["files"]
    project.close()
    for names in (
        [row.cells[0] for row in table.rows],
        [one["path"] for one in listed],
        [one["data"]["audio"] for one in tasks],
        [one["meta"]["file"] for one in tasks],
        [one["path"] for one in exported],
        [path.name for path in (out / "audacity").glob("*.txt")],
    ):
        assert len(set(names)) == len(names) == len(AMBIGUOUS)
    # Tracks are files, and some systems ignore case and how accents are composed.
    tracks = {unicodedata.normalize("NFC", path.name).casefold() for path in (out / "audacity").glob("*.txt")}
    assert len(tracks) == len(AMBIGUOUS)


def test_a_track_keeps_its_name_unless_another_differs_only_in_case_or_accents() -> None:
    tracks = track_paths(["a.wav", "sub/A.wav", "B.wav", "b.wav", "Sub/c.wav", "sub/c.wav", "é", "e\u0301"])
    assert [tracks[name] for name in ("a.wav", "sub/A.wav")] == ["a.wav.txt", "sub/A.wav.txt"]
    assert tracks["b.wav"].startswith("b.wav~")
    assert len({unicodedata.normalize("NFC", track).casefold() for track in tracks.values()}) == len(tracks)
    assert track_paths(["b.wav"]) == {"b.wav": "b.wav.txt"}
