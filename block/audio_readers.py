"""Read the values of an audio file: uncompressed ones with libsndfile, all others with FFmpeg through PyAV.

libsndfile never sees a header: it gets the audio alone, and its format from `block.containers`. FFmpeg never guesses
the format either, and opens nothing but the file it is given.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile

from block.containers.structure import AudioCutOff, FileParts, SeekableFile, Structure
from block.formatting import count
from block.recording import RecordingError

if TYPE_CHECKING:
    import av

READ_VALUES = 1 << 16  # read at once, all channels together
FULL_SCALE = {"u8": 128.0, "s16": 2.0**15, "s32": 2.0**31, "s64": 2.0**63}
BUFFER_BYTES = 1 << 18
# Rows of frames: decoders find the next good frame by themselves, so a damaged one costs only itself.
SELF_SYNCHRONIZING = ("mp3", "aac", "ac3", "amr")
# No file may make FFmpeg open another, or connect to a server.
CODEC_OPTIONS = {"err_detect": "crccheck+explode"}  # FLAC: notice damaged blocks
OPTIONS = {"protocol_whitelist": "none", "enable_drefs": "0"}


@dataclass
class Findings:
    """What decoding told about a file: warnings, and how much of it is there if it turned out to be cut off."""

    notes: list[str] = field(default_factory=list)
    missing: str = ""


@dataclass
class Blocks:
    """The values of a file at `rate_hz`, in blocks of shape `(values, channels)`, where full scale is 1.

    `expected` is about the number of values, or 0 if that isn't known. `findings` is complete after the last block.
    """

    rate_hz: int
    expected: int
    blocks: Iterator[npt.NDArray[np.floating[Any]]]
    findings: Findings


@contextmanager
def open_blocks(file: SeekableFile, structure: Structure) -> Iterator[Blocks]:
    """Open the audio of `file`. Raise RecordingError if it can't be decoded, here or when blocks are read."""
    if structure.pcm is None:
        with _open_compressed(file, structure) as blocks:
            yield blocks
        return
    with open_pcm(file, structure) as sound:
        yield Blocks(sound.samplerate, sound.frames, _read_pcm(sound), Findings())


@contextmanager
def open_pcm(file: SeekableFile, structure: Structure) -> Iterator[soundfile.SoundFile]:
    """Open uncompressed audio, to read it from any position. Raise RecordingError if that fails."""
    pcm = structure.pcm
    if pcm is None:
        raise RecordingError(f"the audio is compressed ({structure.name}); expected uncompressed WAV")
    quiet = QuietFile(FileParts(file, structure.spans))
    try:
        with soundfile.SoundFile(
            quiet, "r", pcm.rate_hz, pcm.channels, pcm.subtype, pcm.endian, format="RAW"
        ) as sound:  # fmt: skip
            yield sound
    except (soundfile.SoundFileError, RuntimeError, ValueError, TypeError, OverflowError) as error:
        reason = getattr(error, "error_string", None) or " ".join(str(error).split()) or type(error).__name__
        raise RecordingError(f"the audio cannot be decoded: {reason}") from None
    finally:
        if quiet.problem is not None:
            raise RecordingError(f"the audio cannot be read: {quiet.problem.strerror or quiet.problem}") from None


