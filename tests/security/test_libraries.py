"""Libraries in C parse as little as possible of what others made, and a page lists those that wheels contain."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from block import cli
from block.local_studio.data.project import LocalProject
from block.local_studio.web import pictures
from tests.conftest import ROOT
from tests.security.hostile import wav


def make_two_faced_wav() -> bytes:
    """Return a WAV whose second fmt chunk says IMA ADPCM, for programs that believe the last one."""
    plain = wav()
    adpcm = struct.pack("<HHIIHHHH", 0x11, 1, 16000, 8000, 256, 4, 2, 505)
    content = plain[12:36] + b"fmt " + struct.pack("<I", len(adpcm)) + adpcm + plain[36:]
    return b"RIFF" + struct.pack("<I", len(content) + 4) + b"WAVE" + content


def test_libsndfile_never_sees_a_header(
    tmp_path: Path, checkpoint_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audio = tmp_path / "audio"
    audio.mkdir()
    sound = np.random.default_rng(0).normal(0, 0.1, 16000)
    for name, form, subtype in (
        ("a.wav", "WAV", "PCM_16"), ("b.wav", "WAV", "IMA_ADPCM"), ("c.wav", "RF64", "FLOAT"), ("d.flac", "FLAC", None),
        ("e.ogg", "OGG", None), ("f.aiff", "AIFF", "PCM_24"), ("g.mp3", "MP3", None), ("h.wav", "WAVEX", "PCM_24"),
    ):  # fmt: skip
        soundfile.write(audio / name, sound, 16000, format=form, subtype=subtype)
    soundfile.write(audio / "mat4.wav", sound, 16000, format="MAT4")
    (audio / "two.wav").write_bytes(make_two_faced_wav())
    opened: list[Any] = []
    original = soundfile.SoundFile.__init__

    def note(self: Any, file: Any, mode: str = "r", *positional: Any, **named: Any) -> None:
        if mode == "r":
            opened.append(named.get("format"))
        original(self, file, mode, *positional, **named)

    monkeypatch.setattr(soundfile.SoundFile, "__init__", note)
    words = ["--model", str(checkpoint_folder), "--device", "cpu", "--audioset-labels", "speech"]
    cli.run_command(["label", str(audio), "--out", str(tmp_path / "out"), *words])
    project = LocalProject(audio)
    project.scan()
    served = [sample for sample in project.samples() if sample.processing_error is None]
    assert len(served) >= 9
    for sample in served:
        project.audio(sample, slice(0, 10))
        pictures.peaks(project.playable(sample), pictures.TimeSpan(0, 1, 100))
        project.values(sample, 10)
    project.close()
    assert len(opened) > 20
    assert set(opened) == {"RAW"}


def test_the_page_of_libraries_names_the_locked_versions() -> None:
    page = (ROOT / "docs" / "libraries.md").read_text(encoding="utf-8")
    packages, _, _ = page.partition("## Open vulnerabilities")
    named = dict(re.findall(r"^\| ([a-z0-9-]+) ([0-9][0-9.]*) \|", packages, re.MULTILINE))
    assert {"soundfile", "av", "torch", "numpy", "pyarrow", "safetensors", "tokenizers"} <= named.keys()
    locked = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "locked").glob("*.txt"))
    for name, version in named.items():
        assert re.search(rf"^{re.escape(name)}=={re.escape(version)}[ +;\\]", locked, re.MULTILINE), f"{name} {version}"
    assert f"libsndfile {soundfile.__libsndfile_version__}" in page
