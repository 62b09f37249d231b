"""Golden readings: logits that a checkpoint gives for one clip, to tell weights that work from weights that load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

TOP = 5


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
class Comparison:
    """How far the logits are from the golden ones, and the indices of the highest classes, got and expected."""

    error: float
    tolerance: float
    top: tuple[int, ...]
    expected_top: tuple[int, ...]

    @property
    def is_close(self) -> bool:
        return self.error <= self.tolerance and self.top == self.expected_top


def compare(logits: Sequence[float], golden: Golden) -> Comparison:
    """Compare `logits`, one a class, with `golden`. Not a number counts as infinitely far."""
    errors = [abs(float(logits[reading.index]) - reading.logit) for reading in golden.readings]
    error = max(float("inf") if value != value else value for value in errors)
    count = min(TOP, len(golden.readings))
    top = sorted(range(len(logits)), key=lambda index: -float(logits[index]))[:count]
    return Comparison(error, golden.tolerance, tuple(top), tuple(one.index for one in golden.readings[:count]))


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
