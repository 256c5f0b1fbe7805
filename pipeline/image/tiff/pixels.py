"""Decodes the TIFFs that Pillow would misread or round.

Pillow decodes files with at most 8 bits per channel; deeper ones are decoded here. Pillow still does the decompression: it
returns the bytes of each row as a grey picture that is as wide as the row has bytes. What the bytes mean comes from the
directory: byte order, predictor, separate planes, white as 0, premultiplied alpha. `tests/unit/image/test_tiff.py` compares each
kind with tifffile.
"""

import io
import itertools
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.image.tiff.directory import (
    BITS,
    COLOURS,
    COMPRESSION,
    FLOAT,
    HEIGHT,
    MIN_IS_BLACK,
    MIN_IS_WHITE,
    PHOTOMETRIC,
    PREMULTIPLIED,
    ROWS_PER_STRIP,
    SAMPLES,
    SIGNED,
    STRIP_BYTES,
    STRIP_OFFSETS,
    TILE_BYTES,
    TILE_HEIGHT,
    TILE_OFFSETS,
    TILE_WIDTH,
    UNSIGNED,
    WIDTH,
    Directory,
    Kind,
    extent,
    kind_of,
    segment_count,
)


def read_samples(file: BinaryIO, directory: Directory) -> NDArray[Any]:
    """Decode the samples of a deep TIFF that `tiff_support.refusal` accepts.

    White is the largest value, alpha is not premultiplied, and extra channels other than alpha are left out.

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
    this = kind_of(directory)
    file.seek(0)
    data = file.read()
    planes = [_plane(data, directory, this, number) for number in range(this.channels if this.separate else 1)]
    raw = planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2)
    colours = COLOURS[this.photometric or MIN_IS_WHITE]
    raw = raw[..., : colours + this.has_alpha]
    if this.photometric == MIN_IS_WHITE:
        raw = np.asarray((1 << this.bits) - 1 - raw, raw.dtype)
    if this.has_alpha and this.extra[:1] == (PREMULTIPLIED,) and this.sample_format == UNSIGNED:
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
    letter = {UNSIGNED: "u", SIGNED: "i", FLOAT: "f"}[this.sample_format]
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
    down, across = extent(directory, this)
    count = segment_count(directory, this)
    offsets, sizes = (directory.get(tag) for tag in ((TILE_OFFSETS, TILE_BYTES) if this.tile else (STRIP_OFFSETS, STRIP_BYTES)))
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
    layout = {TILE_WIDTH: (per_tile,), TILE_HEIGHT: (down,), TILE_OFFSETS: offsets, TILE_BYTES: sizes}
    if not this.tile:
        layout = {ROWS_PER_STRIP: (min(down, this.height),), STRIP_OFFSETS: offsets, STRIP_BYTES: sizes}
    entries = {WIDTH: (row,), HEIGHT: (this.height,), BITS: (8,), COMPRESSION: (this.compression,), **layout}
    entries |= {PHOTOMETRIC: (MIN_IS_BLACK,), SAMPLES: (1,)}
    with Image.open(io.BytesIO(_with_directory(data, entries)), formats=["TIFF"]) as image:
        return np.asarray(image)


def _with_directory(data: bytes, entries: dict[int, tuple[int, ...]]) -> bytes:
    """The file with a new first directory appended at its end. Every value in it is a 32-bit number (64-bit in a BigTIFF)."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    word, field_type, inline = ("Q", 16, 8) if big else ("I", 4, 4)
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
            yield struct.pack(f"{order}HH{word}", tag, field_type, len(values)) + place, beyond
            outside += len(beyond)

    directory, outside = zip(*parts(), strict=True)
    head = data[:8] + struct.pack(order + "Q", at) if big else data[:4] + struct.pack(order + "I", at)
    return b"".join((head, data[len(head) :], padding, count, *directory, b"\0" * inline, *outside))
