"""Removes crumbs: connected pieces of a layer that are too small to be a thing of their own."""

import cv2
import numpy as np
from numpy.typing import NDArray

SMALLEST_PIECE = 2e-5
"""Fraction of the picture's pixels; smaller pieces are crumbs. A larger limit would remove real leaves and hair."""
_NONE = 255
"""Marks a pixel without a layer; layers are numbered to 11."""
_UNSEARCHED = 128
"""Marks pixels of a mask of 0 and 255 as neither."""


def without_crumbs(labels: NDArray[np.uint8], smallest: int) -> NDArray[np.uint8]:
    """Give every piece of fewer than `smallest` pixels to the layers around it.

    Args:
        labels: uint8 (H, W), 0 (farthest) to 11.
        smallest: in pixels. Pieces are connected along rows and columns.

    Returns:
        uint8 (H, W): the labels. A crumb is filled from its rim inwards. Each pixel takes the most frequent layer among its
        neighbours; if two are equally frequent, the farther one. If there are only crumbs, the labels stay as they are.
    """
    if smallest <= 1:
        return labels
    clean = labels.copy()
    cv2.filterSpeckles(clean, _NONE, smallest - 1, 0)
    flat = clean.reshape(-1)
    left = np.flatnonzero(flat == _NONE)
    if left.size == flat.size:
        return labels
    height, width = labels.shape
    rows, columns = np.divmod(left, width)
    while left.size:
        around = np.full((4, left.size), _NONE, np.uint8)
        for k, (inside, move) in enumerate(
            ((rows > 0, -width), (rows < height - 1, width), (columns > 0, -1), (columns < width - 1, 1))
        ):
            around[k, inside] = flat[left[inside] + move]
        found = _most(around)
        flat[left] = found
        open_ = found == _NONE
        left, rows, columns = left[open_], rows[open_], columns[open_]
    return clean


def is_crumb(mask: NDArray[np.uint8], beside: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
    """Which pixels of a mask of 0 and 255 are in pieces smaller than `SMALLEST_PIECE`: bool (H, W). Both values form pieces.

    `beside`: bool (H, W), pixels whose answer does not matter, such that a piece which enters them has `SMALLEST_PIECE` outside
    of them. They are not searched, which takes most of the time.
    """
    marked = mask.copy()
    if beside is not None:
        marked[beside] = _UNSEARCHED
    cv2.filterSpeckles(marked, _UNSEARCHED, max(0, smallest_piece(mask.size) - 1), 0)
    crumb: NDArray[np.bool_] = marked == _UNSEARCHED
    return crumb


def smallest_piece(size: int) -> int:
    """How many pixels the smallest piece has that is not a crumb, in a picture of `size` pixels."""
    return round(SMALLEST_PIECE * size)


def _most(around: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The most frequent layer among four neighbours (4, n), or the farthest of those in a tie. `_NONE` if none has a layer."""
    best = np.full(around.shape[1], _NONE, np.uint8)
    most = np.zeros(around.shape[1], np.uint8)
    ordered = np.sort(around, axis=0)
    for k in range(len(ordered)):
        layer = ordered[k]
        count = np.sum(around == layer, axis=0, dtype=np.uint8)
        better = (layer != _NONE) & (count > most)
        np.copyto(best, layer, where=better)
        np.copyto(most, count, where=better)
    return best
