"""Reads pictures: checks limits before any pixel is loaded, decodes, turns upright, and returns 8-bit RGB and alpha.

Only this module and `pipeline.image.tiff.pixels` (TIFFs of more than 8 bits) use Pillow's `open`. 16-bit RGB in PNG goes through
OpenCV, because Pillow keeps only the high byte of such samples. HEIC goes through pi-heif, which keeps 10 and 12 bits as they
are.
"""

import os
import warnings as python_warnings
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import AvifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from daemon.contract.messages import Limits
from daemon.errors import ImageType, ImageUnreadable
from pipeline.image import formats
from pipeline.image.colour import convert, declared
from pipeline.image.colour.cicp import Space
from pipeline.image.source_file import TRUNCATED, check_limits, damage_reported, display_name, open_source
from pipeline.image.tiff import directory as tiff_directory
from pipeline.image.tiff import pixels as tiff_pixels
from pipeline.image.tiff import support as tiff_support

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF")  # what Pillow may try; HEIC is recognised first and goes to pi-heif

# Pillow knows only the formats of imported modules. Importing these spares it from importing all forty.
_PLUGINS = (AvifImagePlugin, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin)

# Pillow's own guard against decompression bombs has a fixed limit (89 million pixels) and warns first. Here the configured
# limit is checked on every path between reading the header and loading pixels, so that guard is off.
Image.MAX_IMAGE_PIXELS = None

_ORIENTATION = 0x0112
_FLIPS = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}  # OpenCV's flip codes; 5 to 8 are transposed first
_NEW_SUBFILE_TYPE, _DNG_VERSION, _XMP, _ICC_PROFILE = 254, 50706, 700, 34675

