from __future__ import annotations

from block.formatting import describe_totals


def test_totals_count_segments_and_seconds_per_label_with_the_most_frequent_first() -> None:
    segments = [("other", 61.0), ("speech", 30.0), ("speech", 4.04), ("dog\n", 1000)]
    assert describe_totals(segments) == [
        "speech 2 segments, 34.0 s", "dog? 1 segment, 1,000.0 s", "other 1 segment, 61.0 s",
    ]  # fmt: skip
    assert describe_totals([]) == []


def test_totals_list_20_labels_and_count_the_rest() -> None:
    lines = describe_totals((f"label {number:02}", 1.0) for number in range(23))
    assert len(lines) == 21
    assert lines[19:] == ["label 19 1 segment, 1.0 s", "and 3 more"]
