"""Reads the header of JPEG XL files (ISO/IEC 18181-1 and -2): what its numbers mean, which the decoder at hand does not tell.

Nothing here decodes, and of the header only what comes up to the colours is read.
"""

import struct
from dataclasses import dataclass
from typing import BinaryIO

CODESTREAM, CONTAINER = b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"
_HEAD = 4096  # bytes of the codestream: extra channels with long names fit
_MAX_BOXES, _MAX_EXTRA = 10_000, 64
_ALPHA, _SPOT, _BLACK, _FILTER_ARRAY = 0, 2, 4, 5  # kinds of extra channels
_RGB, _GREY, _XYB = 0, 1, 2  # colour spaces
_CUSTOM, _D65, _P3 = 2, 1, 11
_CUSTOM_XY = ((19, 0), (19, 524_288), (20, 1_048_576), (21, 2_097_152))


@dataclass(frozen=True)
class Header:
    """What the header says.

    Attributes:
        is_float: the samples are floating-point numbers.
        is_animation: there are several frames.
        has_profile: the colours are those of an ICC profile.
        numbers: primaries and transfer function in the numbers of ITU-T H.273; None if there is a profile, or if they are not
            numbered there.
        is_known: whether the colours are described in a way that is understood here.
        is_premultiplied: the colours are multiplied by alpha.
        has_black: there is a channel for black ink, so the picture is in CMYK.
    """

    is_float: bool
    is_animation: bool
    has_profile: bool
    numbers: tuple[int, int] | None
    is_known: bool
    is_premultiplied: bool = False
    has_black: bool = False


def read(codestream: bytes) -> Header:
    """Read the header of a codestream.

    Raises:
        EOFError: it ends within the header.
        ValueError: it is damaged, or there is no picture in it.
    """
    if not codestream.startswith(CODESTREAM):
        raise ValueError("there is no picture in the file")
    bits = _Bits(codestream[2:_HEAD])
    _size(bits)
    if bits.flag():  # all values are the usual ones: 8 bits, sRGB
        return Header(False, False, False, (1, 13), True)
    is_animation = False
    if bits.flag():
        bits.u(3)  # orientation; the decoder applies it
        if bits.flag():
            _size(bits)
        if bits.flag():
            _preview(bits)
        is_animation = bits.flag()
        if is_animation:
            _animation(bits)
    is_float = _depth(bits)
    bits.flag()  # 16-bit buffers are enough
    count = bits.u32((0, 0), (0, 1), (4, 2), (12, 1))
    if count > _MAX_EXTRA:
        raise ValueError(f"there are {count} extra channels")
    kinds = [_extra_channel(bits) for _ in range(count)]
    bits.flag()  # XYB: the decoder converts to the colours that follow
    has_profile, numbers, is_known = _colours(bits)
    is_premultiplied = (_ALPHA, True) in kinds
    has_black = any(kind == _BLACK for kind, _ in kinds)
    return Header(is_float, is_animation, has_profile, numbers, is_known, is_premultiplied, has_black)


class _Bits:
    """Reads bits, the lowest of each byte first (ISO/IEC 18181-1, annex B)."""

    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def u(self, count: int) -> int:
        """A number of so many bits."""
        if self.at + count > 8 * len(self._data):
            raise EOFError("the file ends within its header")
        first = self.at // 8
        word = int.from_bytes(self._data[first : first + 5], "little") >> self.at % 8
        self.at += count
        return word & ((1 << count) - 1)

    def flag(self) -> bool:
        return bool(self.u(1))

    def u32(self, *choices: tuple[int, int]) -> int:
        """One of four ranges, each given by its number of bits and its smallest value."""
        count, least = choices[self.u(2)]
        return least + self.u(count)

    def enum(self) -> int:
        return self.u32((0, 0), (0, 1), (4, 2), (6, 18))