Pixels = NDArray[np.uint8]
Samples = TypeVar("Samples", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture in the form that all later steps use.

    Attributes:
        rgb: uint8 (H, W, 3), upright, C-contiguous; in the profile `icc`.
        alpha: uint8 (H, W), 255 is opaque; None if the whole picture is opaque.
        icc: the embedded RGB profile; None means sRGB.
        profile: the profile's description, "sRGB" if there is none.
        bits: bits per channel in the file; `rgb` has 8, rounded.
        format: "JPEG", "PNG", "WEBP", "TIFF", "HEIF" or "AVIF".
        orientation: the EXIF orientation in the file, 1 to 8. It has already been applied (for HEIC through the container's own
            rotation, whatever EXIF says). It is kept so that a depth picture of the unrotated photo can be turned as well.
        warnings: sentences for people about what was ignored.
    """

    rgb: Pixels
    alpha: Pixels | None
    icc: bytes | None
    profile: str
    bits: int
    format: str
    orientation: int = 1
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class _Decoded:
    """Pixels as they are in the file: not yet upright, not yet RGB; uint8 or uint16 (H, W) or (H, W, C)."""

    pixels: NDArray[Any]
    mode: convert.Mode
    has_alpha: bool
    icc: bytes | None
    bits: int
    format: str
    orientation: int = 1
    turn: int = 1  # the orientation that must still be applied
    warnings: tuple[str, ...] = ()
    space: Space | None = None  # what the numbers are, if `icc` does not say it


def read(path: bytes, *, limits: Limits) -> Photo:
    """Read a picture.

    Formats: JPEG (including the multi-picture kind of phones), PNG, WebP, TIFF, HEIC and AVIF. If the file has several frames or
    pages, the first is used, with a warning.

    Args:
        path: of the picture; links are not followed.
        limits: the most bytes and pixels; checked on the opened file and on its header, before pixels are loaded.

    Returns:
        The picture, upright, as 8-bit RGB, with alpha if any of it is transparent.

    Raises:
        SourceMissing: there is no such file.
        ImageType: not a picture of these formats; the message says what it is, if that can be recognised.
        ImageTooLarge: above the limits.
        ImageUnreadable: damaged; `detail` starts with `TRUNCATED` if the file ends too early.
    """
    decoded = decode(path, limits=limits)
    samples, alpha = decoded.pixels, None
    if decoded.has_alpha:
        alpha = _8_bits(np.ascontiguousarray(samples[..., -1]), decoded.bits)
        samples = np.ascontiguousarray(samples[..., 0] if decoded.mode == "L" else samples[..., :3])
        if alpha.min() == 255:
            alpha = None
    if decoded.space is not None and decoded.mode in ("L", "RGB"):
        colours = convert.from_declared(samples, decoded.bits, decoded.space)
    else:
        colours = convert.to_rgb(_8_bits(samples, decoded.bits), decoded.mode, decoded.icc)
    return Photo(
        rgb=upright(colours.rgb, decoded.turn),
        alpha=None if alpha is None else upright(alpha, decoded.turn),
        icc=colours.icc,
        profile=colours.profile,
        bits=decoded.bits,
        format=decoded.format,
        orientation=decoded.orientation,
        warnings=(*decoded.warnings, *colours.warnings),
    )


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


def upright(pixels: NDArray[Samples], orientation: int) -> NDArray[Samples]:
    """Apply an EXIF orientation (CIPA DC-008, 4.6.4 A).

    Args:
        pixels: (H, W) or (H, W, C), any dtype.
        orientation: 1 to 8; anything else means 1.

    Returns:
        The same array for 1, otherwise a C-contiguous copy; (W, H, …) for 5 to 8.
    """
    if orientation not in range(2, 9):
        return pixels
    turned: NDArray[Any] = pixels.view(np.uint8) if pixels.dtype == np.bool_ else pixels
    if orientation >= 5:
        turned = cv2.transpose(turned)
    if orientation in _FLIPS:
        turned = cv2.flip(turned, _FLIPS[orientation])
    return turned.view(pixels.dtype)


def decode(path: bytes, *, limits: Limits, numbers: bool = False) -> _Decoded:
    """Open, check and decode a file: the common part of `read` and `read_samples`.

    `numbers`: the samples are data, not colours; samples of 16 and 32 bits and floats are kept as they are.
    """
    with open_source(path) as file, damage_reported(path, file):
        size = os.fstat(file.fileno()).st_size
        check_limits(path, limits, size=size)
        head = file.read(formats.HEAD_BYTES)
        file.seek(0)
        kind = formats.sniff(head)
        if size == 0:
            raise ImageUnreadable(f"{display_name(path)} is empty.", detail=f"{TRUNCATED}: 0 bytes")
        if kind == "HEIC":
            return _decode_heif(path, file, limits)
        if kind not in formats.PICTURES:
            what = f"is a {kind}, not a picture" if kind else "isn't a readable picture (JPEG, PNG, WebP, TIFF, HEIC or AVIF)"
            raise ImageType(f"{display_name(path)} {what}.")
        with python_warnings.catch_warnings(record=True) as caught:
            python_warnings.simplefilter("always")
            decoded = _decode_tiff(path, file, limits, numbers=numbers) if kind == "TIFF" else _decode_pillow(path, file, limits)
        # Pillow's warnings about damaged metadata concern the picture, so the person who dropped it should see them.
        remarks = dict.fromkeys(f"{display_name(path)}: {str(each.message)[:200].strip()}" for each in caught)
        return replace(decoded, warnings=(*decoded.warnings, *remarks))


def _decode_pillow(path: bytes, file: BinaryIO, limits: Limits) -> _Decoded:
    """Decode through Pillow, or through OpenCV for 16-bit RGB in PNG."""
    with Image.open(file, formats=[form for form in FORMATS if form != "TIFF"]) as image:
        check_limits(path, limits, pixels=image.size)
        form = "JPEG" if image.format == "MPO" else str(image.format)
        remarks = () if form == "JPEG" else _frames_left_out(path, int(getattr(image, "n_frames", 1)), "frames")
        bits = max(os.pread(file.fileno(), 1, 24)[0], 8) if form == "PNG" else 8  # IHDR: ISO/IEC 15948, 11.2.2
        said = declared.of_file(form, file, image, image.info.get("icc_profile") or None)
        if said.remark is not None:
            remarks = (*remarks, f"{display_name(path)} {said.remark}.")
        image.load()
        orientation = _orientation(image)
        if form == "AVIF":
            bits = declared.bits_of(file)
        deep = _deep_samples(image, file) if bits > 8 else None
        pixels, mode, has_alpha = deep or _samples(image)
        if form == "AVIF":
            bits = bits if deep else 8
            part = declared.visible_part(file, image.width, image.height)
            pixels = pixels if part is None else np.ascontiguousarray(pixels[part])
    return _Decoded(pixels, mode, has_alpha, said.icc, bits, form, orientation, orientation, remarks, said.space)


def _decode_tiff(path: bytes, file: BinaryIO, limits: Limits, *, numbers: bool) -> _Decoded:
    """Decode a TIFF of a kind that is known to be read correctly: up to 8 bits through Pillow, more through `tiff`."""
    if file.read(4) == b"MM\0+":  # Pillow would read it as a TIFF with 32-bit offsets
        raise ImageType(f"{display_name(path)} is a BigTIFF with the high byte first, which is not read.", hint=_SAVE_PLAINLY)
    directory = tiff_directory.read_directory(file)
    kind = tiff_directory.kind_of(directory)
    check_limits(path, limits, pixels=(kind.width, kind.height))
    # Camera raw files are TIFFs whose first picture is a thumbnail; silently using that as the photo would be a loss.
    if _DNG_VERSION in directory or int(directory.get(_NEW_SUBFILE_TYPE, 0)) & 1:
        raise ImageType(f"{display_name(path)} is a camera raw file, not a finished picture.")
    why = tiff_support.refusal(kind, numbers=numbers)
    if why is not None:
        raise ImageType(f"{display_name(path)} {why}.", hint=_SAVE_PLAINLY)
    tiff_directory.check_segments(directory, kind)
    remarks = _frames_left_out(path, tiff_directory.page_count(file, directory), "pages")
    if kind.deep:
        probe = Image.new("L", (1, 1))
        probe.info["xmp"] = directory.get(_XMP)
        orientation = int(directory.get(_ORIENTATION, 0)) or _orientation(probe)
        pixels, mode = _channels(tiff_pixels.read_samples(file, directory), has_alpha=kind.has_alpha)
        icc = directory.get(_ICC_PROFILE) or None
        return _Decoded(pixels, mode, kind.has_alpha, icc, kind.bits, "TIFF", orientation, orientation, remarks)
    with Image.open(tiff_directory.in_one_plane(file, directory, kind), formats=["TIFF"]) as image:
        icc = image.info.get("icc_profile") or None
        orientation = _orientation(image)  # before `load`, in which Pillow turns the pixels and forgets the orientation
        image.load()
        pixels, mode, has_alpha = _samples(image)
    return _Decoded(pixels, mode, has_alpha, icc, kind.bits, "TIFF", orientation, 1, remarks)


_SAVE_PLAINLY = "Save it as an RGB or grey TIFF or PNG with 8 or 16 bits per channel and drop it again."


def _channels(samples: NDArray[Any], *, has_alpha: bool) -> tuple[NDArray[Any], convert.Mode]:
    """Convert samples (H, W, C) to a dtype that OpenCV can rotate, and to (H, W) if C is 1. Returns them and their mode."""
    wider = {"int8": np.int32, "int16": np.int32, "uint32": np.float64, "float16": np.float32}.get(samples.dtype.name)
    if wider is not None:
        samples = samples.astype(wider)
    modes: dict[int, convert.Mode] = {1: "L", 3: "RGB", 4: "CMYK"}
    mode = modes[samples.shape[2] - has_alpha]
    return (samples[..., 0] if samples.shape[2] == 1 else samples), mode


def _samples(image: Image.Image) -> tuple[NDArray[Any], convert.Mode, bool]:
    """The pixels decoded by Pillow, their mode, and whether the last channel is alpha. Palettes are resolved."""
    key = image.info.get("transparency")
    if image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.uint16, copy=False)
        if key is None:
            return grey, "L", False
        return np.dstack([grey, np.where(grey == key, 0, 65535).astype(np.uint16)]), "L", True
    if image.mode == "1":
        image = image.convert("L")
    plain = {"L": "L", "LA": "LA", "RGB": "RGB", "RGBA": "RGBA", "CMYK": "CMYK", "LAB": "LAB", "La": "LA"}
    wanted = plain.get(image.mode, "RGBA" if image.has_transparency_data else "RGB")
    if key is not None and wanted in ("L", "RGB"):
        wanted = "RGBA"  # PNG's tRNS chunk makes one value or colour transparent
    if image.mode != wanted:
        image = image.convert(wanted)
    return np.asarray(image), _MODES[wanted], wanted in ("LA", "RGBA")


_MODES: dict[str, convert.Mode] = {"L": "L", "LA": "L", "RGB": "RGB", "RGBA": "RGB", "CMYK": "CMYK", "LAB": "LAB"}


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


def _decode_heif(path: bytes, file: BinaryIO, limits: Limits) -> _Decoded:
    """Decode HEIC; libheif has already turned it upright."""
    if formats.is_cut_off(file):  # libheif silently leaves missing tiles black
        raise EOFError("a box ends behind the file")
    from pipeline.image import heif

    container = heif.parse(file)
    main = container[container.primary_index]
    check_limits(path, limits, pixels=main.size)
    pixels, mode = heif.main_samples(container)
    left_out = len(container) - 1
    bits = int(main.info["bit_depth"])
    orientation = heif.exif_orientation(container)
    said = declared.of_file("HEIF", file, None, main.info.get("icc_profile"))
    remarks = (f"{display_name(path)} holds {left_out + 1} pictures; the main one was used.",) if left_out else ()
    if said.remark is not None:
        remarks = (*remarks, f"{display_name(path)} {said.remark}.")
    has_alpha = mode in ("LA", "RGBA")
    return _Decoded(pixels, _MODES[mode], has_alpha, said.icc, bits, "HEIF", orientation, 1, remarks, said.space)


def _frames_left_out(path: bytes, frames: int, word: str) -> tuple[str, ...]:
    """A warning if there is more than one frame or page."""
    return (f"{display_name(path)} has {frames} {word}; the first one was used.",) if frames > 1 else ()


def _orientation(image: Image.Image) -> int:
    """The orientation in EXIF or XMP, 1 to 8. If it cannot be read: 1, with a Python warning."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception as reason:  # noqa: BLE001  hostile EXIF fails in many ways
        python_warnings.warn(f"The EXIF data is damaged; the picture was taken as upright ({reason}).", stacklevel=2)
        return 1
    return value if value in range(1, 9) else 1
