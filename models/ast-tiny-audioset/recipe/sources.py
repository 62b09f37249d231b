"""The real recordings, the classes known to be in them, and their splits."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

from .effect_names import AMBIGUOUS, known_classes

TRAIN, SELECT, REPORT = "train", "select", "report"
FINAL = "final"  # tracks of the last training: those of TRAIN plus ESC-10 fold 4

# Digit speakers and music that training never uses; they are only for the report.
REPORT_SPEAKERS = ("theo", "yweweler")
REPORT_MUSIC = ("jazz_guitar", "cinematic", "piano")

# Excluded because of their licenses: Creative Commons Sampling Plus, and CC BY-NC.
UNFREE = (
    "rooster/1-40730-A.ogg",
    "rooster/2-96460-A.ogg",
    "close_door/door_metal/close_door_metal.ogg",
    "close_door/window/close_curtain.ogg",
    "open_door/window/open_curtain.ogg",
)


@dataclass(frozen=True)
class Clip:
    """One real recording."""

    path: Path
    kind: str  # esc10, effect, digit or scene
    split: str
    classes: tuple[str, ...]  # certainly present; empty if only the teacher can tell
    clean: bool  # certainly without speech and music
    group: str  # the speaker of a digit, otherwise recordings of one source


def is_held_back(group: str) -> bool:
    """Return True if a group of effects is reserved for model selection: about one in seven, by its digest."""
    return hashlib.sha256(group.encode()).digest()[0] % 7 == 0


def esc10(audio: Path) -> list[Clip]:
    """Return ESC-10, split by folds: 1 to 3 for training, 4 for selection, 5 (if present) only for the report."""
    clips = []
    with open(audio / "esc10.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            fold = int(row["fold"])
            split = REPORT if fold == 5 else SELECT if fold == 4 else TRAIN
            source = row["file"].rsplit("-", 1)[0]
            if not row["file"].endswith(UNFREE):
                clips.append(Clip(audio / row["file"], "esc10", split, (row["label"],), True, source))
    return clips


def effects(audio: Path) -> list[Clip]:
    """Return effects, game foley, scenes and ambience, with the classes that follow from their names."""
    clips = []
    for folder in ("effects", "game_foley", "scenes", "ambience"):
        for path in sorted((audio / folder).rglob("*.ogg")):
            name = path.relative_to(audio / folder).as_posix()
            if name.endswith(UNFREE) or path.stem in ("white-noise", "pink-noise"):
                continue  # noise is generated
            group = name.removesuffix(".ogg").rstrip("0123456789_.")
            report = path.stem in REPORT_MUSIC
            split = REPORT if report else SELECT if is_held_back(group) else TRAIN
            clean = not any(word in name for word in AMBIGUOUS)
            clips.append(
                Clip(
                    path,
                    "scene" if folder == "scenes" else "effect",
                    split,
                    known_classes(name),
                    clean,
                    group,
                )
            )
    return clips


def digits(audio: Path) -> list[Clip]:
    """Return the Free Spoken Digit Dataset: one digit per file, split by speaker."""
    clips = []
    for path in sorted((audio / "spoken_digits").glob("*.wav")):
        speaker = path.stem.split("_")[1]
        split = REPORT if speaker in REPORT_SPEAKERS else TRAIN
        clips.append(Clip(path, "digit", split, ("Speech", "Male speech, man speaking"), False, speaker))
    return clips


def all_clips(audio: Path) -> list[Clip]:
    """Return all usable recordings in the folder `audio`."""
    return esc10(audio) + effects(audio) + digits(audio)
