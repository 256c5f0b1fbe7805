"""Writes layered Photoshop files, with real transparency, Unicode names, the colour profile and a true merged picture.

Format: Adobe Photoshop File Formats Specification (2019). Colours are 8-bit RGB. The channels of layers are deflated, each row
as differences from pixel to pixel ("ZIP with prediction"): half the size of PackBits in a fraction of its time. Photoshop,
psd-tools, ImageMagick, Krita and GIMP (since 2.10) read that. The merged picture is coded in PackBits, because simple viewers
know nothing else. The file is written from front to back and its lengths are filled in afterwards, so that at most one strip of
pixels and one layer's compressed channels are in memory.
"""

import io
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import cv2
import numpy as np
import numpy.typing as npt

from daemon.contract.commands import as_code
from daemon.contract.words.printable import quoted
from daemon.errors import OutputTooLarge
from pipeline.export.format import Format, Pictures, Progress
from pipeline.export.naming import layer_names
from pipeline.export.packbits import encode_rows
from pipeline.image.png import LEVEL, deflate

Pixels = npt.NDArray[np.uint8]

# Limits from the specification: pixels per side of a PSD (version 1) and of the larger PSB (version 2), and bytes of a PSD.
PSD_SIDE, PSB_SIDE, PSD_BYTES = 30_000, 300_000, 2**31 - 1
# Large enough that numpy's cost per call is negligible, small enough that a strip and its masks fit in the second-level cache.
_STRIP_BYTES = 1 << 18
_RAW, _RLE, _ZIP_WITH_PREDICTION = 0, 1, 3
_ALPHA_FIRST = (-1, 0, 1, 2)  # the channel order that Photoshop itself writes: transparency, red, green, blue
_RESOLUTION, _ICC_PROFILE, _VERSION_INFO = 1005, 1039, 1057


@dataclass(frozen=True)
class PsdLayer:
    """One layer: its name, and its pixels on the full canvas as uint8 (H, W, 4), straight alpha."""

    name: str
    rgba: Pixels


class _PsdFull(Exception):
    """The file became larger than a PSD may be; a PSB can hold it."""


