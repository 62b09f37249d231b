"""MPEG audio, MP3 above all: frames without any container, between tags and other bytes.

Sources: ISO/IEC 11172-3 and 13818-3 (frame headers); the LAME project, "Mp3 info tag rev 1" (Xing and Info frames);
Fraunhofer (VBRI frames).
"""

from __future__ import annotations

from dataclasses import dataclass

from block.containers.structure import SeekableFile, Structure, find_size, note_rest, read_at
from block.containers.tags import ID3V1_BYTES, measure_leading_tag, trim_tags
from block.recording import Span

# kbit/s by index, for layers I, II and III of MPEG 1, then layer I, and layers II and III, of MPEG 2 and 2.5
BITRATES = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
RATES_HZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # by version bits
BLOCK_BYTES = 1 << 20
LONGEST_FRAME = 8192  # bytes; the longest is 5,761, of layer II at 8 kHz


@dataclass(frozen=True)
class FrameHeader:
    """A frame of `size` bytes. Frames of one stream have the same `kind`: version, layer and rate."""

    kind: int
    layer: int
    size: int
    side_bytes: int  # between the header and the data, where a Xing header stands


@dataclass
class _Frames:
    """The number of `whole` frames found so far, of `other_bytes` since the last one, and of `lost_bytes` between them.

    `layer` is that of the last frame, tags don't count as other bytes, and less than a frame between two isn't lost.
    The last Xing, Info or VBRI frame stated that `stated` frames follow; `since` were found after it. `stated_in_all`
    adds up the counts of all earlier ones, `lost` the frames that were missing then.
    """

    whole: int = 0
    since: int = 0
    stated: int = 0
    stated_in_all: int = 0
    lost: int = 0
    other_bytes: int = 0
    lost_bytes: int = 0
    layer: int = 3

    def settle(self) -> None:
        """Compare the frames, a last incomplete one included, with their stated count. One may be missing."""
        self.lost += max(0, self.stated - self.since - 1)
        self.stated_in_all += self.stated
        self.since = self.stated = 0


def parse_frame_header(four: bytes) -> FrameHeader | None:
    """Return what the header of an MPEG audio frame says; None if `four` isn't one, or of a free bit rate."""
    if len(four) < 4 or four[0] != 0xFF or four[1] < 0xE0:
        return None
    version, layer = four[1] >> 3 & 3, 4 - (four[1] >> 1 & 3)
    bitrate, rate, padding = four[2] >> 4, four[2] >> 2 & 3, four[2] >> 1 & 1
    if version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3:
        return None
    rate_hz = RATES_HZ[version][rate]
    is_first = version == 3
    bits_per_s = 1000 * BITRATES[1 if is_first else 2, layer if is_first else min(layer, 2)][bitrate - 1]
    if layer == 1:
        size = (12 * bits_per_s // rate_hz + padding) * 4
    else:
        size = (72 if layer == 3 and not is_first else 144) * bits_per_s // rate_hz + padding
    is_mono = four[3] >> 6 == 3
    side_bytes = ((17 if is_mono else 32) if is_first else (9 if is_mono else 17)) if layer == 3 else 0
    return FrameHeader(four[1] >> 1 & 15 | rate << 4, layer, size, side_bytes)


def find_frames(head: bytes) -> int | None:
    """Return where three frames in a row begin in `head`; None if there are none."""
    at = head.find(b"\xff")
    while at >= 0:
        position, kind = at, None
        for _ in range(3):
            header = parse_frame_header(head[position : position + 4])
            if header is None or (kind is not None and header.kind != kind):
                break
            position, kind = position + header.size, header.kind
        else:
            return at
        at = head.find(b"\xff", at + 1)
    return None


def inspect_mpeg(file: SeekableFile) -> Structure:
    """Walk all frames. The audio is cut off if frames are missing that a Xing, Info or VBRI frame counts."""
    span = trim_tags(file, Span(0, find_size(file)))
    frames = _Frames()
    spans: list[Span] = []
    at, buffer, begin = span.start, b"", span.start
    is_synced, has_changed, kind = False, False, None
    while at < span.end:
        if at + LONGEST_FRAME > begin + len(buffer) < span.end:
            begin, buffer = at, read_at(file, at, min(BLOCK_BYTES, span.end - at))
        here = at - begin
        header = parse_frame_header(buffer[here : here + 4])
        if header is None or not (is_synced or _is_followed(buffer, here + header.size)):
            tag, is_synced = _measure_tag(buffer, here), False
            step = tag or _measure_other(buffer, here)
            frames.other_bytes += step if frames.whole and not tag else 0
            at += step
            continue
        if not is_synced or header.kind != kind:
            has_changed |= kind not in (None, header.kind)
            spans.append(Span(at, at))
        is_synced, kind = True, header.kind
        at = min(span.end, at + header.size)
        spans[-1] = Span(spans[-1].start, at)
        _count(frames, header, buffer[here : here + header.size])
    frames.settle()
    missing = f"{frames.lost} of {frames.stated_in_all} frames are missing" if frames.lost else ""
    notes = note_rest(frames.lost_bytes + (frames.other_bytes if frames.other_bytes > LONGEST_FRAME else 0))
    name = f"MP{frames.layer}"
    # Joined files of different kinds, for example with other rates, are decoded one by one.
    return Structure(name, tuple(spans), "mp3", is_chained=has_changed, missing=missing, notes=notes)


def _is_followed(buffer: bytes, end: int) -> bool:
    """Return True if a frame that ends at `end` is followed by another, or by nothing."""
    return end == len(buffer) or parse_frame_header(buffer[end : end + 4]) is not None


def _count(frames: _Frames, header: FrameHeader, frame: bytes) -> None:
    frames.layer = header.layer
    frames.lost_bytes += frames.other_bytes if frames.other_bytes >= header.size else 0
    frames.other_bytes = 0
    if (count := _parse_count(header, frame)) is not None:
        frames.settle()
        frames.stated = count
    else:
        frames.since += 1
    frames.whole += 1


def _parse_count(header: FrameHeader, frame: bytes) -> int | None:
    """Return the count of frames in a Xing, Info or VBRI frame: 0 if it lacks one, None if it's another frame."""
    mark = frame[4 + header.side_bytes :]
    if mark[:4] in (b"Xing", b"Info") and len(mark) >= 12:
        return int.from_bytes(mark[8:12], "big") if mark[7] & 1 else 0
    if frame[36:40] == b"VBRI":
        return int.from_bytes(frame[50:54], "big")
    return None


def _measure_tag(buffer: bytes, here: int) -> int:
    """Return the number of bytes of a tag at `here`; 0 if there is none."""
    size = measure_leading_tag(buffer[here : here + 32])
    return ID3V1_BYTES if not size and buffer[here : here + 3] == b"TAG" else size


def _measure_other(buffer: bytes, here: int) -> int:
    """Return the number of bytes from `here` to where a frame may begin: those up to the next 0xFF."""
    following = buffer.find(b"\xff", here + 1)
    return (following if following >= 0 else len(buffer)) - here
