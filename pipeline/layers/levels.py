"""Recovers what lies between the levels of a coarsely stored depth map.

Phones and many programs store depth in 256 levels. A slope is stored as a staircase, and a border that follows one of its stairs
has teeth when the map is enlarged to its photo. The result is the smoothest surface that fits the stored levels: it is
diffused, and kept within one level of what was stored, in turns (projection onto convex sets). Exact storage would allow half a
level, but phones also compress the map with losses, which moves values to the next level.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

MOST_LEVELS = 1024
"""A map with more levels has stairs that are too low to be seen."""
HIGHEST = 1 / 64
"""A higher stair is taken for a step of the scene, which stays as it is."""
ROUNDS = 24
"""Each round carries a value one pixel further; slopes with stairs longer than twice this keep them."""


def between_levels(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The smoothest surface that is within one level of these values.

    Args:
        values: float32 (h, w), finite.

    Returns:
        float32 (h, w), nowhere farther from `values` than the usual distance between two levels. `values` itself if it has more
        than `MOST_LEVELS` levels, or if that distance is more than `HIGHEST`.
    """
    levels = np.unique(values)
    if not 1 < levels.size <= MOST_LEVELS:
        return values
    level = np.float32(np.median(np.diff(levels)))
    if level > HIGHEST:
        return values
    low, high = values - level, values + level
    smooth = values
    for _ in range(ROUNDS):
        smooth = np.asarray(cv2.GaussianBlur(smooth, (3, 3), 0, borderType=cv2.BORDER_REPLICATE), np.float32)
        np.clip(smooth, low, high, out=smooth)
    return smooth
