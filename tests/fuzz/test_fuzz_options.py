"""Any arguments give options, a job and windows, or one of the errors that print one line."""

from __future__ import annotations

import contextlib
import io
import os
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from block.class_names import LabelError
from block.commands.options import OPTIONS, parse, read_job
from block.labeling.job import Job
from block.model.checkpoint import EMBEDDED, CheckpointError
from block.recording import RecordingError
from block.settings import MAX_BATCH_SIZE, SettingsError
from block.windows import MAX_WINDOWS, lay_out_windows_ms
from tests.fuzz.drawn import any_text, examples

# Reading --failed-ids-file creates the file, so only tests that choose its path use it.
NAMES = [option.name for option in OPTIONS if option.name != "failed-ids-file"]
NUMBERS = [
    "0", "-1", "1", "25", "2000", "1e3", "0.5", str(10**12), str(10**30), "9" * 5000, "nan", "inf", "-inf", "1e400",
    "-60", "\u0663", " 7 ", "1_000",
]  # fmt: skip
WORDS = [
    "", "auto", "cpu", "cuda", "cuda:0", "cuda:99", "cuda:300", "cuda:\u0663", "cuda:-1", "softmax", "fast", "repeat",
    "float16", "speech", "Animal*", ".", "/", "..", EMBEDDED, "--", "-h=", "--help=1", "=", "a\nb", "-x y",
]  # fmt: skip
values = st.sampled_from(NUMBERS) | st.sampled_from(WORDS) | any_text.filter(lambda text: "failed" not in text)
given_apart = st.tuples(st.sampled_from(NAMES).map(lambda name: f"--{name}"), values)
given_together = st.tuples(st.sampled_from(NAMES), values).map(lambda pair: (f"--{pair[0]}={pair[1]}",))
arguments = st.lists(given_apart | given_together | st.tuples(values), max_size=5).map(
    lambda groups: [word for group in groups for word in group]
)


def read_job_from(argv: Sequence[str]) -> Job | None:
    """Return the job that the arguments ask for; None if they are refused or ask for help."""
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            options = parse(argv, warn=lambda text: None)
            return read_job(options)
        except (SettingsError, LabelError, CheckpointError, SystemExit):
            return None


@examples(300)
@given(arguments)
@example(["--device", "cuda:\u0663"])
@example(["--audioset-labels=--"])
@example(["--propose-actions", "9" * 5000])
@example(["--audit-seed", "-" + "9" * 4000])
def test_any_arguments_are_a_job_or_are_refused(argv: list[str]) -> None:
    job = read_job_from(["--data-ids-file", "ids.json", "--model", EMBEDDED, *argv])
    if job is not None:
        assert 0 <= job.compute.batch_size <= MAX_BATCH_SIZE
        assert job.windows.size_ms == 0 or 0 < job.windows.stride_ms <= job.windows.size_ms


def test_a_huge_argument_is_refused_quickly() -> None:
    started = time.process_time()
    read_job_from(["--data-ids-file", "x", *(f"--{'a' * 100_000}{end}" for end in range(10))])
    assert time.process_time() - started < 5


@pytest.mark.parametrize("number", ["1000000000000", str(MAX_BATCH_SIZE + 1), "-1"])
def test_a_batch_that_fits_in_no_memory_is_refused(number: str) -> None:
    argv = ["--data-ids-file", "x", "--model", EMBEDDED, "--batch-size", number]
    with pytest.raises(SettingsError, match=f"--batch-size is {number}; expected 0 .automatic. to {MAX_BATCH_SIZE}"):
        read_job(parse(argv, warn=print))


HUGE = st.sampled_from([25, 26, 1000, 10**6, 10**9, 10**12, 10**30]) | st.integers(25, 10**40)


@examples(100)
@given(
    HUGE, HUGE | st.sampled_from([1, 2]), st.integers(1, 20_000), st.sampled_from([1, 8000, 16000, 192000, 2**31 - 1])
)
@example(size_ms=25, stride_ms=1, values=10**10, rate_hz=16000)
def test_windows_of_any_size_are_few_enough_or_refused(size_ms: int, stride_ms: int, values: int, rate_hz: int) -> None:
    try:
        layout = lay_out_windows_ms(values, Fraction(rate_hz), size_ms, min(stride_ms, size_ms))
    except RecordingError:
        return
    assert len(layout.windows) <= MAX_WINDOWS + 1
    assert (layout.cells[0].start, layout.cells[-1].end) == (0, values)


def test_a_failed_ids_file_that_is_a_pipe_without_a_reader_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SettingsError, match="can't write --failed-ids-file"):
        parse(["--data-ids-file", "x", "--failed-ids-file", str(tmp_path / "pipe")], warn=print)
