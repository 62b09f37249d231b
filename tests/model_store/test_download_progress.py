from __future__ import annotations

import io

from block.model_store.download_progress import LARGE_BYTES, DownloadProgress, in_words


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_a_line_every_tenth_of_a_large_file() -> None:
    log = io.StringIO()
    with DownloadProgress("model.safetensors", log) as meter:
        meter.begin(LARGE_BYTES // 2, LARGE_BYTES)
        for _ in range(LARGE_BYTES // 2 >> 16):
            meter.advance(1 << 16)
    lines = log.getvalue().splitlines()
    assert lines[0] == "model.safetensors: 33.6 MB, carrying on at 16.8 MB"
    assert lines[1:] == [f"model.safetensors: {tenth} %" for tenth in (60, 70, 80, 90, 100)]


def test_a_log_gets_one_line_of_a_small_file_and_of_one_of_unknown_size() -> None:
    log = io.StringIO()
    for total in (891, None):
        with DownloadProgress("config.json", log) as meter:
            meter.begin(0, total)
            meter.advance(891)
    assert log.getvalue().splitlines() == ["config.json: 891 bytes", "config.json: size unknown"]


def test_a_terminal_gets_a_bar_that_goes_on_where_the_transfer_does() -> None:
    terminal = Terminal()
    with DownloadProgress("model.safetensors", terminal) as meter:
        meter.begin(0, 2_000_000)
        meter.advance(500_000)
        meter.begin(500_000, 2_000_000)
        meter.advance(1_500_000)
    shown = terminal.getvalue()
    assert "model.safetensors:  25%" in shown
    assert "2.00M" in shown
    assert shown.endswith("\r")  # it leaves no line behind


def test_sizes_are_told_in_a_unit_that_can_be_read() -> None:
    assert [in_words(size) for size in (0, 99_999, 100_000, 346_404_948)] == [
        "0 bytes", "99999 bytes", "0.1 MB", "346.4 MB",
    ]  # fmt: skip
