from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from block.cluster.driver import MAX_BYTES, MAX_RECORDINGS, split_into_portions


@given(
    st.lists(st.integers(0, 40 << 20), max_size=300),
    st.integers(1, 40),
    st.sampled_from(["cpu", "cuda"]),
)
def test_every_recording_is_in_one_portion_in_order_and_no_portion_is_too_large(
    sizes: list[int], workers: int, device: str
) -> None:
    cut = list(split_into_portions(sizes, workers, device))
    assert [at for portion in cut for at in portion] == list(range(len(sizes)))
    for portion in cut:
        assert 1 <= len(portion) <= MAX_RECORDINGS[device]
        assert len(portion) == 1 or sum(sizes[at] for at in portion) <= MAX_BYTES[device]


def test_portions_get_smaller_toward_the_end_so_that_workers_finish_together() -> None:
    lengths = [len(portion) for portion in split_into_portions([0] * 1000, 4, "cpu")]
    assert lengths[0] == MAX_RECORDINGS["cpu"]
    assert sorted(lengths, reverse=True) == lengths
    assert lengths[-8:] == [1] * 8


def test_hour_long_recordings_get_a_portion_each() -> None:
    assert [len(portion) for portion in split_into_portions([115 << 20] * 5, 1, "cpu")] == [1] * 5
