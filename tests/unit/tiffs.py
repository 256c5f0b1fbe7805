"""TIFF files of every kind, built byte by byte (TIFF 6.0 and its technical notes) from the expected numbers."""

import itertools
import lzma
import struct
import zlib

import numpy as np

NONE, LZW, JPEG, DEFLATE, OLD_DEFLATE, PACKBITS, LZMA, ZSTD = 1, 5, 7, 8, 32946, 32773, 34925, 50000
MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE, CMYK, YCBCR, CIELAB, ICCLAB = 0, 1, 2, 3, 5, 6, 8, 9
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
_SHORT, _LONG, _LONG8 = 3, 4, 16
_FORMATS = {UNSIGNED: "u", SIGNED: "i", FLOAT: "f"}


def tiff(
    samples,
    *,
    photometric,
    bits,
    sample_format=UNSIGNED,
    planar=1,
    order="<",
    compression=NONE,
    tile=None,
    rows=None,
    predictor=1,
    extra=(),
    fill_order=1,
    big=False,
    more=(),
):
    """A TIFF of numbers (H, W) or (H, W, C).

    Args:
        samples: the numbers as they are to be stored.
        photometric: what they mean, such as `RGB`.
        bits: per sample, 1 to 64.
        sample_format: `UNSIGNED`, `SIGNED` or `FLOAT`.
        planar: 1 pixel by pixel, 2 each channel by itself.
        order: "<" or ">".
        compression: one of the lossless ones above.
        tile: side of square tiles, a multiple of 16; None for strips.
        rows: per strip; None for one strip.
        predictor: 1 none, 2 differences, 3 differences of floating point bytes.
        extra: what the channels beyond the colours are: 0 unknown, 1 premultiplied alpha, 2 alpha.
        fill_order: 2 for bytes with their bits turned around.
        big: BigTIFF, with 64-bit offsets.
        more: further entries (tag, type, values).
    """
    samples = samples[..., None] if samples.ndim == 2 else samples
    height, width, channels = samples.shape
    down, across = (tile, tile) if tile else (rows or height, width)
    planes = [samples] if planar == 1 else [samples[..., [channel]] for channel in range(channels)]
    segments = []
    for plane, y, x in itertools.product(planes, range(0, height, down), range(0, width, across)):
        block = plane[y : y + down, x : x + across]
        if tile:
            block = np.pad(block, ((0, down - block.shape[0]), (0, across - block.shape[1]), (0, 0)), mode="edge")
        data = _bytes(block, bits, sample_format, order, predictor)
        data = compressed(data, compression)
        if fill_order == 2:
            data = np.packbits(np.unpackbits(np.frombuffer(data, np.uint8)), bitorder="little").tobytes()
        segments.append(data)
    entries = [
        (258, _SHORT, [bits] * channels), (259, _SHORT, [compression]), (262, _SHORT, [photometric]), (277, _SHORT, [channels]),
        (284, _SHORT, [planar]), (339, _SHORT, [sample_format] * channels), *more,
    ]  # fmt: skip
    if fill_order != 1:
        entries.append((266, _SHORT, [fill_order]))
    if predictor != 1:
        entries.append((317, _SHORT, [predictor]))
    if extra:
        entries.append((338, _SHORT, list(extra)))
    return container(segments, width, height, entries, order=order, tile=tile, rows=down, big=big)


def container(segments, width, height, entries, *, order="<", tile=None, rows=None, big=False):
    """A TIFF around strips or tiles that are encoded already."""
    word = _LONG8 if big else _LONG
    at = 16 if big else 8
    offsets = []
    for segment in segments:
        offsets.append(at)
        at += len(segment) + len(segment) % 2
    counts = [len(segment) for segment in segments]
    entries = [(256, _LONG, [width]), (257, _LONG, [height]), *entries]
    if tile:
        entries += [(322, _LONG, [tile]), (323, _LONG, [tile]), (324, word, offsets), (325, word, counts)]
    else:
        entries += [(278, _LONG, [rows or height]), (273, word, offsets), (279, word, counts)]
    entries.sort()
    head = (b"II" if order == "<" else b"MM") + (
        struct.pack(order + "HHHQ", 43, 8, 0, at) if big else struct.pack(order + "HI", 42, at)
    )
    body = b"".join(segment + b"\0" * (len(segment) % 2) for segment in segments)
    count, entry, inline = ("Q", "HHQ", 8) if big else ("H", "HHI", 4)
    size = struct.calcsize(order + count) + len(entries) * (struct.calcsize(order + entry) + inline) + inline
    directory, outside = struct.pack(order + count, len(entries)), b""
    for tag, kind, values in entries:
        data = values if isinstance(values, bytes) else struct.pack(f"{order}{len(values)}{_CODES[kind]}", *values)
        if len(data) <= inline:
            place = data.ljust(inline, b"\0")
        else:
            place = struct.pack(order + ("Q" if big else "I"), at + size + len(outside))
            outside += data + b"\0" * (len(data) % 2)
        directory += struct.pack(order + entry, tag, kind, len(values)) + place
    return head + body + directory + b"\0" * inline + outside


_CODES = {_SHORT: "H", _LONG: "I", _LONG8: "Q"}


def compressed(data, compression):
    """Bytes in one of the lossless compressions."""
    if compression in (DEFLATE, OLD_DEFLATE):
        return zlib.compress(data)
    if compression == LZMA:
        return lzma.compress(data, preset=0)  # a smaller dictionary: the usual 8 MB take longer than all else in a test
    if compression == PACKBITS:
        return b"".join(bytes([len(run) - 1]) + run for run in (data[at : at + 128] for at in range(0, len(data), 128)))
    if compression == LZW:
        return _lzw(data)
    return data


def _lzw(data):
    """LZW without any repetition (TIFF 6.0, section 13): the table is cleared before its codes outgrow 9 bits."""
    codes = []
    for at in range(0, len(data), 250):
        codes += [256, *data[at : at + 250]]
    codes = np.array([*codes, 257], np.uint16)
    return np.packbits(((codes[:, None] >> np.arange(8, -1, -1, dtype=np.uint16)) & 1).astype(np.uint8)).tobytes()


def _bytes(block, bits, sample_format, order, predictor):
    """The bytes of a strip or tile (h, w, c)."""
    height, width, channels = block.shape
    if bits not in (8, 16, 32, 64):
        places = np.arange(bits - 1, -1, -1)
        single = (block.reshape(height, width * channels, 1).astype(np.int64) >> places) & 1
        return np.packbits(single.reshape(height, -1).astype(np.uint8), axis=1).tobytes()
    kind = f"{_FORMATS[sample_format]}{bits // 8}"
    block = block.astype(kind)
    if predictor == 3:
        planes = block.reshape(height, width * channels, 1).astype(">" + kind).view(np.uint8).transpose(0, 2, 1)
        return _differences(planes.reshape(height, -1, channels)).tobytes()
    if predictor == 2:
        block = _differences(block.view(f"u{bits // 8}"))
    return block.astype(order + block.dtype.str[1:]).tobytes()


def _differences(block):
    """Each number less its left neighbour, without carry."""
    out = block.copy()
    out[:, 1:] -= block[:, :-1]
    return out
