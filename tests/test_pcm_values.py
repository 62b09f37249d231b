"""NumPy's reading of uncompressed audio gives the values that libsndfile gives, bit for bit."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from block.containers.structure import SAMPLE_BYTES, Pcm
from block.pcm_values import read_values


@pytest.mark.parametrize("subtype", SAMPLE_BYTES)
@pytest.mark.parametrize("endian", ["LITTLE", "BIG"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_encoding_gives_libsndfiles_values(subtype: str, endian: str, channels: int) -> None:
    values = np.random.default_rng(0).uniform(-1, 1, (1000, channels))
    values[:3] = [[-1.0], [0.0], [0.9999999]]
    file = io.BytesIO()
    soundfile.write(file, values, 16000, subtype, endian, format="RAW")
    content = file.getvalue()
    expected, _ = soundfile.read(
        io.BytesIO(content), dtype="float32", always_2d=True, samplerate=16000, channels=channels, subtype=subtype,
        endian=endian, format="RAW",
    )  # fmt: skip
    blocks = list(read_values(io.BytesIO(content + b"\1" * (channels > 1)), Pcm(16000, channels, subtype, endian), 77))
    assert len(blocks) > 1
    np.testing.assert_array_equal(np.concatenate(blocks), expected)


def test_a_header_that_gives_many_channels_reads_whole_values() -> None:
    content = np.arange(6 * 5000, dtype="<i2").tobytes()
    (block,) = read_values(io.BytesIO(content + b"\1"), Pcm(16000, 5000, "PCM_16", "LITTLE"), 77_000)
    assert block.shape == (6, 5000)


def test_a_reader_that_gives_little_at_a_time_gives_the_same_values() -> None:
    class Dripping(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(3, size if size is not None and size >= 0 else 3))

    content = np.arange(1000, dtype="<i2").tobytes()
    pcm = Pcm(16000, 2, "PCM_16", "LITTLE")
    dripped, at_once = (
        np.concatenate(list(read_values(file, pcm, 64))) for file in (Dripping(content), io.BytesIO(content))
    )
    np.testing.assert_array_equal(dripped, at_once)
    assert len(dripped) == 500


def test_doubles_that_float32_cannot_hold_become_infinite_or_nan_without_a_warning() -> None:
    signaling_nan = b"\x00\x00\x00\x00\x00\x00\xf1\x7f"
    content = np.array([1e300, -1e300, 0.5], "<f8").tobytes() + signaling_nan
    (block,) = read_values(io.BytesIO(content), Pcm(16000, 1, "DOUBLE", "LITTLE"), 100)
    np.testing.assert_array_equal(block[:, 0], np.array([np.inf, -np.inf, 0.5, np.nan], np.float32))
