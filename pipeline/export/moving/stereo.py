"""Writes a pair for two eyes: side by side (`stereo_side_by_side.jpg`), and for red-cyan glasses (`stereo_red_cyan.jpg`).

The pivot lies in the plane of the screen. What is nearer stands in front of it, by at most 2 % of the width, and what is farther
lies behind it, by at most 1 %: limits within which most people fuse the pictures without strain at any size of screen.
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.export.format import Format, Pictures, Progress
from pipeline.export.moving.frames import Frames
from pipeline.export.moving.motion import Pose

SIDE_BY_SIDE, RED_CYAN = "stereo_side_by_side.jpg", "stereo_red_cyan.jpg"
MOST_APART = 0.02
"""The largest difference between what both eyes see, as a fraction of the width."""
_LONGER = 2560
"""Most pixels on the longer side for each eye: what a headset shows."""
_QUALITY = 92
#: What each eye's red, green and blue (rows of the output) take from the picture's, in linear light: E. Dubois, "A Projection
#: Method to Generate Anaglyph Stereo Images", 2001. Plain red and cyan would make red things flicker between the eyes.
_LEFT = np.array([[0.437, 0.449, 0.164], [-0.062, -0.062, -0.024], [-0.048, -0.050, -0.017]], np.float32)
_RIGHT = np.array([[-0.011, -0.032, -0.007], [0.377, 0.761, 0.009], [-0.026, -0.093, 1.234]], np.float32)


def eyes(pictures: Pictures) -> tuple[Pose, Pose]:
    """The poses of the left and the right eye."""
    most = max(abs(plane.travel) for plane in pictures.camera.planes)
    # Each eye goes half as far as both are apart, and the zoom that hides the borders enlarges that, too.
    aside = pictures.motion.amount * min(1.0, MOST_APART / (1.0 + MOST_APART) / 2.0 / most) if most > 0.0 else 0.0
    zoom = 1.0 / (1.0 - 2.0 * aside * most)
    return Pose(aside=aside, zoom=zoom), Pose(aside=-aside, zoom=zoom)


def red_cyan(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One picture for red-cyan glasses, red before the left eye. All are uint8 (H, W, 3), sRGB."""
    both = cv2.add(cv2.transform(cv2.LUT(left, _LINEAR), _LEFT), cv2.transform(cv2.LUT(right, _LINEAR), _RIGHT))
    steps = np.rint(np.clip(both, 0.0, 1.0) * np.float32(len(_ENCODED) - 1)).astype(np.uint16)
    return np.asarray(_ENCODED.take(steps), np.uint8)


def _write(folder: Path, pictures: Pictures, progress: Progress) -> list[str]:
    frames = Frames(pictures, _LONGER)
    left, right = map(frames.at, eyes(pictures))
    progress(0.6)
    for name, picture in ((SIDE_BY_SIDE, np.hstack([left, right])), (RED_CYAN, red_cyan(left, right))):
        with (folder / name).open("xb") as file:
            Image.fromarray(picture).save(file, "JPEG", quality=_QUALITY, subsampling=0)
    return [SIDE_BY_SIDE, RED_CYAN]


def _decoded(value: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear light of sRGB's values, both 0 to 1 (IEC 61966-2-1)."""
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def _encoded(light: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


_LINEAR = _decoded(np.arange(256) / 255).astype(np.float32)
#: Fine enough that even the darkest levels are told apart.
_ENCODED = np.rint(_encoded(np.arange(16384) / 16383) * 255).astype(np.uint8)

#: The cost was measured on photos of 12 megapixels with four layers.
FORMAT = Format(title="Stereo pair", cost=2.0, file=lambda _: SIDE_BY_SIDE, write=_write)
