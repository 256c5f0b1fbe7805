"""Removes crumbs: connected pieces of a layer that are too small to be a thing of their own."""

import cv2
import numpy as np
from numpy.typing import NDArray

SMALLEST_PIECE = 2e-5
"""Fraction of the picture's pixels; smaller pieces are crumbs. A larger limit would remove real leaves and hair."""
_NONE = 255
"""Marks a pixel without a layer; layers are numbered to 11."""
_NEITHER = 128
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
    left = np.flatnonzero(_in_small_pieces(labels, smallest, _NONE))
    if not left.size or left.size == labels.size:
        return labels
    clean = labels.copy()
    flat = clean.reshape(-1)
    flat[left] = _NONE
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


def is_crumb(mask: NDArray[np.uint8], smallest: int) -> NDArray[np.bool_]:
    """Which pixels of a mask of 0 and 255 are in pieces of fewer than `smallest` pixels: bool (H, W). Both values form pieces."""
    return _in_small_pieces(mask, smallest, _NEITHER)


def smallest_piece(size: int) -> int:
    """How many pixels the smallest piece has that is not a crumb, in a picture of `size` pixels."""
    return round(SMALLEST_PIECE * size)


def _in_small_pieces(values: NDArray[np.uint8], smallest: int, unused: int) -> NDArray[np.bool_]:
    """Which pixels are in pieces of fewer than `smallest` pixels, bool (H, W). `unused`: a number that no pixel has."""
    if smallest <= 1:
        return np.zeros(values.shape, np.bool_)
    marked = values.copy()
    large = _inside_large_pieces(values, smallest)
    np.copyto(marked, np.uint8(unused), where=large)
    cv2.filterSpeckles(marked, unused, smallest - 1, 0)
    return np.asarray((marked == unused) & ~large, np.bool_)


def _inside_large_pieces(values: NDArray[np.uint8], smallest: int) -> NDArray[np.bool_]:
    """Pixels that need not be searched for small pieces, which takes most of the time: bool (H, W).

    They are blocks of one value between four blocks of the same value. A block has at least `smallest` pixels. So a piece that
    enters the blocks found has enough pixels outside of them.
    """
    side = int(np.ceil(smallest**0.5))
    rows, columns = values.shape[0] // side, values.shape[1] // side
    found = np.zeros((rows, columns), np.uint8)
    large = np.zeros(values.shape, np.bool_)
    if rows < 3 or columns < 3:
        return large
    blocks = values[: rows * side].reshape(rows, side, -1)[:, :, : columns * side]
    least = np.minimum.reduce(blocks, axis=1).reshape(rows, columns, side).min(axis=2)
    most = np.maximum.reduce(blocks, axis=1).reshape(rows, columns, side).max(axis=2)
    own, alike = least[1:-1, 1:-1], (least == most)[1:-1, 1:-1]
    for extreme in (least, most):
        for beside in (extreme[:-2, 1:-1], extreme[2:, 1:-1], extreme[1:-1, :-2], extreme[1:-1, 2:]):
            alike &= beside == own
    found[1:-1, 1:-1] = alike
    inner = cv2.resize(found, (columns * side, rows * side), interpolation=cv2.INTER_NEAREST)
    large[: rows * side, : columns * side] = inner.view(np.bool_)
    return large


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
