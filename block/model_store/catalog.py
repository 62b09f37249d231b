"""The checkpoints that this block knows: where they come from, and what their files must be."""

from __future__ import annotations

from dataclasses import dataclass

from block.model.checkpoint import CONFIG, DEFAULT, EMBEDDED, PREPROCESSOR, WEIGHTS

# Nothing larger is ever accepted as one of these files, whatever a server or an archive claims. In bytes.
MAX_BYTES = {CONFIG: 16 << 20, PREPROCESSOR: 1 << 20, WEIGHTS: 8 << 30}


@dataclass(frozen=True)
class ExpectedFile:
    """What a file must be: its SHA-256 in hexadecimal, and its size in bytes if that is known."""

    name: str
    sha256: str
    size: int | None = None


@dataclass(frozen=True)
class Reading:
    """The logit that class `index`, called `name`, must have."""

    index: int
    name: str
    logit: float


@dataclass(frozen=True)
class Golden:
    """Readings for the clip with that SHA-256, fed from its start and cut at the model's frames.

    `readings` are the highest classes, highest first. `tolerance` is in units of a logit.
    """

    clip: str
    clip_sha256: str
    readings: tuple[Reading, ...]
    tolerance: float = 1e-2


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


# As given by transformers 5.5.0 and torch 2.9.1 on a CPU in float32; an independent port met them within 1e-2.
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
            # The size and digest that the hub states in the file's X-Linked-Size and X-Linked-Etag.
            ExpectedFile(WEIGHTS, "ae0c1e2ad4e1381d851fa9bf298ba13ebc9c5a914cdee2dbe427a6583869924d", 346_404_948),
        ),
        MIT_GOLDEN,
    ),
    # Its digests are in models/ast-tiny-audioset/SHA256SUMS, which git keeps beside it.
    KnownCheckpoint(EMBEDDED),
)
