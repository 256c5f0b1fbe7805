"""Decodes TIFF files of the kinds that are known to be read correctly, and refuses the others with a reason."""

from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from daemon.contract.messages import Limits
from daemon.errors import ImageType
from pipeline.image.colour import convert
from pipeline.image.decoders import raw_file
from pipeline.image.decoders.decoded import Decoded, left_out, orientation_of, samples_of, usable_dpi
from pipeline.image.source_file import check_limits, display_name
from pipeline.image.tiff import directory as tiff_directory
from pipeline.image.tiff import pixels as tiff_pixels
from pipeline.image.tiff import support as tiff_support

_PLUGINS = (TiffImagePlugin,)  # Pillow knows only the formats of imported modules
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296
_ORIENTATION, _NEW_SUBFILE_TYPE, _DNG_VERSION, _XMP, _ICC_PROFILE = 274, 254, 50706, 700, 34675


def decode(path: bytes, file: BinaryIO, limits: Limits, *, numbers: bool) -> Decoded:
    """Decode a TIFF of a kind that is known to be read correctly: up to 8 bits through Pillow, more through `tiff`."""
    if file.read(4) == b"MM\0+":  # Pillow would read it as a TIFF with 32-bit offsets
        raise ImageType(f"{display_name(path)} is a BigTIFF with the high byte first, which is not read.", hint=_SAVE_SMALL)
    directory = tiff_directory.read_directory(file)
    kind = tiff_directory.kind_of(directory)
    check_limits(path, limits, pixels=(kind.width, kind.height))
    # Camera raw files are TIFFs whose first picture is a thumbnail; silently using that as the photo would be a loss.
    is_mosaic = kind.photometric in (tiff_support.MOSAIC, tiff_support.LINEAR_RAW)
    if _DNG_VERSION in directory or is_mosaic or int(directory.get(_NEW_SUBFILE_TYPE, 0)) & 1:
        return raw_file.decode(path, file, limits)
    why = tiff_support.refusal(kind, numbers=numbers)
    if why is not None:
        raise ImageType(f"{display_name(path)} {why}.", hint=_SAVE_PLAINLY)
    tiff_directory.check_segments(directory, kind)
    remarks = left_out(path, tiff_directory.page_count(file, directory), "pages")
    if kind.deep:
        probe = Image.new("L", (1, 1))
        probe.info["xmp"] = directory.get(_XMP)
        orientation = int(directory.get(_ORIENTATION, 0)) or orientation_of(probe)
        pixels, mode = _channels(tiff_pixels.read_samples(file, directory), has_alpha=kind.has_alpha)
        icc = directory.get(_ICC_PROFILE) or None
        return Decoded(
            pixels, mode, kind.has_alpha, icc, kind.bits, "TIFF", orientation, orientation, remarks, dpi=_dpi(directory)
        )
    with Image.open(tiff_directory.in_one_plane(file, directory, kind), formats=["TIFF"]) as image:
        icc = image.info.get("icc_profile") or None
        orientation = orientation_of(image)  # before `load`, in which Pillow turns the pixels and forgets the orientation
        image.load()
        pixels, mode, has_alpha = samples_of(image)
    return Decoded(pixels, mode, has_alpha, icc, kind.bits, "TIFF", orientation, 1, remarks, dpi=_dpi(directory))


def _dpi(directory: tiff_directory.Directory) -> tuple[float, float] | None:
    """Pixels per inch; None without a unit (TIFF 6.0, ResolutionUnit)."""
    unit = {2: 1.0, 3: 2.54}.get(int(directory.get(_RESOLUTION_UNIT, 2)))
    found = directory.get(_X_RESOLUTION), directory.get(_Y_RESOLUTION)
    usable = usable_dpi(found)
    return None if usable is None or unit is None else usable_dpi([each * unit for each in usable])


_SAVE_SMALL = "Save it as an ordinary TIFF, not as a BigTIFF, or as a PNG, and drop it again."
_SAVE_PLAINLY = "Save it as an RGB or grey TIFF or PNG with 8 or 16 bits per channel and drop it again."


def _channels(samples: NDArray[Any], *, has_alpha: bool) -> tuple[NDArray[Any], convert.Mode]:
    """Convert samples (H, W, C) to a dtype that OpenCV can rotate, and to (H, W) if C is 1. Returns them and their mode."""
    wider = {"int8": np.int32, "int16": np.int32, "uint32": np.float64, "float16": np.float32}.get(samples.dtype.name)
    if wider is not None:
        samples = samples.astype(wider)
    modes: dict[int, convert.Mode] = {1: "L", 3: "RGB", 4: "CMYK"}
    mode = modes[samples.shape[2] - has_alpha]
    return (samples[..., 0] if samples.shape[2] == 1 else samples), mode
