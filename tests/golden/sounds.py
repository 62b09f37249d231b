"""The recordings of the golden scenarios, cut from those of the demo.

Only integers are involved, so every machine makes the same bytes. Each sound is int16, full scale 32768.
"""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.conftest import ROOT

Values = npt.NDArray[np.int16]
RECORDINGS = ROOT / "demo" / "recordings"
ODD_FLAC = Path(__file__).parent / "odd.flac"  # the sound `odd`, stored because other encoders would write other bytes


def read(name: str) -> Values:
    """Return the values of a demo recording, shape `(values,)`."""
    with wave.open(str(RECORDINGS / f"{name}.wav")) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)


def wav(values: Values, rate_hz: int) -> bytes:
    """Return a 16-bit WAV file of `values`, shape `(values,)` or `(values, channels)`."""
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1 if values.ndim == 1 else values.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(values.astype("<i2").tobytes())
    return target.getvalue()


def sounds() -> dict[str, tuple[Values, int]]:
    """Return all sounds by name, each with its rate in Hz."""
    radio, waltz = read("radio_play"), read("waltz")  # 16,000 Hz; 22,050 Hz
    silence = np.zeros(48000, np.int16)
    return {
        "radio": (radio, 16000),
        "phone_8k": (read("phone_call"), 8000),
        "platform_44k": (read("platform"), 44100),
        "waltz_22k": (waltz, 22050),
        "stereo": (np.stack([radio[:96000], radio[96000:]], axis=1), 16000),
        "odd": (radio[20001:70008], 16000),  # 50,007 values: not a multiple of any window, cell or frame
        "odd_22k": (waltz[:61991], 22050),
        "short": (radio[40000:48000], 16000),  # half a second: shorter than a window
        "quiet_then_loud": (np.concatenate([silence, radio[32000:80000]]), 16000),
        # Half a second of speech, which gets a second chunk between changes of the sound.
        "moment": (np.concatenate([silence, radio[40000:48000], silence]), 16000),
        "silence": (silence, 16000),
        "long": (np.concatenate([radio, radio]), 16000),  # 24 s: three chunks of the model's input
        "too_short": (radio[:399], 16000),  # less than the 25 ms of one frame
        "empty": (radio[:0], 16000),
    }
