"""Reads a TIFF's directory: what its tags say about the samples, and how many pages there are."""

import io
import struct
from dataclasses import dataclass
from typing import BinaryIO

from PIL import TiffImagePlugin

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES, PLANAR, PREDICTOR = 273, 277, 278, 279, 284, 317
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES, EXTRA_SAMPLES, SAMPLE_FORMAT = 322, 323, 324, 325, 338, 339

MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE, CMYK, YCBCR, LAB = 0, 1, 2, 3, 5, 6, 8
COLOURS = {
    MIN_IS_WHITE: 1,
    MIN_IS_BLACK: 1,
    RGB: 3,
    PALETTE: 1,
    CMYK: 4,
    YCBCR: 3,
    LAB: 3,
}  # number of channels without extra ones
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
SHORT = 3  # the type of a tag with 16 bits
PREMULTIPLIED, ALPHA = 1, 2

MAX_PAGES = 10_000  # a longer chain of directories is not counted to its end


@dataclass(frozen=True)
class Kind:
    """What a TIFF's first directory says about its samples.

    Attributes:
        width: pixels.
        height: pixels.
        photometric: what the samples mean (TIFF 6.0, tag 262); None if the file does not say.
        bits: per channel; 0 if the channels differ.
        sample_format: 1 unsigned, 2 signed, 3 floating point; 0 if the channels differ.
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
        """Whether `tiff` decodes the samples; otherwise Pillow does."""
        return self.bits > 8 or self.sample_format != UNSIGNED

    @property
    def has_alpha(self) -> bool:
        """Whether one of the channels is alpha. An undescribed fourth channel of RGB counts as alpha."""
        undescribed = self.photometric == RGB and self.channels == 4 and not self.extra
        return undescribed or self.extra[:1] in ((PREMULTIPLIED,), (ALPHA,))


Directory = TiffImagePlugin.ImageFileDirectory_v2


def read_directory(file: BinaryIO) -> Directory:
    """The tags of a TIFF's first page. Raises Pillow's errors if they are damaged."""
    file.seek(0)
    head = file.read(16)
    directory = Directory(head if head[2:4] in (b"+\0", b"\0+") else head[:8])
    file.seek(directory.next)
    directory.load(file)
    return directory


def kind_of(directory: Directory) -> Kind:
    """The content of the directory, with the specification's defaults.

    Raises:
        ValueError: width or height is missing.
        TypeError: a tag that should hold a number holds something else.
    """

    def numbers(tag: int, default: tuple[int, ...]) -> tuple[int, ...]:
        value = directory.get(tag, default)
        return tuple(value) if isinstance(value, tuple) else (value,)

    def number(tag: int, default: int) -> int:
        value = numbers(tag, (default,))[0]
        if not isinstance(value, int):
            raise TypeError(f"tag {tag} of the directory is not a number")
        return value

    channels = number(SAMPLES, 1)
    bits, formats = numbers(BITS, (1,)), numbers(SAMPLE_FORMAT, (UNSIGNED,))
    width, height = number(WIDTH, 0), number(HEIGHT, 0)
    if width < 1 or height < 1:
        raise ValueError("the directory names no width and height")
    tiled = TILE_OFFSETS in directory
    return Kind(
        width=width,
        height=height,
        photometric=number(PHOTOMETRIC, 0) if PHOTOMETRIC in directory else None,
        bits=bits[0] if len(set(bits[:channels])) == 1 else 0,
        sample_format=formats[0] if len(set(formats[:channels])) == 1 else 0,
        channels=channels,
        extra=numbers(EXTRA_SAMPLES, ()),
        separate=number(PLANAR, 1) == 2 and channels > 1,
        compression=number(COMPRESSION, 1),
        predictor=number(PREDICTOR, 1),
        reversed_bits=number(FILL_ORDER, 1) == 2,
        tile=(number(TILE_WIDTH, 0), number(TILE_HEIGHT, 0)) if tiled else None,
    )


def page_count(file: BinaryIO, directory: Directory) -> int:
    """How many pages a TIFF has, at most `MAX_PAGES`. Reads only what is needed to get from each directory to the next."""
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
    """Check that the directory lists all strips or tiles. Pillow would leave the missing ones black.

    Raises:
        ValueError: some are missing.
    """
    planes = this.channels if this.separate else 1
    offsets = directory.get(TILE_OFFSETS if this.tile else STRIP_OFFSETS, ())
    if len(offsets) < planes * segment_count(directory, this):
        raise ValueError("strips or tiles are missing from the directory")


def segment_count(directory: Directory, this: Kind) -> int:
    """How many strips or tiles each plane has.

    Raises:
        ValueError: as for `extent`.
    """
    down, across = extent(directory, this)
    return -(-this.height // down) * -(-this.width // across)


def extent(directory: Directory, this: Kind) -> tuple[int, int]:
    """Rows and columns of a strip or tile.

    Raises:
        ValueError: one of them is less than 1.
    """
    down, across = (this.tile[1], this.tile[0]) if this.tile else (int(directory.get(ROWS_PER_STRIP, this.height)), this.width)
    if down < 1 or across < 1:
        raise ValueError("strips or tiles without any extent")
    return down, across


def in_one_plane(file: BinaryIO, directory: Directory, this: Kind) -> BinaryIO:
    """The file, or a copy of it that Pillow reads correctly.

    A file with a single channel may say that each channel is in its own plane, which changes nothing (TIFF 6.0,
    PlanarConfiguration). But Pillow then ignores how many bits the samples have, and that white is 0. The copy says "pixel by
    pixel" instead.
    """
    file.seek(0)
    if this.channels > 1 or directory.get(PLANAR, 1) == 1:
        return file
    whole = file.read()
    order, big, data = "<" if whole[:2] == b"II" else ">", whole[2:4] in (b"+\0", b"\0+"), bytearray(whole)
    count_form, entry_form, length = ("Q", "HHQH", 20) if big else ("H", "HHIH", 12)
    (count,) = struct.unpack_from(order + count_form, data, directory.offset)
    first = directory.offset + struct.calcsize(count_form)
    for at in range(first, first + count * length, length):
        if struct.unpack_from(order + "H", data, at) == (PLANAR,):
            struct.pack_into(order + entry_form, data, at, PLANAR, SHORT, 1, 1)
    return io.BytesIO(data)
