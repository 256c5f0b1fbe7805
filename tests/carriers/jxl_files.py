"""Writes JPEG XL files: the pictures by libjxl without loss, the header bit by bit (ISO/IEC 18181-1, annexes B and D)."""

import struct

import pylibjxl

from tests.carriers.heic_files import box

D65, P3, BT2100 = 1, 11, 9
SRGB_CURVE, PQ, HLG, LINEAR, DCI = 13, 16, 18, 8, 17


class _Bits:
    """The lowest bit of each byte comes first."""

    def __init__(self):
        self.bits = []

    def u(self, count, value):
        self.bits += [value >> place & 1 for place in range(count)]

    def enum(self, value):
        if value < 2:
            self.u(2, value)
        elif value < 18:
            self.u(2, 2)
            self.u(4, value - 2)
        else:
            self.u(2, 3)
            self.u(6, value - 18)

    def aligned(self):
        bits = self.bits + [0] * (-len(self.bits) % 8)
        return bytes(sum(bit << place for place, bit in enumerate(bits[at : at + 8])) for at in range(0, len(bits), 8))


def _header(width, height, colours, animation=False, extra=None):
    bits = _Bits()
    bits.u(1, 0)
    for side, ratio in ((height, True), (width, False)):
        bits.u(2, 0)
        bits.u(9, side - 1)
        if ratio:
            bits.u(3, 0)
    bits.u(1, 0)  # not everything is as usual
    bits.u(1, int(animation))
    if animation:
        bits.u(3, 0)
        bits.u(1, 0)
        bits.u(1, 0)
        bits.u(1, 1)
        bits.u(2 + 2 + 2 + 1, 0)
    bits.u(1 + 2, 0)  # whole numbers of 8 bits
    bits.u(1, 1)
    bits.u(2, 0 if extra is None else 1)  # no or one further channel
    if extra == "alpha":
        bits.u(1, 1)
    elif extra is not None:
        bits.u(1, 0)
        bits.enum({"premultiplied": 0, "black": 4}[extra])
        bits.u(1 + 2 + 2 + 2, 0)  # whole numbers of 8 bits, of the picture's size, without a name
        if extra == "premultiplied":
            bits.u(1, 1)
    bits.u(1, 0)  # not XYB
    if colours is None:
        bits.u(1, 1)
    else:
        bits.u(2, 0)
        bits.enum(0)
        bits.enum(D65)
        primaries, transfer = colours
        bits.enum(primaries)
        bits.u(1, 0)
        bits.enum(transfer)
        bits.enum(1)
    if animation:
        bits.u(1, 1)  # ordinary tone mapping
    bits.u(2, 0)  # no extensions
    bits.u(1, 1)  # ordinary transforms
    return b"\xff\x0a" + bits.aligned()


def jxl(rgb, colours=None, *, animation=False, extra=None, **options):
    """A picture.

    Args:
        rgb: uint8 (H, W, 3 or 4), H and W from 257 to 512 or no multiple of 8, and in no usual proportion.
        colours: primaries and transfer function by JPEG XL's numbers; None for sRGB.
        animation: call it one; it still has one frame.
        extra: call the fourth channel alpha, premultiplied (an alpha by which the colours are multiplied) or black (ink).
        options: for the encoder.
    """
    plain = pylibjxl.encode(rgb, lossless=True, effort=3, **options)
    height, width = rgb.shape[:2]
    usual = _header(width, height, None, extra=extra and "alpha")
    if "icc" in options:
        return plain
    assert plain.startswith(usual), (plain[:16].hex(), usual.hex())
    return _header(width, height, colours, animation, extra) + plain[len(usual) :]


def boxed(codestream, parts=1):
    """The same in a container, in one box or in several."""
    head = box(b"JXL ", b"\r\n\x87\n") + box(b"ftyp", b"jxl ", bytes(4), b"jxl ")
    if parts == 1:
        return head + box(b"jxlc", codestream)
    size = -(-len(codestream) // parts)
    numbers = [number | (0x80000000 if number == parts - 1 else 0) for number in range(parts)]
    pieces = (codestream[number * size : (number + 1) * size] for number in range(parts))
    return head + b"".join(box(b"jxlp", struct.pack(">I", number), piece) for number, piece in zip(numbers, pieces, strict=True))
