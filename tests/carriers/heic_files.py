"""Writes HEIC files byte by byte: containers (ISO/IEC 14496-12, 23008-12) around pictures in HEVC without loss.

There is no encoder. Each block of 32 × 32 pixels is stored as it is (`pcm_flag`, ITU-T H.265, 7.3.8.7), in 4:4:4 and with the
identity matrix, so a decoder returns exactly these pixels.
"""

import math
import re
import struct

import numpy as np

CTB = 32
#: Column 3 of table 9-52 of H.265, rangeTabLps: no other is needed here.
_LPS = bytes.fromhex(
    "f0e3d8cdc3b9afa69e968e87807a746e68635e5955504c4845413e3b383532302d2b29272523211f1e1c1b191817161514131211100f0e0e0d0c0c0b0b0a09"
)


class _Bits:
    def __init__(self):
        self.text = []

    def u(self, count, value):
        self.text.append(format(value, f"0{count}b"))

    def ue(self, *values):
        for value in values:
            digits = format(value + 1, "b")
            self.text.append("0" * (len(digits) - 1) + digits)

    def flags(self, digits):
        self.text.append(digits)

    def aligned(self):
        text = "".join(self.text) + "1"
        text += "0" * (-len(text) % 8)
        return int(text, 2).to_bytes(len(text) // 8, "big")


def _nal(kind, payload):
    return bytes([kind << 1, 1]) + re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", payload)


def _profile(bits):
    bits.u(8, 4)  # format range extensions
    bits.u(32, 1 << 27)
    bits.flags("1001" + "0" * 44)
    bits.u(8, 180)


def _parameter_sets(width, height, depth, chroma):
    vps, sps, pps = _Bits(), _Bits(), _Bits()
    vps.u(16, 0b0000_11_000000_000_1)
    vps.u(16, 0xFFFF)
    _profile(vps)
    vps.flags("1")
    vps.ue(0, 0, 0)
    vps.u(6, 0)
    vps.ue(0)
    vps.flags("00")
    sps.u(8, 1)
    _profile(sps)
    wide, high = -(-width // CTB) * CTB, -(-height // CTB) * CTB
    sps.ue(0, chroma)
    sps.flags("0" if chroma == 3 else "")
    sps.ue(wide, high)
    sps.flags("1")
    sps.ue(0, wide - width, 0, high - height)
    sps.ue(depth - 8, depth - 8, 0)
    sps.flags("1")
    sps.ue(0, 0, 0)
    sps.ue(2, 0, 0, 3, 0, 0)  # coding blocks of 32, transform blocks of 4 to 32
    sps.flags("0001")
    sps.u(4, depth - 1)
    sps.u(4, depth - 1)
    sps.ue(2, 0)
    sps.flags("1")
    sps.ue(0)
    sps.flags("00000")
    pps.ue(0, 0)
    pps.flags("0000000")
    pps.ue(0, 0, 0)
    pps.flags("000")
    pps.ue(0, 0)
    pps.flags("00000001" + "01" + "00")
    pps.ue(0)
    pps.flags("00")
    return [_nal(kind, each.aligned()) for kind, each in ((32, vps), (33, sps), (34, pps))]


def _slice(planes, depth):
    """All blocks of planes (3 or 1, H, W) whose sides are multiples of `CTB`."""
    head = _Bits()
    head.flags("10")
    head.ue(0, 2)
    head.ue(0)
    out = [head.aligned()]
    count, height, width = planes.shape
    blocks = planes.reshape(count, height // CTB, CTB, width // CTB, CTB).transpose(1, 3, 0, 2, 4)
    blocks = blocks.reshape(-1, count * CTB * CTB)
    if depth == 8:
        stored = blocks.astype(np.uint8)
    else:
        digits = (blocks[..., None] >> np.arange(depth - 1, -1, -1)) & 1
        stored = np.packbits(digits.astype(np.uint8).reshape(len(blocks), -1), axis=1)
    size, state = 510, 0
    for block in stored:
        size -= _LPS[state]  # part_mode is 1, the more probable value: the low end stays at 0
        state = min(state + 1, 62)
        out.append(_flushed(size - 2))  # pcm_flag
        out.append(block.tobytes())
        size = 508  # after end_of_slice_segment_flag, 0
    out.append(_flushed(508))
    return _nal(20, b"".join(out))


def _flushed(low):
    """What the arithmetic coder writes for a final 1 (9.3.4.9), when all before it left its low end at 0."""
    # Renormalising by 7 bits writes bits 9 to 3 of the low end (the first bit is never written), then follow two and a 1.
    text = format(low, "010b")[1:9] + "1"
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def box(kind, *content):
    data = b"".join(content)
    return struct.pack(">I4s", 8 + len(data), kind) + data


def full_box(kind, *content, version=0, flags=0):
    return box(kind, struct.pack(">I", version << 24 | flags), *content)


def _configuration(sets, depth, chroma):
    """The decoder's configuration (ISO/IEC 14496-15, 8.3.3.1.2)."""
    head = bytes([1, 4]) + struct.pack(">I", 1 << 27) + b"\x90" + bytes(5) + bytes([180])
    head += struct.pack(">HBBBBHBB", 0xF000, 0xFC, 0xFC | chroma, 0xF8 | depth - 8, 0xF8 | depth - 8, 0, 0x0F, 3)
    return box(b"hvcC", head, *(struct.pack(">BHH", 0x80 | each[0] >> 1, 1, len(each)) + each for each in sets))


def nclx(primaries=1, transfer=13):
    """Colours by numbers; the matrix is the identity, and the range is full."""
    return box(b"colr", b"nclx", struct.pack(">HHHB", primaries, transfer, 0, 0x80))


def irot(quarters):
    return box(b"irot", bytes([quarters]))


def imir(axis):
    return box(b"imir", bytes([axis]))


#: orientation → the properties that say the same
TURNS = {
    1: [],
    2: [imir(1)], 3: [irot(2)], 4: [imir(0)], 6: [irot(3)], 8: [irot(1)],
    5: [irot(1), imir(0)], 7: [irot(1), imir(1)],
}  # fmt: skip


def intrinsics(focal, x, y, shift=20):
    """Focal length and the principal point's x as fractions of the width, y of the height."""
    return full_box(b"cmin", struct.pack(">iii", *(round(each * (1 << shift)) for each in (focal, x, y))), flags=shift << 8)


def position(x_micrometres):
    return full_box(b"cmex", struct.pack(">i", x_micrometres), flags=1)


def without_loss(pixels, depth):
    """A picture as HEVC: parameter sets (VPS, SPS, PPS), and the other NAL units."""
    planes = pixels.transpose(2, 0, 1)[[1, 2, 0]] if pixels.ndim == 3 else pixels[None]  # the identity matrix: green, blue, red
    count, height, width = planes.shape
    padded = np.pad(planes, ((0, 0), (0, -height % CTB), (0, -width % CTB)), mode="edge")
    return _parameter_sets(width, height, depth, 3 if count == 3 else 0), [_slice(padded.astype(np.int64), depth)]


def heic(*pictures, primary=1, groups=b"", exif=b"", auxiliary=(), brand=b"heix", coder=without_loss):
    """A HEIC file.

    Args:
        pictures: (pixels, depth in bits, properties); pixels uint8 or uint16, (H, W, 3) or grey (H, W). Items are
            numbered from 1.
        primary: the main picture's number.
        groups: boxes of entity groups.
        exif: EXIF data of the main picture.
        auxiliary: numbers of the pictures that are auxiliary to the main one.
        brand: the major one.
        coder: of all pictures but the first, another one than `without_loss`.
    """
    properties, associations, infos, payloads, references = [], b"", b"", [], b""
    for number, (pixels, depth, extra) in enumerate(pictures, 1):
        height, width = pixels.shape[:2]
        chroma = 3 if pixels.ndim == 3 else 0
        sets, units = (coder if number > 1 else without_loss)(pixels, depth)
        own = [
            _configuration(sets, depth, chroma),
            full_box(b"ispe", struct.pack(">II", width, height)),
            full_box(b"pixi", bytes([max(chroma, 1), *[depth] * max(chroma, 1)])),
            *extra,
        ]
        properties += own
        numbers = [len(properties) - len(own) + place + 1 for place in range(len(own))]
        associations += struct.pack(">HB", number, len(own)) + bytes([numbers[0] | 0x80, *numbers[1:]])  # essential: the first
        infos += full_box(b"infe", struct.pack(">HH", number, 0), b"hvc1", b"\0", version=2)
        payloads.append(b"".join(struct.pack(">I", len(unit)) + unit for unit in units))
    if exif:
        payloads.append(struct.pack(">I", 0) + exif)
        infos += full_box(b"infe", struct.pack(">HH", len(payloads), 0), b"Exif", b"\0", version=2)
        references += box(b"cdsc", struct.pack(">HHH", len(payloads), 1, primary))
    references += b"".join(box(b"auxl", struct.pack(">HHH", number, 1, primary)) for number in auxiliary)
    count = len(payloads)

    def meta(start):
        locations, at = b"", start
        for number, data in enumerate(payloads, 1):
            locations += struct.pack(">HHHII", number, 0, 1, at, len(data))
            at += len(data)
        return full_box(
            b"meta",
            full_box(b"hdlr", bytes(4), b"pict", bytes(13)),
            full_box(b"pitm", struct.pack(">H", primary)),
            full_box(b"iinf", struct.pack(">H", count), infos),
            full_box(b"iref", references) if references else b"",
            box(b"iprp", box(b"ipco", *properties), full_box(b"ipma", struct.pack(">I", len(pictures)), associations)),
            full_box(b"iloc", b"\x44\0", struct.pack(">H", count), locations),
            box(b"grpl", groups) if groups else b"",
        )

    ftyp = box(b"ftyp", brand, bytes(4), b"mif1", b"heic", brand)
    size = len(ftyp) + len(meta(0)) + 8
    return ftyp + meta(size) + box(b"mdat", *payloads)


def stereo_group(left, right):
    """An entity group that says which items are the left and the right eye's views."""
    return full_box(b"ster", struct.pack(">IIII", 100, 2, left, right))


def spatial(left, right, *, primary=1, focal=0.8, baseline=0.0192, calibrated=True, extra=()):
    """A spatial photo as an iPhone writes it: item 1 is the left view."""
    about = [[intrinsics(focal, 0.5, 0.5), position(round(each * 1e6))] if calibrated else [] for each in (0.0, baseline)]
    views = [(view, 8, [nclx(), *given, *extra]) for view, given in zip((left, right), about, strict=True)]
    return heic(*views, primary=primary, groups=stereo_group(1, 2))


def _element(value):
    """A number of a depth representation SEI message (H.265, G.14.2.6): sign, exponent, and a mantissa of 32 bits."""
    fraction, exponent = math.frexp(abs(value))
    mantissa = round((fraction * 2 - 1) * (1 << 32)) if value else 0
    return f"{int(value < 0)}{exponent - 1 + 31 if value else 0:07b}{31:05b}{min(mantissa, (1 << 32) - 1):032b}"


def depth_property(low, high):
    """Says that a picture is depth, and between which disparities its numbers lie (ISO/IEC 23008-12, 6.11.3)."""
    bits = _Bits()
    bits.flags("0011")  # d_min and d_max
    bits.ue(1, 0)  # disparity; of the first view
    bits.flags(_element(low) + _element(high))
    payload = bits.aligned()
    message = _nal(39, bytes([177, len(payload)]) + payload + b"\x80")
    subtypes = struct.pack(">I", 4 + len(message)) + struct.pack(">I", len(message)) + message
    return full_box(b"auxC", b"urn:mpeg:hevc:2015:auxid:2\0", subtypes)


#: what a picture beside the photo shows → its type, as Apple writes it
URNS = {
    "portrait": b"urn:com:apple:photo:2018:aux:portraiteffectsmatte",
    "hair": b"urn:com:apple:photo:2019:aux:semantichairmatte",
    "skin": b"urn:com:apple:photo:2019:aux:semanticskinmatte",
    "sky": b"urn:com:apple:photo:2020:aux:semanticskymatte",
    "gain map": b"urn:com:apple:photo:2020:aux:hdrgainmap",
}


def portrait(rgb, depth, low, high, turn=(), beside=None, **options):
    """A phone's portrait: the photo, disparity from `low` to `high`, and pictures by the keys of `URNS`; all with one turn."""
    others = [] if depth is None else [(depth, 8, [depth_property(low, high), *turn])]
    others += [(grey, 8, [full_box(b"auxC", URNS[shown] + b"\0"), *turn]) for shown, grey in (beside or {}).items()]
    return heic((rgb, 8, [nclx(), *turn]), *others, auxiliary=range(2, 2 + len(others)), **options)
