"""Reads the depth and the mattes that phones store in JPEG files.

Three carriers are known:

- iPhone: further pictures of a multi-picture file (CIPA DC-007), each with XMP in which `apdi:AuxiliaryImageType` says what it is
  and `apdi:FloatMinValue` and `apdi:FloatMaxValue` what its smallest and largest number mean.
- Google's depth map metadata (GDepth): a picture in base64 in the photo's XMP.
- Dynamic Depth 1.0 (Android): files behind the photo, listed in the XMP's container directory.

GDepth and Dynamic Depth store distance between `Near` and `Far`, either linear (RangeLinear) or so that its inverse is linear
(RangeInverse). In both, 0 is the nearest.

The pictures are as they are stored, so they must be turned upright like the photo.
"""

import base64
import binascii
import io
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin, PngImagePlugin

from pipeline.image import jpeg, xmp
from pipeline.image.auxiliary.pictures import DISPARITY, INVERSE_Z, DepthImage, Z, matte_shown

_PLUGINS = (JpegImagePlugin, PngImagePlugin)  # Pillow knows only the formats of imported modules
_APDI = ("http://ns.apple.com/pixeldatainfo/1.0/",)
_GDEPTH = ("http://ns.google.com/photos/1.0/depthmap/",)
_DYNAMIC_DEPTH = ("http://ns.google.com/photos/dd/1.0/depthmap/",)
_ITEM = ("http://ns.google.com/photos/dd/1.0/item/", "http://ns.google.com/photos/1.0/container/item/")
#: Largest size of one auxiliary file in bytes, about ten times that of the largest known.
MAX_BYTES = 1 << 26


def depth_images(file: BinaryIO, *, max_pixels: int) -> list[DepthImage]:
    """Decode the depth that is stored in a JPEG, in the order of the carriers above.

    Args:
        file: the JPEG.
        max_pixels: of each auxiliary picture.

    Raises:
        ValueError, OSError, SyntaxError, EOFError: there is depth, but it is damaged; also other errors of Pillow.
    """
    segments = jpeg.header_segments(file)
    found = [_apple(file, place, about, max_pixels) for place, about in _others(file, segments) if _is_depth(about)]
    groups = jpeg.xmp_groups(segments)
    return [*found, *_gdepth(groups, max_pixels), *_dynamic_depth(file, groups, max_pixels)]


def mattes(file: BinaryIO, *, max_pixels: int) -> dict[str, NDArray[np.uint8]]:
    """Decode the mattes: uint8 (h, w) each, 255 where the named thing is. Arguments and errors are those of `depth_images`."""
    found: dict[str, NDArray[np.uint8]] = {}
    for place, about in _others(file, jpeg.header_segments(file)):
        shown = _shown(about)
        if shown is not None and shown not in found:
            samples, bits = _picture(file, place, max_pixels)
            found[shown] = (samples >> (bits - 8)).astype(np.uint8)
    return found


def _others(file: BinaryIO, segments: list[jpeg.Segment]) -> Iterator[tuple[tuple[int, int], dict[str, str]]]:
    """Position and size of each further picture of a multi-picture file, and what Apple's XMP says about it."""
    for place in jpeg.other_pictures(segments):
        about: dict[str, str] = {}
        for group in xmp.having(jpeg.xmp_groups(jpeg.header_segments(file, place[0])), _APDI):
            about.update(group)
        if about:
            yield place, about


def _shown(about: dict[str, str]) -> str | None:
    """What a matte shows. Its type may be "depth"; then its subtype says that it is a matte."""
    return matte_shown(about.get("AuxiliaryImageSubType", "") + " " + about.get("AuxiliaryImageType", ""))


def _is_depth(about: dict[str, str]) -> bool:
    kind = about.get("AuxiliaryImageType", "").lower()
    return kind in ("disparity", "depth") and "AuxiliaryImageSubType" not in about


def _apple(file: BinaryIO, place: tuple[int, int], about: dict[str, str], max_pixels: int) -> DepthImage:
    samples, bits = _picture(file, place, max_pixels)
    low, high = xmp.number(about.get("FloatMinValue")), xmp.number(about.get("FloatMaxValue"))
    if about["AuxiliaryImageType"].lower() == "disparity":
        return DepthImage(samples, bits, {"representation_type": DISPARITY, "d_min": low, "d_max": high})
    return DepthImage(samples, bits, {"representation_type": Z, "z_near": low, "z_far": high})