def write(
    out: BinaryIO,
    layers: Sequence[PsdLayer],
    composite: Pixels,
    icc: bytes | None = None,
    dpi: tuple[float, float] | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> Literal["psd", "psb"]:
    """Write a layered file. Layers keep their pixels, cropped to their visible part.

    A picture with more than 30,000 pixels per side, or a file of more than 2 GiB, becomes a PSB: the same format with wider
    lengths.

    Args:
        out: a file open for writing, empty, at position 0, and seekable.
        layers: back to front, each (H, W, 4).
        composite: the merged picture, uint8 (H, W, 3), or (H, W, 4) if the picture itself is transparent.
        icc: the colour profile of the pixels, or None.
        dpi: pixels per inch across and down; None for 72.
        progress: called with the fraction that is written, 0 to 1; starts again if the file becomes too large for a PSD.

    Returns:
        Which of the two formats was written.

    Raises:
        OutputTooLarge: a side is longer than 300,000 pixels.
        ValueError: the shapes do not match.
    """
    height, width = composite.shape[:2]
    for layer in layers:
        if layer.rgba.shape != (height, width, 4):
            raise ValueError(f"layer {quoted(layer.name)} is {layer.rgba.shape}, the canvas {(height, width, 4)}")
    if max(height, width) > PSB_SIDE:
        raise OutputTooLarge(
            f"The picture is {width} × {height} pixels; a layered Photoshop file holds at most {PSB_SIDE:,} a side.",
            hint=f"Use a smaller picture, or set {as_code('formats: []')} in the YAML file to go without the Photoshop file.",
        )
    if max(height, width) <= PSD_SIDE:
        try:
            _Writer(out, progress, large=False).document(layers, composite, icc, dpi)
        except _PsdFull:
            out.seek(0)
            out.truncate()
        else:
            return "psd"
    _Writer(out, progress, large=True).document(layers, composite, icc, dpi)
    return "psb"


def may_be_large(shape: tuple[int, ...], layers: int) -> bool:
    """Whether `write` may need a PSB for this many layers of `shape` (H, W): a side is too long, or the file may be too large."""
    height, width = shape
    return max(height, width) > PSD_SIDE or height * width * 4 * (layers + 1) > PSD_BYTES


def bounding_box(rgba: Pixels) -> tuple[int, int, int, int]:
    """Top, left, bottom and right of the visible part, with bottom and right excluded; all 0 if nothing is visible."""
    left, top, width, height = cv2.boundingRect(np.asarray(cv2.extractChannel(rgba, 3), np.uint8))
    return int(top), int(left), int(top + height), int(left + width)


def _strips(shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    step = max(1, _STRIP_BYTES // max(1, shape[1]))
    for start in range(0, shape[0], step):
        yield start, min(start + step, shape[0])


class _Writer:
    """Writes the sections of the file in order. `large` is the PSB variant: wider lengths of sections, channels and rows."""

    def __init__(self, out: BinaryIO, progress: Callable[[float], None], *, large: bool) -> None:
        self.out = out
        self.progress = progress
        self.samples = self.written = 0
        self.large = large
        self.length = ">Q" if large else ">I"
        self.row_length = np.dtype(">u4" if large else ">u2")

    def document(self, layers: Sequence[PsdLayer], composite: Pixels, icc: bytes | None, dpi: tuple[float, float] | None) -> None:
        height, width = composite.shape[:2]
        transparent = composite.shape[2] == 4 and bool((composite[:, :, 3] != 255).any())
        channels = 4 if transparent else 3
        self.samples = height * width * channels
        depth, rgb = 8, 3
        self.out.write(struct.pack(">4sH6xHIIHH", b"8BPS", 2 if self.large else 1, channels, height, width, depth, rgb))
        self.out.write(struct.pack(">I", 0))  # colour mode data, only for indexed and duotone pictures
        resources = _resources(icc, dpi)
        self.out.write(struct.pack(">I", len(resources)) + resources)
        self._layer_section(layers, merged_alpha=transparent)
        self._merged(composite, transparent=transparent)

    def _layer_section(self, layers: Sequence[PsdLayer], *, merged_alpha: bool) -> None:
        section = self._open()
        info = self._open()
        boxes = [bounding_box(layer.rgba) for layer in layers]
        self.samples += sum((bottom - top) * (right - left) for top, left, bottom, right in boxes) * len(_ALPHA_FIRST)
        # A negative count means that the merged picture's fourth channel is its transparency.
        self.out.write(struct.pack(">h", -len(layers) if merged_alpha else len(layers)))
        patches = [
            self._record(number, layer.name, box) for number, (layer, box) in enumerate(zip(layers, boxes, strict=True), 1)
        ]
        for layer, (top, left, bottom, right), patch in zip(layers, boxes, patches, strict=True):
            for slot, size in enumerate(self._channels(layer.rgba[top:bottom, left:right])):
                self._patch(patch + slot * (2 + struct.calcsize(self.length)) + 2, size)
        self._close(info, even=True)
        self.out.write(struct.pack(">I", 0))  # no global layer mask
        self._close(section)

    def _record(self, number: int, name: str, box: tuple[int, int, int, int]) -> int:
        """Write a layer's record with channel lengths of 0. Returns the position of its channel table."""
        self.out.write(struct.pack(">4iH", *box, len(_ALPHA_FIRST)))
        table = self.out.tell()
        for channel in _ALPHA_FIRST:
            self.out.write(struct.pack(">h", channel) + struct.pack(self.length, 0))
        opaque, no_clipping, flags = 255, 0, 8  # bit 3: written by Photoshop 5 or later, bit 4 (no pixels) means something
        extra = struct.pack(">II", 0, 0) + _pascal_name(name)  # no mask, no blending ranges
        extra += _block(b"luni", _unicode(name)) + _block(b"lyid", struct.pack(">I", number))
        self.out.write(struct.pack(">4s4sBBBxI", b"8BIM", b"norm", opaque, no_clipping, flags, len(extra)) + extra)
        return table

    def _channels(self, rgba: Pixels) -> list[int]:
        """Write the channels of one layer. Returns their lengths in the file."""
        sizes = []
        for data in self._deflated(rgba) if rgba.size else [[]] * len(_ALPHA_FIRST):
            self.out.write(struct.pack(">H", _ZIP_WITH_PREDICTION if data else _RAW))
            self.out.writelines(data)
            sizes.append(2 + sum(map(len, data)))
        self._check_size(self.out.tell())
        return sizes

    def _deflated(self, rgba: Pixels) -> list[list[bytes]]:
        """Each channel as one zlib stream in pieces, in the file's order."""
        streams = [deflate.compressobj(LEVEL, zlib.DEFLATED, zlib.MAX_WBITS) for _ in _ALPHA_FIRST]
        pieces: list[list[bytes]] = [[] for _ in _ALPHA_FIRST]
        for start, stop in _strips(rgba.shape):
            strip = rgba[start:stop]
            differences = np.empty(strip.shape, np.uint8)
            differences[:, 0] = strip[:, 0]
            np.subtract(strip[:, 1:], strip[:, :-1], out=differences[:, 1:])
            for channel, stream, piece in zip(_ALPHA_FIRST, streams, pieces, strict=True):
                piece.append(stream.compress(np.asarray(cv2.extractChannel(differences, channel % 4))))
            self._advance(differences.size)
        for stream, piece in zip(streams, pieces, strict=True):
            piece.append(stream.flush())
        return pieces

    def _plane(self, plane: Pixels, counts_at: int, after: int) -> None:
        """Write the compressed rows at `after` and their lengths at `counts_at`; then move to the end of the file."""
        counts = []
        self.out.seek(after)
        for start, stop in _strips(plane.shape):
            data, sizes = encode_rows(np.ascontiguousarray(plane[start:stop]))
            self.out.write(data)
            counts.append(sizes)
        end = self.out.tell()
        self._check_size(end)
        self.out.seek(counts_at)
        self.out.write(np.concatenate(counts).astype(self.row_length).tobytes())
        self.out.seek(end)
        self._advance(plane.size)

    def _check_size(self, end: int) -> None:
        if not self.large and end > PSD_BYTES:
            raise _PsdFull

    def _advance(self, samples: int) -> None:
        self.written += samples
        self.progress(self.written / self.samples)

    def _merged(self, composite: Pixels, *, transparent: bool) -> None:
        """Write the merged picture. Where it is transparent, it is blended with white; readers expect this and undo it."""
        height, planes = composite.shape[0], 4 if transparent else 3
        self.out.write(struct.pack(">H", _RLE))
        counts_at = self.out.tell()
        table = height * self.row_length.itemsize
        after = counts_at + planes * table
        for channel in range(planes):
            plane = composite[:, :, channel]
            if transparent and channel < 3:
                plane = _over_white(plane, composite[:, :, 3])
            self._plane(plane, counts_at + channel * table, after)
            after = self.out.tell()

    def _open(self) -> int:
        at = self.out.tell()
        self.out.write(struct.pack(self.length, 0))
        return at

    def _close(self, at: int, *, even: bool = False) -> None:
        size = self.out.tell() - at - struct.calcsize(self.length)
        if even and size % 2:
            self.out.write(b"\0")
            size += 1
        self._patch(at, size)

    def _patch(self, at: int, size: int) -> None:
        self.out.seek(at)
        self.out.write(struct.pack(self.length, size))
        self.out.seek(0, io.SEEK_END)


def _over_white(plane: Pixels, alpha: Pixels) -> Pixels:
    blended = np.empty(plane.shape, np.uint8)
    for start, stop in _strips(plane.shape):
        a = alpha[start:stop].astype(np.uint32)
        blended[start:stop] = (plane[start:stop] * a + (255 - a) * 255 + 127) // 255
    return blended


def _resources(icc: bytes | None, dpi: tuple[float, float] | None) -> bytes:
    per_inch, inches = 1, 1
    across, down = (round(each * 65536) for each in dpi or (72.0, 72.0))  # 16.16 fixed point
    resolution = struct.pack(">IHHIHH", across, per_inch, inches, down, per_inch, inches)
    has_real_merged_data = 1
    version = struct.pack(">IB", 1, has_real_merged_data) + _unicode("Multiplane") + _unicode("Multiplane") + struct.pack(">I", 1)
    blocks = [(_RESOLUTION, resolution), (_VERSION_INFO, version)]
    if icc:
        blocks.append((_ICC_PROFILE, icc))
    return b"".join(
        struct.pack(">4sHHI", b"8BIM", number, 0, len(data)) + data + b"\0" * (len(data) % 2) for number, data in sorted(blocks)
    )


def _block(key: bytes, data: bytes) -> bytes:
    data += b"\0" * (-len(data) % 4)
    return struct.pack(">4s4sI", b"8BIM", key, len(data)) + data


def _unicode(text: str) -> bytes:
    encoded = text.encode("utf-16-be", "replace")
    return struct.pack(">I", len(encoded) // 2) + encoded


def _pascal_name(name: str) -> bytes:
    """The old name next to the Unicode one: MacRoman, at most 255 bytes, padded to a multiple of four."""
    encoded = name.encode("mac_roman", "replace")[:255]
    text = bytes([len(encoded)]) + encoded
    return text + b"\0" * (-len(text) % 4)


_FILE = "layers.psd"


def _file(pictures: Pictures) -> str | None:
    """The file's name; None if the file may become too large for a PSD, because then the name is only known after writing."""
    large = may_be_large(pictures.layers.labels.shape, len(pictures.layers.rgba))
    return None if large else _FILE


def _write(folder: Path, pictures: Pictures, progress: Progress) -> list[str]:
    layers, target = pictures.layers, folder / _FILE
    names = layer_names(len(layers.rgba))
    stack = [PsdLayer(name, rgba) for name, rgba in zip(names, layers.rgba, strict=True)]
    with target.open("xb") as file:
        kind = write(file, stack, layers.composite, pictures.photo.icc, pictures.photo.dpi, progress)
    if kind == "psb":
        target = target.rename(target.with_suffix(".psb"))
    return [target.name]


#: The cost was measured on photos of 12 and 48 megapixels with four and five layers.
FORMAT = Format(title="Photoshop file", cost=1.5, file=_file, write=_write)
