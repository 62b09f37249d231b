"""The odd inputs of docs/input.md, by their names there, and what the block says about each."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from block.audio import LOUDEST, decode
from block.class_names import LabelError
from block.cli import run_command
from block.commands.options import parse, read_job
from block.edge_impulse.ids_file import read_ids
from block.edge_impulse.project import Project, ProjectSettings
from block.labeling.labeler import ExactLabeler
from block.labeling.partial_logits import PartialLogits
from block.labels import parse_labels
from block.model.checkpoint import EMBEDDED, CheckpointError, find_checkpoint
from block.model.classifier import Classifier
from block.model.device import choose_device
from block.model.features import FilterBanks
from block.recording import LabeledRecording, Recording, RecordingError, RecordingSkipped
from block.settings import ComputeSettings, DecisionSettings, SettingsError, WindowSettings
from block.windows import lay_out_windows_ms
from tests.conftest import EMBEDDED as EMBEDDED_FOLDER
from tests.fuzz import riff
from tests.fuzz.test_fuzz_answers import FOUND, POLICY, Client
from tests.fuzz.test_fuzz_audio import lying_flac

RATE_HZ = 16000
CUT_OFF = 4000  # number of values in a file whose header claims more
REFUSED = (RecordingError, RecordingSkipped, SettingsError, LabelError, CheckpointError)
LABELS = "Speech, Music (tune), Dog"


@dataclass(frozen=True)
class Place:
    """A folder for files, and a copy of a checkpoint."""

    folder: Path
    checkpoint: Path

    def outcome(self, act: Callable[[Place], str]) -> str:
        """Return what `act` returns, or its error's text, with FOLDER and FILE instead of this test's paths."""
        try:
            said = act(self)
        except REFUSED as error:
            said = str(error)
        said = said.replace(str(self.checkpoint), "FOLDER")
        return said.replace(str(self.folder / "ids.json"), "FILE")


@cache
def labeler(silence_dbfs: float | None) -> ExactLabeler:
    """Return a labeler with the embedded checkpoint on the CPU and windows of 1 s."""
    checkpoint = find_checkpoint(EMBEDDED)
    device = choose_device(ComputeSettings("cpu", "float32"))
    labels = parse_labels(LABELS, checkpoint.class_names, 0.2)
    return ExactLabeler(
        Classifier(checkpoint, device), FilterBanks(checkpoint.front_end, device.device), WindowSettings(1000, 500),
        DecisionSettings(labels, silence_dbfs=silence_dbfs), warn=print,
    )  # fmt: skip


def label(data: bytes, silence_dbfs: float | None = None) -> LabeledRecording:
    """Decode and label a file's bytes; check that the segments tile the recording and have scores."""
    sound = decode(data)
    recording = Recording(1, "a", sound.rate_hz, sound.positions, sound.waveform, ratio=sound.ratio)
    one = labeler(silence_dbfs)
    known = PartialLogits(one.prepare(recording), len(one.class_names))
    [labeled] = one.complete([known])
    segments = labeled.segments
    assert np.isfinite(known.logits).all()
    assert [segment.start for segment in segments] == [0, *(segment.end for segment in segments[:-1])]
    assert segments[-1].end == sound.positions
    assert all(0 <= segment.score <= 1 and segment.label in ("Speech", "tune", "Dog", "other") for segment in segments)
    return labeled


def make_wav(values: Any, subtype: str = "FLOAT", rate: int = RATE_HZ) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.asarray(values), rate, format="WAV", subtype=subtype)
    return file.getvalue()


def tone(level: float = 0.5, seconds: float = 1.5) -> np.ndarray[Any, Any]:
    return level * np.sin(2 * np.pi * 440 * np.arange(round(RATE_HZ * seconds)) / RATE_HZ)


def with_values(*values: float) -> bytes:
    """Return a WAV of a tone in which these values start at 0.5 s."""
    sound = tone()
    sound[8000 : 8000 + len(values)] = values
    return make_wav(sound, "DOUBLE")


