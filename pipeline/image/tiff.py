"""TIFF: says which kinds are read, and decodes those that Pillow would read wrongly or round.

Pillow decodes files with at most 8 bits per channel. Deeper ones are decoded here. Pillow knows the compressions, so it returns
the bytes of each row as a grey picture that is as wide as the row has bytes. The meaning of the bytes comes from the directory:
byte order, predictor, separate planes, white as 0, premultiplied alpha. `tests/unit/image/test_tiff.py` compares each kind with
tifffile. A kind that is not on the list is refused, because the program could not notice a wrong picture.
"""

import io
import itertools
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 258, 259, 262, 266
_STRIP_OFFSETS, _SAMPLES, _ROWS_PER_STRIP, _STRIP_BYTES, _PLANAR, _PREDICTOR = 273, 277, 278, 279, 284, 317
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_BYTES, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 322, 323, 324, 325, 338, 339

_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB = 0, 1, 2, 3, 5, 6, 8
_COLOURS = {
    _MIN_IS_WHITE: 1,
    _MIN_IS_BLACK: 1,
    _RGB: 3,
    _PALETTE: 1,
    _CMYK: 4,
    _YCBCR: 3,
    _LAB: 3,
}  # number of channels without extra ones
_MEANINGS = {4: "a transparency mask", 9: "ICC Lab", 10: "ITU Lab", 32803: "a camera's colour mosaic", 34892: "linear raw"}
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3
_SHORT = 3  # the type of a tag with 16 bits
_PREMULTIPLIED, _ALPHA = 1, 2

_JPEG = 7
_FAX = (2, 3, 4)
_LOSSLESS = (1, 5, 8, 32946, 32773, 34925, 50000)  # none, LZW, deflate (new, old number), PackBits, LZMA, Zstandard

MAX_PAGES = 10_000  # a longer chain of directories is not counted to its end


@dataclass(frozen=True)
class Kind:
    """What a TIFF's first directory says about its numbers.

    Attributes:
        width: pixels.
        height: pixels.
        photometric: what the numbers mean (TIFF 6.0, tag 262); None if the file does not say.
        bits: of every channel; 0 if they differ.
        sample_format: 1 unsigned, 2 signed, 3 floating point; 0 if they differ.
        channels: per pixel, including extra ones.
        extra: what the channels beyond the colours are (tag 338).
        separate: each channel is in its own plane.
        compression: tag 259.
        predictor: tag 317.
        reversed_bits: the bits of every byte are in reverse order (tag 266).
        tile: width and height of the tiles; None for strips.
    """

    width: int
    height: int
    photometric: int | None
    bits: int
    sample_format: int
    channels: int
    extra: tuple[int, ...]
    separate: bool
    compression: int
    predictor: int
    reversed_bits: bool
    tile: tuple[int, int] | None

    @property
    def deep(self) -> bool:
        """Whether this module decodes the numbers, and not Pillow."""
        return self.bits > 8 or self.sample_format != _UNSIGNED

    @property
    def has_alpha(self) -> bool:
        """Whether one of the channels is alpha. If the fourth of four channels of RGB is not described, it is read as alpha."""
        unsaid = self.photometric == _RGB and self.channels == 4 and not self.extra
        return unsaid or self.extra[:1] in ((_PREMULTIPLIED,), (_ALPHA,))


Directory = TiffImagePlugin.ImageFileDirectory_v2


def read_directory(file: BinaryIO) -> Directory:
    """The tags of a TIFF's first page. Raises Pillow's errors if they are damaged."""
    file.seek(0)
    head = file.read(16)
    directory = Directory(head if head[2:4] in (b"+\0", b"\0+") else head[:8])
    file.seek(directory.next)
    directory.load(file)
    return directory


