"""Reads what the numbers of a HEIC's depth picture mean: the depth representation information SEI message (H.265, G.14.2.6).

It stands in the `auxC` property of the picture (ISO/IEC 23008-12, 6.5.8), as in a video: with bytes that keep a start code from
appearing. libheif 1.23 takes these bytes for data, and then finds other bounds.
"""

import struct
from typing import Any

_SEI, _MESSAGE = 39, 177
_MAX_BYTES = 1024  # of a message; real ones have about 20
_MAX_ZEROS = 32  # of an Exp-Golomb code
_BOUNDS = ("z_near", "z_far", "d_min", "d_max")


class _Bits:
    """Bits of a message, the highest of each byte first. IndexError: there are no more."""

    def __init__(self, data: bytes) -> None:
        self._bits = "".join(f"{byte:08b}" for byte in data)
        self._at = 0

    def u(self, count: int) -> int:
        if self._at + count > len(self._bits):
            raise IndexError("the message is too short")
        value = self._bits[self._at : self._at + count]
        self._at += count
        return int(value, 2) if value else 0

    def ue(self) -> int:
        zeros = 0
        while not self.u(1):
            zeros += 1
            if zeros > _MAX_ZEROS:
                raise IndexError("a number is too long")
        return (1 << zeros) - 1 + self.u(zeros)

    def element(self) -> float:
        """A bound: sign, exponent, and a mantissa of 1 to 32 bits."""
        sign, exponent, length = self.u(1), self.u(7), self.u(5) + 1
        mantissa = self.u(length) / float(1 << length)
        size = 2.0 ** (exponent - 31) * (1.0 + mantissa) if exponent else 2.0**-30 * mantissa
        return -size if sign else size


def representation(subtypes: bytes) -> dict[str, Any]:
    """What an `auxC` property says behind its type, in the terms of `DepthImage.metadata`; empty if it is damaged."""
    try:
        (size,) = struct.unpack_from(">I", subtypes, 4)
        unit = subtypes[8 : 8 + min(size, _MAX_BYTES)].replace(b"\0\0\3", b"\0\0")
        if unit[0] >> 1 & 63 != _SEI or unit[2] != _MESSAGE:
            return {}
        bits = _Bits(unit[4 : 4 + unit[3]])
        named = [name for name in _BOUNDS if bits.u(1)]
        found: dict[str, Any] = {"representation_type": bits.ue()}
        if "d_min" in named or "d_max" in named:
            bits.ue()  # the view that disparity refers to
        found.update((name, bits.element()) for name in named)
    except (struct.error, IndexError):
        return {}
    return found
