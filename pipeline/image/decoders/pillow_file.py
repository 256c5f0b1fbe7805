"""Decodes the formats for which Pillow is the reader: JPEG, PNG, WebP, AVIF, BMP and GIF.

16-bit RGB in PNG, and AVIF of more than 8 bits, go through OpenCV, because Pillow keeps only the high byte of such samples.
"""

import io
import os
from typing import BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import AvifImagePlugin, BmpImagePlugin, GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from daemon.contract.messages import Limits
from daemon.errors import ImageType
from pipeline.image import boxes, jpeg
from pipeline.image.colour import convert, declared
from pipeline.image.decoders.decoded import Decoded, dpi_of, left_out, orientation_of, samples_of
from pipeline.image.source_file import check_limits, display_name

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "BMP", "GIF")

_LOSSLESS, _HIERARCHICAL = (0xC3, 0xC7, 0xCB, 0xCF, 0xF7), (0xC5, 0xC6, 0xCD, 0xCE)
_SAVE_PLAINLY = "Save it as an ordinary JPEG with 8 bits per channel, or as a PNG or TIFF, and drop it again."

#: Picture data that follows an incomplete picture would change it: the first is none, the others are as good as random.
_TAILS = (b"", bytes(range(1, 200, 3)) * 8, bytes(range(250, 3, -7)) * 16)

_NEAR_END = 1 << 16  # phones append films and other data to a photo, but most of it ends with a JPEG's end mark, too

# Pillow knows only the formats of imported modules. Importing these spares it from importing all forty.
_PLUGINS = (AvifImagePlugin, BmpImagePlugin, GifImagePlugin, JpegImagePlugin, PngImagePlugin, WebPImagePlugin)


def decode(path: bytes, file: BinaryIO, limits: Limits) -> Decoded:
    """Decode a file of one of the formats in `FORMATS`. Raises ImageType for kinds of JPEG that no reader here knows."""
    frame = jpeg.frame(file)
    why = None if frame is None else _refusal(*frame)
    if why is not None:
        raise ImageType(f"{display_name(path)} is a {why}, which is not read.", hint=_SAVE_PLAINLY)
    file.seek(0)
    with Image.open(file, formats=FORMATS) as image:
        check_limits(path, limits, pixels=image.size)
        form = "JPEG" if image.format == "MPO" else str(image.format)
        remarks = _frames_left_out(path, image, form)
        bits = max(os.pread(file.fileno(), 1, 24)[0], 8) if form == "PNG" else 8  # IHDR: ISO/IEC 15948, 11.2.2
        said = declared.of_file(form, file, image, image.info.get("icc_profile") or None)
        if said.remark is not None:
            remarks = (*remarks, f"{display_name(path)} {said.remark}.")
        loaded: Image.Image = image
        if form == "JPEG" and not _has_end(file):
            loaded = _without_end(file)
            remarks = (*remarks, f"{display_name(path)} has no end mark, but all its rows are there.")
        else:
            image.load()
        orientation = orientation_of(image)  # for a PNG this loads the picture, and hides damage
        if form == "AVIF":
            # Pillow assumes one order of the properties, and without them believes XMP; neither is the standard's.
            orientation = boxes.orientation(boxes.main_properties(file))
            bits = declared.bits_of(file)
        deep = _deep_samples(image, file) if bits > 8 else None
        pixels, mode, has_alpha = deep or samples_of(loaded)
        if form == "AVIF":
            bits = bits if deep else 8
            part = declared.visible_part(file, image.width, image.height)
            pixels = pixels if part is None else np.ascontiguousarray(pixels[part])
        views = jpeg.side_by_side(file) if form == "JPEG" else None
    return Decoded(
        pixels, mode, has_alpha, said.icc, bits, form, orientation, orientation, remarks, said.space, dpi_of(image), views
    )


def _has_end(file: BinaryIO) -> bool:
    """Whether a JPEG has its end mark; the file's position stays. The whole file is searched only if none is near its end."""
    at = file.tell()
    file.seek(max(0, file.seek(0, os.SEEK_END) - _NEAR_END))
    found = jpeg.EOI in file.read()
    if not found:
        file.seek(0)
        found = jpeg.end_of_picture(file.read()) is not None
    file.seek(at)
    return found


def _without_end(file: BinaryIO) -> Image.Image:
    """A JPEG without its end mark.

    libjpeg makes up missing data without a word. So the data is decoded with different bytes after it: if these change nothing,
    the data before them was enough for the whole picture. Zeros at the end are no data: programs reserve space with them.

    Raises:
        EOFError: data is missing.
    """
    file.seek(0)
    data = file.read().rstrip(b"\0")
    missing = EOFError("truncated: there is neither an end mark nor all of the data")
    if not jpeg.scans_complete(data):
        raise missing
    found: list[Image.Image] = []
    for tail in _TAILS:
        image = Image.open(io.BytesIO(data + tail + jpeg.EOI), formats=["JPEG"])
        image.load()
        if found and not np.array_equal(np.asarray(image), np.asarray(found[0])):
            raise missing
        found.append(image)
    return found[0]


def _frames_left_out(path: bytes, image: Image.Image, form: str) -> tuple[str, ...]:
    """A warning if the file has more frames. The further pictures in a JPEG belong to the photo."""
    if form == "JPEG":
        return ()
    if form == "GIF":  # counting the frames would decode them all
        animated = bool(getattr(image, "is_animated", False))
        return (f"{display_name(path)} is an animation; its first frame was used.",) if animated else ()
    return left_out(path, int(getattr(image, "n_frames", 1)), "frames")


def _refusal(marker: int, bits: int) -> str | None:
    """What kind of JPEG this is, if it is one that is not read (ITU-T T.81, table B.1)."""
    if marker in _LOSSLESS:
        return "lossless JPEG"
    if marker in _HIERARCHICAL:
        return "hierarchical JPEG"
    return f"JPEG with {bits} bits per channel" if bits != 8 else None


def _deep_samples(image: Image.Image, file: BinaryIO) -> tuple[NDArray[np.uint16], convert.Mode, bool] | None:
    """All bits of RGB and RGBA samples of a PNG or AVIF, through OpenCV; None if Pillow's result is as good."""
    if image.mode not in ("RGB", "RGBA"):
        return None
    file.seek(0)
    samples = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    if samples is None or samples.dtype != np.uint16 or samples.ndim != 3 or samples.shape[:2] != image.size[::-1]:
        return None
    has_alpha = samples.shape[2] == 4
    code = cv2.COLOR_BGRA2RGBA if has_alpha else cv2.COLOR_BGR2RGB
    return cv2.cvtColor(samples, code).astype(np.uint16, copy=False), "RGB", has_alpha
