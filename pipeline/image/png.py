"""Writes PNG files (ISO/IEC 15948) fast: every row gets the Up filter, and deflate runs at level 2, strip by strip.

The picture is cut into strips of a fixed size. Each is filtered, deflated and framed as its own IDAT chunk, so that several
threads can make strips, and only compressed data stays in memory. Each strip's deflate stream ends on a byte boundary (sync
flush), so the chunks simply follow each other. The cuts depend only on the picture, so the bytes are the same for any number
of threads. isal deflates several times as fast as zlib, to the same size; if isal is missing, zlib writes the same structure.
"""

import functools
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

deflate: ModuleType
try:
    from isal import isal_zlib as deflate
except ImportError:  # there is no wheel for this machine
    deflate = zlib

STRIP_BYTES = (
    1 << 20
)  # a strip's filtered bytes: large enough that its 32-KB window and tables cost < 0.5 %, small enough to stay in cache
#: isal's level 1 makes files of the same size in the same time, but it is not repeatable: of 5,000 strips that several threads
#: deflated again, 10 had other bytes (isal 1.9.1, on a processor with AVX-512). Levels 0, 2 and 3 had none.
LEVEL = 2
_GREY, _RGB, _RGBA = 0, 2, 6
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_UP = 2  # filter type 2: each byte minus the one above it, modulo 256
_PERCEPTUAL = 0  # sRGB rendering intent
_METRES_PER_INCH = 0.0254
_ADLER_BASE = 65521  # RFC 1950, 8.2


Dpi = tuple[float, float]


def encode_rgba(pixels: NDArray[np.uint8], icc: bytes | None = None, *, dpi: Dpi | None = None, threads: int = 1) -> bytes:
    """Encode a layer.

    Args:
        pixels: uint8 (H, W, 4), alpha not premultiplied; any strides.
        icc: an RGB profile to embed; None writes an sRGB chunk.
        dpi: pixels per inch across and down; None writes nothing about it.
        threads: how many threads deflate; the bytes are the same for any number.

    Returns:
        A PNG file: 8 bits, truecolour with alpha.

    Raises:
        ValueError: the dtype or shape is not the one above, or the picture is empty.
    """
    _must_be(pixels, np.uint8, 4)
    return _encode(pixels, 8, _RGBA, icc, threads, dpi)


def encode_rgb(pixels: NDArray[np.uint8], icc: bytes | None = None, *, dpi: Dpi | None = None, threads: int = 1) -> bytes:
    """Encode an opaque picture, uint8 (H, W, 3); otherwise like `encode_rgba`."""
    _must_be(pixels, np.uint8, 3)
    return _encode(pixels, 8, _RGB, icc, threads, dpi)


def encode_grey16(samples: NDArray[np.uint16], *, threads: int = 1) -> bytes:
    """Encode numbers, uint16 (H, W), as a grey PNG of 16 bits without a colour space, because the values are not colours."""
    _must_be(samples, np.uint16, None)
    # The file has big-endian samples. Seen as bytes, they are ordinary channels for the Up filter.
    swapped = samples.astype(">u2")
    return _encode(swapped.view(np.uint8).reshape(*samples.shape, 2), 16, _GREY, None, threads)


def _must_be(pixels: NDArray[Any], dtype: type, channels: int | None) -> None:
    shape_fits = pixels.ndim == 2 if channels is None else pixels.ndim == 3 and pixels.shape[2] == channels
    if pixels.dtype != dtype or not shape_fits or 0 in pixels.shape:
        raise ValueError(f"cannot encode {pixels.dtype} {pixels.shape}")


