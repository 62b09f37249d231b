"""Runs killed with SIGKILL and started again end with the same files as an undisturbed run."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from block.score_store import ScoreStore
from tests.conftest import ROOT
from tests.folder.conftest import tones
from tests.folder.test_label import read_outputs

# Run `label` with a store that flushes every score at once, and kill it just before the n-th time that it opens,
# renames or removes something in OUT. At the end, print how often it did.
CHILD = """
import os, signal, sys
out, last, *arguments = sys.argv[1:]
seen = 0
def watch(event, what):
    global seen
    if event not in ("open", "os.rename", "os.remove") or not isinstance(what[0], (str, bytes, os.PathLike)):
        return
    if os.fsdecode(what[0]).startswith(out):
        seen += 1
        if seen == int(last):
            os.kill(os.getpid(), signal.SIGKILL)
from block import cli
from block.score_store import store
store.FLUSH_CHUNKS = 1
sys.addaudithook(watch)
code = cli.run_command(["label", *arguments, "--out", out])
print("seen", seen)
sys.exit(code)
"""


def start(audio: Path, out: Path, checkpoint: Path, last: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(out), str(last), str(audio), "--model", str(checkpoint), "--device", "cpu",
         "--audioset-labels", "speech, music (tune), dog", "--win-size-ms", "1000", "--win-stride-ms", "1000"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def run(audio: Path, out: Path, checkpoint: Path, last: int = 0) -> int:
    """Return how often the run touched OUT. It is killed at the touch number `last`, or never if `last` is 0."""
    process = start(audio, out, checkpoint, last)
    output, errors = process.communicate(timeout=120)
    if last and process.returncode == -signal.SIGKILL:
        return last
    assert process.returncode == 1, errors
    return int(re.findall(r"seen (\d+)", output)[-1])


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Return a folder of short recordings of one or two windows, with a copy of one and a damaged file."""
    audio = tmp_path / "audio"
    audio.mkdir()
    for number in range(14):
        seconds = 1 + number % 2
        soundfile.write(audio / f"{number:02}.wav", tones(seconds, 16000, number), 16000)
    (audio / "copy.wav").write_bytes((audio / "03.wav").read_bytes())
    (audio / "05b.wav").write_bytes(np.random.default_rng(0).bytes(1000))
    return audio


def assert_same(out: Path, undisturbed: Path) -> None:
    found, expected = read_outputs(out), read_outputs(undisturbed)
    assert found.keys() == expected.keys()
    for name in expected:
        assert found[name] == expected[name], name


@pytest.mark.slow
def test_a_run_killed_again_and_again_ends_with_the_files_of_an_undisturbed_run(
    recordings: Path, checkpoint_folder: Path, tmp_path: Path
) -> None:
    touches = run(recordings, tmp_path / "undisturbed", checkpoint_folder)
    draw = random.Random(6)
    out = tmp_path / "out"
    # Early, in the middle of computing, and while the label files are written; each run continues the one before.
    for share in (0.02, 0.25, 0.2, 0.5, 0.4):
        run(recordings, out, checkpoint_folder, 1 + int(touches * share) + draw.randrange(5))
    run(recordings, out, checkpoint_folder)
    assert_same(out, tmp_path / "undisturbed")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_wherever_a_run_is_killed_it_ends_with_the_same_files(
    recordings: Path, checkpoint_folder: Path, tmp_path: Path, seed: int
) -> None:
    touches = run(recordings, tmp_path / "undisturbed", checkpoint_folder)
    draw = random.Random(seed)
    out = tmp_path / "out"
    for _ in range(8):
        run(recordings, out, checkpoint_folder, 1 + draw.randrange(touches))
    run(recordings, out, checkpoint_folder)
    assert_same(out, tmp_path / "undisturbed")


@pytest.mark.slow
def test_a_run_killed_at_random_times_ends_with_the_same_files(
    recordings: Path, checkpoint_folder: Path, tmp_path: Path
) -> None:
    began = time.monotonic()
    run(recordings, tmp_path / "undisturbed", checkpoint_folder)
    took = time.monotonic() - began
    draw = random.Random(1)
    out = tmp_path / "out"
    for _ in range(10):
        process = start(recordings, out, checkpoint_folder, 0)
        time.sleep(took * draw.uniform(0.3, 1))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    run(recordings, out, checkpoint_folder)
    assert_same(out, tmp_path / "undisturbed")


def test_the_scores_of_a_killed_run_are_completed_to_the_last_bit(
    recordings: Path, label: Callable[..., int], tmp_path: Path
) -> None:
    options = ("--win-size-ms", "1000", "--win-stride-ms", "1000")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert label(recordings, whole, *options) == 1
    (key,) = ScoreStore.list_keys(whole / "scores")
    expected = ScoreStore.open_read_only(whole / "scores", key)
    contents = sorted(expected.contents())
    assert len(contents) == 14
    # On the disk when the run was killed: the scores of one recording, no manifest, and block 0.1.0's notes about the
    # recordings that it computed together.
    (cut / "scores").mkdir(parents=True)
    shutil.copy(whole / "run.json", cut)
    noted = cut / "scores" / f"groups-{key.digest}.jsonl"
    noted.write_text(json.dumps({"paths": ["00.wav", "01.wav"], "computed": contents[:2]}) + "\n")
    with ScoreStore(cut / "scores", key, expected.class_names) as store:
        store.add(expected.find(contents[0]))
    assert label(recordings, cut, *options) == 1
    found = ScoreStore.open_read_only(cut / "scores", key)
    assert found.contents() == expected.contents()
    for content in contents:
        assert np.array_equal(found.find(content).logits, expected.find(content).logits)
    assert_same(cut, whole)
