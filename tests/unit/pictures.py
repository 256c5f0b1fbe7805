"""Picture files generated for tests, including kinds that Pillow reads but cannot write (16-bit colour)."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

SAMPLES = Path(os.environ.get("SAMPLE_PICTURES", Path(__file__).resolve().parents[3] / "shared" / "samples")).resolve()


def landscape(height=40, width=60):
    """uint8 (H, W, 3): a smooth picture in which every orientation can be recognised."""
    y, x = np.mgrid[:height, :width]
    return np.dstack([x * 255 // max(width - 1, 1), y * 255 // max(height - 1, 1), (x + y) * 255 // (height + width)]).astype(
        np.uint8
    )


def encoded(image, form, **options):
    """The bytes of a file Pillow writes."""
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def exif(orientation):
    """EXIF data that names an orientation."""
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def stored(upright, orientation):
    """The pixels a camera writes with this orientation, so that they come out as `upright` (CIPA DC-008, 4.6.4 A)."""
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }
    return np.ascontiguousarray(undo[orientation](upright))


def chunk(kind, data):
    """A PNG chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png16(samples, *, extra=b""):
    """A 16-bit PNG of uint16 (H, W), (H, W, 2), (H, W, 3) or (H, W, 4); `extra` chunks before the pixels."""
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    height, width = samples.shape[:2]
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    parts = chunk(b"IHDR", header), extra, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def png_header(width, height):
    """A PNG that declares this many pixels and contains none."""
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def tiff16(samples, *, orientation=1, photometric=2, extra=None):
    """An uncompressed 16-bit TIFF of uint16 (H, W, C)."""
    height, width, channels = samples.shape
    data = samples.astype("<u2").tobytes()
    bits_at = 8
    strip_at = bits_at + 2 * channels + (2 * channels) % 4
    entries = [
        (256, 3, 1, width), (257, 3, 1, height), (258, 3, channels, bits_at), (259, 3, 1, 1), (262, 3, 1, photometric),
        (273, 4, 1, strip_at), (274, 3, 1, orientation), (277, 3, 1, channels), (278, 3, 1, height), (279, 4, 1, len(data)),
        (284, 3, 1, 1),
    ]  # fmt: skip
    if extra is not None:
        entries.append((338, 3, 1, extra))
    directory = struct.pack("<H", len(entries))
    for tag, kind, count, value in entries:
        directory += struct.pack("<HHI", tag, kind, count) + value.to_bytes(4, "little")  # short values stand on the left
    bits = struct.pack(f"<{channels}H", *[16] * channels).ljust(strip_at - bits_at, b"\0")
    return b"II*\0" + struct.pack("<I", strip_at + len(data)) + bits + data + directory + b"\0\0\0\0"