def kind(directory: Directory) -> Kind:
    """The content of the directory, with the specification's defaults.

    Raises:
        ValueError: width or height is missing.
        TypeError: a number is not a number.
    """

    def numbers(tag: int, default: tuple[int, ...]) -> tuple[int, ...]:
        value = directory.get(tag, default)
        return tuple(value) if isinstance(value, tuple) else (value,)

    def number(tag: int, default: int) -> int:
        value = numbers(tag, (default,))[0]
        if not isinstance(value, int):
            raise TypeError(f"tag {tag} of the directory is not a number")
        return value

    channels = number(_SAMPLES, 1)
    bits, formats = numbers(_BITS, (1,)), numbers(_SAMPLE_FORMAT, (_UNSIGNED,))
    width, height = number(_WIDTH, 0), number(_HEIGHT, 0)
    if width < 1 or height < 1:
        raise ValueError("the directory names no width and height")
    tiled = _TILE_OFFSETS in directory
    return Kind(
        width=width,
        height=height,
        photometric=number(_PHOTOMETRIC, 0) if _PHOTOMETRIC in directory else None,
        bits=bits[0] if len(set(bits[:channels])) == 1 else 0,
        sample_format=formats[0] if len(set(formats[:channels])) == 1 else 0,
        channels=channels,
        extra=numbers(_EXTRA_SAMPLES, ()),
        separate=number(_PLANAR, 1) == 2 and channels > 1,
        compression=number(_COMPRESSION, 1),
        predictor=number(_PREDICTOR, 1),
        reversed_bits=number(_FILL_ORDER, 1) == 2,
        tile=(number(_TILE_WIDTH, 0), number(_TILE_HEIGHT, 0)) if tiled else None,
    )


def refusal(this: Kind, *, numbers: bool) -> str | None:
    """Why a kind of TIFF is not read, as the rest of a sentence that begins with the file's name; None if it is read.

    Args:
        this: the kind.
        numbers: read it as numbers, so that any bit depth, sign and floating point are allowed.
    """
    if this.photometric not in _COLOURS and (this.photometric is not None or this.bits != 1):
        if this.photometric is None:
            return "is a TIFF that does not say what its numbers mean (no PhotometricInterpretation)"
        return f"is a TIFF of {_MEANINGS.get(this.photometric, f'photometric interpretation {this.photometric}')}, not of colours"
    if this.bits == 0 or this.sample_format not in (_UNSIGNED, _SIGNED, _FLOAT):
        return "is a TIFF whose channels are of several kinds or of a kind that is not read"
    colours = _COLOURS[this.photometric or _MIN_IS_WHITE]
    if this.channels != colours + len(this.extra) and not (this.photometric == _RGB and (this.channels, this.extra) == (4, ())):
        return f"is a TIFF with {this.channels} channels, {colours} of them colours, and does not say what the others are"
    return _deep_refusal(this, numbers=numbers) if this.deep else _shallow_refusal(this)


def _deep_refusal(this: Kind, *, numbers: bool) -> str | None:
    """`refusal` for what this module decodes."""
    if this.sample_format == _FLOAT:
        known = this.bits in (16, 32, 64)
    else:
        known = this.bits in (8, 16, 32) or (this.sample_format == _UNSIGNED and 8 < this.bits < 16)
    if not known:
        return f"has {this.bits} bits per channel, which is not read"
    if not numbers and this.bits > 16:
        return f"has {this.bits} bits per channel; only pictures with 8 or 16 bits are layered"
    if not numbers and this.sample_format != _UNSIGNED:
        what = "numbers with a sign" if this.sample_format == _SIGNED else "floating-point numbers"
        return f"is a TIFF of {what}; only pictures of whole numbers without a sign are layered"
    if this.compression not in _LOSSLESS:
        return f"is a TIFF with {this.bits} bits per channel in compression {this.compression}, which is not read"
    if this.predictor not in ((1, 2, 3) if this.sample_format == _FLOAT else (1, 2)) or (
        this.predictor == 2 and 8 < this.bits < 16
    ):
        return f"is a TIFF with {this.bits} bits per channel and predictor {this.predictor}, which is not read"
    if this.reversed_bits:
        return f"is a TIFF with {this.bits} bits per channel in bytes that are turned around (FillOrder 2), which is not read"
    if this.photometric not in (_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB, _CMYK):
        return f"is a palette, YCbCr or Lab TIFF with {this.bits} bits per channel, which is not read"
    if this.photometric == _MIN_IS_WHITE and (this.sample_format != _UNSIGNED or this.has_alpha):
        return "is a TIFF in which white is 0, with a sign, floating point or transparency, which is not read"
    if this.photometric == _CMYK and this.has_alpha:
        return "is a CMYK TIFF with transparency, which is not read"
    return None


