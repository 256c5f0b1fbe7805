"""Defines what the decoder of each format returns, and how Pillow's pictures become that."""

import warnings as python_warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.image.colour import convert
from pipeline.image.colour.cicp import Space
from pipeline.image.source_file import display_name

ORIENTATION, _X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 274, 282, 283, 296
MAX_DPI = 30_000.0  # what fits in 16 bits in a Photoshop file


@dataclass(frozen=True, eq=False)
class Decoded:
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
    dpi: tuple[float, float] | None = None  # across and down, before it is turned
    views: str | None = None  # how the file says that a stereo pair is arranged in the picture, as `jpeg.side_by_side` returns it


def samples_of(image: Image.Image) -> tuple[NDArray[Any], convert.Mode, bool]:
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
    return np.asarray(image), MODES[wanted], wanted in ("LA", "RGBA")


MODES: dict[str, convert.Mode] = {"L": "L", "LA": "L", "RGB": "RGB", "RGBA": "RGB", "CMYK": "CMYK", "LAB": "LAB"}


def left_out(path: bytes, frames: int, word: str) -> tuple[str, ...]:
    """A warning if there is more than one frame or page."""
    return (f"{display_name(path)} has {frames} {word}; the first one was used.",) if frames > 1 else ()


def dpi_of(image: Image.Image) -> tuple[float, float] | None:
    """Pixels per inch across and down, as Pillow found them or as EXIF says; None if there are none or they mean nothing."""
    try:
        return usable_dpi(image.info["dpi"]) if "dpi" in image.info else dpi_in(image.getexif())
    except Exception:  # noqa: BLE001  hostile EXIF fails in many ways, and `orientation_of` has warned
        return None


def dpi_in(exif: Mapping[int, Any]) -> tuple[float, float] | None:
    """Pixels per inch across and down, as EXIF data says; without a unit, inches are meant (CIPA DC-008, 4.6.4)."""
    unit = {2: 1.0, 3: 2.54}.get(exif.get(_RESOLUTION_UNIT, 2))
    found = usable_dpi((exif.get(_X_RESOLUTION), exif.get(_Y_RESOLUTION)))
    return None if found is None or unit is None else usable_dpi([each * unit for each in found])


def usable_dpi(found: Any) -> tuple[float, float] | None:  # noqa: ANN401  whatever a file holds
    """Two numbers of pixels per inch that a program can use; None for anything else."""
    try:
        across, down = (float(each) for each in found)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if all(1.0 <= each <= MAX_DPI for each in (across, down)) else None


def orientation_of(image: Image.Image) -> int:
    """The orientation in EXIF or XMP, 1 to 8. If it cannot be read: 1, with a Python warning."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception as reason:  # noqa: BLE001  hostile EXIF fails in many ways
        python_warnings.warn(f"The EXIF data is damaged; the picture was taken as upright ({reason}).", stacklevel=2)
        return 1
    return value if value in range(1, 9) else 1
