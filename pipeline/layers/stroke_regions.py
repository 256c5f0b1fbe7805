"""Moves borders between layers so that they go around brush strokes instead of through them."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.image.filters import resize

LARGEST_MOVED = 0.002
"""A part of a stroke with at most this fraction of the picture's pixels follows the rest of the stroke.

A larger part is a separate thing, and its depth counts for more than the stroke.
"""


def keep_whole(labels: NDArray[np.uint8], strokes: NDArray[np.int32], num_layers: int) -> NDArray[np.uint8]:
    """Assign each stroke that a border cuts to the layer that holds most of it, unless the other parts are large.

    Args:
        labels: uint8 (H, W), 0 (farthest) to num_layers − 1.
        strokes: int32 (h, w) of the same view, numbers of strokes; pixels with 0 belong to none and keep their label.
        num_layers: how many.

    Returns:
        uint8 (H, W): the labels. A stroke that is equally in two layers goes to the farther one.
    """
    small = resize(labels, strokes.shape, cv2.INTER_NEAREST_EXACT)
    counts = np.bincount(strokes.ravel() * num_layers + small.ravel(), minlength=(int(strokes.max()) + 1) * num_layers)
    counts = counts.reshape(-1, num_layers)
    size, best = counts.sum(axis=1), counts.argmax(axis=1)
    second = np.where(np.arange(num_layers) == best[:, None], 0, counts).max(axis=1)
    cut = (second > 0) & (second <= LARGEST_MOVED * strokes.size) & (size > 0)
    cut[0] = False
    # The numbers of the layers, and after them one for "unchanged".
    target = np.where(cut, best, num_layers).astype(np.uint8)
    wanted = resize(target[strokes], labels.shape, cv2.INTER_NEAREST_EXACT)
    return np.where(wanted == num_layers, labels, wanted)
