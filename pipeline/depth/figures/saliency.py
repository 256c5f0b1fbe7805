"""Measures what stands out in a picture: by colour contrast to everything connected to the picture's edge, and by focus.

Both are weak evidence. `pipeline.depth.figures.finding` combines them with more.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.depth.figures.superpixels import Superpixels
from pipeline.image.filters import resize

REACH = 7.0
"""Two patches count as one surface if some path between them has a difference of colour below about this, in Lab units. Zhu et
al. use 7 to 15."""
NEARBY = 0.4
"""Fraction of the longer side over which patches are compared with one another (Zhu et al.)."""
ALIKE = 10.0
"""Neighbouring patches are expected to belong together if their difference of colour is at most about this (Zhu et al.)."""
FLOOR = 0.1
"""Background evidence below this counts as none (Zhu et al.)."""
FOCUS_SIDE = 640
"""Pixels on the longer side at which focus is measured: about the size at which people look at a photo."""
FINE = 1.2
"""Detail counts as focus if it is finer than this many pixels of a picture with `FOCUS_SIDE`."""
STRONGEST = 25.0
"""Fine detail is clipped at this many levels: an edge with more contrast is not in better focus."""

Map = NDArray[np.float32]


def border_contrast(superpixels: Superpixels, *, bottom: bool) -> Map:
    """How much each pixel stands out against what is connected to the edge of the picture.

    After W. Zhu et al., "Saliency optimization from robust background detection", 2014. A patch is background if its surface
    touches a long part of the picture's edge, relative to the surface's size. A patch stands out if it contrasts with the
    background. A least-squares fit over neighbouring patches reconciles the two.

    Args:
        superpixels: the patches of a picture of shape (h, w).
        bottom: whether the lower edge counts as background; people in portraits reach down to it.

    Returns:
        float32 (h, w), 0 to 1.
    """
    count = len(superpixels.colours)
    difference = _distances(superpixels.colours)
    rim = superpixels.rim(bottom=bottom)
    surface = np.exp(-(_along_paths(superpixels, difference, rim) ** 2) / (2 * REACH**2))
    length = surface[:, rim].sum(axis=1) / np.sqrt(surface.sum(axis=1))
    background = 1.0 - np.exp(-(length**2) / 2)
    near = np.exp(-(_distances(superpixels.places) ** 2) / (2 * NEARBY**2))
    contrast = (difference * near) @ background / near.sum(axis=1)
    spread = float(np.ptp(contrast))
    if spread < 1e-6:
        return np.zeros(superpixels.labels.shape, np.float32)
    contrast = (contrast - contrast.min()) / spread
    beside = np.zeros((count, count), np.bool_)
    first, second = superpixels.neighbours.T
    beside[first, second] = beside[second, first] = True
    # Neighbours of neighbours count too: a thin patch must not separate what belongs together.
    beside |= (beside.astype(np.float32) @ beside.astype(np.float32)) > 0
    np.fill_diagonal(beside, False)
    tie = np.where(beside, np.exp(-(difference**2) / (2 * ALIKE**2)) + 0.1, 0.0)
    held = np.where(background < FLOOR, 0.0, 5.0 * background) + contrast + 1e-9
    solved = np.linalg.solve(np.diag(tie.sum(axis=1) + held) - tie, contrast)
    return np.clip(solved, 0.0, 1.0).astype(np.float32)[superpixels.labels]


def focus(rgb: NDArray[np.uint8], shape: tuple[int, int]) -> Map:
    """How much fine detail there is around each pixel.

    Args:
        rgb: uint8 (H, W, 3), the picture at `FOCUS_SIDE` or above.
        shape: (h, w) of the result.

    Returns:
        float32 (h, w), 0 to 1; 1 is the most in this picture.
    """
    scale = min(1.0, FOCUS_SIDE / max(rgb.shape[:2]))
    size = max(1, round(rgb.shape[0] * scale)), max(1, round(rgb.shape[1] * scale))
    grey = np.asarray(cv2.cvtColor(resize(rgb, size, cv2.INTER_AREA), cv2.COLOR_RGB2GRAY), np.float32).reshape(size)
    soft = np.asarray(cv2.GaussianBlur(grey, (0, 0), FINE), np.float32).reshape(size)
    fine = resize(np.minimum(np.abs(grey - soft), np.float32(STRONGEST)), shape, cv2.INTER_AREA)
    wide = cv2.GaussianBlur(fine, (0, 0), max(0.5, 0.025 * max(shape)), borderType=cv2.BORDER_REPLICATE)
    around = np.asarray(wide, np.float32).reshape(shape)
    most = float(around.max())
    return around / np.float32(most) if most > 0.0 else around


def _distances(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Euclidean distance of each pair of n points (n, c): float64 (n, n)."""
    gaps: NDArray[np.float64] = np.sqrt(((points[:, None] - points[None]) ** 2).sum(axis=2))
    return gaps


def _along_paths(superpixels: Superpixels, difference: NDArray[np.float64], rim: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The least sum of colour differences along any path of touching patches (Floyd and Warshall): float64 (n, n).

    All patches at the edge of the picture count as touching, since they may be connected outside of it. The difference that is
    usual within one surface is subtracted from each step.
    """
    steps = np.full(difference.shape, np.inf)
    first, second = superpixels.neighbours.T
    steps[first, second] = steps[second, first] = difference[first, second]
    edge = np.ix_(np.flatnonzero(rim), np.flatnonzero(rim))
    steps[edge] = np.minimum(steps[edge], difference[edge])
    least = np.where(steps > 0.0, steps, np.inf).min(axis=1)
    usual = float(least[np.isfinite(least)].mean()) if np.isfinite(least).any() else 0.0
    steps = np.maximum(steps - usual, 0.0)
    np.fill_diagonal(steps, 0.0)
    via = np.empty_like(steps)
    for k in range(len(steps)):
        np.add(steps[:, k : k + 1], steps[k : k + 1], out=via)
        np.minimum(steps, via, out=steps)
    return steps
