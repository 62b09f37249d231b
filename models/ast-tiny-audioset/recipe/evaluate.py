"""Compute the figures of the model card with plain transformers on recordings that training never used.

Rows of the split "select" guided the design of the recipe; rows of "report" did not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from transformers import ASTFeatureExtractor, ASTForAudioClassification

from .arrays import Bools, Floats, Names
from .augment import RATE, resample, with_peak
from .bank import Bank
from .noises import colored_unit
from .sources import REPORT, SELECT, Clip, all_clips
from .teacher import Teacher

WINDOW = 2 * RATE
THRESHOLD = 0.2
SILENT_DBFS = -60.0  # root mean square below which a window counts as silent

# The ten classes of ESC-10.
TEN = ("Dog", "Rain", "Waves, surf", "Baby cry, infant cry", "Tick-tock", "Sneeze", "Helicopter", "Chainsaw",
       "Crowing, cock-a-doodle-doo", "Fire")  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One line of the table: a share, and the number of windows it is computed from."""

    what: str
    right: int
    windows: int
    goal: str

    def __str__(self) -> str:
        share = f"{100 * self.right / self.windows:6.1f} %" if self.windows else "     –"
        return f"{self.what:<74} {share} {self.windows:>6}  {self.goal}"


class Student:
    """A checkpoint, loaded as the block would load it."""

    def __init__(self, folder: Path) -> None:
        self.model = ASTForAudioClassification.from_pretrained(folder).eval()
        self.extract = ASTFeatureExtractor.from_pretrained(folder)
        self.names = [self.model.config.id2label[k] for k in range(self.model.config.num_labels)]

    def softmax(self, waveforms: list[Floats]) -> Floats:
        """Return softmax scores of 16 kHz waveforms. Shape: (waveforms, 527)."""
        scores = []
        with torch.inference_mode():
            for start in range(0, len(waveforms), 16):
                inputs = self.extract(waveforms[start : start + 16], sampling_rate=RATE, return_tensors="pt")
                scores.append(self.model(**inputs).logits.softmax(dim=1).numpy())
        return np.concatenate(scores) if scores else np.zeros((0, len(self.names)))

    def decide(self, scores: Floats) -> Names:
        """Return "speech", "music" or "other" for each row: the higher of the two if it reaches the threshold."""
        pair = scores[:, [self.names.index("Speech"), self.names.index("Music")]]
        return np.where(pair.max(axis=1) < THRESHOLD, "other", np.array(["speech", "music"])[pair.argmax(axis=1)])


def cut_windows(waveform: Floats) -> list[Floats]:
    """Cut into windows of 2 s, plus one at the end for the remainder; return a shorter recording whole."""
    if len(waveform) <= WINDOW:
        return [waveform]
    starts = list(range(0, len(waveform) - WINDOW + 1, WINDOW))
    if starts[-1] + WINDOW < len(waveform):
        starts.append(len(waveform) - WINDOW)
    return [waveform[start : start + WINDOW] for start in starts]


def dbfs(waveform: Floats) -> float:
    """Return the root mean square in dB relative to full scale."""
    return float(10 * np.log10(np.mean(waveform.astype(np.float64) ** 2) + 1e-20))


