"""Reads HEIC containers through pi-heif: the main picture with all its bits, and what a phone stored beside it.

libheif turns and mirrors the main picture and each auxiliary picture as that picture's own properties (irot, imir) say. The EXIF
orientation only repeats these properties and must not be applied again (ISO/IEC 23008-12, A.2.1).
"""

import io
import struct
from typing import Any, BinaryIO

import numpy as np
import pi_heif
from numpy.typing import NDArray
from PIL import Image

from pipeline.image import boxes
from pipeline.image.auxiliary.pictures import DepthImage, matte_shown
from pipeline.image.auxiliary.representation import representation
from pipeline.image.filters import unpremultiplied
from pipeline.image.turning import UNDO, upright

_DEPTH = (b"urn:mpeg:hevc:2015:auxid:2", b"urn:mpeg:mpegB:cicp:systems:auxiliary:depth")
Crop = tuple[tuple[slice, slice], int]
"""Rows and columns of the stored picture, and the orientation in which it is shown."""


def parse(file: BinaryIO) -> pi_heif.HeifFile:
    """Read a container's structure; no pixels are decoded yet.

    Raises:
        OSError, ValueError, SyntaxError, RuntimeError, EOFError: from pi-heif, for what it cannot read.
    """
    # hdr_to_16bit=False keeps 10 and 12 bits as they are, so that rounding to 8 bits is exact.
    return pi_heif.open_heif(file, convert_hdr_to_8bit=False, hdr_to_16bit=False)


def parse_uncropped(file: BinaryIO) -> tuple[pi_heif.HeifFile, Crop | None]:
    """The same, and the crop that `cropped` must still apply to the main picture, if libheif would refuse to.

    libheif 1.23.0 allows a decoder only little more memory than the cropped picture needs, although the whole one is decoded
    first. So it refuses crops of less than about the whole (strukturag/libheif#1856). In a copy of such a file, the crop is the
    whole picture.
    """
    found = boxes.placed_properties(file)
    kinds = [kind for kind, _, _ in found]
    size = next((data[4:12] for kind, data, _ in found if kind == b"ispe"), b"")
    file.seek(0)
    if b"clap" not in kinds or len(size) < 8:
        return parse(file), None
    before = kinds[: kinds.index(b"clap")]
    width, height = struct.unpack(">II", size)
    _, aperture, at = found[kinds.index(b"clap")]
    part = boxes.clean_aperture(aperture, width, height)
    # What turns a picture comes after its crop (ISO/IEC 23000-22, 7.3.6.7). Otherwise the crop is libheif's own affair.
    if part is None or b"irot" in before or b"imir" in before:
        return parse(file), None
    data = bytearray(file.read())
    data[at : at + 32] = struct.pack(">IIIIiIiI", width, 1, height, 1, 0, 1, 0, 1)
    turn = boxes.orientation([(kind, data) for kind, data, _ in found])
    return parse(io.BytesIO(bytes(data))), (part, turn)


def cropped(samples: NDArray[Any], crop: Crop | None) -> NDArray[Any]:
    """Apply a crop to a picture that libheif has turned upright."""
    if crop is None:
        return samples
    (rows, columns), turn = crop
    return np.ascontiguousarray(upright(upright(samples, UNDO[turn])[rows, columns], turn))


def main_samples(heif: pi_heif.HeifFile) -> tuple[NDArray[Any], str]:
    """Decode the main picture.

    Returns:
        uint8 or uint16 (H, W) or (H, W, C), and "L", "LA", "RGB" or "RGBA"; alpha is never premultiplied.
    """
    main = heif[heif.primary_index]
    samples = _array(main)
    mode: str = main.mode.partition(";")[0]
    if mode.endswith("a"):
        samples = unpremultiplied(samples)
    return samples, mode.upper().replace("I", "L")


def depth_images(file: BinaryIO) -> list[DepthImage]:
    """Decode the depth picture that belongs to the main picture, upright. libheif finds the one with the highest number."""
    beside = [subtypes for _, kind, subtypes in boxes.beside_main(file) if kind in _DEPTH]
    file.seek(0)
    heif = parse(file)
    found = heif[heif.primary_index].info.get("depth_images", [])
    about = representation(beside[-1]) if beside else {}
    return [DepthImage(_array(each), _bits(each), about or dict(each.info.get("metadata") or {})) for each in found]


def mattes(heif: pi_heif.HeifFile) -> dict[str, NDArray[np.uint8]]:
    """Decode the mattes that belong to the main picture: uint8 (h, w) each, upright, 255 where the named thing is."""
    main = heif[heif.primary_index]
    found: dict[str, NDArray[np.uint8]] = {}
    for kind, numbers in main.info.get("aux", {}).items():
        shown = matte_shown(kind)
        if shown is not None and shown not in found:
            found[shown] = _array(main.get_aux_image(numbers[0]))
    return found


def exif_of(heif: pi_heif.HeifFile) -> dict[int, Any]:
    """The EXIF tags of the main picture; empty if they are missing or unreadable."""
    raw = heif[heif.primary_index].info.get("exif")
    exif = Image.Exif()
    try:
        exif.load(raw or b"")
        return dict(exif.items())
    except Exception:  # noqa: BLE001  hostile EXIF fails in many ways; libheif has turned the picture already
        return {}


def _bits(image: Any) -> int:  # noqa: ANN401  pi-heif has no types
    depth = image.mode.partition(";")[2]
    return int(depth) if depth else 8


def _array(image: Any) -> NDArray[Any]:  # noqa: ANN401  pi-heif has no types
    """The pixels without each row's padding, as a copy: pi-heif frees its buffer with the container, even if arrays use it."""
    return np.array(np.asarray(image)[: image.size[1], : image.size[0]], order="C", copy=True)
