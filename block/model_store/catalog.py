"""The checkpoints built into this block: their sources and the digests of their files."""

from __future__ import annotations

from dataclasses import dataclass

from block.model.checkpoint import DEFAULT, EMBEDDED, WEIGHTS


@dataclass(frozen=True)
class ExpectedFile:
    """The expected SHA-256 of a file in hexadecimal, and its size in bytes if known."""

    name: str
    sha256: str
    size: int | None = None


@dataclass(frozen=True)
class Reading:
    """The expected logit of class `index`, called `name`."""

    index: int
    name: str
    logit: float


@dataclass(frozen=True)
class Golden:
    """Expected logits for the clip with that SHA-256, read from its start up to the model's last frame.

    `readings` are the classes with the highest logits, in descending order. `tolerance` is in logits.
    """

    clip: str
    clip_sha256: str
    readings: tuple[Reading, ...]
    tolerance: float = 1e-2


@dataclass(frozen=True)
class KnownCheckpoint:
    """A checkpoint built into this block.

    `repository` and `revision` (a full commit) are its source, None for the checkpoint in git. `files` are those with
    built-in digests; the digests of others are recorded at the first fetch.
    """

    name: str
    repository: str | None = None
    revision: str | None = None
    files: tuple[ExpectedFile, ...] = ()
    golden: Golden | None = None

    @property
    def is_embedded(self) -> bool:
        return self.repository is None


# Computed with transformers 5.5.0 and torch 2.9.1 on a CPU in float32; an independent port agrees within 1e-2.
MIT_GOLDEN = Golden(
    clip="jfk.wav, 11.0 s of speech at 16 kHz",
    clip_sha256="58adb4ea501d955fcd40bfbb69128f8f40428b81d8716b9ed337949773be253f",
    readings=(
        Reading(0, "Speech", 2.676982),
        Reading(1, "Male speech, man speaking", 1.813461),
        Reading(5, "Narration, monologue", 1.695037),
        Reading(7, "Speech synthesizer", -2.225279),
        Reading(4, "Conversation", -3.058949),
        Reading(2, "Female speech, woman speaking", -3.900104),
        Reading(507, "Inside, large room or hall", -4.424998),
        Reading(509, "Outside, urban or manmade", -5.113602),
        Reading(524, "Television", -5.141231),
        Reading(72, "Animal", -5.373746),
    ),
)

CATALOG = (
    KnownCheckpoint(
        DEFAULT,
        "MIT/ast-finetuned-audioset-10-10-0.4593",
        "f826b80d28226b62986cc218e5cec390b1096902",
        (
            # From the hub's headers X-Linked-Size and X-Linked-Etag.
            ExpectedFile(WEIGHTS, "ae0c1e2ad4e1381d851fa9bf298ba13ebc9c5a914cdee2dbe427a6583869924d", 346_404_948),
        ),
        MIT_GOLDEN,
    ),
    # Its digests are in models/ast-tiny-audioset/SHA256SUMS, which is in git too.
    KnownCheckpoint(EMBEDDED),
)
