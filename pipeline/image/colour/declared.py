"""Finds the colour space that a file declares without a profile.

PNG: the chunks cICP, then (after a profile and sRGB) gAMA and cHRM (PNG 3rd edition, 4.3). HEIC and AVIF: the `colr` property of
the main picture (ISO/IEC 14496-12, 12.1.5). JPEG: Adobe RGB by EXIF (DCF 2.0, the option R03). Everything is read within bounds;
what is damaged declares nothing.
"""

import struct
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image

from pipeline.image.boxes import clean_aperture, main_properties
from pipeline.image.colour.cicp import ADOBE_RGB, HLG_NUMBER, PQ_NUMBER, Curve, Space, png_space, space_of
from pipeline.image.colour.icc import cicp_of

_MAX_CHUNKS = 1000
_EXIF_IFD, _INTEROP_IFD, _COLOUR_SPACE, _INTEROP_INDEX = 0x8769, 0xA005, 0xA001, 0x0001
_ADOBE_BY_EXIF = 2
_NOT_KNOWN = "declares colours by {} of H.273, which is not known; it was taken as sRGB there"

Found = tuple[Space | None, str | None]
"""The space, None for sRGB; and the rest of a sentence that begins with the file's name, if the space is not known."""


@dataclass(frozen=True)
class Declared:
    """What a file says about its colours.

    Attributes:
        space: the declared space; None for sRGB, or if `icc` decides.
        icc: the profile, unless something stronger was declared.
        remark: the rest of a sentence that begins with the file's name, if something is not known; otherwise None.
    """

    space: Space | None = None
    icc: bytes | None = None
    remark: str | None = None


def of_file(kind: str, file: BinaryIO, image: Image.Image | None, icc: bytes | None) -> Declared:
    """What a file declares.

    Args:
        kind: "PNG", "AVIF", "HEIF" or "JPEG"; others declare nothing without a profile.
        file: the file; its position stays.
        image: the opened picture, for its EXIF data.
        icc: the embedded profile, if any. A profile for PQ or HLG that says so by numbers counts as these.
    """
    at = file.tell()
    try:
        return _of_file(kind, file, image, icc)
    finally:
        file.seek(at)  # Pillow reads on from here


def _of_file(kind: str, file: BinaryIO, image: Image.Image | None, icc: bytes | None) -> Declared:
    space, remark, is_stronger = None, None, False
    if kind == "PNG":
        (space, remark), is_stronger = in_png(file)
    if icc and not is_stronger:
        hdr = of_profile(icc)
        return Declared(icc=icc) if hdr is None else Declared(hdr)
    if kind in ("AVIF", "HEIF"):
        space, remark = in_boxes(file)
    elif kind == "JPEG" and image is not None:
        space, remark = by_exif(image)
    return Declared(space, None, remark)


def of_profile(icc: bytes | None) -> Space | None:
    """The space of a profile for PQ or HLG that says so by numbers; None for any other, whose curves say what it is."""
    numbers = cicp_of(icc) if icc else None
    return numbered(*numbers)[0] if numbers is not None and numbers[1] in (PQ_NUMBER, HLG_NUMBER) else None


def in_png(file: BinaryIO) -> tuple[Found, bool]:
    """What a PNG declares, and whether it does so by cICP, which is stronger than a profile."""
    gamma, points, has_srgb = None, None, False
    file.seek(8)
    for _ in range(_MAX_CHUNKS):
        head = file.read(8)
        if len(head) < 8 or head[4:] in (b"IDAT", b"IEND"):
            break
        length, kind = struct.unpack(">I4s", head)
        data = file.read(min(length, 32))
        if kind == b"cICP" and len(data) == 4:
            return numbered(data[0], data[1], narrow=data[3] == 0), True
        if kind == b"gAMA" and len(data) == 4:
            gamma = int.from_bytes(data, "big") / 100_000
        elif kind == b"cHRM" and len(data) == 32:
            points = tuple(value / 100_000 for value in struct.unpack(">8I", data))
        has_srgb |= kind == b"sRGB"
        file.seek(length - len(data) + 4, 1)
    if has_srgb or (gamma is not None and not 0.1 <= gamma <= 2.0):
        return (None, None), False
    return (png_space(gamma, points), None), False


def in_boxes(file: BinaryIO) -> Found:
    """What the main picture of a HEIC or AVIF file declares."""
    for kind, data in main_properties(file):
        if kind == b"colr" and data[:4] == b"nclx" and len(data) >= 11:
            primaries, transfer = struct.unpack_from(">HH", data, 4)
            return numbered(primaries, transfer)  # the decoder deals with the range
    return None, None


def by_exif(image: Image.Image) -> Found:
    """Adobe RGB, if the EXIF data of a camera's file says so."""
    try:
        exif = image.getexif().get_ifd(_EXIF_IFD)
        interop = exif.get(_INTEROP_IFD)
        index = interop.get(_INTEROP_INDEX) if isinstance(interop, dict) else None
        is_adobe = exif.get(_COLOUR_SPACE) == _ADOBE_BY_EXIF or str(index).startswith("R03")
    except Exception:  # noqa: BLE001  hostile EXIF fails in many ways
        return None, None
    return (Space(ADOBE_RGB, Curve(563 / 256), "Adobe RGB (1998)"), None) if is_adobe else (None, None)


def bits_of(file: BinaryIO) -> int:
    """Bits per channel of the main picture of an AVIF, 8 if it does not say (`pixi`, ISO/IEC 23008-12, 6.5.6)."""
    data = next((data for kind, data in main_properties(file) if kind == b"pixi"), b"")
    return data[5] if len(data) > 5 and data[5] in (10, 12) else 8


def visible_part(file: BinaryIO, width: int, height: int) -> tuple[slice, slice] | None:
    """The rows and columns that an AVIF's clean aperture leaves, of a decoded picture before it is turned; None for all of them.

    The file's position changes.
    """
    data = next((data for kind, data in main_properties(file) if kind == b"clap"), b"")
    return clean_aperture(data, width, height)


def numbered(primaries: int, transfer: int, *, narrow: bool = False) -> Found:
    """The space that numbers of H.273 mean."""
    space, unknown = space_of(primaries, transfer, narrow=narrow)
    return (None if space.is_srgb else space), (_NOT_KNOWN.format(unknown) if unknown else None)