def _shallow_refusal(this: Kind) -> str | None:
    """`refusal` for what Pillow decodes."""
    if this.bits not in (1, 2, 4, 8):
        return f"has {this.bits} bits per channel, which is not read"
    if this.bits < 8 and this.channels > 1:
        return f"is a TIFF with {this.channels} channels of {this.bits} bits, which is not read"
    if this.compression == _JPEG:
        fits = this.bits == 8 and not this.separate and this.photometric in (_MIN_IS_BLACK, _RGB, _YCBCR) and not this.extra
    elif this.compression in _FAX:
        fits = this.bits == 1 and this.photometric in (None, _MIN_IS_WHITE, _MIN_IS_BLACK)
    else:
        fits = this.compression in _LOSSLESS and this.photometric != _YCBCR
    if not fits:
        return f"is a TIFF in compression {this.compression} with colours that are not read in it"
    if this.reversed_bits and (this.bits == 8 or this.tile):
        return "is a TIFF in bytes that are turned around (FillOrder 2), which is not read"
    if this.predictor not in (1, 2) or (this.predictor == 2 and this.bits != 8):
        return f"is a TIFF with {this.bits} bits per channel and predictor {this.predictor}, which is not read"
    return _channels_refusal(this)


def _channels_refusal(this: Kind) -> str | None:
    """`refusal` because of the channels, for what Pillow decodes."""
    whole = {
        _MIN_IS_WHITE: ((),),
        _MIN_IS_BLACK: ((), (0,), (_PREMULTIPLIED,), (_ALPHA,)),
        _RGB: ((), (0,), (_PREMULTIPLIED,), (_ALPHA,), (_ALPHA, 0), (_PREMULTIPLIED, 0)),
        _CMYK: ((), (0,)),
    }
    apart = {_RGB: ((), (_ALPHA,)), _CMYK: ((),), _LAB: ()}  # Pillow drops the signs of Lab
    allowed = (apart if this.separate else whole).get(this.photometric or _MIN_IS_WHITE, ((),))
    unsaid = this.separate and this.channels > _COLOURS[this.photometric or _MIN_IS_WHITE] and not this.extra
    if this.extra not in allowed or unsaid:
        return "is a TIFF with further channels of a kind that is not read"
    return None


def pages(file: BinaryIO, directory: Directory) -> int:
    """How many pages a TIFF has, at most `MAX_PAGES`. Reads only where each directory says the next one is."""
    file.seek(0)
    head = file.read(4)
    order = "<" if head[:2] == b"II" else ">"
    count_form, entry, next_form = ("Q", 20, "Q") if head[2:4] in (b"+\0", b"\0+") else ("H", 12, "I")
    seen = {directory.offset}
    following = directory.next
    while following and following not in seen and len(seen) < MAX_PAGES:
        file.seek(following)
        count = file.read(struct.calcsize(count_form))
        if len(count) < struct.calcsize(count_form):
            break
        seen.add(following)
        file.seek(struct.unpack(order + count_form, count)[0] * entry, io.SEEK_CUR)
        after = file.read(struct.calcsize(next_form))
        following = struct.unpack(order + next_form, after)[0] if len(after) == struct.calcsize(next_form) else 0
    return len(seen)


def check_segments(directory: Directory, this: Kind) -> None:
    """Check that the directory lists all strips or tiles: Pillow would leave the rest of the picture black.

    Raises:
        ValueError: some are missing.
    """
    planes = this.channels if this.separate else 1
    offsets = directory.get(_TILE_OFFSETS if this.tile else _STRIP_OFFSETS, ())
    if len(offsets) < planes * _segments(directory, this):
        raise ValueError("strips or tiles are missing from the directory")


