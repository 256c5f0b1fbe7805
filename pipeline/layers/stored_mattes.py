"""Takes the alpha of soft borders from the mattes that a phone stored in the photo.

A matte shows one thing: a person, their hair, their skin, the sky. It decides a border only where that border is the thing's own:
where the matte is clearly different on the two sides. There, alpha is the matte's position between its values well inside either
side. So a matte of the sky, which is behind, works as one of a person does. Elsewhere, colours decide as without a matte.
"""

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.image.filters import box, resize
from pipeline.layers.bands import Pixels, band_radius

CLEAR = 0.5
"""The difference between the two sides from which a border counts as the thing's own; the largest is 1.

Between two parts of one person it is about 0, along a person's outline nearly 1."""
_SURROUNDINGS = 3
"""Half the width of the surroundings in which a side's value is taken, in half widths of the band."""


class StoredMattes:
    """An `AlphaEstimator` (`pipeline.layers.matte`) that knows only the borders of things in the mattes; NaN elsewhere.

    Args:
        mattes: uint8 (h, w) each, of the whole picture, 255 where the thing is. Of several that see a border, the clearest
            decides.

    Attributes:
        names: what the mattes show.
    """

    def __init__(self, mattes: Mapping[str, NDArray[np.uint8]]) -> None:
        self._mattes = dict(mattes)
        self.names = tuple(self._mattes)

    def __call__(self, rgb: NDArray[np.uint8], front: NDArray[np.uint8], index: NDArray[np.intp]) -> NDArray[np.float32]:
        """Estimate the alpha of the pixels `index`: float32 (n,), 0 to 1, or NaN where no matte sees the border."""
        pixels = Pixels.at(index, (rgb.shape[0], rgb.shape[1]))
        alpha = np.full(index.size, np.nan, np.float32)
        clearest = np.full(index.size, CLEAR, np.float32)
        for matte in self._mattes.values():
            share = matte.astype(np.float32) / np.float32(255.0)
            ahead, behind = (pixels.sample(side) for side in _sides(share, front))
            there = pixels.sample(share)
            contrast = ahead - behind
            better = np.abs(contrast) >= clearest  # False where a side is unknown
            seen = np.clip((there - behind) / np.where(better, contrast, np.float32(1.0)), 0.0, 1.0)
            np.copyto(alpha, seen, where=better)
            np.copyto(clearest, np.abs(contrast), where=better)
        return alpha


def _sides(share: NDArray[np.float32], front: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The matte's mean well inside the front and well behind it, around each of its cells; NaN where no such place is near."""
    covered = resize(front, (share.shape[0], share.shape[1]), cv2.INTER_AREA)
    radius = max(1, round(band_radius(front.shape) * max(share.shape) / max(front.shape)))
    inner = 2 * radius + 1
    window = 2 * _SURROUNDINGS * radius + 1
    means = []
    for side in (covered == 255, covered == 0):
        # Beyond half a band from the border, the matte has its full value.
        solid = cv2.erode(side.astype(np.uint8), np.ones((inner, inner), np.uint8), borderValue=1).astype(np.float32)
        weight = box(solid.reshape(share.shape), window)
        total = box((solid.reshape(share.shape) * share), window)
        means.append(np.where(weight > 1e-4, total / np.maximum(weight, np.float32(1e-4)), np.float32(np.nan)))
    return means[0], means[1]
