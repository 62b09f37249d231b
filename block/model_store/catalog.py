"""The checkpoints that this block knows: where they come from, and what their files must be."""

from __future__ import annotations

from dataclasses import dataclass

from block.model.checkpoint import CONFIG, DEFAULT, EMBEDDED, PREPROCESSOR, WEIGHTS
from block.model_store.golden import MIT_GOLDEN, Golden

# Nothing larger is ever accepted as one of these files, whatever a server or an archive claims. In bytes.
MAX_BYTES = {CONFIG: 16 << 20, PREPROCESSOR: 1 << 20, WEIGHTS: 8 << 30}


@dataclass(frozen=True)
class ExpectedFile:
    """What a file must be: its SHA-256 in hexadecimal, and its size in bytes if that is known."""

    name: str
    sha256: str
    size: int | None = None


@dataclass(frozen=True)
class KnownCheckpoint:
    """A checkpoint that this block knows.

    `repository` and `revision` (a full commit) say where to fetch it; None for the one kept in git. `files` are those
    whose digests are known here; the others are recorded on first sight.
    """

    name: str
    repository: str | None = None
    revision: str | None = None
    files: tuple[ExpectedFile, ...] = ()
    golden: Golden | None = None

    @property
    def is_embedded(self) -> bool:
        return self.repository is None


CATALOG = (
    KnownCheckpoint(
        DEFAULT,
        "MIT/ast-finetuned-audioset-10-10-0.4593",
        "f826b80d28226b62986cc218e5cec390b1096902",
        (
            # The size and digest that the hub states in the file's X-Linked-Size and X-Linked-Etag.
            ExpectedFile(WEIGHTS, "ae0c1e2ad4e1381d851fa9bf298ba13ebc9c5a914cdee2dbe427a6583869924d", 346_404_948),
        ),
        MIT_GOLDEN,
    ),
    # Its digests are in models/ast-tiny-audioset/SHA256SUMS, which git keeps beside it.
    KnownCheckpoint(EMBEDDED),
)
