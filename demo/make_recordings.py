"""Make the demo's recordings: synthetic speech, synthesized music and silence, with their true labels.

The recordings are in git, so this is only needed to make them again:

    apt-get install flite espeak-ng fluidsynth musescore-general-soundfont-small
    python demo/make_recordings.py

Sounds change only at multiples of two seconds, so a window of 2 s has one kind of sound. The embedded checkpoint wasn't
trained on these voices, instruments (except drums) and tunes.
"""

from __future__ import annotations

import csv
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import torch
import torchaudio

DEMO = Path(__file__).resolve().parent
SOUNDFONT = Path("/usr/share/sounds/sf3/MuseScore_General_Lite.sf3")

TEXTS = {
    "garden": "The old gate had not been opened since the spring, and the path behind it was lost under clover. "
    "We cut our way through to the well, drank some water, and sat there until the evening came.",
    "harbour": "Every morning the harbour office reads the weather for the coast, the height of the tide, and the "
    "names of the ships that are expected. Nobody listens more closely than the children on the pier.",
    "kitchen": "First wash the potatoes and put them in cold water. When the water boils, turn down the heat, and "
    "wait for twenty minutes before you look at them again.",
    "train": "The next train to the airport leaves from platform four. Please keep your bags with you, and mind the "
    "gap between the train and the platform.",
}

# Notes of a voice: (start in beats, length in beats, MIDI pitch). Programs count from 0; channel 9 is the drum kit.
Notes = list[tuple[float, float, int]]
Waveform = npt.NDArray[np.float32]  # mono, in -1…1


@dataclass(frozen=True)
class Voice:
    """One part of a tune: a General-MIDI program on a channel, and its notes in beats."""

    program: int
    channel: int
    notes: Notes


@dataclass(frozen=True)
class Part:
    """A part of a recording: its label ("speech", "music" or "other"), its end, and its sound."""

    label: str
    end_s: float
    sound: str  # a text of TEXTS with its voice, "text@voice"; the name of a tune; or "" for silence


RECORDINGS: dict[str, tuple[int, list[Part]]] = {
    "announcement.wav": (16000, [Part("speech", 8, "garden@flite:slt")]),
    "waltz.wav": (22050, [Part("music", 8, "waltz")]),
    "radio_play.wav": (
        16000,
        [
            Part("other", 2, ""),
            Part("speech", 6, "harbour@flite:rms"),
            Part("other", 8, ""),
            Part("music", 12, "march"),
        ],
    ),
    "phone_call.wav": (8000, [Part("speech", 6, "kitchen@flite:rms"), Part("other", 10, "")]),
    "platform.wav": (44100, [Part("music", 2, "march"), Part("speech", 6, "train@flite:slt")]),
}


def waltz() -> tuple[float, list[Voice]]:
    """Return the beats per minute and voices of a waltz for accordion, guitar and bass."""
    melody: Notes = []
    bass: Notes = []
    chords: Notes = []
    progression = [(57, "m"), (62, "m"), (64, "M"), (57, "m"), (53, "M"), (60, "M"), (64, "M"), (57, "m")]
    line = [76, 74, 72, 77, 76, 74, 71, 74, 76, 72, 71, 69, 72, 74, 76, 79, 77, 76, 74, 72, 71, 69, 71, 72]
    for bar, (root, kind) in enumerate(progression):
        start = 3.0 * bar
        bass.append((start, 1.0, root - 12))
        for beat in (1, 2):
            chords += [(start + beat, 0.6, root + step) for step in (0, 4 if kind == "M" else 3, 7)]
        melody += [(start + beat, 0.95, line[3 * bar + beat]) for beat in range(3)]
    return 168.0, [Voice(21, 0, melody), Voice(24, 1, chords), Voice(32, 2, bass)]


def march() -> tuple[float, list[Voice]]:
    """Return the beats per minute and voices of a march for trumpet, horns, tuba and drums."""
    melody: Notes = []
    harmony: Notes = []
    bass: Notes = []
    drums: Notes = []
    progression = [60, 65, 67, 60, 57, 62, 67, 60]
    steps = [0, 4, 7, 12, 7, 4, 9, 7]
    for bar, root in enumerate(progression):
        start = 2.0 * bar
        minor = root in (57, 62)
        harmony += [(start, 1.8, root + step) for step in (0, 3 if minor else 4, 7)]
        bass += [(start, 0.5, root - 24), (start + 1, 0.5, root - 17)]
        melody += [
            (start + k / 2, 0.45, root + 12 + steps[(bar + k) % 8] - (minor and steps[(bar + k) % 8] == 4))
            for k in range(4)
        ]
        drums += [
            (start, 0.2, 36),
            (start + 1, 0.2, 38),
            (start + 1.5, 0.2, 38),
            (start, 0.2, 42),
            (start + 1, 0.2, 42),
        ]
    return 116.0, [Voice(56, 0, melody), Voice(60, 1, harmony), Voice(58, 2, bass), Voice(0, 9, drums)]


