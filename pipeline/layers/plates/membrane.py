"""Fills the unknown parts of a picture smoothly (push-pull, Gortler et al., "The Lumigraph", 1996)."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.image.filters import box, channels, resize

RELAXATIONS = 1
"""Rounds of smoothing per level. They continue slopes into the unknown, as a membrane would (a one-way multigrid)."""


def push_pull(product: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fill the unknown parts smoothly from their surroundings.

    Args:
        product: float32 (h, w, 3), colour times weight.
        weight: float32 (h, w), 0 (unknown) to 1.

    Returns:
        float32 (h, w, 3), defined everywhere; 0 if nothing is known.
    """
    levels = [(product, weight)]
    while max(levels[-1][1].shape) > 1:
        h, w = levels[-1][1].shape
        half = (h + 1) // 2, (w + 1) // 2
        levels.append((resize(levels[-1][0], half, cv2.INTER_AREA), resize(levels[-1][1], half, cv2.INTER_AREA)))
    top, mass = levels[-1]
    coarse: NDArray[np.float32] = top / channels(np.maximum(mass, np.float32(1e-12)))
    for fine, mass in reversed(levels[:-1]):
        coarse = resize(coarse, mass.shape, cv2.INTER_LINEAR).copy()
        # A partly known cell takes the colour of its known part: mixing it with the coarser guess would bleed.
        sure = channels(np.minimum(mass * np.float32(8.0), np.float32(1.0)))
        known = fine / channels(np.maximum(mass, np.float32(1e-6)))
        coarse += sure * (known - coarse)
        for _ in range(RELAXATIONS):
            coarse = box(coarse, 3)
            coarse += sure * (known - coarse)
    return coarse