def _read_pcm(sound: soundfile.SoundFile) -> Iterator[npt.NDArray[np.float32]]:
    buffer = np.empty((max(1, READ_VALUES // sound.channels), sound.channels), np.float32)
    while len(block := sound.read(out=buffer)):
        yield block


@contextmanager
def _open_compressed(file: SeekableFile, structure: Structure) -> Iterator[Blocks]:
    if find_spec("av") is None:
        raise RecordingError(
            f"reading {structure.name} needs PyAV, which isn't installed; install it "
            f"(pip install -r locked/folder.txt), or convert the file to an uncompressed WAV"
        )
    findings = Findings()
    with closing(_decode(file, structure, findings)) as decoded:
        first = next(decoded, None)
        if first is None:
            raise RecordingError(f"the recording is empty: its {structure.name} has no audio")
        blocks = (block.values for block in chain((first,), decoded))
        yield Blocks(first.rate_hz, first.expected, blocks, findings)


class _Decoded(NamedTuple):
    """A block of shape `(values, channels)`, its rate, and about how many values its file has."""

    values: npt.NDArray[np.floating[Any]]
    rate_hz: int
    expected: int


def _decode(file: SeekableFile, structure: Structure, findings: Findings) -> Generator[_Decoded, None, None]:
    """Yield all blocks at the rate of the first one. Add to `findings`. Raise RecordingError."""
    import av

    links = [(span,) for span in structure.spans] if structure.is_chained else [structure.spans]
    name, damage = structure.name, _Damage(structure, findings)
    rate = _OneRate()
    for spans in links:
        parts = FileParts(file, spans, structure.header)
        try:
            with av.open(
                parts, format=structure.demuxer, options=OPTIONS, buffer_size=BUFFER_BYTES, metadata_errors="replace"
            ) as container:
                assert isinstance(container, av.container.InputContainer)
                stream = container.streams.best("audio")
                if not isinstance(stream, av.AudioStream):
                    raise RecordingError(f"the {name} has no audio")
                if stream.codec_context is None:
                    raise RecordingError(f"the audio cannot be decoded: FFmpeg doesn't know the codec of this {name}")
                stream.codec_context.options = CODEC_OPTIONS
                expected = _estimate(stream, sum(span.length for span in spans)) * len(links)
                for frame in _decode_packets(container, stream, damage):
                    for one in rate.convert(frame):
                        yield _Decoded(_to_float(one), rate.rate_hz, expected)
        except (av.FFmpegError, ValueError, UnicodeError) as error:
            damage.end(getattr(error, "strerror", None) or str(error))
    for one in rate.finish():
        yield _Decoded(_to_float(one), rate.rate_hz, 0)
    damage.judge()


def _decode_packets(
    container: av.container.InputContainer, stream: av.AudioStream, damage: _Damage
) -> Iterator[av.AudioFrame]:
    """Yield the frames of a stream. Step over packets that can't be decoded."""
    import av

    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except (av.error.InvalidDataError, av.error.PatchWelcomeError):
            damage.count(packet)
            continue
        if frames:
            damage.resume()
        yield from frames


class _Damage:
    """Count the packets of a file that can't be decoded, and decide what they mean."""

    def __init__(self, structure: Structure, findings: Findings) -> None:
        self._structure = structure
        self._findings = findings
        self._can_resume = structure.demuxer in SELF_SYNCHRONIZING
        self._has_begun = False
        self._between, self._last = 0, 0  # before a packet that could be decoded, and since then
        self._first_s: float | None = None

    def count(self, packet: av.Packet[av.AudioStream]) -> None:
        """Count a packet that can't be decoded."""
        self._last += 1
        if self._first_s is None and packet.pts is not None and packet.time_base is not None:
            self._first_s = float(packet.pts * packet.time_base)

    def resume(self) -> None:
        """Note that a packet could be decoded. Raise RecordingError if those before it are missing then."""
        if self._has_begun or not self._can_resume:  # a recording of a stream may begin within a frame
            self._between += self._last
        if self._between and not self._can_resume and not self._structure.missing:
            raise RecordingError(f"the audio is damaged: {self._describe(self._between)} can't be decoded")
        self._has_begun, self._last = True, 0

    def end(self, reason: str) -> None:
        """Note that decoding has ended early. Raise RecordingError if nothing could be decoded."""
        name = self._structure.name
        if not self._has_begun and not self._structure.missing and self._structure.values is None:
            raise RecordingError(f"the audio cannot be decoded: FFmpeg says about this {name}: {reason}")
        self._findings.missing = f"FFmpeg can't read all of this {name}: {reason}"

    def judge(self) -> None:
        """Add to the findings at the end. Raise RecordingError if there was only damage."""
        missing, values = self._structure.missing, self._structure.values
        if not self._has_begun and values is not None:
            raise AudioCutOff(f"0 of {values} values are there")
        if self._last and not self._has_begun:
            raise RecordingError(f"the audio is damaged: none of this {self._structure.name} can be decoded")
        if self._last and values is None and self._structure.demuxer == "flac":
            self._findings.missing = "its last block is incomplete"
        elif self._last > 1 and values is None and not (missing or self._can_resume):
            raise RecordingError(f"the audio is damaged: {self._describe(self._last)}, at its end, can't be decoded")
        left_out = self._between + (self._last if values is not None else 0)
        if left_out and not missing:
            self._findings.notes.append(f"{self._describe(left_out)} can't be decoded and are left out")

    def _describe(self, packets: int) -> str:
        start = "" if self._first_s is None else f" from {self._first_s:.2f} s on"
        return f"{count(packets, 'frame')}{start}"


class _OneRate:
    """Convert frames to the rate of the first one: joined files may change it."""

    def __init__(self) -> None:
        self.rate_hz = 0
        self._kind: tuple[int, str, str] | None = None
        self._resampler: av.AudioResampler | None = None

    def convert(self, frame: av.AudioFrame) -> Iterator[av.AudioFrame]:
        """Yield `frame` at that rate."""
        self.rate_hz = self.rate_hz or frame.sample_rate
        kind = (frame.sample_rate, frame.format.name, frame.layout.name)
        if kind != self._kind:
            yield from self.finish()
            self._kind = kind
            if frame.sample_rate != self.rate_hz:
                import av

                self._resampler = av.AudioResampler("fltp", frame.layout, self.rate_hz)
        if self._resampler is None:
            yield frame
        else:
            frame.pts = None
            yield from self._resampler.resample(frame)

    def finish(self) -> Iterator[av.AudioFrame]:
        """Yield what is left in the resampler."""
        if self._resampler is not None:
            yield from self._resampler.resample(None)
            self._resampler = None


def _estimate(stream: av.AudioStream, size_bytes: int) -> int:
    """Return about how many values there are. The duration is only a guess, so no more than 64 values per byte."""
    if stream.duration is None or stream.time_base is None:
        return 0
    return max(0, min(int(stream.duration * stream.time_base * stream.rate), 64 * size_bytes))


def _to_float(frame: av.AudioFrame) -> npt.NDArray[np.floating[Any]]:
    """Return the values of a frame, full scale 1, shape `(values, channels)`."""
    values = frame.to_ndarray()
    values = values.T if frame.format.is_planar else values.reshape(-1, frame.layout.nb_channels)
    scale = FULL_SCALE.get(frame.format.name.removesuffix("p"))
    if scale is None:
        return np.asarray(values, np.float64 if values.dtype == np.float64 else np.float32)
    return (values - np.float32(128 if values.dtype == np.uint8 else 0)) / np.float32(scale)


class QuietFile:
    """A file that never raises: like in C, a failed seek returns -1, and a failed read returns no bytes.

    `problem` is the first OSError of a read.
    """

    def __init__(self, file: FileParts | SeekableFile) -> None:
        self.problem: OSError | None = None
        self._file = file
        self._seek_failed = False

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            self._seek_failed = True
            return -1

    def tell(self) -> int:
        """Return the position, or -1 once after a failed seek: libsndfile's binding ignores the result of `seek`."""
        if self._seek_failed:
            self._seek_failed = False
            return -1
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        try:
            return self._file.read(size)
        except OSError as error:
            self.problem = self.problem or error
            return b""