def _segments(directory: Directory, this: Kind) -> int:
    """How many strips or tiles each plane has.

    Raises:
        ValueError: they have no extent.
    """
    down, across = _extent(directory, this)
    return -(-this.height // down) * -(-this.width // across)


def _extent(directory: Directory, this: Kind) -> tuple[int, int]:
    """Rows and columns of a strip or tile."""
    down, across = (this.tile[1], this.tile[0]) if this.tile else (int(directory.get(_ROWS_PER_STRIP, this.height)), this.width)
    if down < 1 or across < 1:
        raise ValueError("strips or tiles without any extent")
    return down, across


def in_one_plane(file: BinaryIO, directory: Directory, this: Kind) -> BinaryIO:
    """The file, or a copy of it that Pillow reads correctly.

    For a single channel, "each channel in its own plane" means nothing (TIFF 6.0, PlanarConfiguration). Pillow then forgets how
    many bits the numbers have, and that white is 0. The copy says "pixel by pixel".
    """
    file.seek(0)
    if this.channels > 1 or directory.get(_PLANAR, 1) == 1:
        return file
    whole = file.read()
    order, big, data = "<" if whole[:2] == b"II" else ">", whole[2:4] in (b"+\0", b"\0+"), bytearray(whole)
    count_form, entry_form, length = ("Q", "HHQH", 20) if big else ("H", "HHIH", 12)
    (count,) = struct.unpack_from(order + count_form, data, directory.offset)
    first = directory.offset + struct.calcsize(count_form)
    for at in range(first, first + count * length, length):
        if struct.unpack_from(order + "H", data, at) == (_PLANAR,):
            struct.pack_into(order + entry_form, data, at, _PLANAR, _SHORT, 1, 1)
    return io.BytesIO(data)


def samples(file: BinaryIO, directory: Directory) -> NDArray[Any]:
    """The numbers of a deep TIFF whose kind is not refused, with their true meaning.

    White is the largest number, alpha is not premultiplied, and extra channels other than alpha are left out.

    Args:
        file: the whole file.
        directory: its first directory.

    Returns:
        (H, W, C) with C = colours and alpha, not yet upright: uint16 for 9 to 16 unsigned bits; otherwise int8, int16, uint32,
        int32, float16, float32 or float64 as in the file.

    Raises:
        EOFError: the file ends before its last strip or tile does.
        ValueError, OSError: it is damaged.
    """
    this = kind(directory)
    file.seek(0)
    data = file.read()
    planes = [_plane(data, directory, this, number) for number in range(this.channels if this.separate else 1)]
    raw = planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2)
    colours = _COLOURS[this.photometric or _MIN_IS_WHITE]
    raw = raw[..., : colours + this.has_alpha]
    if this.photometric == _MIN_IS_WHITE:
        raw = np.asarray((1 << this.bits) - 1 - raw, raw.dtype)
    if this.has_alpha and this.extra[:1] == (_PREMULTIPLIED,) and this.sample_format == _UNSIGNED:
        raw = _divided(raw, (1 << this.bits) - 1)
    return np.ascontiguousarray(raw)


def _divided(raw: NDArray[Any], top: int) -> NDArray[Any]:
    """Undo premultiplied alpha, which is the last channel of (H, W, C); colours are 0 where alpha is 0."""
    alpha = raw[..., -1:].astype(np.float64)
    out = raw.copy()
    out[..., :-1] = np.rint(np.minimum(raw[..., :-1] * (top / np.maximum(alpha, 1.0)), top))
    return out