def label_audio(data: bytes, silence_dbfs: float | None = None) -> Callable[[Place], str]:
    def act(place: Place) -> str:
        labeled = label(data, silence_dbfs)
        if silence_dbfs is not None:
            assert [segment.label for segment in labeled.segments] == ["other"]
            return "the other label"
        return "labeled" if labeled.values != CUT_OFF else "labeled up to the end of the data"

    return act


def claim_4_gb(head: bytes = b"") -> bytes:
    """Return a WAV of `CUT_OFF` values whose header claims 4 GB."""
    pcm = riff.chunk(b"fmt ", riff.fmt(riff.PCM, 1, RATE_HZ, 2, 16))
    return riff.riff(pcm, head, riff.chunk(b"data", bytes(2 * CUT_OFF), riff.FULL), size=riff.FULL)


def fetch_with(audio: bytes = b"", **fields: Any) -> Callable[[Place], str]:
    """Fetch a sample of 100 ms, described by the API with these fields."""

    def act(place: Place) -> str:
        client = Client({"sample": {**FOUND, **fields}}, audio or make_wav(np.zeros(1600), "PCM_16"))
        Project(client, ProjectSettings(1, {}, POLICY), print, print).fetch(7, lambda values: None)  # type: ignore[arg-type]
        return "labeled"

    return act


def fetch_nothing(place: Place) -> str:
    client = Client({"success": True}, b"")
    return Project(client, ProjectSettings(1, {}, POLICY), print, print).fetch(7, lambda values: None).name  # type: ignore[arg-type]


def read_ids_from(content: bytes) -> Callable[[Place], str]:
    def act(place: Place) -> str:
        (place.folder / "ids.json").write_bytes(content)
        return f"the ids {read_ids(str(place.folder / 'ids.json'))}"

    return act


def make_huge(path: Path) -> None:
    """Make a sparse file of 1 TiB."""
    path.touch()
    os.truncate(path, 1 << 40)


def read_ids_made_by(make: Callable[[Path], object]) -> Callable[[Place], str]:
    def act(place: Place) -> str:
        make(place.folder / "ids.json")
        return f"the ids {read_ids(str(place.folder / 'ids.json'), timeout_s=0.05)}"

    return act


def parse_arguments(*arguments: str) -> Callable[[Place], str]:
    def act(place: Place) -> str:
        argv = ["--data-ids-file", "x", "--model", EMBEDDED, "--audioset-labels", LABELS, *arguments]
        read_job(parse(argv, warn=print))
        return "accepted"

    return act


def label_folder(fill: Callable[[Path], object]) -> Callable[[Place], str]:
    def act(place: Place) -> str:
        folder = place.folder / "recordings"
        folder.mkdir()
        fill(folder)
        run_command(["label", str(folder), "--out", str(place.folder / "out"), "--model", EMBEDDED])
        return "labeled"

    return act


def add_other_files(folder: Path) -> None:
    for name in ("a.txt", "b.TXT", "c.docx", ".hidden.wav"):
        (folder / name).touch()


def replace_by_file(folder: Path) -> None:
    folder.rmdir()
    folder.touch()


def count_windows(seconds: float, size_ms: int, stride_ms: int) -> Callable[[Place], str]:
    def act(place: Place) -> str:
        count = len(lay_out_windows_ms(round(seconds * RATE_HZ), Fraction(RATE_HZ), size_ms, stride_ms).windows)
        return f"{count} window over the whole recording"

    return act


def load_checkpoint(act_on: Callable[[Path], object]) -> Callable[[Place], str]:
    def act(place: Place) -> str:
        act_on(place.checkpoint)
        Classifier(find_checkpoint(str(place.checkpoint)), choose_device(ComputeSettings("cpu")))
        return "loaded"

    return act


