"""Rewrites the description of an MP4 file with one video track (ISO/IEC 14496-12), as OpenCV's encoder writes it.

Only the box `moov` at the end of the file changes: what its frames are, where they lie, and how their colours are meant.
"""

import io
import struct

from daemon.contract.words.printable import quoted
from daemon.errors import Internal
from pipeline.image import boxes

_OUTER = frozenset([b"trak", b"edts", b"mdia", b"minf", b"stbl"])
#: Where a box says how long it lasts: in its content, behind version, flags and what it says before.
_DURATIONS = {b"mvhd": 16, b"tkhd": 20, b"mdhd": 16, b"elst": 8}
_FULL = 4  # bytes of version and flags


def tagged(mp4: bytes) -> bytes:
    """The VP9 file with its colours described: BT.709 primaries and transfer, and the BT.601 matrix that OpenCV converts with.

    OpenCV leaves this open, and players then take the BT.709 matrix for large pictures. The description is in the box `vpcC` of
    the sample entry ("VP Codec ISO Media File Format Binding", version 1.0): after its length, its name, version and flags,
    profile, level and a byte about samples come primaries, transfer and matrix, by the numbers of ISO/IEC 23091-2.

    Raises:
        Internal: there is no such box.
    """
    content, start = boxes.top_level(io.BytesIO(mp4), b"moov")
    at = content.find(b"vpcC")
    if at < 0:
        raise Internal("OpenCV's MP4 has no vpcC box")
    described = start + at + 4 + 4 + 3
    return mp4[:described] + bytes([1, 1, 6]) + mp4[described + 3 :]


def without_first(mp4: bytes, count: int) -> bytes:
    """The file without its first `count` frames; where their bytes are, nothing refers to.

    Raises:
        Internal: the file ends with something else than `moov`, its frames do not follow each other, or are not equally long, or
            the frame that becomes the first cannot be shown without those before it.
    """
    content, start = boxes.top_level(io.BytesIO(mp4), b"moov")
    if not content or start + len(content) != len(mp4):
        raise Internal("OpenCV's MP4 does not end with its description")
    try:
        moov = _without(content, count)
    except (struct.error, KeyError, ValueError) as e:
        raise Internal("OpenCV's MP4 is built in an unknown way", detail=f"{type(e).__name__}: {e}") from e
    return mp4[: start - 8] + _box(b"moov", moov)


def _without(moov: bytes, count: int) -> bytes:
    """The content of `moov` without the first frames. Raises ValueError, KeyError or struct.error if it is built otherwise."""
    track = dict(boxes.leaves(moov, _OUTER))
    entries, frames, ticks = struct.unpack_from(">III", track[b"stts"], _FULL)
    same, stored = struct.unpack_from(">II", track[b"stsz"], _FULL)
    keys = [number - count for number in _numbers(track[b"stss"])]
    if (entries, same, stored) != (1, 0, frames) or b"ctts" in track or not 0 < count < frames:
        raise ValueError(f"{frames} frames in {entries} runs, {stored} sizes")
    if 1 not in keys:
        raise ValueError(f"frame {count} is no key frame")
    sizes = _numbers(track[b"stsz"][4:])
    first = _chunks(track, sizes) + sum(sizes[:count])
    left = frames - count
    replaced = {
        b"stts": struct.pack(">4xIII", 1, left, ticks),
        b"stsz": struct.pack(f">4xII{left}I", 0, left, *sizes[count:]),
        b"stss": struct.pack(f">4xI{sum(key > 0 for key in keys)}I", sum(key > 0 for key in keys), *(k for k in keys if k > 0)),
        b"stsc": struct.pack(">4xIIII", 1, 1, left, 1),
        b"stco": struct.pack(">4xII", 1, first),
    }
    for kind, at in _DURATIONS.items():
        data = track[kind]
        (lasted,) = struct.unpack_from(">I", data, at)
        if data[0] != 0:
            raise ValueError(f"{quoted(str(kind))} has version {data[0]}")
        replaced[kind] = data[:at] + struct.pack(">I", round(lasted * left / frames)) + data[at + 4 :]
    return _rebuilt(moov, replaced)


def _chunks(track: dict[bytes, bytes], sizes: tuple[int, ...]) -> int:
    """Where the first frame begins. Raises ValueError if the frames do not follow each other without a gap."""
    offsets, runs = _numbers(track[b"stco"]), list(struct.iter_unpack(">III", track[b"stsc"][_FULL + 4 :]))
    counts = [0] * len(offsets)
    for chunk, held, _ in runs:
        counts[chunk - 1 :] = [held] * (len(offsets) - chunk + 1)
    if sum(counts) != len(sizes):
        raise ValueError(f"{sum(counts)} frames in chunks, {len(sizes)} sizes")
    at, number = offsets[0], 0
    for offset, held in zip(offsets, counts, strict=True):
        if offset != at:
            raise ValueError(f"a gap before byte {offset}")
        at += sum(sizes[number : number + held])
        number += held
    return offsets[0]


def _numbers(table: bytes) -> tuple[int, ...]:
    """The entries of a table of 32-bit numbers, behind version, flags and their count."""
    (count,) = struct.unpack_from(">I", table, _FULL)
    return struct.unpack_from(f">{count}I", table, _FULL + 4)


def _rebuilt(data: bytes, replaced: dict[bytes, bytes]) -> bytes:
    """The same boxes with other contents."""
    return b"".join(
        _box(kind, _rebuilt(content, replaced) if kind in _OUTER else replaced.get(kind, content))
        for kind, content in boxes.inside(data)
    )


def _box(kind: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content
