"""Reads pictures: checks limits before any pixel is loaded, decodes, turns upright, and returns 8-bit RGB and alpha.

Each family of formats has a decoder of its own: `pillow_file`, `tiff_file`, `heif_file`, `photoshop`, `raw_file`,
`jxl_file`.
"""

import os
import warnings as python_warnings
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from daemon.catalogues import file_kinds
from daemon.contract.messages import Limits
from daemon.errors import ImageType, ImageUnreadable
from pipeline.image.colour import convert, declared
from pipeline.image.decoders import jxl_file, photoshop, pillow_file, raw_file, tiff_file
from pipeline.image.decoders.decoded import Decoded
from pipeline.image.source_file import TRUNCATED, check_limits, damage_reported, display_name, open_source
from pipeline.image.stereo import side_by_side
from pipeline.image.turning import upright

# Pillow's own guard against decompression bombs has a fixed limit (89 million pixels) and warns first. Here the configured
# limit is checked on every path between reading the header and loading pixels, so that guard is off.
Image.MAX_IMAGE_PIXELS = None

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture in the form that all later steps use.

    Attributes:
        rgb: uint8 (H, W, 3), upright, C-contiguous; in the profile `icc`.
        alpha: uint8 (H, W), 255 is opaque; None if the whole picture is opaque.
        icc: the embedded RGB profile; None means sRGB.
        profile: the profile's description, "sRGB" if there is none.
        bits: bits per channel in the file; `rgb` has 8, rounded.
        format: "JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF", "BMP", "GIF", "PSD",
            "JXL" or "RAW" (the JPEG in a camera raw file).
        orientation: the EXIF orientation in the file, 1 to 8. It has already been applied (for HEIC through the container's own
            rotation, whatever EXIF says). It is kept so that a depth picture of the unrotated photo can be turned as well.
        warnings: sentences for people about what was ignored.
        dpi: pixels per inch across and down, upright; None if the file does not say.
        right_view: uint8 (H, W), what the right eye sees, if the file holds a stereo pair side by side; `rgb` is the left view.
    """

    rgb: Pixels
    alpha: Pixels | None
    icc: bytes | None
    profile: str
    bits: int
    format: str
    orientation: int = 1
    warnings: tuple[str, ...] = ()
    dpi: tuple[float, float] | None = None
    right_view: Pixels | None = None


def read(path: bytes, *, limits: Limits) -> Photo:
    """Read a picture.

    Formats: JPEG (including the multi-picture kind of phones), PNG, WebP, TIFF, HEIC, AVIF, BMP, GIF, JPEG XL,
    Photoshop documents, and the full-size JPEG in camera raw files. If
    the file has several frames or pages, the first is used, with a warning; so is the left view of a stereo pair side by side.

    Args:
        path: of the picture; links are not followed.
        limits: the most bytes and pixels; checked on the opened file and on its header, before pixels are loaded.

    Returns:
        The picture, upright, as 8-bit RGB, with alpha if any of it is transparent.

    Raises:
        SourceMissing: there is no such file.
        ImageType: not a picture of these formats, or of a kind that is not read; the message says what it is, if that can be
            recognised.
        ImageTooLarge: above the limits.
        ImageUnreadable: damaged; `detail` starts with `TRUNCATED` if the file ends too early.
    """
    decoded = decode(path, limits=limits)
    samples, alpha = decoded.pixels, None
    if decoded.has_alpha:
        alpha = _8_bits(np.ascontiguousarray(samples[..., -1]), decoded.bits)
        samples = np.ascontiguousarray(samples[..., 0] if decoded.mode == "L" else samples[..., :3])
    space = decoded.space or declared.of_profile(decoded.icc)  # TIFF and Photoshop documents can have such a profile, too
    if space is not None and decoded.mode in ("L", "RGB"):
        colours = convert.from_declared(samples, decoded.bits, space)
    else:
        colours = convert.to_rgb(_8_bits(samples, decoded.bits), decoded.mode, decoded.icc)
    rgb, alpha = upright(colours.rgb, decoded.turn), None if alpha is None else upright(alpha, decoded.turn)
    pair = side_by_side.split(display_name(path), rgb, decoded.views)
    if alpha is not None and pair.left is not None:
        alpha = np.ascontiguousarray(alpha[:, pair.left])
    return Photo(
        rgb=rgb if pair.left is None else np.ascontiguousarray(rgb[:, pair.left]),
        alpha=None if alpha is None or alpha.min() == 255 else alpha,
        icc=colours.icc,
        profile=colours.profile,
        bits=decoded.bits,
        format=decoded.format,
        orientation=decoded.orientation,
        dpi=decoded.dpi[::-1] if decoded.dpi and decoded.orientation >= 5 else decoded.dpi,
        warnings=(*decoded.warnings, *_rounded(path, decoded.bits), *colours.warnings, *pair.remarks),
        right_view=pair.right,
    )


def _rounded(path: bytes, bits: int) -> tuple[str, ...]:
    """A warning about a picture that has more bits than layers have."""
    return (f"{display_name(path)} has {bits} bits per channel; the layers have 8.",) if bits > 8 else ()


def _8_bits(samples: NDArray[Any], bits: int) -> Pixels:
    return samples if samples.dtype == np.uint8 else convert.to_8_bits(samples, bits)


def read_samples(path: bytes, *, limits: Limits) -> tuple[NDArray[Any], str]:
    """Read a picture whose numbers are data, not colours: upright, with the numbers from the file and no profile applied.

    Args:
        path: a PNG or TIFF; links are not followed.
        limits: as for `read`.

    Returns:
        uint8, uint16, int32, float32 or float64 (H, W) or (H, W, C), and "L", "LA", "RGB" or "RGBA".

    Raises:
        SourceMissing, ImageType, ImageTooLarge, ImageUnreadable: as for `read`.
    """
    decoded = decode(path, limits=limits, numbers=True)
    if decoded.format not in ("PNG", "TIFF") or decoded.mode not in ("L", "RGB"):
        raise ImageType(f"{display_name(path)} is a {decoded.format} ({decoded.mode}), not a grey PNG or TIFF.")
    mode = decoded.mode + ("A" if decoded.has_alpha else "")
    return upright(decoded.pixels, decoded.turn), mode


def decode(path: bytes, *, limits: Limits, numbers: bool = False) -> Decoded:
    """Open, check and decode a file: the common part of `read` and `read_samples`.

    `numbers`: the samples are data, not colours; samples of 16 and 32 bits and floats are kept as they are.
    """
    with open_source(path) as file, damage_reported(path, file):
        size = os.fstat(file.fileno()).st_size
        check_limits(path, limits, size=size)
        head = file.read(file_kinds.HEAD_BYTES)
        file.seek(0)
        kind = file_kinds.sniff(head)
        if size == 0:
            raise ImageUnreadable(
                f"{display_name(path)} is empty.", hint=ImageUnreadable.hint_if_empty, detail=f"{TRUNCATED}: 0 bytes"
            )
        if kind is None or kind not in file_kinds.PICTURES:
            message, hint = file_kinds.not_read(display_name(path), kind)
            raise ImageType(message, hint=hint)
        with python_warnings.catch_warnings(record=True) as caught:
            python_warnings.simplefilter("always")
            decoded = _decode(kind, path, file, limits, numbers=numbers)
        # Pillow's warnings about damaged metadata concern the picture, so the person who dropped it should see them.
        remarks = dict.fromkeys(f"{display_name(path)}: {str(each.message)[:200].strip()}" for each in caught)
        return replace(decoded, warnings=(*decoded.warnings, *remarks))


def _decode(kind: str, path: bytes, file: BinaryIO, limits: Limits, *, numbers: bool) -> Decoded:
    if kind == "TIFF":
        return tiff_file.decode(path, file, limits, numbers=numbers)
    if kind == file_kinds.PHOTOSHOP:
        return photoshop.decode(path, file, limits)
    if kind == file_kinds.JPEG_XL:
        return jxl_file.decode(path, file, limits)
    if kind == file_kinds.RAW:
        return raw_file.decode(path, file, limits)
    if kind == "HEIC":
        from pipeline.image.decoders import heif_file  # loads pi-heif

        return heif_file.decode(path, file, limits)
    return pillow_file.decode(path, file, limits)
