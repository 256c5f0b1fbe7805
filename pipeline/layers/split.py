"""Cuts the disparity into layers: chooses the thresholds between them, and labels every pixel.

The default method, natural breaks, is in `natural_breaks`.
"""

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from daemon.contract.words.printable import counted
from pipeline.image.filters import box, dilate, dilate_mask, erode
from pipeline.layers.bands import around, in_parallel, strips
from pipeline.layers.natural_breaks import border_on_surfaces, natural

BINS = 512
"""Bins of the histogram: finer than the 8 bits of most depth pictures, and few enough to fill an n × n table of costs (2 MB) in
milliseconds."""
SAMPLE_PIXELS = 1 << 20
"""The histogram of a million evenly spaced pixels differs from the whole picture's by a few tenths of a percent."""
SAME_DEPTH = 1e-5
"""A picture is flat if its depths differ by less than this: less than one step of a 16-bit depth picture is only rounding."""

SEARCHED = 64
"""Cells on the side of the squares that are searched for slivers, if there may be any: most squares have none."""


def find_thresholds(
    disparity: NDArray[np.float32],
    visible: NDArray[np.bool_] | None,
    num_layers: int,
    split: str | Sequence[float],
    known: Sequence[float] = (),
) -> tuple[float, ...]:
    """Choose the `num_layers` − 1 disparities at which the picture is cut.

    Args:
        disparity: float32 (H, W), 0 far to 1 near.
        visible: bool (H, W), the pixels that count; None for all.
        num_layers: at least 2.
        split: natural, equal (equal steps between the farthest and the nearest pixel), quantile (layers of equal size), or the
            thresholds themselves.
        known: disparities that lie between things which the depth's source knows to be separate, the most important first. The
            natural split cuts at as many of these as it needs, and nowhere else. If they are too few, the remaining layers are
            empty and lie just below the first cut.

    Returns:
        Strictly rising thresholds, each a float32 number. If the picture has fewer distinct depths than layers, every depth
        gets its own layer. The remaining thresholds are above the nearest depth if there is room, otherwise in the widest gaps;
        their layers are empty.

    Raises:
        ValueError: the given thresholds are not `num_layers` − 1 rising numbers, or the method is unknown.
    """
    if not isinstance(split, str):
        return _given(split, num_layers)
    if split not in ("natural", "equal", "quantile"):
        raise ValueError(f"split: unknown method {split}; allowed are natural, equal, quantile or a list of thresholds")
    if split == "natural" and known:
        return _at_known(known, num_layers)
    sample = _sample(disparity, visible).astype(np.float64)
    low, high = float(sample.min()), float(sample.max())
    if high - low < SAME_DEPTH:
        return _one_each(np.array([high]), num_layers)
    if split == "equal":
        return _rising(np.linspace(low, high, num_layers + 1)[1:-1])
    counts, edges = np.histogram(sample, bins=BINS, range=(low, high))
    if np.count_nonzero(counts) <= num_layers:
        depths = np.unique(sample)
        return _one_each(depths if depths.size <= num_layers else _representatives(depths, num_layers), num_layers)
    shares = counts / counts.sum()
    if split == "quantile":
        return _rising(edges[_quantiles(shares, num_layers)])
    return _rising(edges[natural(shares, num_layers, border_on_surfaces(disparity, visible, edges))])


def label(disparity: NDArray[np.float32], thresholds: Sequence[float]) -> NDArray[np.uint8]:
    """Assign every pixel to a layer.

    Args:
        disparity: float32 (H, W).
        thresholds: rising, float32 numbers.

    Returns:
        uint8 (H, W): how many thresholds the pixel's disparity reaches; 0 is the farthest layer.
    """
    labels = np.zeros(disparity.shape, np.uint8)

    def strip(rows: slice) -> None:
        here, part = labels[rows], disparity[rows]
        for threshold in thresholds:
            here += part >= np.float32(threshold)

    in_parallel(strip, strips(*disparity.shape))
    return labels