def has_no_pause(waveform: Floats) -> bool:
    """Return True if at least half of the tenths of a second are within 35 dB of the loudest."""
    tenths = waveform[: len(waveform) // 1600 * 1600].reshape(-1, 1600)
    levels = 10 * np.log10(np.mean(tenths.astype(np.float64) ** 2, axis=1) + 1e-20)
    return bool(np.mean(levels > max(levels.max() - 35, SILENT_DBFS)) >= 0.5)


def load(clip: Clip) -> Floats:
    """Return a real recording at its own level. Shape: (values,), 16 kHz."""
    waveform, rate = soundfile.read(clip.path, dtype="float32", always_2d=True)
    return resample(waveform.mean(axis=1), rate)


def score_environmental(student: Student, clips: list[Clip], name: str) -> Iterator[Row]:
    """Yield top-1 accuracy among the ten classes, on whole clips and on windows that aren't silent."""
    columns = [student.names.index(label) for label in TEN]
    whole = [(load(clip), clip.classes[0]) for clip in clips]
    cut = [
        (window, label) for waveform, label in whole for window in cut_windows(waveform) if dbfs(window) > SILENT_DBFS
    ]
    for what, items, goal in ((f"{name}: clips, top-1 of ten", whole, ">= 85 %"),
                              (f"{name}: 2 s windows not silent, top-1 of ten", cut, ">= 75 %")):  # fmt: skip
        best = student.softmax([waveform for waveform, _ in items])[:, columns].argmax(axis=1)
        right = [TEN[b] == label for b, (_, label) in zip(best, items, strict=True)]
        yield Row(what, sum(right), len(right), goal)


def score_found(student: Student, windows: list[Floats], label: str, what: str) -> Row:
    """Return how many windows that contain only speech (or music) get that label."""
    return Row(what, int((student.decide(student.softmax(windows)) == label).sum()), len(windows), ">= 95 %")


def score_false_alarms(wrong: Bools, what: str) -> Row:
    """Return how many windows without speech and music got either label. `wrong`: (windows,) bool."""
    return Row(what, int(wrong.sum()), len(wrong), "<= 3 %")


def is_voiced(window: Floats, teacher: Teacher) -> bool:
    """Return True if the teacher's probability for speech or music in a window is at least one half."""
    return bool(teacher(with_peak(window, -6.0)).logits[:, [0, 132]].max() >= 0)


def cut_generated(bank: Bank, kind: str, split: str, limit: int = 200) -> list[Floats]:
    """Return evenly spaced windows of 2 s of generated speech or music, peak -12 dBFS, without long pauses."""
    windows = []
    for k in bank.indices(kind, split):
        windows += [w for w in cut_windows(with_peak(bank.waveform(k), -12.0)) if len(w) == WINDOW and has_no_pause(w)]
    return [windows[k] for k in np.linspace(0, len(windows) - 1, min(limit, len(windows))).astype(int)]


def join_digits(clips: list[Clip]) -> list[Floats]:
    """Join each speaker's digits with gaps of 60 ms and cut them into windows of 2 s."""
    windows = []
    for speaker in sorted({clip.group for clip in clips}):
        gap = np.zeros(960, dtype=np.float32)
        joined = np.concatenate([part for clip in clips if clip.group == speaker for part in (load(clip), gap)])
        windows += [window for window in cut_windows(joined) if len(window) == WINDOW]
    return windows


def make_silence_and_noise(seed: int = 5) -> dict[str, list[Floats]]:
    """Return digital silence, and white, pink and brown noise from loud to barely audible."""
    rng = np.random.default_rng(seed)
    sizes = (8000, 16000, 32000, 80000, 160000)
    kinds: dict[str, list[Floats]] = {"digital silence": [np.zeros(size, dtype=np.float32) for size in sizes]}
    for name, exponent in (("white", 0.0), ("pink", 1.0), ("brown", 2.0)):
        kinds[f"{name} noise, -6 to -80 dBFS"] = [
            with_peak(colored_unit(size, exponent, rng), level) for level in (-6, -20, -40, -60, -80) for size in sizes
        ]
    return kinds


def evaluate(
    checkpoint: Path, audio: Path, bank: Bank, teacher: Teacher, golden: Path | None, heard_fold_4: bool
) -> list[Row]:
    """Print the table and return its rows. Skip ESC-10 fold 4 if the checkpoint was trained on it."""
    student, clips = Student(checkpoint), all_clips(audio)
    rows: list[Row] = []

    def put(row: Row) -> None:
        rows.append(row)
        print(row, flush=True)

    def clips_of(kind: str, split: str) -> list[Clip]:
        if kind == "esc10" and split == SELECT and heard_fold_4:
            return []
        return [clip for clip in clips if (clip.kind, clip.split) == (kind, split)]

    print(f"{'':<74} {'share':>8} {'number':>6}  goal")
    for split, fold in ((SELECT, 4), (REPORT, 5)):
        if chosen := clips_of("esc10", split):
            for row in score_environmental(student, chosen, f"{split}: ESC-10 fold {fold}"):
                put(row)
    for split in (SELECT, REPORT):
        spoken, played = cut_generated(bank, "speech", split), cut_generated(bank, "music", split)
        put(score_found(student, spoken, "speech", f"{split}: speech found, unheard synthetic voices"))
        put(score_found(student, played, "music", f"{split}: music found, unheard instruments and scores"))
    digits = join_digits(clips_of("digit", REPORT))
    put(score_found(student, digits, "speech", "report: speech found, digits of two unheard speakers"))
    if golden:
        waveform, rate = soundfile.read(golden, dtype="float32")
        spoken = [window for window in cut_windows(resample(waveform, rate)) if has_no_pause(window)]
        put(score_found(student, spoken, "speech", "report: speech found, the recording given as --golden"))
    real = [load(clip) for clip in clips_of("scene", REPORT) + clips_of("effect", REPORT)]
    played = [window for waveform in real for window in cut_windows(waveform) if dbfs(window) > -50]
    put(score_found(student, played, "music", "report: music found, recordings of guitar, strings and piano"))
    for kind, split, what in (
        ("esc10", SELECT, "ESC-10 fold 4"),
        ("esc10", REPORT, "ESC-10 fold 5"),
        ("effect", SELECT, "held-back effects and foley"),
    ):
        clean = [load(clip) for clip in clips_of(kind, split) if clip.clean]
        windows = [window for waveform in clean for window in cut_windows(waveform) if dbfs(window) > SILENT_DBFS]
        if windows:
            wrong = student.decide(student.softmax(windows)) != "other"
            sure = np.array([not is_voiced(window, teacher) for window in windows])
            long = np.array([len(window) == WINDOW for window in windows])
            put(score_false_alarms(wrong, f"{split}: false speech or music, {what}"))
            put(score_false_alarms(wrong[sure], "  the same less windows where the teacher hears speech or music"))
            put(score_false_alarms(wrong[sure & long], "  and less recordings shorter than 2 s"))
    for what, windows in make_silence_and_noise().items():
        wrong = student.decide(student.softmax(windows)) != "other"
        put(score_false_alarms(wrong, f"report: false speech or music, {what}"))
    return rows
