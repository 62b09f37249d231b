from __future__ import annotations

import hashlib
import io
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from block.model import checkpoint
from block.model.checkpoint import CONFIG, WEIGHTS, CheckpointError
from block.model_store.catalog import CATALOG, MIT_GOLDEN, Golden, KnownCheckpoint, Reading
from block.model_store.pack import record
from block.model_store.store import ModelStore
from block.model_store.verify import Check, compare, read_clip, read_subject, verify
from tests.conftest import NAMES, SHARED

RATE_HZ = 16000


@pytest.fixture
def mine(store: ModelStore, checkpoint_folder: Path) -> ModelStore:
    shutil.copytree(checkpoint_folder, store.path("mine"))
    return store


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A clip longer than the model's input: 11 s of a tone that changes after 10.24 s."""
    time = np.arange(11 * RATE_HZ) / RATE_HZ
    path = tmp_path / "clip.wav"
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * np.where(time < 10.26, 400, 3200) * time), RATE_HZ, subtype="PCM_16")
    return path


@pytest.fixture
def golden(checkpoint_folder: Path, clip: Path) -> Golden:
    """Golden readings from transformers, whose extractor cuts the clip."""
    import torch
    from transformers import ASTFeatureExtractor, ASTForAudioClassification

    waveform, _ = soundfile.read(clip, dtype="float32")
    inputs = ASTFeatureExtractor()(waveform, sampling_rate=RATE_HZ, return_tensors="pt")
    with torch.inference_mode():
        logits = ASTForAudioClassification.from_pretrained(checkpoint_folder).eval()(**inputs).logits[0].tolist()
    order = sorted(range(len(logits)), key=lambda index: -logits[index])
    readings = tuple(Reading(index, NAMES[index], logits[index]) for index in order)
    return Golden("a tone", hashlib.sha256(clip.read_bytes()).hexdigest(), readings)


def run_checks(store: ModelStore, name: str = "mine", clip: bytes | None = None) -> list[Check]:
    return list(verify(read_subject(store, name), clip))


def test_a_valid_checkpoint_passes_every_check(mine: ModelStore) -> None:
    checks = run_checks(mine)
    assert all(check.is_ok for check in checks)
    text = "\n".join(check.finding for check in checks)
    assert "7 classes, 16000 Hz, 128 mel bins × 1024 frames" in text
    assert text.count("no known or recorded digest to compare with") == 3
    assert "silence gives 7 finite logits" in text
    record(mine, "mine")
    assert "\n".join(check.finding for check in run_checks(mine)).count("as expected") == 3


def test_a_folder_outside_the_store_is_verified_by_its_path(
    mine: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(mine.path("mine"), tmp_path / "other")
    assert all(check.is_ok for check in run_checks(mine, str(tmp_path / "other")))
    monkeypatch.chdir(tmp_path)
    assert all(check.is_ok for check in run_checks(mine, "other"))
    with pytest.raises(CheckpointError, match="no checkpoint 'nowhere'"):
        read_subject(mine, "nowhere")


def test_one_flipped_bit_in_the_weights_is_found_before_they_are_loaded(mine: ModelStore) -> None:
    record(mine, "mine")
    path = mine.path("mine") / WEIGHTS
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    checks = run_checks(mine)
    assert not checks[-1].is_ok
    assert checks[-1].finding.startswith("model.safetensors has SHA-256 ")


def test_truncated_weights_are_one_failed_check(mine: ModelStore) -> None:
    path = mine.path("mine") / WEIGHTS
    path.write_bytes(path.read_bytes()[:-1])
    (check,) = run_checks(mine)
    assert (check.is_ok, check.finding.split(":")[0]) == (
        False,
        "model.safetensors is damaged or not a safetensors file",
    )


def test_weights_that_do_not_match_their_config_are_found(mine: ModelStore) -> None:
    path = mine.path("mine") / CONFIG
    path.write_text(json.dumps({**json.loads(path.read_text()), "num_hidden_layers": 3}))
    last = run_checks(mine)[-1]
    assert not last.is_ok
    assert "the number of layers is 2; expected 3" in last.finding


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (math.nan, f"{WEIGHTS} contains NaN or infinite values, first in classifier.dense.weight"),
        (3e38, "silence gives NaN or infinite logits"),
    ],
)
def test_weights_that_are_nan_or_overflow_are_found(mine: ModelStore, value: float, message: str) -> None:
    from safetensors.torch import load_file, save_file

    path = mine.path("mine") / WEIGHTS
    weights = load_file(path)
    weights["classifier.dense.weight"][3] = value
    save_file(weights, path, metadata={"format": "pt"})
    last = run_checks(mine)[-1]
    assert (last.is_ok, last.finding) == (False, message)


