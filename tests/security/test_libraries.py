"""Libraries in C parse as little as possible of what others made, and a page lists those that wheels contain."""

from __future__ import annotations

import mmap
import re
import struct
from importlib import metadata
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


LOCKS = ("run", "torch", "folder", "studio", "ray", "openvino")  # the other locks are for developers
# The text that tells a library's version in a shared object, by package, file and name on the page. The first group is
# the version.
VERSIONS = (
    ("soundfile", "libsndfile*.so", "libsndfile", rb"libsndfile-(\d+\.\d+\.\d+)"),
    ("soundfile", "libsndfile*.so", "FLAC", rb"libFLAC (\d+\.\d+\.\d+)"),
    ("soundfile", "libsndfile*.so", "Opus", rb"libopus (\d+\.\d+)"),
    ("soundfile", "libsndfile*.so", "LAME", rb"LAME(3\.\d+)"),
    ("av", "libavcodec-*", "FFmpeg", rb"FFmpeg version (\d+\.\d+\.\d+)"),
    ("av", "libgnutls-*", "GnuTLS", rb"GnuTLS (\d+\.\d+\.\d+)"),
    ("av", "libgmp-*", "GMP", rb"\x00(\d+\.\d+\.\d+)\x00"),
    ("av", "libmp3lame-*", "LAME", rb"LAME ?(3\.\d+)"),
    ("av", "libopus-*", "Opus", rb"libopus (\d+\.\d+\.\d+)"),
    ("av", "libSvtAv1Enc-*", "SVT-AV1", rb"\x00v(\d+\.\d+\.\d+)\x00"),
    ("av", "libvpx-*", "VPX", rb"\x00v(\d+\.\d+\.\d+)\x00"),
    ("numpy", "libscipy_openblas64_-*", "OpenBLAS", rb"OpenBLAS (\d+\.\d+\.\d+)"),
    ("scipy", "libscipy_openblas-*", "OpenBLAS", rb"OpenBLAS (\d+\.\d+\.\d+)"),
    ("pyarrow", "libarrow.so.*", "OpenSSL", rb"OpenSSL (\d+\.\d+\.\d+) "),
    ("pyarrow", "libarrow.so.*", "curl", rb"libcurl/(\d+\.\d+\.\d+)"),
    ("pyarrow", "libarrow.so.*", "zlib", rb"(?:de|in)flate (\d+\.\d+(?:\.\d+)*) Copyright"),
    ("pyarrow", "libarrow.so.*", "bzip2", rb"(\d+\.\d+\.\d+), \d+-\w+-20\d\d"),
    ("pyarrow", "libarrow.so.*", "jemalloc", rb"\x00(\d+\.\d+\.\d+)-\d+-g[0-9a-f]{40}"),
    ("pyarrow", "libparquet.so.*", "Arrow and Parquet C++", rb"parquet-cpp-arrow version (\d+\.\d+\.\d+)"),
    ("safetensors", "*.so", "serde_json", rb"serde_json-(\d+\.\d+\.\d+)/"),
    ("tokenizers", "*.so", "serde_json", rb"serde_json-(\d+\.\d+\.\d+)/"),
    ("pydantic-core", "*.so", "serde_json", rb"serde_json-(\d+\.\d+\.\d+)/"),
    ("hf-xet", "*.so", "rustls", rb"/rustls-(\d+\.\d+\.\d+)/"),
    ("hf-xet", "*.so", "aws-lc-rs", rb"/aws-lc-rs-(\d+\.\d+\.\d+)/"),
    ("pyyaml", "_yaml*.so", "libyaml", rb"\x00(0\.2\.\d+)\x00"),
    ("openvino", "libtbb.so.*", "oneTBB", rb"oneTBB: VERSION\s+(\d+\.\d+\.\d+)"),
    ("ray", "libjemalloc.so", "jemalloc", rb"\x00(\d+\.\d+\.\d+)-\d+-g[0-9a-f]{40}"),
    ("grpcio", "cygrpc*.so", "zlib", rb"(?:de|in)flate (\d+\.\d+(?:\.\d+)*) Copyright"),
    ("cryptography", "_rust*.so", "OpenSSL", rb"OpenSSL (\d+\.\d+\.\d+) "),
)
PAGE = ROOT / "docs" / "libraries.md"


def read_packages() -> dict[str, tuple[str, str]]:
    """Return the version and the libraries of each package on the page, but those in one row for all of NVIDIA's."""
    packages = PAGE.read_text(encoding="utf-8").partition("## Open vulnerabilities")[0]
    rows = re.findall(r"^\| ([a-z0-9-]+) ([0-9][0-9.]*) \| ([^|]*) \|", packages, re.MULTILINE)
    return {name: (version, libraries) for name, version, libraries in rows}


def list_locked() -> dict[str, set[str]]:
    """Return the locked versions of each package that commands install, without the labels of builds such as +cpu."""
    locked: dict[str, set[str]] = {}
    for lock in LOCKS:
        text = (ROOT / "locked" / f"{lock}.txt").read_text(encoding="utf-8")
        for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\+]+)", text, re.MULTILINE):
            locked.setdefault(re.sub(r"[._]", "-", name.lower()), set()).add(version)
    return locked


def list_shared_objects(name: str) -> list[Path]:
    """Return the shared objects of an installed package."""
    try:
        files = metadata.distribution(name).files or ()
    except metadata.PackageNotFoundError:
        return []
    return [Path(str(one.locate())) for one in files if ".so" in Path(one.name).suffixes]


def test_the_page_of_libraries_names_the_locked_versions() -> None:
    named, locked = read_packages(), list_locked()
    assert {"soundfile", "av", "torch", "numpy", "pyarrow", "safetensors", "tokenizers"} <= named.keys()
    for name, (version, _) in named.items():
        assert version in locked[name], f"{name} {version}"
    assert f"libsndfile {soundfile.__libsndfile_version__}" in PAGE.read_text(encoding="utf-8")


def test_the_page_of_libraries_names_every_package_with_shared_objects() -> None:
    named = read_packages().keys()
    compiled = {name for name in list_locked() if not name.startswith("nvidia-") and list_shared_objects(name)}
    assert len(compiled) > 10
    assert compiled - named == set()


def test_the_page_of_libraries_names_the_versions_inside_the_installed_wheels() -> None:
    checked = 0
    for name, pattern, library, version in VERSIONS:
        listed, libraries = read_packages()[name]
        found = [path for path in list_shared_objects(name) if path.match(pattern)]
        if not found or metadata.version(name).partition("+")[0] != listed:
            continue  # not installed, or not as locked
        with found[0].open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            match = re.search(version, content)
            assert match, f"{library} in {found[0]}"
            assert f"{library} {match[1].decode()}" in libraries, f"{name}: {library} {match[1].decode()}"
        checked += 1
    assert checked > 10
