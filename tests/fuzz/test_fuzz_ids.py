"""Anything given as an ids file yields ids or a SettingsError, quickly and with little memory."""

from __future__ import annotations

import json
import os
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from block.edge_impulse.access import read_access
from block.edge_impulse.ids_file import MAX_ID, MAX_IDS_BYTES, read_ids, write_ids
from block.settings import SettingsError
from tests.fuzz.drawn import any_text, examples, flipped, json_values

PATIENCE_S = 0.05
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1")


def check(path: Path) -> None:
    """Check that the file gives distinct whole numbers, or is refused with a message of limited length."""
    try:
        ids = read_ids(str(path), PATIENCE_S)
    except SettingsError as caught:
        problem, ids = str(caught), []
    else:
        problem = ""
    assert not problem or problem.startswith("--data-ids-file ")
    assert len(problem) < 1000 + len(str(path))
    assert all(type(one) is int and 0 <= one <= MAX_ID for one in ids)
    assert len(set(ids)) == len(ids)


@st.composite
def files(draw: Callable[[Any], Any]) -> bytes:
    """Draw JSON that resembles an ids file, in some encoding and possibly damaged, or any bytes."""
    entries = st.lists(st.integers(0, 50) | json_values, max_size=5)
    content = draw(entries | st.fixed_dictionaries({"ids": entries | json_values}) | json_values)
    text = draw(st.sampled_from(["", " ", "\ufeff"])) + json.dumps(content, ensure_ascii=draw(st.booleans()))
    data = text.encode(draw(st.sampled_from(ENCODINGS)), errors="replace")
    return draw(st.just(data) | st.binary(max_size=60)) if draw(st.booleans()) else flipped(draw, data or b" ")


@examples(200)
@given(files())
@example(b'{"ids": [1], "ids": [2]}')
@example(b"[" + b"9" * 5000 + b"]")
@example(b"[9007199254740992]")
@example(b"[-1]")
@example(b"[1e400, NaN]")
@example(b"[" * 3000 + b"]" * 3000)
@example(b"\x00" * 100)
def test_any_file_gives_ids_or_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "ids.json"
    path.write_bytes(data)
    check(path)


@pytest.mark.parametrize("depth", [500, 900, 950, 990, 2000, 100_000])
def test_an_id_of_nested_lists_is_refused_however_deep(tmp_path: Path, depth: int) -> None:
    path = tmp_path / "ids.json"
    path.write_text("[" * depth + "]" * depth)
    with pytest.raises(SettingsError, match="is not valid JSON|entry 0 is"):
        read_ids(str(path))


@pytest.mark.parametrize(
    "path", ["/", "/dev/null", "/dev/zero", "/dev/full", "/proc/self/mem", "\0", "x" * 5000, "\ud800"]
)
def test_anything_but_a_readable_file_is_refused(path: str) -> None:
    with pytest.raises(SettingsError):
        read_ids(path, PATIENCE_S)


def test_a_huge_file_is_refused_without_being_read_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "ids.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    tracemalloc.start()
    with pytest.raises(SettingsError, match=f"more than {MAX_IDS_BYTES} bytes"):
        read_ids(str(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * MAX_IDS_BYTES


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def test_a_pipe_without_a_writer_is_given_up(pipe: Path) -> None:
    with pytest.raises(
        SettingsError, match="can't read --data-ids-file .*: it is not a regular file and sent nothing for 0.05 s"
    ):
        read_ids(str(pipe), PATIENCE_S)


def test_a_pipe_whose_writer_is_silent_is_given_up(pipe: Path) -> None:
    silent = os.open(pipe, os.O_RDWR)
    with pytest.raises(SettingsError, match="sent nothing for 0.05 s"):
        read_ids(str(pipe), PATIENCE_S)
    os.write(silent, b"[1, 2")
    with pytest.raises(SettingsError, match="sent nothing for 0.05 s"):
        read_ids(str(pipe), PATIENCE_S)
    os.close(silent)


@pytest.mark.parametrize("count", [0, 3, 50_000])
def test_a_pipe_is_read_to_its_end_whenever_its_writer_comes(pipe: Path, count: int) -> None:
    def write() -> None:
        with pipe.open("w") as file:
            file.write(json.dumps(list(range(count))))

    writer = threading.Thread(target=write)
    writer.start()
    assert read_ids(str(pipe), 30.0) == list(range(count))
    writer.join()


def test_a_pipe_that_is_closed_without_data_is_refused(pipe: Path) -> None:
    writer = threading.Thread(target=lambda: pipe.open("w").close())
    writer.start()
    with pytest.raises(SettingsError, match="is not valid JSON|sent nothing"):
        read_ids(str(pipe), 5.0)
    # The writer waits for a reader. If it came too late for the first, it gets one here.
    with open(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), "rb"):
        writer.join()


def test_writing_to_a_pipe_without_a_reader_fails_immediately(pipe: Path) -> None:
    with pytest.raises(OSError, match="No such device"):
        write_ids(str(pipe), [1])


SECRET = "ei_0123456789"
texts = any_text | st.sampled_from(
    [SECRET, "http://[", "https://a:99999", "http://\ud800", "http://a/v1?x", "\u0661", "0", f"http://{SECRET}@a"]
)


@examples(200)
@given(st.dictionaries(st.sampled_from(["EI_PROJECT_API_KEY", "EI_API_ENDPOINT", "EI_PROJECT_ID"]), texts))
@example({"EI_PROJECT_API_KEY": "https://studio.edgeimpulse.com/v1", "EI_API_ENDPOINT": SECRET})
@example({"EI_PROJECT_API_KEY": "12345", "EI_PROJECT_ID": SECRET})
def test_any_environment_gives_access_or_is_refused_and_no_key_is_quoted(environment: dict[str, str]) -> None:
    try:
        access = read_access(environment)
    except SettingsError as error:
        problem = str(error)
    else:
        problem = ""
        assert access.endpoint.endswith("/v1")
        assert access.project_id is None or access.project_id >= 0
    assert SECRET not in problem