def without_slivers(labels: NDArray[np.uint8], num_layers: int, radius: int) -> NDArray[np.uint8]:
    """Remove thin strips of middle layers along the steps between a farther and a nearer layer.

    Interpolated depth leaves such strips. They belong to one of the two sides, and would come off as fragments when layers move.
    Thin things in front of everything around them, or behind all of it, are kept.

    Args:
        labels: uint8 (H, W), 0 (farthest) to num_layers − 1.
        num_layers: how many.
        radius: in pixels; strips up to twice as wide are examined.

    Returns:
        uint8 (H, W): the labels, with strips assigned to the nearest side.
    """
    # A strip is as narrow as a border, so every few pixels show enough of its surroundings.
    step = max(1, radius // 4)
    coarse = np.ascontiguousarray(labels[::step, ::step])
    window = 2 * (radius // step) + 1

    def core_of(k: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """The inner parts of a layer, and what is near them."""
        own = coarse == k
        core = dilate_mask(~dilate_mask(~own, window), window) & own
        return core, dilate_mask(core, 4 * window + 1)

    solid = np.zeros(coarse.shape, np.bool_)
    sides = np.zeros(coarse.shape, np.uint8)
    for core, surroundings in in_parallel(core_of, range(num_layers)):
        solid |= core
        sides += surroundings.view(np.uint8)
    # Solid surroundings on both sides of a strip's own depth, within reach of it.
    far = erode(np.where(solid, coarse, np.uint8(255)), 2 * window + 1)
    near = dilate(np.where(solid, coarse, np.uint8(0)), 2 * window + 1)
    meet = sides > 2
    some = np.asarray((cv2.subtract(near, far) > 1) | meet, np.bool_)
    if not some.any():
        return labels
    nearest, owners = _owners(coarse, solid)
    most_frequent = _most_frequent(coarse, num_layers, meet, window)
    clean = labels.copy()

    def tile(cells: tuple[slice, slice]) -> None:
        if not some[cells].any():
            return
        rows, columns = (slice(side.start * step, side.stop * step) for side in cells)
        within = clean[rows, columns]
        for row in range(step):
            for column in range(step):
                part = within[row::step, column::step]
                here = tuple(slice(side.start, side.start + size) for side, size in zip(cells, part.shape, strict=True))
                loose = ~solid[here] | (part != coarse[here])
                strip = loose & (far[here] < part) & (part < near[here])
                part[strip] = np.where(solid[here][strip], coarse[here][strip], owners[nearest[here][strip]])
                part[meet[here]] = most_frequent[here][meet[here]]

    starts = [range(0, side, SEARCHED) for side in coarse.shape]
    in_parallel(tile, [(slice(y, y + SEARCHED), slice(x, x + SEARCHED)) for y in starts[0] for x in starts[1]])
    return clean


def _owners(labels: NDArray[np.uint8], solid: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """For each cell that is not solid, the number of the nearest solid cell, int32 (h, w); and the labels by these numbers."""
    nearest = np.asarray(
        cv2.distanceTransformWithLabels(1 - solid.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL)[
            1
        ],
        np.int32,
    )
    # The nearest solid cell is at the edge of the solid cells; the mask of 5 × 5 steps over one of them.
    edge = np.flatnonzero(solid & dilate_mask(~solid, 5))
    owners = np.zeros(solid.size + 1, np.uint8)
    owners[nearest.reshape(-1)[edge]] = labels.reshape(-1)[edge]
    return nearest, owners


def _most_frequent(labels: NDArray[np.uint8], num_layers: int, where: NDArray[np.bool_], window: int) -> NDArray[np.uint8]:
    """The label that most cells of a window around each cell have, uint8 (h, w); 0 for cells far from those of `where`."""
    found = np.zeros(labels.shape, np.uint8)
    if where.any():
        near = around(where, window)
        most = np.zeros(labels[near].shape, np.uint8)
        for k in range(num_layers):
            share = box((labels[near] == k).view(np.uint8) * np.uint8(255), window)
            found[near][share > most] = k
            np.maximum(most, share, out=most)
    return found


def _sample(disparity: NDArray[np.float32], visible: NDArray[np.bool_] | None) -> NDArray[np.float32]:
    step = max(1, int(np.ceil(np.sqrt(disparity.size / SAMPLE_PIXELS))))
    sample = disparity[::step, ::step]
    if visible is not None:
        seen = sample[visible[::step, ::step]]
        if seen.size:
            return seen
    return sample.ravel()


def _given(split: Sequence[float], num_layers: int) -> tuple[float, ...]:
    if len(split) != num_layers - 1:
        raise ValueError(f"split: {num_layers} layers need {counted(num_layers - 1, 'threshold')}, {len(split)} given")
    if any(b <= a for a, b in pairwise(split)):
        raise ValueError("split: the thresholds must rise from far (0) to near (1)")
    return _rising(np.asarray(split, np.float64))


def _at_known(known: Sequence[float], num_layers: int) -> tuple[float, ...]:
    """The first `num_layers` − 1 known cuts. If some are missing, cuts are added below the first one, one float32 step apart."""
    chosen = [np.float32(cut) for cut in known[: num_layers - 1]]
    spare = chosen[0]
    while len(chosen) < num_layers - 1:
        spare = np.nextafter(spare, np.float32(-np.inf))
        chosen.append(spare)
    return _rising(np.sort(np.asarray(chosen, np.float64)))


def _rising(thresholds: NDArray[np.float64]) -> tuple[float, ...]:
    """Round to float32, the type in which pixels are compared, and keep every threshold above the one before."""
    out: list[np.float32] = []
    for value in thresholds.astype(np.float32):
        out.append(value if not out or value > out[-1] else np.nextafter(out[-1], np.float32(np.inf)))
    return tuple(float(v) for v in out)


def _representatives(depths: NDArray[np.float64], num_layers: int) -> NDArray[np.float64]:
    """The lowest depth of each of `num_layers` groups, cut at the widest gaps between distinct depths."""
    gaps = np.argsort(np.diff(depths), kind="stable")[::-1][: num_layers - 1]
    lowest: NDArray[np.float64] = depths[np.concatenate([[0], np.sort(gaps) + 1])]
    return lowest


def _one_each(depths: NDArray[np.float64], num_layers: int) -> tuple[float, ...]:
    """Cut just below every distinct depth but the first, and put the remaining cuts where they separate nothing."""
    between = [(a + b) / 2 if np.float32((a + b) / 2) > a else b for a, b in pairwise(depths)]
    spare = num_layers - 1 - len(between)
    if not spare:
        return _rising(np.asarray(between))
    top = float(depths[-1])
    if top < 1.0:
        return _rising(np.concatenate([between, np.linspace(top, 1.0, spare + 2)[1:-1]]))
    # The nearest depth is 1, the very front, so the empty layers go into the picture's widest gap.
    marks = np.concatenate([[0.0], depths])
    widest = int(np.argmax(np.diff(marks)))
    low = marks[widest]
    high = between[widest - 1] if widest else marks[1]
    return _rising(np.sort(np.concatenate([between, np.linspace(low, high, spare + 2)[1:-1]])))


def _quantiles(shares: NDArray[np.float64], num_layers: int) -> NDArray[np.intp]:
    """The bin edges nearest to equal shares, with at least one occupied bin between each two edges."""
    occupied = np.flatnonzero(shares)
    below = np.cumsum(shares[occupied])
    cuts: list[int] = []
    for k in range(1, num_layers):
        first = cuts[-1] + 1 if cuts else 0
        last = occupied.size - 1 - (num_layers - k)
        nearest = int(np.argmin(np.abs(below - k / num_layers)))
        cuts.append(min(max(nearest, first), last))
    return occupied[cuts] + 1
