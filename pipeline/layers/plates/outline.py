"""Continues the outline of a layer behind the layers in front of it."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.image.filters import dilate_mask
from pipeline.layers.bands import around

RIDGE = 1.0
"""Added to the variances, in squared cells, when a line is fitted, because a single row may be all that is visible."""
LEAST_SEEN = 0.02
"""At least this fraction of the surroundings must be visible for a fitted line to mean anything."""
MARGIN = 2
"""How many cells beyond the largest movement are also filled, so that resampling in a viewer never reaches the end of the
fill."""


def continued(labels: NDArray[np.uint8], layer: int, radius: int, movement: float) -> NDArray[np.bool_]:
    """Where a layer exists: in its own cells, and in hidden cells within the largest movement if its outline continues straight.

    Args:
        labels: uint8 (h, w), 0 (farthest) to 11.
        layer: its number.
        radius: half the width of a border, in cells.
        movement: the largest movement of layers against each other, in cells.

    Returns:
        bool (h, w).
    """
    hidden = labels > layer
    own: NDArray[np.bool_] = labels == layer
    if not own.any() or not hidden.any():
        return own
    # Only what is wider than a border continues behind other things; a speck would grow into a spike.
    window = 2 * radius + 1
    wide = own & dilate_mask(~dilate_mask(~own, window), window)
    if not wide.any():
        return own
    sources = wide | (labels < layer)
    distance, nearest = cv2.distanceTransformWithLabels(
        (~sources).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    owners = np.zeros(int(nearest.max()) + 1, np.bool_)
    owners[nearest[wide]] = True
    far = movement + MARGIN + radius
    within = hidden & np.asarray(distance <= far, np.bool_)
    if not within.any():
        return own
    reach = round(far / 2)
    near = around(within, reach)
    there: NDArray[np.bool_] = own.copy()
    there[near] |= within[near] & _goes_on(own[near], (own | sources)[near], owners[nearest[near]], reach)
    return there


def _goes_on(own: NDArray[np.bool_], seen: NDArray[np.bool_], nearest: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """Where a layer exists behind nearer ones, bool (h, w), if its outline continues in the direction in which it meets them.

    Around each cell, a linear function is fitted by least squares to what is visible: 1 on the layer, −1 behind it. The outline
    is where this function is 0.

    Args:
        own: bool (h, w), the visible part of the layer.
        seen: bool (h, w), the visible part of the layer and of everything behind it.
        nearest: bool (h, w), whether the nearest visible cell is the layer's own. This decides for cells with too little visible
            around them.
        radius: half the side of the surroundings, in cells.
    """
    mass = seen.astype(np.float64)
    side = np.where(own, 1.0, -1.0) * mass
    y, x = (place.astype(np.float64) for place in np.mgrid[: own.shape[0], : own.shape[1]])
    window = (2 * radius + 1, 2 * radius + 1)

    def mean_of(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(cv2.blur(values, window, borderType=cv2.BORDER_CONSTANT), np.float64).reshape(own.shape)

    share = mean_of(mass)
    some = np.maximum(share, 1e-9)
    mean, down, across = mean_of(side) / some, mean_of(mass * y) / some, mean_of(mass * x) / some
    yy = mean_of(mass * y * y) / some - down * down + RIDGE
    xx = mean_of(mass * x * x) / some - across * across + RIDGE
    xy = mean_of(mass * x * y) / some - down * across
    ys, xs = mean_of(side * y) / some - down * mean, mean_of(side * x) / some - across * mean
    dy, dx = y - down, x - across
    value = mean + ((ys * xx - xs * xy) * dy + (xs * yy - ys * xy) * dx) / (yy * xx - xy * xy)
    return np.where(share > LEAST_SEEN, value > 0.0, nearest)
