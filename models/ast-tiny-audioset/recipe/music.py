"""Generate music: random scores, rendered with General-MIDI soundfonts or a simple synthesizer."""

from __future__ import annotations

import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from .arrays import Floats
from .sources import REPORT, SELECT, TRAIN

SOUNDFONTS: dict[str, tuple[str, ...]] = {
    TRAIN: ("/usr/share/sounds/sf2/FluidR3_GM.sf2", "/usr/share/sounds/sf3/MuseScore_General.sf3",
            "/usr/share/sounds/sf2/OPL-3_FM_128M.sf2"),
    SELECT: ("/usr/share/sounds/sf2/FluidR3_GM.sf2",),
    REPORT: ("/usr/share/sounds/sf2/TimGM6mb.sf2",),
}  # fmt: skip

# General-MIDI programs (from 0) that training never plays. The report also has its own soundfont, TimGM6mb.
REPORT_PROGRAMS = (4, 11, 21, 24, 32, 41, 56, 58, 60, 65, 73, 89)
SELECT_PROGRAMS = (3, 13, 19, 26, 42, 57, 68, 75, 92, 105)

# First program of a range → AudioSet class. Programs above 95 are effects or rare: only "Music" is certain.
INSTRUMENTS: dict[int, str] = {
    0: "Piano", 4: "Electric piano", 6: "Harpsichord", 8: "Glockenspiel", 11: "Vibraphone", 12: "Marimba, xylophone",
    14: "Tubular bells", 15: "Plucked string instrument", 16: "Organ", 21: "Accordion", 22: "Harmonica",
    23: "Accordion", 24: "Acoustic guitar", 26: "Electric guitar", 32: "Bass guitar", 40: "Violin, fiddle", 42: "Cello",
    43: "Double bass", 44: "String section", 45: "Pizzicato", 46: "Harp", 47: "Timpani", 48: "String section",
    52: "Choir", 55: "Orchestra", 56: "Trumpet", 57: "Trombone", 58: "Brass instrument", 60: "French horn",
    61: "Brass instrument", 64: "Saxophone", 68: "Wind instrument, woodwind instrument", 71: "Clarinet", 72: "Flute",
    80: "Synthesizer",
}  # fmt: skip

SCALES = (
    (0, 2, 4, 5, 7, 9, 11),
    (0, 2, 3, 5, 7, 8, 10),
    (0, 2, 3, 5, 7, 9, 10),
    (0, 2, 4, 7, 9),
    (0, 3, 5, 6, 7, 10),
)


@dataclass(frozen=True)
class Note:
    """One note: start and length in seconds, MIDI pitch and velocity, program and channel (9 is the drum kit)."""

    start_s: float
    length_s: float
    pitch: int
    velocity: int
    program: int
    channel: int


@dataclass(frozen=True)
class Score:
    """Notes, and the AudioSet classes that follow from them."""

    notes: tuple[Note, ...]
    classes: tuple[str, ...]


def programs_of(split: str) -> list[int]:
    """Return the General-MIDI programs that a split may play, without the sound effects from 119 on."""
    if split == TRAIN:
        return [p for p in range(112) if p not in REPORT_PROGRAMS and p not in SELECT_PROGRAMS]
    return list(REPORT_PROGRAMS if split == REPORT else SELECT_PROGRAMS)


