"""Decode compressed audio with FFmpeg, through PyAV.

FFmpeg never guesses the format, and opens nothing but the file it is given. Packets that it can't decode are counted:
in formats that are only a row of frames, such as MP3, they are left out with a warning; in other formats, they mean
that the file is damaged.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from block.containers.structure import AudioCutOff, FileParts, SeekableFile, Structure
from block.formatting import count
from block.recording import RecordingError

if TYPE_CHECKING:
    import av

Block = npt.NDArray[np.floating[Any]]  # shape (values, channels), full scale 1
GATHERED = 32  # frames
DTYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}
FULL_SCALE = {"u8": 128.0, "s16": 2.0**15, "s32": 2.0**31, "s64": 2.0**63}
BUFFER_BYTES = 1 << 18
# Rows of frames: decoders find the next good frame by themselves, so a damaged one costs only itself.
SELF_SYNCHRONIZING = ("mp3", "aac", "ac3", "amr")
# Formats that say of each packet when it plays, and how much later than its turn that may be, in seconds.
TIMED, LARGEST_JUMP_S = ("ogg", "matroska", "mov", "asf"), 0.1
CODEC_OPTIONS = {"err_detect": "crccheck+explode"}  # FLAC: notice damaged blocks
# No file may make FFmpeg open another, or connect to a server.
OPTIONS = {"protocol_whitelist": "none", "enable_drefs": "0"}


@dataclass
class Findings:
    """What was found out about a file while decoding it: warnings, and how much is there if it's cut off."""

    notes: list[str] = field(default_factory=list)
    missing: str = ""


class DecodedBlock(NamedTuple):
    """A block of shape `(values, channels)`, its rate, and about how many values its file has."""

    values: Block
    rate_hz: int
    expected: int


def decode_compressed(
    file: SeekableFile, structure: Structure, findings: Findings
) -> Generator[DecodedBlock, None, None]:
    """Yield all blocks at the rate of the first one. Add to `findings`. Raise RecordingError."""
    import av

    links = [(span,) for span in structure.spans] if structure.is_chained else [structure.spans]
    name, damage = structure.name, _Damage(structure, findings)
    rate, pauses = _OneRate(), _Pauses()
    for spans in links:
        parts = FileParts(file, spans, structure.header)
        try:
            with av.open(
                parts, format=structure.demuxer, options=OPTIONS, buffer_size=BUFFER_BYTES, metadata_errors="replace"
            ) as container:
                stream = container.streams.best("audio") if len(container.streams) else None
                if not isinstance(stream, av.AudioStream) or not isinstance(container, av.container.InputContainer):
                    raise RecordingError(f"the {name} has no audio")
                if stream.codec_context is None:
                    raise RecordingError(f"the audio can't be decoded: FFmpeg doesn't know the codec of this {name}")
                stream.codec_context.options = CODEC_OPTIONS
                expected = _estimate(stream, sum(span.length for span in spans)) * len(links)
                timed = pauses.watch(_decode_packets(container, stream, damage))
                for frames in _gather(timed):
                    for block in rate.convert(frames):
                        yield DecodedBlock(block, rate.rate_hz, expected)
        except (av.FFmpegError, ValueError, UnicodeError) as error:
            damage.end(error)
    for block in rate.finish():
        yield DecodedBlock(block, rate.rate_hz, 0)
    damage.judge()
    if structure.demuxer in TIMED:
        findings.notes += pauses.describe()


def _decode_packets(
    container: av.container.InputContainer, stream: av.AudioStream, damage: _Damage
) -> Iterator[av.AudioFrame]:
    """Yield the frames of a stream. Step over packets that can't be decoded."""
    import av

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError as error:
            damage.end(error)
            return
        if packet is None:
            return
        try:
            frames = packet.decode()
        except (av.error.InvalidDataError, av.error.PatchWelcomeError):
            damage.count(packet)
            continue
        if frames and damage.is_pending:
            damage.resume()
        yield from frames