def _encode(
    pixels: NDArray[np.uint8], bits: int, colour_type: int, icc: bytes | None, threads: int, dpi: Dpi | None = None
) -> bytes:
    """The whole file; pixels uint8 (H, W, bytes per pixel)."""
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    parts = [_SIGNATURE, _chunk(b"IHDR", header)]
    if icc is not None:
        parts.append(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc, 9)))
    elif colour_type != _GREY:
        parts.append(_chunk(b"sRGB", bytes([_PERCEPTUAL])))
    if dpi is not None:  # pHYs counts pixels per metre (11.3.4.3)
        across, down = (round(each / _METRES_PER_INCH) for each in dpi)
        parts.append(_chunk(b"pHYs", struct.pack(">IIB", across, down, 1)))
    row_bytes = width * pixels.shape[2] + 1
    rows = max(1, STRIP_BYTES // row_bytes)
    starts = range(0, height, rows)
    checksum = 1

    def strip(start: int) -> tuple[bytes, int, int]:
        return _strip(pixels, start, min(start + rows, height))

    for chunk, adler, length in _in_order(strip, starts, threads):
        parts.append(chunk)
        checksum = _adler_of_both(checksum, adler, length)
    # The last deflate block and zlib's checksum of everything go into a chunk of their own.
    parts.append(_chunk(b"IDAT", b"\x03\x00" + struct.pack(">I", checksum)))
    parts.append(_chunk(b"IEND", b""))
    return b"".join(parts)


def _in_order(strip: Callable[[int], tuple[bytes, int, int]], starts: range, threads: int) -> list[tuple[bytes, int, int]]:
    """The strips, made by several threads, in the picture's order."""
    if threads == 1 or len(starts) == 1:
        return [strip(start) for start in starts]
    with ThreadPoolExecutor(min(threads, len(starts))) as pool:
        return list(pool.map(strip, starts))


def _strip(pixels: NDArray[np.uint8], start: int, stop: int) -> tuple[bytes, int, int]:
    """Rows `start` to `stop` as an IDAT chunk, with the Adler-32 and the length of the filtered bytes."""
    rows, row_bytes = stop - start, pixels.shape[1] * pixels.shape[2]
    flat = np.ascontiguousarray(pixels[max(start - 1, 0) : stop]).reshape(-1, row_bytes)
    if not cv2.hasNonZero(flat):
        return _blank_strip(rows, row_bytes, first=start == 0)
    filtered = np.empty((rows, row_bytes + 1), np.uint8)
    filtered[:, 0] = _UP
    if start == 0:  # the row above the first one counts as zeros
        filtered[0, 1:] = flat[0]
    np.subtract(flat[1:], flat[:-1], out=filtered[rows - len(flat) + 1 :, 1:])
    return _deflated(filtered, first=start == 0)


@functools.lru_cache(maxsize=8)
def _blank_strip(rows: int, row_bytes: int, *, first: bool) -> tuple[bytes, int, int]:
    """A strip of zeros below zeros, as `_strip` makes it: layers have many of them."""
    filtered = np.zeros((rows, row_bytes + 1), np.uint8)
    filtered[:, 0] = _UP
    return _deflated(filtered, first=first)


def _deflated(filtered: NDArray[np.uint8], *, first: bool) -> tuple[bytes, int, int]:
    # Raw deflate, because the zlib header comes only once: 0x78 0x01 means 32-KB window, fastest (RFC 1950, 2.2).
    compressor = deflate.compressobj(LEVEL, zlib.DEFLATED, -15)
    data = compressor.compress(filtered) + compressor.flush(zlib.Z_SYNC_FLUSH)
    if first:
        data = b"\x78\x01" + data
    return _chunk(b"IDAT", data), deflate.adler32(filtered), filtered.size


def _chunk(kind: bytes, data: bytes) -> bytes:
    """Length, type, data and CRC-32 of type and data (ISO/IEC 15948, 5.3)."""
    return b"".join((struct.pack(">I", len(data)), kind, data, struct.pack(">I", deflate.crc32(data, deflate.crc32(kind)))))


def _adler_of_both(first: int, second: int, length: int) -> int:
    """The Adler-32 of two consecutive blocks, from both checksums and the second block's `length` (zlib's adler32_combine)."""
    a = (first & 0xFFFF) + (second & 0xFFFF) - 1
    b = (first >> 16) + (second >> 16) + length * ((first & 0xFFFF) - 1)
    return (b % _ADLER_BASE) << 16 | (a % _ADLER_BASE)
