"""Works on square patches of a coarse picture: describes them, finds the completely known ones, averages overlapping copies."""

import itertools

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.image.filters import dilate_mask

RADIUS = 3
SIDE = 2 * RADIUS + 1
"""Cells on a patch's side: large enough for a piece of structure, small enough that whole patches fit between things."""
_WINDOW = 2.0
"""Standard deviation of the weights within a patch, in cells: its middle counts most."""
_VOTE = 1.5
"""Standard deviation of the weights when overlapping copies are averaged, in cells: narrower, so that the mean stays sharp."""
_FADED = 20.0
"""Largest exponent of a vote. Without a limit, all votes for a cell could become 0."""
BATCH = 8192
"""How many cells are processed at a time: what is read for them fits in a core's cache."""
_LUMA = tuple((u, v) for u in range(4) for v in range(4) if u + v <= 3)
_CHROMA = ((0, 0), (0, 1), (1, 0))
LENGTH = len(_LUMA) + 2 * len(_CHROMA)


def _cosines() -> list[NDArray[np.float32]]:
    """Windowed cosines of rising frequency, made orthonormal."""
    place = np.arange(SIDE)
    window = np.exp(-0.25 * ((place - RADIUS) / _WINDOW) ** 2)
    found: list[NDArray[np.float64]] = []
    for order in range(4):
        wave = np.cos(np.pi * order * (place + 0.5) / SIDE) * window
        for other in found:
            wave = wave - other * (wave @ other)
        found.append(wave / np.linalg.norm(wave))
    return [wave.astype(np.float32) for wave in found]


_WAVES = _cosines()


def describe(colour: NDArray[np.float32], context: NDArray[np.float32]) -> NDArray[np.float32]:
    """Describe the patch around each cell: ten coefficients for brightness, three for each of the two colour differences.

    Squared distances between descriptions equal those between the patches, except for details finer than the coefficients.

    Args:
        colour: float32 (h, w, 3).
        context: float32 (h, w, c), appended unchanged.

    Returns:
        float32 (h · w, LENGTH + c).
    """
    height, width = colour.shape[:2]
    red, green, blue = (colour[..., k] for k in range(3))
    # An orthonormal change of colour axes, which preserves distances.
    planes = (
        ((red + green + blue) / np.float32(3**0.5), _LUMA),
        ((red - blue) / np.float32(2**0.5), _CHROMA),
        ((red - 2 * green + blue) / np.float32(6**0.5), _CHROMA),
    )
    out = np.empty((height, width, LENGTH + context.shape[2]), np.float32)
    number = 0
    for plane, orders in planes:
        for across, down in orders:
            out[..., number] = cv2.sepFilter2D(plane, cv2.CV_32F, _WAVES[across], _WAVES[down])
            number += 1
    out[..., LENGTH:] = context
    return out.reshape(height * width, -1)


def whole(known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The cells whose whole patch is known and inside the picture."""
    inside = cv2.erode(known.view(np.uint8), np.ones((SIDE, SIDE), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(inside, np.uint8).view(np.bool_)


def touching(hole: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The cells whose patch contains a cell of the hole."""
    return dilate_mask(hole, SIDE)


def nearest(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """For each cell, the flat index of the nearest cell in the mask, int32 (h, w); the mask must not be empty."""
    _, labels = cv2.distanceTransformWithLabels(
        (~mask).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    owners = np.zeros(int(labels.max()) + 1, np.int32)
    owners[labels[mask]] = np.flatnonzero(mask)
    found: NDArray[np.int32] = owners[labels]
    return found


def vote(
    colour: NDArray[np.float32], hole: NDArray[np.bool_], source: NDArray[np.int32], cost: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Fill a hole: each cell gets the mean of all copied patches that overlap it (Wexler, Shechtman, Irani, 2007).

    Args:
        colour: float32 (h, w, 3).
        hole: bool (h, w).
        source: int32 (h, w), flat index of the cell whose patch is copied around each cell; its whole patch is known.
        cost: float32 (h, w), how badly the copy fits, in squared levels; infinite where nothing is copied.

    Returns:
        The picture with its hole filled.
    """
    width = hole.shape[1]
    usual = float(np.percentile(cost[np.isfinite(cost)], 75)) + 1e-3
    trust = np.exp(-np.minimum(cost / (2 * usual), _FADED)) * np.isfinite(cost)
    trust = np.pad(trust.astype(np.float32), RADIUS).ravel()
    sources = np.pad(source, RADIUS, mode="edge").ravel()
    with_one = np.dstack([colour, np.ones(hole.shape, np.float32)]).reshape(-1, 4)
    wide = width + 2 * RADIUS
    rows, columns = np.nonzero(hole)
    middle = (rows + RADIUS) * wide + columns + RADIUS
    total = np.zeros((rows.size, 4), np.float32)
    for start in range(0, rows.size, BATCH):
        some, sums = middle[start : start + BATCH], total[start : start + BATCH]
        for down, across in itertools.product(range(-RADIUS, RADIUS + 1), repeat=2):
            centre = some - (down * wide + across)
            weight = trust[centre] * np.float32(np.exp(-(down * down + across * across) / (2 * _VOTE**2)))
            # Beyond the picture's edge the weight is 0, so any cell will do.
            copied = with_one.take(sources[centre] + np.int32(down * width + across), axis=0, mode="clip")
            copied *= weight[:, None]
            sums += copied
    out = colour.copy()
    out[hole] = total[:, :3] / np.maximum(total[:, 3:], np.float32(1e-12))
    return out