def codestream(file: BinaryIO) -> bytes:
    """The picture alone, which may be in boxes (ISO/IEC 18181-2): `jxlc`, or parts in `jxlp`, each behind a number.

    The decoder gets nothing else: it would expand compressed boxes of any size, which hold only what we do not use.

    Raises:
        ValueError: there are more boxes than any program writes.
    """
    file.seek(0)
    head = file.read(12)
    if not head.startswith(CONTAINER):
        return head + file.read()
    at, found = 12, list[bytes]()
    for _ in range(_MAX_BOXES):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return b"".join(found)
        size, kind = struct.unpack(">I4s", head[:8])
        skip = 8
        if size == 1 and len(head) == 16:
            size, skip = int.from_bytes(head[8:], "big"), 16
        if size != 0 and size < skip:
            return b"".join(found)
        if kind in (b"jxlc", b"jxlp"):
            file.seek(at + skip)
            content = file.read(-1 if size == 0 else size - skip)
            found.append(content[4:] if kind == b"jxlp" else content)
        if size == 0:
            return b"".join(found)
        at += size
    raise ValueError(f"there are more than {_MAX_BOXES:,} boxes")


def _size(bits: _Bits) -> None:
    sides = ((9, 1), (13, 1), (18, 1), (30, 1))
    is_small = bits.flag()
    bits.u(5) if is_small else bits.u32(*sides)
    if bits.u(3) == 0:  # otherwise the width follows from the height
        bits.u(5) if is_small else bits.u32(*sides)


def _preview(bits: _Bits) -> None:
    sides = ((0, 16), (0, 32), (5, 1), (9, 33)) if bits.flag() else ((6, 1), (8, 65), (10, 321), (12, 1345))
    bits.u32(*sides)
    if bits.u(3) == 0:
        bits.u32(*sides)


def _animation(bits: _Bits) -> None:
    bits.u32((0, 100), (0, 1000), (10, 1), (30, 1))
    bits.u32((0, 1), (0, 1001), (8, 1), (10, 1))
    bits.u32((0, 0), (3, 0), (16, 0), (32, 0))
    bits.flag()


def _depth(bits: _Bits) -> bool:
    """Whether the samples are floating-point numbers."""
    if not bits.flag():
        bits.u32((0, 8), (0, 10), (0, 12), (6, 1))
        return False
    bits.u32((0, 32), (0, 16), (0, 24), (6, 1))
    bits.u(4)
    return True


def _extra_channel(bits: _Bits) -> tuple[int, bool]:
    """The kind of an extra channel, and whether it is an alpha by which the colours are multiplied."""
    if bits.flag():  # ordinary alpha
        return _ALPHA, False
    kind = bits.enum()
    _depth(bits)
    bits.u32((0, 0), (0, 3), (0, 4), (3, 1))
    for _ in range(bits.u32((0, 0), (4, 0), (5, 16), (10, 48))):
        bits.u(8)
    if kind == _ALPHA:
        return kind, bits.flag()
    if kind == _SPOT:
        for _ in range(4):
            bits.u(16)
    elif kind == _FILTER_ARRAY:
        bits.u32((0, 1), (2, 0), (4, 3), (8, 19))
    return kind, False


def _colours(bits: _Bits) -> tuple[bool, tuple[int, int] | None, bool]:
    """Whether there is a profile, the numbers of H.273, and whether the colours are understood."""
    if bits.flag():
        return False, (1, 13), True
    if bits.flag():
        return True, None, True
    space = bits.enum()
    if space not in (_RGB, _GREY):
        return False, None, False
    white = bits.enum()
    if white == _CUSTOM:
        _points(bits, 1)
    primaries = 1 if space == _GREY else bits.enum()
    if primaries == _CUSTOM:
        _points(bits, 3)
    has_gamma = bits.flag()
    transfer = bits.u(24) if has_gamma else bits.enum()
    # JPEG XL takes these numbers from H.273, but for P3's, which there has DCI's white as 11 and D65 as 12.
    is_known = white == _D65 and primaries in (1, 9, _P3) and not has_gamma and transfer in (1, 8, 13, 16, 18)
    return False, ((12 if primaries == _P3 else primaries, transfer) if is_known else None), is_known


def _points(bits: _Bits, count: int) -> None:
    for _ in range(2 * count):
        bits.u32(*_CUSTOM_XY)
