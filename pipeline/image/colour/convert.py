"""Converts every kind of pixel to 8-bit RGB.

An RGB picture keeps its numbers and its profile, which goes into every output. If it declares its colours in another way, it gets
a profile that says the same. Everything else is converted to sRGB, through its ICC profile if it has one.
"""

import io
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from pipeline.image.colour import tone
from pipeline.image.colour.cicp import Space
from pipeline.image.colour.icc import profile_of

Pixels = NDArray[np.uint8]
Mode = Literal["L", "RGB", "CMYK", "LAB"]

SRGB = "sRGB"
_SPACES: dict[Mode, tuple[str, ...]] = {"L": ("GRAY", "RGB"), "RGB": ("RGB",), "CMYK": ("CMYK",), "LAB": ()}


@dataclass(frozen=True, eq=False)
class Colours:
    """RGB pixels and what their numbers mean.

    Attributes:
        rgb: uint8 (H, W, 3).
        icc: the RGB profile that `rgb` is in; None means sRGB.
        profile: the profile's description, for people.
        warnings: sentences for people.
    """

    rgb: Pixels
    icc: bytes | None
    profile: str
    warnings: tuple[str, ...] = ()


def to_rgb(pixels: Pixels, mode: Mode, icc: bytes | None) -> Colours:
    """Convert any 8-bit picture to RGB.

    A grey picture with an RGB profile (some programs write that) becomes three equal channels and keeps the profile. CMYK
    without a profile is converted with the simple formula (255 − C) · (255 − K) / 255, as viewers do.

    Args:
        pixels: uint8; (H, W) for L, (H, W, 3) for RGB and LAB (in Pillow's encoding), (H, W, 4) for CMYK (255 is full ink).
        mode: what the channels are.
        icc: the embedded profile, if any. An unusable one is ignored with a warning.

    Returns:
        RGB; the same array if it was RGB already.
    """
    profile, warnings = _usable(icc, mode)
    if profile is not None and profile.profile.xcolor_space.strip() == "RGB":
        rgb = pixels if mode == "RGB" else cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
        return Colours(_uint8(rgb), icc, _described(profile), warnings)
    if mode == "RGB":
        return Colours(pixels, None, SRGB, warnings)
    if mode == "L" and profile is None:
        return Colours(_uint8(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)), None, SRGB, warnings)
    size = (pixels.shape[1], pixels.shape[0])
    image = Image.frombuffer(mode, size, np.ascontiguousarray(pixels).tobytes(), "raw", mode, 0, 1)
    if mode == "LAB":
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    if profile is None:
        return Colours(_uint8(np.asarray(image.convert("RGB"))), None, SRGB, warnings)
    try:
        return Colours(_uint8(np.asarray(_through(image, profile))), None, SRGB, warnings)
    except (ImageCms.PyCMSError, OSError, ValueError) as reason:
        warnings = (*warnings, f"The picture's colour profile could not be used and was ignored ({reason}).")
        return Colours(_uint8(np.asarray(image.convert("RGB"))), None, SRGB, warnings)


def from_declared(samples: NDArray[Any], bits: int, space: Space) -> Colours:
    """Convert grey or RGB in a space that was declared without a profile.

    Args:
        samples: uint8 or uint16; (H, W) of grey, (H, W, 3) of RGB.
        bits: how many bits of each sample are used, 8 to 16.
        space: what they are.

    Returns:
        RGB with a profile of that space, or, if 8 bits cannot hold it, of another one (`pipeline.image.colour.tone`).
    """
    converted, result, remark = tone.converted(samples, 8 if samples.dtype == np.uint8 else bits, space)
    rgb = converted if converted.ndim == 3 else cv2.cvtColor(converted, cv2.COLOR_GRAY2RGB)
    icc = None if result.is_srgb else profile_of(result)
    return Colours(_uint8(rgb), icc, result.name, () if remark is None else (remark,))


def to_8_bits(samples: NDArray[np.uint16], bits: int = 16) -> Pixels:
    """Convert samples of more than 8 bits to 8 bits, rounded to nearest: round(v · 255 / (2^bits − 1)).

    Args:
        samples: uint16 of any shape, values below 2^bits.
        bits: how many bits of each sample are used, 9 to 16.
    """
    # 510·v = (2^bits − 1)·(2k + 1) has no solution, because the left side is even and the right side is odd. So no value is
    # halfway between two levels, and floats round correctly.
    return _uint8(cv2.convertScaleAbs(samples, alpha=255.0 / ((1 << bits) - 1)))


def to_srgb(rgb: Pixels, icc: bytes | None) -> Pixels:
    """Convert RGB, uint8 (H, W, 3), from its profile to sRGB; without a profile it is sRGB already, and the same array.

    Raises:
        PIL.ImageCms.PyCMSError, OSError: the profile is none that `to_rgb` passes on.
    """
    if icc is None:
        return rgb
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    return _uint8(np.asarray(_through(Image.fromarray(rgb), profile)))


def _through(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    """Convert the picture to sRGB: relative colorimetric with black point compensation, Photoshop's default."""
    converted = ImageCms.profileToProfile(
        image,
        profile,
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    if converted is None:
        raise ValueError("no picture came of it")
    return converted


def _usable(icc: bytes | None, mode: Mode) -> tuple[ImageCms.ImageCmsProfile | None, tuple[str, ...]]:
    """The opened profile if it fits the picture, otherwise None; and a warning if a profile was ignored."""
    if not icc or mode == "LAB":  # Lab defines its own numbers
        return None, ()
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        if profile.profile.xcolor_space.strip() == "RGB":  # it goes into every output, so others must be able to use it
            ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), "RGB", "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as reason:
        return None, (f"The picture's colour profile is damaged and was ignored ({reason}).",)
    space = profile.profile.xcolor_space.strip()
    if space not in _SPACES[mode]:
        kind = {"L": "grey"}.get(mode, mode)
        return None, (f"The picture's colour profile is for {space}, the picture is {kind}; the profile was ignored.",)
    return profile, ()


def _described(profile: ImageCms.ImageCmsProfile) -> str:
    """The profile's own description, cut to 200 characters, because hostile profiles have long ones."""
    try:
        description = ImageCms.getProfileDescription(profile)
    except ImageCms.PyCMSError:
        description = ""
    return " ".join(description.split())[:200] or "unnamed RGB profile"


def _uint8(array: NDArray[Any]) -> Pixels:
    return array.astype(np.uint8, copy=False)