def compose(split: str, length_s: float, rng: np.random.Generator) -> Score:
    """Return a random piece of one to four parts in one key: melody, chords or arpeggios, bass, drums."""
    slow = rng.random() < 0.35  # long notes, as played by strings, organs and pads
    beat = 60.0 / (rng.uniform(35, 75) if slow else rng.uniform(60, 175))
    scale = SCALES[rng.integers(len(SCALES))]
    tonic = int(rng.integers(42, 68))
    meter = int(rng.choice([3, 4, 4, 4]))
    programs = programs_of(split)
    parts = [part for part, chance in (("melody", 0.8), ("chords", 0.55), ("bass", 0.45), ("drums", 0.3))
             if rng.random() < chance] or ["chords"]  # fmt: skip
    progression = rng.integers(0, len(scale), size=4)
    motif = rng.integers(-2, 8, size=(2, 8))
    notes: list[Note] = []
    used: set[int] = set()
    for channel, part in enumerate(parts):
        program = int(rng.choice(programs))
        if part != "drums":
            used.add(program)
        velocity = int(rng.integers(60, 115))
        division = 1 if slow else int(rng.choice([1, 2, 2, 4]))
        arpeggio = rng.random() < 0.5
        for step in range(int(length_s / beat * division)):
            start = step * beat / division
            bar = int(step / division // meter)
            first = step % (division * meter) == 0

            def pitch(degree: int, octave: int) -> int:
                return int(np.clip(tonic + 12 * (degree // len(scale) + octave) + scale[degree % len(scale)], 24, 100))

            root = int(progression[bar % 4])
            if part == "melody" and rng.random() < 0.8:
                degree = root + int(motif[bar % 2, step % 8]) + int(rng.integers(-1, 2))
                notes.append(
                    Note(
                        start,
                        beat / division * rng.uniform(0.8, 2.0 if slow else 1.4),
                        pitch(degree, 1),
                        velocity,
                        program,
                        channel,
                    )
                )
            elif part == "chords" and (arpeggio or first):
                tones = (0, 2, 4) if not arpeggio else ((0, 2, 4, 2)[step % 4],)
                length = beat * (1.0 if arpeggio else meter) * 0.95
                notes += [Note(start, length, pitch(root + tone, 0), velocity, program, channel) for tone in tones]
            elif part == "bass" and step % division == 0 and rng.random() < 0.85:
                notes.append(Note(start, beat * 0.9, pitch(root, -1), velocity, program, channel))
            elif part == "drums":
                if step % division == 0:
                    drum = 36 if int(step / division) % 2 == 0 else 38
                    notes.append(Note(start, 0.1, drum, velocity, 0, 9))
                if rng.random() < 0.7:
                    notes.append(Note(start, 0.1, int(rng.choice([42, 46, 51])), velocity - 20, 0, 9))
    classes = {"Music"} | {INSTRUMENTS[max(first for first in INSTRUMENTS if first <= p)] for p in used if p < 96}
    if parts == ["drums"] or "drums" in parts:
        classes.add("Drum kit")
    return Score(tuple(notes), tuple(sorted(classes)))


def midi_bytes(score: Score) -> bytes:
    """Return the score as a standard MIDI file of format 0, with one tick per millisecond."""
    events: list[tuple[int, int, bytes]] = [(0, 0, b"\xff\x51\x03" + struct.pack(">I", 500_000)[1:])]
    for note in score.notes:
        start, end = round(1000 * note.start_s), round(1000 * (note.start_s + note.length_s))
        channel = note.channel
        events.append((start, 1, bytes([0xC0 | channel, note.program])))
        events.append((start, 2, bytes([0x90 | channel, note.pitch, note.velocity])))
        events.append((max(end, start + 20), 0, bytes([0x80 | channel, note.pitch, 0])))
    track, now = bytearray(), 0
    for tick, _, message in sorted(events):
        delta, now = tick - now, tick
        groups = [delta & 0x7F]
        while delta := delta >> 7:
            groups.append(0x80 | delta & 0x7F)
        track += bytes(reversed(groups)) + message
    track += b"\x00\xff\x2f\x00"
    head = b"MThd" + struct.pack(">IHHH", 6, 0, 1, 500)
    return head + b"MTrk" + struct.pack(">I", len(track)) + bytes(track)


def render(score: Score, soundfont: str) -> Floats:
    """Render the score with FluidSynth. Shape: (values,), mono 16 kHz in ±1."""
    with tempfile.TemporaryDirectory() as folder:
        midi, wav = Path(folder) / "score.mid", Path(folder) / "score.wav"
        midi.write_bytes(midi_bytes(score))
        command = [
            "fluidsynth",
            "-ni",
            "-q",
            "-g",
            "0.6",
            "-r",
            "16000",
            "-F",
            str(wav),
            soundfont,
            str(midi),
        ]
        subprocess.run(command, check=True, capture_output=True)
        waveform, _ = soundfile.read(wav, dtype="float32")
    mono: Floats = waveform.mean(axis=1)
    return mono


def synthesize(score: Score, length_s: float, rng: np.random.Generator, rate: int = 16000) -> Floats:
    """Render with an additive synthesizer: one random timbre, drums as noise bursts. Shape: (values,), 16 kHz."""
    out = np.zeros(int((length_s + 1) * rate), dtype=np.float32)
    partials = rng.uniform(0, 1, size=8) / np.arange(1, 9) ** rng.uniform(0.6, 2.5)
    partials[0] = 1.0
    odd_only = rng.random() < 0.3
    decay = rng.uniform(0.5, 6.0)
    vibrato = rng.uniform(0, 0.006) if rng.random() < 0.4 else 0.0
    for note in score.notes:
        start, length = int(note.start_s * rate), int(min(note.length_s, 3.0) * rate)
        if start + length > len(out) or length < 200:
            continue
        time = np.arange(length, dtype=np.float32) / rate
        if note.channel == 9:
            sound = rng.standard_normal(length).astype(np.float32) * np.exp(-time * 40)
        else:
            hz = 440.0 * 2 ** ((note.pitch - 69) / 12)
            phase = 2 * np.pi * hz * time + vibrato * hz / 5 * np.sin(2 * np.pi * 5 * time)
            sound = np.zeros(length, dtype=np.float32)
            for k, level in enumerate(partials, start=1):
                if k * hz < 7600 and not (odd_only and k % 2 == 0):
                    sound += level * np.sin(k * phase)
            sound *= np.exp(-decay * time) * np.minimum(1, time * 150) * np.minimum(1, time[::-1] * 60)
        out[start : start + length] += note.velocity / 127 * sound
    return out[: int(length_s * rate)]