def test_the_logits_of_the_golden_clip_are_compared_with_the_readings(
    mine: ModelStore, golden: Golden, clip: Path
) -> None:
    known = ModelStore(mine.folder, (KnownCheckpoint("mine", "a/b", "0" * 40, (), golden),))
    last = run_checks(known, clip=read_clip(read_subject(known, "mine"), clip))[-1]
    assert last.is_ok, last.finding
    assert last.finding.startswith("golden clip: logits differ by ")
    shifted = tuple(replace(one, logit=one.logit + 0.02) for one in golden.readings)
    known = ModelStore(mine.folder, (KnownCheckpoint("mine", "a/b", "0" * 40, (), replace(golden, readings=shifted)),))
    last = run_checks(known, clip=clip.read_bytes())[-1]
    assert not last.is_ok
    assert "logits differ by 2.0e-02 (limit 0.01)" in last.finding


def test_golden_readings_of_other_classes_fail(mine: ModelStore, golden: Golden, clip: Path) -> None:
    others = replace(golden, readings=(replace(golden.readings[0], name="Yodel"),))
    known = ModelStore(mine.folder, (KnownCheckpoint("mine", "a/b", "0" * 40, (), others),))
    last = run_checks(known, clip=clip.read_bytes())[-1]
    assert (last.is_ok, "is not 'Yodel'" in last.finding) == (False, True)


def test_a_wrong_clip_and_a_clip_for_another_checkpoint_are_refused(
    mine: ModelStore, golden: Golden, clip: Path, tmp_path: Path
) -> None:
    known = ModelStore(mine.folder, (KnownCheckpoint("mine", "a/b", "0" * 40, (), golden),))
    subject = read_subject(known, "mine")
    other = tmp_path / "other.wav"
    other.write_bytes(b"another")
    with pytest.raises(CheckpointError, match=r"other\.wav is not the golden clip \(a tone\): its SHA-256 is"):
        read_clip(subject, other)
    with pytest.raises(CheckpointError, match="can't be read: No such file"):
        read_clip(subject, tmp_path / "none.wav")
    with pytest.raises(CheckpointError, match="there are no golden readings for mine"):
        read_clip(read_subject(mine, "mine"), clip)


def logits(**changes: float) -> list[float]:
    values = [-12.0] * 527
    for reading in MIT_GOLDEN.readings:
        values[reading.index] = reading.logit
    for index, value in changes.items():
        values[int(index[1:])] = value
    return values


def test_golden_logits_pass_within_a_hundredth_and_in_order() -> None:
    assert compare(logits(), MIT_GOLDEN).is_close
    assert compare(logits(_0=2.676982 + 0.0099), MIT_GOLDEN).is_close
    assert not compare(logits(_0=2.676982 + 0.0101), MIT_GOLDEN).is_close
    assert not compare(logits(_72=-5.4), MIT_GOLDEN).is_close
    assert not compare(logits(_0=math.nan), MIT_GOLDEN).is_close
    assert not compare(logits(_300=0.0), MIT_GOLDEN).is_close  # a class without a reading among the top five
    assert not compare(logits(_300=-2.5), MIT_GOLDEN).is_close
    assert compare(logits(_300=-3.5), MIT_GOLDEN).is_close  # the sixth


def test_the_golden_readings_are_in_order_and_name_audioset_classes() -> None:
    values = [one.logit for one in MIT_GOLDEN.readings]
    assert values == sorted(values, reverse=True)
    assert len(values) == 10
    (mit, tiny) = CATALOG
    assert mit.name == checkpoint.DEFAULT
    assert (tiny.name, tiny.is_embedded) == (checkpoint.EMBEDDED, True)


def test_the_golden_clip_has_the_expected_digest() -> None:
    path = SHARED / "golden" / "jfk.wav"
    if not path.is_file():
        pytest.skip("the golden clip is not here")
    data = path.read_bytes()
    assert hashlib.sha256(data).hexdigest() == MIT_GOLDEN.clip_sha256
    with soundfile.SoundFile(io.BytesIO(data)) as sound:
        assert (sound.samplerate, len(sound)) == (16000, 176_000)
