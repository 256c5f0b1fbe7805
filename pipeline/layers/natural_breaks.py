"""Finds natural breaks: the disparities that divide a histogram, and so the picture, into parts.

The method is Fisher's exact classification of one-dimensional data (W. D. Fisher, "On grouping for maximum homogeneity", 1958;
known as Jenks natural breaks), by dynamic programming. A histogram does not know which pixels are neighbours, and a floor that
runs into the distance fills every bin. So a cut also costs the length of the border that it draws through continuous surfaces:
cuts prefer the steps between things. Each cut then moves into the nearest valley.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.layers.bands import GRID_SIDE
from pipeline.layers.soft_steps import STEP

MIN_SHARE = 0.03
"""A layer that covers less than this fraction of the picture is a speck that nobody wants to move separately."""
SHORTAGE_COST = 1e3
"""The cost of a layer without enough pixels, compared with a total variance of at most 1.

This is more than any real grouping costs, so such a layer is used only if nothing else is possible.
"""
BORDER_PRICE = 0.01
"""Cost of a border that runs through a surface and is as long as the picture's longer side, as a fraction of the total
variance."""
SMOOTH = np.hanning(9)[1:-1] / np.hanning(9)[1:-1].sum()
"""Weights over seven bins, for smoothing histograms."""


def natural(shares: NDArray[np.float64], num_layers: int, border: NDArray[np.float64]) -> NDArray[np.intp]:
    """The num_layers − 1 bin edges to cut at.

    Args:
        shares: float64 (n,), the histogram of disparities, sum 1; more than `num_layers` bins are occupied.
        num_layers: at least 2.
        border: float64 (n + 1,), as from `border_on_surfaces`.

    Returns:
        intp (num_layers − 1,), rising.
    """
    cuts = _fisher(shares, num_layers, border)
    return _into_valleys(shares, cuts)


def border_on_surfaces(
    disparity: NDArray[np.float32], visible: NDArray[np.bool_] | None, edges: NDArray[np.float64]
) -> NDArray[np.float64]:
    """For a cut at each edge of the histogram, the length of the border that runs through continuous surfaces.

    Args:
        disparity: float32 (H, W).
        visible: bool (H, W), the pixels that count; None for all.
        edges: float64 (n + 1,), of the histogram's bins.

    Returns:
        float64 (n + 1,), as a multiple of the picture's longer side.
    """
    skip = -(-max(disparity.shape) // GRID_SIDE)
    coarse = disparity[::skip, ::skip]
    bins = np.clip(np.searchsorted(edges, coarse, side="right") - 1, 0, edges.size - 2)
    seen = None if visible is None else visible[::skip, ::skip]
    change = np.zeros(edges.size + 1)
    for one, other in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        joined = np.abs(coarse[one] - coarse[other]) <= STEP
        if seen is not None:
            joined &= seen[one] & seen[other]
        first, second = bins[one][joined], bins[other][joined]
        # A cut at edge e separates two pixels if one's bin is below e and the other's is not.
        change += np.bincount(np.minimum(first, second) + 1, minlength=change.size)
        change -= np.bincount(np.maximum(first, second) + 1, minlength=change.size)
    border = np.cumsum(change)[: edges.size] / max(coarse.shape)
    return np.convolve(np.pad(border, SMOOTH.size // 2, mode="edge"), SMOOTH, mode="valid")


def _fisher(shares: NDArray[np.float64], num_layers: int, border: NDArray[np.float64]) -> NDArray[np.intp]:
    """Group bins so that the variance within groups and the price of borders are smallest: the exact optimum, in O(k n²)."""
    n = shares.size
    place = (np.arange(n) + 0.5) / n
    mass, first, second = (np.concatenate([[0.0], np.cumsum(shares * place**p)]) for p in range(3))
    m = mass[None, :] - mass[:, None]
    f = first[None, :] - first[:, None]
    cost = second[None, :] - second[:, None] - np.divide(f * f, m, out=np.zeros_like(m), where=m > 0)
    whole = cost[0, n]
    cost += SHORTAGE_COST * np.maximum(0.0, MIN_SHARE - m)
    cost[np.tril_indices(n + 1)] = np.inf
    price = BORDER_PRICE * whole * border
    best = cost[0].copy()
    come_from = []
    for _ in range(num_layers - 1):
        total = (best + price)[:, None] + cost
        come_from.append(np.argmin(total, axis=0))
        best = total[come_from[-1], np.arange(n + 1)]
    cuts = [n]
    for back in reversed(come_from):
        cuts.append(int(back[cuts[-1]]))
    return np.array(cuts[:0:-1], np.intp)


def _middle_of_gap(density: NDArray[np.float64], place: int) -> int:
    """The middle of the empty bins around a place: a cut is safest there. The place itself if its bin is not empty."""
    if density[place] > 0.0:
        return place
    low = high = place
    while density[low - 1] == 0.0:
        low -= 1
    while density[high + 1] == 0.0:
        high += 1
    return (low + high) // 2


def _into_valleys(shares: NDArray[np.float64], cuts: NDArray[np.intp]) -> NDArray[np.intp]:
    """Move each cut to the lowest place of the smoothed histogram near it, where it separates the fewest pixels.

    A cut moves by at most a quarter of the way to its neighbours, and never so far that a layer falls below `MIN_SHARE`.
    """
    n = shares.size
    smooth = np.convolve(np.pad(shares, SMOOTH.size // 2, mode="edge"), SMOOTH, mode="valid")
    density = np.concatenate([[np.inf], np.minimum(smooth[:-1], smooth[1:]), [np.inf]])
    mass = np.concatenate([[0.0], np.cumsum(shares)])
    bounds = [0, *(int(c) for c in cuts), n]
    for k in range(1, len(bounds) - 1):
        here, before, after = bounds[k], bounds[k - 1], bounds[k + 1]
        low, high = here - (here - before) // 4, here + (after - here) // 4
        places = np.arange(low, high + 1)
        enough = (mass[places] - mass[before] >= MIN_SHARE) & (mass[after] - mass[places] >= MIN_SHARE)
        places = places[enough]
        if places.size:
            lowest = places[density[places] <= density[places].min() * 1.0001]
            bounds[k] = _middle_of_gap(density, int(lowest[np.argmin(np.abs(lowest - here))]))
    return np.array(bounds[1:-1], np.intp)