def edit_json(name: str, **changes: Any) -> Callable[[Place], str]:
    def act_on(folder: Path) -> None:
        (folder / name).write_text(json.dumps({**json.loads((folder / name).read_text()), **changes}))

    return load_checkpoint(act_on)


def replace_file(name: str, make: Callable[[Path], object]) -> Callable[[Place], str]:
    def act_on(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return load_checkpoint(act_on)


def spoil_weights(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    tensors["classifier.dense.bias"][0] = float("nan")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def copy_checkpoint(folder: Path) -> Path:
    return Path(shutil.copytree(EMBEDDED_FOLDER, folder / "checkpoint"))


AUDIO = {
    "a NaN value": label_audio(with_values(np.nan)),
    "infinite values": label_audio(with_values(0, np.inf, -np.inf)),
    "NaN in one channel of two": label_audio(make_wav(np.stack([tone(), np.where(tone() > 0.499, np.nan, 0)], axis=1))),
    "values beyond ±1e12": label_audio(with_values(2e12)),
    "values up to ±1e12": label_audio(make_wav(tone(LOUDEST), "DOUBLE")),
    "a float WAV beyond full scale": label_audio(make_wav(tone(3.0))),
    "a float WAV of 16-bit numbers, up to ±32768": label_audio(make_wav(tone(32768.0))),
    "clipped audio": label_audio(make_wav(np.clip(tone(50.0), -1, 1), "PCM_16")),
    "a constant value (DC only)": label_audio(make_wav(np.full(24000, 0.7), "PCM_16")),
    "constant full scale": label_audio(make_wav(np.full(24000, 1.0))),
    "all zeros": label_audio(make_wav(np.zeros(24000), "PCM_16")),
    "all zeros, with `--silence-dbfs`": label_audio(make_wav(np.zeros(24000), "PCM_16"), silence_dbfs=-90.0),
    "subnormal values (1e-40)": label_audio(make_wav(tone(1e-40))),
    "no values": label_audio(make_wav(np.zeros(0), "PCM_16")),
    "a single value": label_audio(make_wav(np.zeros(1), "PCM_16")),
    "less than 25 ms": label_audio(make_wav(np.zeros(399), "PCM_16")),
    "25 ms": label_audio(make_wav(np.zeros(400), "PCM_16")),
    "1,024 channels": label_audio(make_wav(np.zeros((1600, 1024)), "PCM_16")),
    "a rate of 8 Hz": label_audio(make_wav(np.zeros(100), "PCM_16", 8)),
    "a rate of 3 Hz": label_audio(make_wav(np.zeros(100), "PCM_16", 3)),
    "a WAV header that claims 4 GB": label_audio(claim_4_gb()),
    "an RF64 header that claims 1 TB": label_audio(riff.rf64(2**40, bytes(2 * CUT_OFF))),
    "a FLAC header that claims 2^36 - 1 values": label_audio(lying_flac(2**36 - 1)),
    "text": label_audio(b"hello, this is text"),
    "an empty file": label_audio(b""),
}
ANSWERS = {
    "audio that is longer or shorter than the sample": fetch_with(valuesCount=16000),
    "`valuesCount` of 10^15": fetch_with(valuesCount=10**15),
    "the description of another sample": fetch_with(id=8),
    "`valuesCount` of 0": fetch_with(valuesCount=0),
    "`valuesCount` that isn't a whole number": fetch_with(valuesCount="1600"),
    "`frequency` of 0": fetch_with(frequency=0),
    "an infinite `frequency`": fetch_with(frequency=float("inf")),
    "`frequency` that isn't a number": fetch_with(frequency=["16000"]),
    "no sample": fetch_nothing,
    "malformed `sensors`": fetch_with(sensors=[5, {"units": ["wav"]}, None]),
    "a name with a million lone surrogates": fetch_with(filename="\ud800" * 1_000_000),
}
IDS = {
    "an empty ids file": read_ids_from(b""),
    "ids as text": read_ids_from(b'["1"]'),
    "a fraction as an id": read_ids_from(b"[1.5]"),
    "a negative id": read_ids_from(b"[-1]"),
    "an id of 2^53": read_ids_from(b"[9007199254740992]"),
    "an id of 5,000 digits": read_ids_from(b"[" + b"9" * 5000 + b"]"),
    "NaN as an id": read_ids_from(b"[NaN]"),
    "`ids` twice": read_ids_from(b'{"ids": [1], "ids": [2]}'),
    "100,000 nested lists": read_ids_from(b"[" * 100_000),
    "a byte order mark": read_ids_from(b"\xef\xbb\xbf[1]"),
    "UTF-16": read_ids_from("[1]".encode("utf-16")),
    "a folder": read_ids_made_by(lambda path: path.mkdir()),
    "a pipe that sends nothing": read_ids_made_by(os.mkfifo),
    "more than 64 MiB": read_ids_made_by(make_huge),
}
FOLDERS = {
    "a folder with other files only": label_folder(add_other_files),
    "a folder with a link to a folder only": label_folder(lambda path: (path / "link").symlink_to(path.parent)),
    "an empty folder": label_folder(lambda path: None),
    "a file": label_folder(replace_by_file),
}
ARGUMENTS = {
    "an unknown label": parse_arguments("--audioset-labels", "speach"),
    "an unclosed parenthesis": parse_arguments("--audioset-labels", "Speech (voice"),
    "a threshold in percent": parse_arguments("--audioset-labels", "Speech (40%)"),
    "a decimal comma": parse_arguments("--audioset-labels", "Speech (voice, 0,4)"),
    "`--min-confidence` in percent": parse_arguments("--min-confidence", "20%"),
    "a label list without labels": parse_arguments("--audioset-labels", ",,,"),
    "`--win-size-ms` of 10^30": count_windows(10, 10**30, 1),
    "`--win-stride-ms 1` over three hours": count_windows(3 * 3600, 25, 1),
    "`--batch-size` of 10^12": parse_arguments("--batch-size", str(10**12)),
    "`--device cuda:300`": parse_arguments("--device", "cuda:300"),
    "`--audioset-labels=--`": parse_arguments("--audioset-labels=--"),
    "a number of 5,000 digits": parse_arguments("--win-size-ms", "9" * 5000),
}
CHECKPOINTS = {
    "no `config.json`": load_checkpoint(lambda folder: (folder / "config.json").unlink()),
    "`config.json` is a pipe": replace_file("config.json", os.mkfifo),
    "`config.json` is a device": replace_file("config.json", lambda path: path.symlink_to("/dev/zero")),
    "`config.json` is a folder": replace_file("config.json", lambda path: path.mkdir()),
    "`config.json` of more than 4 MiB": load_checkpoint(lambda folder: os.truncate(folder / "config.json", 1 << 40)),
    "`hidden_size` of 3·10^9": edit_json("config.json", hidden_size=3 * 10**9),
    "`intermediate_size` of 10^12": edit_json("config.json", intermediate_size=10**12),
    "`num_labels` of 10^12": edit_json("config.json", num_labels=10**12),
    "`std` of 0": edit_json("preprocessor_config.json", std=0),
    "truncated weights": load_checkpoint(lambda folder: os.truncate(folder / "model.safetensors", 5000)),
    "a header of 2^63 bytes": load_checkpoint(
        lambda folder: (folder / "model.safetensors").write_bytes(b"\0" * 7 + b"\x80")
    ),
    "NaN weights": load_checkpoint(spoil_weights),
}
TABLES = {
    "Audio": AUDIO, "Answers about a sample": ANSWERS, "The ids file": IDS,
    "The folder of recordings": FOLDERS, "Arguments": ARGUMENTS, "Checkpoints": CHECKPOINTS,
}  # fmt: skip