def _plane(data: bytes, directory: Directory, this: Kind, number: int) -> NDArray[Any]:
    """One plane (H, W, C) of numbers; C is 1 for separate planes, otherwise the number of channels."""
    channels = 1 if this.separate else this.channels
    width = this.width
    if this.tile:  # rounded up to whole tiles: only complete tiles can be decoded
        width = -(-width // this.tile[0]) * this.tile[0]
    run = this.tile[0] if this.tile else width
    rows = _bytes(data, directory, this, number, -(-width * channels * this.bits // 8))
    order = "<" if data[:2] == b"II" else ">"
    # A predictor starts again with every tile.
    tiles = np.split(rows, width // run, axis=1) if this.tile else [rows]
    numbers = [_numbers(tile, this, order, run, channels) for tile in tiles]
    whole = numbers[0] if len(numbers) == 1 else np.concatenate(numbers, axis=1)
    return whole[:, : this.width]


def _numbers(rows: NDArray[np.uint8], this: Kind, order: str, width: int, channels: int) -> NDArray[Any]:
    """The numbers (H, W, C) in the bytes (H, n) of the rows."""
    height = rows.shape[0]
    if 8 < this.bits < 16:  # packed, highest bit first; rows are padded to whole bytes
        single = np.unpackbits(np.ascontiguousarray(rows), axis=1)[:, : width * channels * this.bits]
        single = single.reshape(height, width, channels, this.bits)
        packed = np.zeros((height, width, channels), np.uint16)
        for bit in range(this.bits):
            packed = packed << np.uint16(1) | single[..., bit]
        return packed
    size = this.bits // 8
    letter = {_UNSIGNED: "u", _SIGNED: "i", _FLOAT: "f"}[this.sample_format]
    native = np.dtype(f"{letter}{size}")
    if this.predictor == 3:  # Adobe Photoshop TIFF technical note 3: byte differences, all high bytes first
        summed = np.cumsum(rows.reshape(height, -1, channels), axis=1, dtype=np.uint8)
        planes = summed.reshape(height, size, width * channels)
        return (
            np.ascontiguousarray(planes.transpose(0, 2, 1))
            .view(f">{letter}{size}")
            .reshape(height, width, channels)
            .astype(native)
        )
    whole = np.ascontiguousarray(rows).view(f"{order}u{size}").reshape(height, width, channels)
    whole = whole.astype(f"u{size}")
    if this.predictor == 2:
        whole = np.cumsum(whole, axis=1, dtype=whole.dtype)
    return whole.view(native)


def _bytes(data: bytes, directory: Directory, this: Kind, number: int, row: int) -> NDArray[np.uint8]:
    """The decompressed bytes of a plane, uint8 (H, row)."""
    down, across = _extent(directory, this)
    count = _segments(directory, this)
    offsets, sizes = (
        directory.get(tag) for tag in ((_TILE_OFFSETS, _TILE_BYTES) if this.tile else (_STRIP_OFFSETS, _STRIP_BYTES))
    )
    if offsets is None or len(offsets) < count * (number + 1):
        raise ValueError("strips or tiles are missing from the directory")
    offsets = offsets[count * number : count * (number + 1)]
    per_tile = row * across // (-(-this.width // across) * across) if this.tile else row
    if sizes is None or len(sizes) < count * (number + 1):
        if this.compression != 1:
            raise ValueError("the directory does not say how long strips or tiles are")
        sizes = (per_tile * min(down, this.height),) * count
    else:
        sizes = sizes[count * number : count * (number + 1)]
    ends = itertools.starmap(int.__add__, zip(offsets, sizes, strict=True))
    if max(ends) > len(data):
        raise EOFError("truncated: a strip or tile ends behind the file")
    layout = {_TILE_WIDTH: (per_tile,), _TILE_HEIGHT: (down,), _TILE_OFFSETS: offsets, _TILE_BYTES: sizes}
    if not this.tile:
        layout = {_ROWS_PER_STRIP: (min(down, this.height),), _STRIP_OFFSETS: offsets, _STRIP_BYTES: sizes}
    entries = {_WIDTH: (row,), _HEIGHT: (this.height,), _BITS: (8,), _COMPRESSION: (this.compression,), **layout}
    entries |= {_PHOTOMETRIC: (_MIN_IS_BLACK,), _SAMPLES: (1,)}
    with Image.open(io.BytesIO(_with_directory(data, entries)), formats=["TIFF"]) as image:
        return np.asarray(image)


def _with_directory(data: bytes, entries: dict[int, tuple[int, ...]]) -> bytes:
    """The file with another first directory, appended at its end, with every value as a 32- or 64-bit number."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    word, kind_of, inline = ("Q", 16, 8) if big else ("I", 4, 4)
    padding = b"\0" * (-len(data) % 8)
    at = len(data) + len(padding)
    count = struct.pack(order + ("Q" if big else "H"), len(entries))
    outside_at = at + len(count) + len(entries) * (20 if big else 12) + inline

    def parts() -> Iterator[tuple[bytes, bytes]]:
        outside = outside_at
        for tag, values in sorted(entries.items()):
            packed = struct.pack(f"{order}{len(values)}{word}", *values)
            place = packed if len(values) == 1 else struct.pack(order + word, outside)
            beyond = packed if len(values) > 1 else b""
            yield struct.pack(f"{order}HH{word}", tag, kind_of, len(values)) + place, beyond
            outside += len(beyond)

    directory, outside = zip(*parts(), strict=True)
    head = data[:8] + struct.pack(order + "Q", at) if big else data[:4] + struct.pack(order + "I", at)
    return b"".join((head, data[len(head) :], padding, count, *directory, b"\0" * inline, *outside))
