"""Makes the pictures on the planes of a 3-D scene: in sRGB, of bounded size, and with colour under their transparent borders.

3-D formats know no colour profiles: textures are sRGB. Programs interpolate between texels, and colour apart from alpha, so
that black behind a transparent border would show as a dark seam. Therefore the colour of each border continues under it.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.export.preview import shrink
from pipeline.export.scenes.stage import Standing
from pipeline.image import png
from pipeline.image.colour.convert import to_srgb
from pipeline.image.filters import dilate, put, threshold

Pixels = NDArray[np.uint8]

MAX_TEXELS = 16_000_000
"""Of all textures together: 64 MB, and a third more with the reduced copies that graphics cards keep. Phones hold this."""
_REACH = 16
"""How far colour continues, in texels: to where a copy reduced to a sixteenth still looks. Beyond is the layer's mean colour."""


@dataclass(frozen=True, eq=False)
class Texture:
    """The picture on one plane.

    Attributes:
        png: a PNG file, RGB if it is opaque and RGBA (straight alpha) otherwise.
        opaque: whether it has no transparent texel.
    """

    png: bytes
    opaque: bool


def texture_size(width: int, height: int, count: int, max_side: int) -> tuple[int, int]:
    """Width and height of each of `count` textures of a picture: its own, or less so that they stay within the limits."""
    scale = min(1.0, max_side / max(width, height), math.sqrt(MAX_TEXELS / (count * width * height)))
    return max(1, round(width * scale)), max(1, round(height * scale))


def textures(layers: Sequence[Standing], icc: bytes | None, max_side: int) -> Iterator[Texture]:
    """The texture of each layer, in their order.

    Args:
        layers: the layers, all of one shape.
        icc: the profile of their colours; None for sRGB.
        max_side: how many texels a texture has at most across and down.
    """
    height, width = layers[0].rgba.shape[:2]
    size = texture_size(width, height, len(layers), max_side)
    for layer in layers:
        rgba = shrink(layer.rgba, size)
        alpha = np.ascontiguousarray(rgba[..., 3])
        rgb = continued(to_srgb(np.ascontiguousarray(rgba[..., :3]), icc), alpha)
        opaque = bool(alpha.min() == 255)
        yield Texture(png.encode_rgb(rgb) if opaque else png.encode_rgba(np.dstack([rgb, alpha])), opaque)


def continued(rgb: Pixels, alpha: Pixels) -> Pixels:
    """The colours, uint8 (H, W, 3), with those where `alpha`, uint8 (H, W), is 0 replaced by the nearest visible ones.

    Farther than 16 pixels from anything visible, the colour is the mean of what is visible.
    """
    seen = threshold(alpha, 1)
    hidden = np.asarray(cv2.bitwise_not(seen), np.uint8)
    if not hidden.any() or not seen.any():
        return rgb
    distance, nearest = cv2.distanceTransformWithLabels(hidden, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL)
    mean = np.rint(cv2.mean(rgb, seen)[:3]).astype(np.uint8)
    out = np.empty_like(rgb)
    out[:] = mean
    put(rgb, seen, out)
    # Only a pixel at the border of what is visible can be the nearest one to a hidden pixel.
    border = np.flatnonzero(seen & dilate(hidden, 3))
    around = np.flatnonzero((distance > 0) & (distance <= _REACH))
    colours = rgb.reshape(-1, 3)
    colour_of = np.zeros((int(nearest.max()) + 1, 3), np.uint8)
    colour_of[nearest.ravel()[border]] = colours[border]
    out.reshape(-1, 3)[around] = colour_of[nearest.ravel()[around]]
    return out