def _picture(file: BinaryIO, place: tuple[int, int], max_pixels: int) -> tuple[NDArray[Any], int]:
    file.seek(place[0])
    return _grey(file.read(min(place[1], MAX_BYTES)), max_pixels)


def _gdepth(groups: list[xmp.Group], max_pixels: int) -> Iterator[DepthImage]:
    """The depth in the photo's XMP. The standard packet has the bounds, its extension the picture."""
    about: dict[str, str] = {}
    for group in xmp.having(groups, _GDEPTH):
        about.update(group)
    if not about:
        return
    if "Data" not in about:
        raise ValueError("the XMP describes depth, but the part with the depth is missing or damaged")
    try:
        data = base64.b64decode("".join(about["Data"].split()), validate=True)
    except binascii.Error as reason:
        raise ValueError(f"the depth in the XMP is not base64 ({reason})") from reason
    yield _ranged(data, about, max_pixels)


def _dynamic_depth(file: BinaryIO, groups: list[xmp.Group], max_pixels: int) -> Iterator[DepthImage]:
    """The depth among the files behind the photo."""
    items = list(xmp.having(groups, _ITEM))
    for about in xmp.having(groups, _DYNAMIC_DEPTH):
        if "DepthURI" not in about or about.get("ItemSemantic", "Depth") != "Depth":
            continue
        place = _place(file, items, about["DepthURI"])
        if place is None:
            raise ValueError("the file that the XMP names as depth is missing")
        file.seek(place[0])
        yield _ranged(file.read(place[1]), about, max_pixels)


def _place(file: BinaryIO, items: list[dict[str, str]], uri: str) -> tuple[int, int] | None:
    """Position and size of an item: items follow each other in the directory's order, from the end of the photo.

    Some writers count from the end of the whole file instead, because other data follows the photo itself. So if no picture
    begins at the first place, the second one is tried.
    """
    sizes = [int(xmp.number(item.get("Length")) or 0) for item in items]
    paddings = [int(xmp.number(item.get("Padding")) or 0) for item in items]
    number = next((place for place, item in enumerate(items) if place and item.get("DataURI") == uri), None)
    if number is None or min(sizes + paddings) < 0 or not 0 < sizes[number] <= MAX_BYTES:
        return None
    file.seek(0)
    data = file.read()
    end = jpeg.end_of_picture(data)
    before = sum(sizes[1:number]) + sum(paddings[:number])
    starts = [len(data) - sum(sizes[number:]) - sum(paddings[number:])]
    if end is not None:
        starts.insert(0, end + before)
    for start in starts:
        if start > 0 and data[start : start + 2] in (jpeg.SOI, b"\x89P"):
            return start, sizes[number]
    return None


def _ranged(data: bytes, about: dict[str, str], max_pixels: int) -> DepthImage:
    """A picture in which 0 is `Near` and the largest number `Far`.

    For RangeInverse the numbers are turned around: then they are inverse distance, as HEIF writes it.
    """
    samples, bits = _grey(data, max_pixels)
    metadata: dict[str, Any] = {"z_near": xmp.number(about.get("Near")), "z_far": xmp.number(about.get("Far"))}
    if about.get("Format", "RangeInverse").lower() == "rangelinear":
        return DepthImage(samples, bits, {"representation_type": Z, **metadata})
    top = np.array((1 << bits) - 1, samples.dtype)
    return DepthImage(top - samples, bits, {"representation_type": INVERSE_Z, **metadata})


def _grey(data: bytes, max_pixels: int) -> tuple[NDArray[Any], int]:
    """A grey JPEG or PNG: uint8 or uint16 (h, w), and its bits. Of a picture in colour, the brightness."""
    with Image.open(io.BytesIO(data), formats=["JPEG", "PNG"]) as image:
        if image.width * image.height > max_pixels:
            raise ValueError(f"a picture beside the photo has {image.width} × {image.height} pixels")
        image.load()
        if image.mode.startswith("I;16"):
            return np.asarray(image).astype(np.uint16), 16
        return np.asarray(image.convert("L")), 8