class _Damage:
    """Count the packets of a file that can't be decoded, and decide whether the file is damaged, cut off or usable."""

    def __init__(self, structure: Structure, findings: Findings) -> None:
        self._structure = structure
        self._findings = findings
        self._can_resume = structure.demuxer in SELF_SYNCHRONIZING
        self._has_begun = False
        self._between, self._last = 0, 0  # before a packet that could be decoded, and since then
        self._first_s: float | None = None

    @property
    def is_pending(self) -> bool:
        """True before the first packet that can be decoded, and after one that can't."""
        return not self._has_begun or self._last > 0

    def count(self, packet: av.Packet[av.AudioStream]) -> None:
        """Count a packet that can't be decoded."""
        self._last += 1
        if self._first_s is None and packet.pts is not None and packet.time_base is not None:
            self._first_s = float(packet.pts * packet.time_base)

    def resume(self) -> None:
        """Note that a packet could be decoded.

        Raise RecordingError if packets before it couldn't, and the format doesn't allow leaving them out.
        """
        if self._has_begun or not self._can_resume:  # a recording of a stream may begin within a frame
            self._between += self._last
        if self._between and not self._can_resume and not self._structure.missing:
            raise RecordingError(f"the audio is damaged: {self._describe(self._between)} can't be decoded")
        self._has_begun, self._last = True, 0

    def end(self, error: Exception) -> None:
        """Note that decoding has ended early. Raise RecordingError if nothing could be decoded."""
        name, reason = self._structure.name, getattr(error, "strerror", None) or error
        if not self._has_begun and not self._structure.missing and self._structure.values is None:
            raise RecordingError(f"the audio can't be decoded: FFmpeg says about this {name}: {reason}")
        self._findings.missing = f"FFmpeg can't read all of this {name}: {reason}"

    def judge(self) -> None:
        """Call this at the end: add what was found to `findings`. Raise RecordingError if the file is damaged."""
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
            self._findings.notes.append(f"left out {self._describe(left_out)}, which can't be decoded")

    def _describe(self, packets: int) -> str:
        start = "" if self._first_s is None else f" from {self._first_s:.2f} s on"
        return f"{count(packets, 'frame')}{start}"


class _Pauses:
    """Find where frames play later than the audio before them ends: what would be between them isn't in the file."""

    def __init__(self) -> None:
        self._paused_s = 0.0
        self._first_s = 0.0

    def watch(self, frames: Iterator[av.AudioFrame]) -> Iterator[av.AudioFrame]:
        """Yield the frames of one stream."""
        end_s: float | None = None
        for frame in frames:
            if frame.time is not None:
                if end_s is not None and frame.time - end_s > LARGEST_JUMP_S:
                    self._first_s = self._first_s or end_s
                    self._paused_s += frame.time - end_s
                    end_s = frame.time
                elif end_s is None:
                    end_s = frame.time
            if end_s is not None:
                end_s += frame.samples / frame.sample_rate
            yield frame

    def describe(self) -> list[str]:
        """Return a warning if there were any."""
        if not self._paused_s:
            return []
        return [
            f"its time jumps forward by {self._paused_s:.2f} s in all, first at {self._first_s:.2f} s: nothing was "
            "recorded there, or it was lost; labels count only the audio that is there"
        ]


def _find_kind(frame: av.AudioFrame) -> tuple[int, str, str]:
    return frame.sample_rate, frame.format.name, frame.layout.name


def _gather(frames: Iterator[av.AudioFrame]) -> Iterator[list[av.AudioFrame]]:
    """Yield lists of frames of one kind: NumPy is slow on single ones, which may be as short as 20 ms."""
    for _, alike in groupby(frames, _find_kind):
        while several := list(islice(alike, GATHERED)):
            yield several


class _OneRate:
    """Convert frames to blocks at the rate of the first one: joined files may change it."""

    def __init__(self) -> None:
        self.rate_hz = 0
        self._kind: tuple[int, str, str] | None = None
        self._resampler: av.AudioResampler | None = None

    def convert(self, frames: list[av.AudioFrame]) -> Iterator[Block]:
        """Yield frames of one kind as blocks at that rate."""
        self.rate_hz = self.rate_hz or frames[0].sample_rate
        kind = _find_kind(frames[0])
        if kind != self._kind:
            yield from self.finish()
            self._kind = kind
            if frames[0].sample_rate != self.rate_hz:
                import av

                self._resampler = av.AudioResampler("fltp", frames[0].layout, self.rate_hz)
        if self._resampler is None:
            yield _to_float(frames)
            return
        for frame in frames:
            frame.pts = None
            if resampled := self._resampler.resample(frame):
                yield _to_float(resampled)

    def finish(self) -> Iterator[Block]:
        """Yield what is left in the resampler."""
        if self._resampler is not None:
            if resampled := self._resampler.resample(None):
                yield _to_float(resampled)
            self._resampler = None


def _estimate(stream: av.AudioStream, size_bytes: int) -> int:
    """Return about how many values there are. The duration is only a guess, so no more than 64 values per byte."""
    if stream.duration is None or stream.time_base is None:
        return 0
    return max(0, min(int(stream.duration * stream.time_base * stream.rate), 64 * size_bytes))


def _to_float(frames: list[av.AudioFrame]) -> Block:
    """Return the values of frames of one kind, full scale 1, shape `(values, channels)`."""
    form, channels = frames[0].format, frames[0].layout.nb_channels
    kind = form.name.removesuffix("p")
    width = 1 if form.is_planar else channels
    planes = [
        np.concatenate(
            [np.frombuffer(memoryview(one.planes[plane]), DTYPES[kind], one.samples * width) for one in frames]
        )
        for plane in range(channels if form.is_planar else 1)
    ]
    values = np.stack(planes, axis=1) if len(planes) > 1 else planes[0].reshape(-1, channels)
    if kind not in FULL_SCALE:
        return values
    return (values - np.float32(128 if kind == "u8" else 0)) / np.float32(FULL_SCALE[kind])
