"""Defines the colour ramp from far to near, for the depth map that people look at and for the layers' marks.

It is interpolated in Oklab (Björn Ottosson, "A perceptual color space for image processing", 2020), so that equal steps in
depth look like equal steps in colour. Lightness only rises, so the ramp also works in grey and with any colour vision.
"""

import functools

import cv2
import numpy as np
import numpy.typing as npt

Rgb = tuple[int, int, int]

# Night blue, indigo, sea green, amber, cream: cool colours recede and warm ones come forward, as in the animators' backgrounds.
_ANCHORS: tuple[Rgb, ...] = ((20, 22, 48), (58, 74, 132), (72, 142, 146), (226, 170, 92), (255, 244, 218))
# Layer marks avoid the ends of the ramp, which disappear on a dark or a light page.
_MARKS = (0.24, 0.82)

_TO_LMS = np.array([[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
                    [0.0883024619, 0.2817188376, 0.6299787005]])  # fmt: skip
_TO_LAB = np.array([[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
                    [0.0259040371, 0.7827717662, -0.8086757660]])  # fmt: skip


def _to_oklab(rgb: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    lab: npt.NDArray[np.float64] = np.cbrt(linear @ _TO_LMS.T) @ _TO_LAB.T
    return lab


def _to_srgb(lab: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    linear = np.clip((lab @ np.linalg.inv(_TO_LAB).T) ** 3 @ np.linalg.inv(_TO_LMS).T, 0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


@functools.cache
def ramp(steps: int = 256) -> npt.NDArray[np.uint8]:
    """The ramp as uint8 (steps, 3) sRGB, far first."""
    anchors = _to_oklab(np.array(_ANCHORS) / 255)
    at = np.linspace(0, len(_ANCHORS) - 1, steps)
    lab = np.stack([np.interp(at, np.arange(len(_ANCHORS)), anchors[:, axis]) for axis in range(3)], axis=1)
    return np.rint(_to_srgb(lab) * 255).astype(np.uint8)


def colour_depth(disparity: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """The depth map in colour: converts float32 (H, W), 0 far to 1 near, to uint8 (H, W, 3)."""
    steps = np.clip(np.rint(disparity * np.float32(255)), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(cv2.merge([steps] * 3), ramp().reshape(256, 1, 3)), np.uint8)


def layer_colours(count: int) -> tuple[Rgb, ...]:
    """The colour of each layer's mark, the farthest layer first."""
    colours = ramp(1000)
    return tuple(
        (int(red), int(green), int(blue)) for red, green, blue in colours[np.rint(np.linspace(*_MARKS, count) * 999).astype(int)]
    )
