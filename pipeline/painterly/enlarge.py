"""Enlarges a small painting to the photo's full size, with the photo's edges."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.image.filters import box, resize

Rgb = NDArray[np.uint8]

_WINDOW = 5  # of the local model, in pixels of the painting: as wide as an edge that the reduction blurred
_NOISE = 6.0**2  # variance in levels²; below it, the photo only shows grain and compression
_MAX_GAIN = 2.0  # above it, small differences in the photo would become halos


def enlarge(painting: Rgb, photo: Rgb) -> Rgb:
    """Bring a painting to the photo's resolution.

    The painting is enlarged. Then it gets back the fine detail that was lost when the photo was reduced, but only where the
    painting follows the photo. This uses a local linear model, painting ≈ a·photo + b, as in the guided filter (He, Sun and Tang,
    2013; the coefficients at low resolution as in "Fast Guided Filter", He and Sun, 2015). Unlike the original filter, it keeps
    brushwork that is not in the photo. Where the painting differs from the photo, a is near 0, and none of the photo comes back.

    Args:
        painting: uint8 (h, w, 3).
        photo: uint8 (H, W, 3), of the same view.

    Returns:
        uint8 (H, W, 3).
    """
    shape, small = photo.shape[:2], painting.shape[:2]
    if shape == small:
        return painting
    light = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float32)
    guide = resize(light, small, cv2.INTER_AREA)
    mean = box(guide, _WINDOW)
    variance = box(guide * guide, _WINDOW) - mean * mean
    detail = light - resize(guide, shape, cv2.INTER_CUBIC)
    full = np.empty((*shape, 3), np.uint8)
    for channel in range(3):
        colour = painting[:, :, channel].astype(np.float32)
        covariance = box(guide * colour, _WINDOW) - mean * box(colour, _WINDOW)
        gain = np.clip(covariance / (variance + np.float32(_NOISE)), -_MAX_GAIN, _MAX_GAIN).astype(np.float32)
        enlarged = resize(colour, shape, cv2.INTER_CUBIC)
        enlarged += resize(box(gain, _WINDOW), shape, cv2.INTER_LINEAR) * detail
        full[:, :, channel] = np.rint(enlarged.clip(0.0, 255.0)).astype(np.uint8)
    return full
