"""How many recordings go to a worker together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

# A worker takes a chunk at a time: large enough that handing it out (some ms) is nothing beside labeling it, and that a
# GPU's batches are full; small enough that little is done again where a worker is lost.
MOST = {"cpu": 16, "cuda": 256}
BYTES = {"cpu": 32 << 20, "cuda": 512 << 20}


def chunks(sizes: Sequence[int], workers: int, device: str) -> Iterator[range]:
    """Recordings of `sizes` bytes (0: not known) cut into chunks, as ranges of their positions, in order.

    Towards the end chunks become smaller, down to one recording, so that `workers` end at about the same time.
    """
    start = 0
    while start < len(sizes):
        # Half of what is left, shared by all: the next share of whoever is first leaves as much to the others.
        fair = max(1, (len(sizes) - start) // (2 * max(1, workers)))
        end, held = start + 1, sizes[start]
        while end < len(sizes) and end - start < min(fair, MOST[device]) and held + sizes[end] <= BYTES[device]:
            held += sizes[end]
            end += 1
        yield range(start, end)
        start = end
