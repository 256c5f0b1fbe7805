"""Decodes the merged picture of a Photoshop document (PSD, and PSB for large ones), after Adobe's file format specification.

Photoshop stores the merged picture behind the layers, unless "Maximize Compatibility" is off. Layers are not read.
"""

import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from daemon.contract.messages import Limits
from daemon.errors import ImageType
from pipeline.image.colour import convert
from pipeline.image.decoders.decoded import Decoded, usable_dpi
from pipeline.image.source_file import check_limits, display_name

_GREY, _INDEXED, _RGB, _CMYK, _DUOTONE, _LAB = 1, 2, 3, 4, 8, 9
_COLOURS: dict[int, tuple[convert.Mode, int]] = {
    _GREY: ("L", 1), _INDEXED: ("RGB", 1), _RGB: ("RGB", 3), _CMYK: ("CMYK", 4), _DUOTONE: ("L", 1), _LAB: ("LAB", 3),
}  # fmt: skip
_MODES = {0: "bitmap", 7: "multichannel"}
_RESOLUTION, _ICC_PROFILE, _VERSION_INFO = 1005, 1039, 1057
_RAW, _PACKBITS = 0, 1
_SAVE_AS = (
    "In Photoshop, choose RGB Color and 8 or 16 Bits/Channel in the menu Image, Mode, save it, and drop it again; or export it "
    "as PNG or TIFF, and drop that."
)
_EXPORT = "Export it as PNG or TIFF, and drop that."
_MAX_RESOURCES = 10_000


@dataclass(frozen=True)
class _Header:
    """The first 26 bytes."""

    is_big: bool
    channels: int
    height: int
    width: int
    bits: int
    mode: int


def decode(path: bytes, file: BinaryIO, limits: Limits) -> Decoded:
    """Decode the merged picture.

    Raises:
        ImageType: a kind that is not read, or there is no merged picture.
        ImageTooLarge: above the limits.
        EOFError, ValueError, struct.error: cut off, or damaged.
    """
    head = _header(_read(file, 26))
    check_limits(path, limits, pixels=(head.width, head.height))
    why = _refusal(head)
    if why is not None:
        raise ImageType(f"{display_name(path)} is a Photoshop document {why}, which is not read.", hint=_SAVE_AS)
    palette = _read(file, _length(file))
    resources = _resources(_read(file, _length(file)))
    if resources.get(_VERSION_INFO, b"\0\0\0\0\1")[4:5] == b"\0":
        raise ImageType(
            f"{display_name(path)} is a Photoshop document without a merged picture.",
            hint="Save it again with “Maximize Compatibility” (Photoshop, Settings, File Handling) and drop it again.",
        )
    mode, colours = _COLOURS[head.mode]
    has_alpha = _merged_alpha(file, is_big=head.is_big) and head.channels > colours
    planes = _planes(file, head, colours + has_alpha)
    if planes is None:
        raise ImageType(f"{display_name(path)} is a Photoshop document in a compression that is not read.", hint=_EXPORT)
    if head.mode == _INDEXED:
        table = np.frombuffer(palette[:768].ljust(768, b"\0"), np.uint8).reshape(3, 256).T
        return _decoded(table[planes[0]], mode, resources, head, has_alpha=False)
    pixels = np.dstack(planes) if len(planes) > 1 else planes[0]
    if head.mode == _CMYK:  # 0 is full ink here
        pixels = np.iinfo(pixels.dtype).max - pixels
    if head.mode == _LAB:
        pixels[..., 1:] ^= 0x80  # a and b are stored with an offset of 128, and Pillow has them with a sign
    if has_alpha:
        pixels = _without_white(pixels, planes[-1])
    return _decoded(pixels, mode, resources, head, has_alpha=bool(has_alpha))


def _decoded(pixels: NDArray[Any], mode: convert.Mode, resources: dict[int, bytes], head: _Header, *, has_alpha: bool) -> Decoded:
    icc, resolution = resources.get(_ICC_PROFILE) or None, resources.get(_RESOLUTION, b"")
    # Pixels per inch are in 16.16 fixed point, whatever unit is shown.
    dpi = usable_dpi([each / 65536 for each in struct.unpack(">I4xI4x", resolution)]) if len(resolution) == 16 else None
    return Decoded(np.ascontiguousarray(pixels), mode, has_alpha, icc, head.bits, "PSD", dpi=dpi)