TUNES = {"waltz": waltz, "march": march}


def variable_length(value: int) -> bytes:
    """Return `value` in MIDI's variable-length form: seven bits per byte, the high bit set in all but the last."""
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(0x80 | value & 0x7F)
    return bytes(reversed(groups))


def midi_file(beats_per_minute: float, voices: list[Voice]) -> bytes:
    """Return a standard MIDI file of format 0 with 480 ticks per beat."""
    events: list[tuple[int, int, bytes]] = [
        (0, 0, b"\xff\x51\x03" + struct.pack(">I", round(60e6 / beats_per_minute))[1:])
    ]
    for voice in voices:
        events.append((0, 1, bytes([0xC0 | voice.channel, voice.program])))
        for start, length, pitch in voice.notes:
            events.append((round(480 * start), 3, bytes([0x90 | voice.channel, pitch, 92])))
            events.append((round(480 * (start + length)), 2, bytes([0x80 | voice.channel, pitch, 0])))
    events.sort()
    track, now = b"", 0
    for tick, _, message in events:
        track += variable_length(tick - now) + message
        now = tick
    track += b"\x00\xff\x2f\x00"
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, 480) + b"MTrk" + struct.pack(">I", len(track)) + track


def speak(text: str, voice: str, folder: Path) -> tuple[Waveform, int]:
    """Return `text` spoken by `voice` (ENGINE:NAME) as a mono waveform in -1…1, and its rate in Hz."""
    engine, name = voice.split(":")
    wav = folder / "speech.wav"
    subprocess.run([engine, "-voice", name, "-t", text, "-o", str(wav)], check=True)
    waveform, rate = soundfile.read(wav, dtype="float32")
    loud = np.flatnonzero(np.abs(waveform) > 0.02)
    return waveform[loud[0] : loud[-1]], rate


def play(tune: str, folder: Path) -> tuple[Waveform, int]:
    """Return `tune`, rendered with the soundfont, as a mono waveform in -1…1, and its rate in Hz."""
    midi, wav = folder / "tune.mid", folder / "tune.wav"
    midi.write_bytes(midi_file(*TUNES[tune]()))
    subprocess.run(
        ["fluidsynth", "-ni", "-q", "-g", "0.6", "-r", "44100", "-F", str(wav), str(SOUNDFONT), str(midi)], check=True
    )
    waveform, rate = soundfile.read(wav, dtype="float32")
    waveform = waveform.mean(axis=1)
    return waveform[np.flatnonzero(np.abs(waveform) > 0.005)[0] :], rate


def make_sound(part: Part, length: int, rate: int, folder: Path) -> Waveform:
    """Return the part's waveform: `length` values at `rate` Hz, peak 0.5, faded over 10 ms at both ends."""
    if not part.sound:
        return np.zeros(length, dtype=np.float32)
    text, _, voice = part.sound.partition("@")
    waveform, own_rate = speak(TEXTS[text], voice, folder) if voice else play(text, folder)
    waveform = torchaudio.functional.resample(torch.from_numpy(waveform), own_rate, rate).numpy()[:length]
    if len(waveform) < length:
        raise ValueError(f"{part.sound!r} lasts {len(waveform) / rate:.1f} s; expected {length / rate:.1f} s")
    ramp = np.minimum(1.0, np.arange(1, length + 1) / (0.01 * rate))
    return np.asarray(0.5 * waveform / np.abs(waveform).max() * ramp * ramp[::-1], dtype=np.float32)


def main() -> None:
    """Write demo/recordings/*.wav (16-bit mono) and demo/expected.csv."""
    (DEMO / "recordings").mkdir(exist_ok=True)
    rows: list[tuple[str, float, float, str]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for name, (rate, parts) in RECORDINGS.items():
            waveforms, start_s = [], 0.0
            for part in parts:
                waveforms.append(make_sound(part, round((part.end_s - start_s) * rate), rate, Path(scratch)))
                rows.append((name, start_s, float(part.end_s), part.label))
                start_s = float(part.end_s)
            soundfile.write(DEMO / "recordings" / name, np.concatenate(waveforms), rate, subtype="PCM_16")
    with open(DEMO / "expected.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "start_s", "end_s", "label"])
        writer.writerows(sorted(rows))


if __name__ == "__main__":
    main()