def _header(data: bytes) -> _Header:
    _, version, channels, height, width, bits, mode = struct.unpack(">4sH6xHIIHH", data)
    if version not in (1, 2) or not 1 <= channels <= 56 or 0 in (height, width):
        raise ValueError("the header is damaged")
    return _Header(version == 2, channels, height, width, bits, mode)


def _refusal(head: _Header) -> str | None:
    """Why a document is not read, as a part of a sentence; None if it is read."""
    if head.mode not in _COLOURS:
        return f"in {_MODES.get(head.mode, 'an unknown')} mode"
    most = 8 if head.mode in (_INDEXED, _LAB) else 16
    if head.bits not in (8, most):
        return f"with {head.bits} bits per channel" + (" in Lab" if head.mode == _LAB else "")
    return "with too few channels" if head.channels < _COLOURS[head.mode][1] else None


def _read(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise EOFError("truncated: the file ends early")
    return data


def _length(file: BinaryIO, *, is_big: bool = False) -> int:
    return int.from_bytes(_read(file, 8 if is_big else 4), "big")


def _resources(data: bytes) -> dict[int, bytes]:
    """The image resources by their numbers."""
    found: dict[int, bytes] = {}
    at = 0
    for _ in range(_MAX_RESOURCES):
        if data[at : at + 4] != b"8BIM" or len(data) < at + 12:
            break
        (number,) = struct.unpack_from(">H", data, at + 4)
        at += 6 + (data[at + 6] + 2) // 2 * 2  # the name, with its length, is padded to an even size
        size = int.from_bytes(data[at : at + 4], "big")
        found.setdefault(number, data[at + 4 : at + 4 + size])
        at += 4 + size + size % 2
    return found


def _merged_alpha(file: BinaryIO, *, is_big: bool) -> bool:
    """Whether the first channel after the colours is the merged picture's transparency. Goes to the end of the layers."""
    size = _length(file, is_big=is_big)
    start = file.tell()
    width = 8 if is_big else 4
    head = file.read(min(size, width + 2))
    file.seek(start + size)
    # A negative number of layers says so.
    return len(head) == width + 2 and struct.unpack(">h", head[width:])[0] < 0


def _planes(file: BinaryIO, head: _Header, wanted: int) -> list[NDArray[Any]] | None:
    """The first `wanted` channels, uint8 or uint16 (H, W) each; None if their compression is not known."""
    row = head.width * head.bits // 8
    compression = int.from_bytes(_read(file, 2), "big")
    if compression == _RAW:
        rows = [_read(file, row * head.height) for _ in range(wanted)]
    elif compression == _PACKBITS:
        form = ">u4" if head.is_big else ">u2"
        counts = np.frombuffer(_read(file, head.channels * head.height * np.dtype(form).itemsize), form)
        sizes = counts.astype(np.int64).reshape(head.channels, head.height).sum(axis=1)
        # Pillow unpacks all rows of a channel at once.
        rows = [
            Image.frombytes("L", (row, head.height), _read(file, int(size)), "packbits", "L").tobytes() for size in sizes[:wanted]
        ]
    else:
        return None
    if head.bits == 8:
        return [np.frombuffer(data, np.uint8).reshape(head.height, head.width) for data in rows]
    return [np.frombuffer(data, ">u2").reshape(head.height, head.width).astype(np.uint16) for data in rows]


def _without_white(pixels: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Undo the blending with white that Photoshop applies to a merged picture with transparency; the last channel is alpha."""
    top = float(np.iinfo(pixels.dtype).max)
    share = alpha.astype(np.float32)[..., None] / np.float32(top)
    colours = pixels[..., :-1].astype(np.float32)
    clean = (colours - (1.0 - share) * np.float32(top)) / np.maximum(share, 1e-6)
    out = pixels.copy()
    out[..., :-1] = np.rint(np.clip(clean, 0.0, top))
    return out
