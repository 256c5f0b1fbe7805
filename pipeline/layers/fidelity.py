"""Measures how well a depth map fits its photo: how wide its steps are, and how far it is displaced.

Networks give steps that are soft and several pixels wide. A resize by another convention, or a second camera, displaces all steps
by a few pixels.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.image.filters import box
from pipeline.layers.bands import Grid

REACH = 24
"""A step must end within this many cells on both sides; wider ramps are slopes."""
CLEAR = 0.06
"""A step with a smaller difference of disparity says little about how wide steps are."""
FEWEST = 20
"""Fewer steps than this say little about the depth map."""
FARTHEST = 8
"""The largest displacement that is searched, in cells: a hundredth of the longer side. Phones' stored depth is off by half of
that."""
EDGES = 20_000
"""This many cells on edges of the depth are enough to find its displacement."""
NEIGHBOURHOOD = 33
"""Window in cells within which a gradient must stand out, in the photo and in the depth."""
BETTER = 1.03
"""The depth is moved only to a position that fits at least this many times as well as its own position."""
CERTAIN_SOFT, CERTAIN_SHARP = 1.2, 1.45
"""The new position must also fit this many times as well as the median position. Sharp depth is measured or rendered, so its own
position is trusted more."""
LEAST_MOVE = 1.5
"""In cells. Smaller displacements are left to the refinement of the steps."""
SOFT = 3.0
"""A step that is at least this many cells wide is soft. Steps of exact depth are 1 cell wide, or up to 2 if it was enlarged."""


def step_width(coarse: NDArray[np.float32]) -> float:
    """The width of a depth map's steps in cells; 1 if they are sharp.

    The width of a step is its height divided by its steepest gradient. A Gaussian blur of standard deviation s gives 2.5 · s.
    Steep steps count most, because ramps and the small steps of 8-bit depth do not show a step's width. The result is the first
    quartile of all widths, since a neighbouring step can only make a step look wider.

    Args:
        coarse: float32 (h, w), disparity.
    """
    widths, weights = [], []
    for values in (coarse, np.ascontiguousarray(coarse.T)):
        count = values.shape[1]
        reach = min(REACH, (count - 2) // 2 - 1)
        if reach < 3:
            continue
        gradient = np.abs(np.diff(values, axis=1))
        here = gradient[:, reach : count - 1 - reach]
        window = np.ones((1, 2 * reach + 1), np.uint8)
        height = np.asarray(cv2.dilate(values, window) - cv2.erode(values, window))[:, reach : count - 1 - reach]
        ends = np.maximum(gradient[:, : here.shape[1]], gradient[:, 2 * reach :])
        beside = np.maximum(gradient[:, reach - 1 :][:, : here.shape[1]], gradient[:, reach + 1 :][:, : here.shape[1]])
        top = (here >= beside) & (height > CLEAR) & (ends < here / 3)
        widths.append(height[top] / here[top])
        weights.append(np.square(here[top], dtype=np.float64))
    if not widths or (width := np.concatenate(widths)).size < FEWEST:
        return 1.0
    order = np.argsort(width, kind="stable")
    below = np.cumsum(np.concatenate(weights)[order])
    return max(1.0, float(width[order][np.searchsorted(below, below[-1] / 4)]))


def displacement(rgb: NDArray[np.uint8], coarse: NDArray[np.float32], grid: Grid, soft: bool) -> tuple[float, float]:
    """How far the depth must be moved so that its steps lie on the photo's edges: cells to the right, and cells down.

    The edges of photo and depth are compared by position and direction, for every move by whole cells. The result is (0, 0) if no
    other position is clearly better.

    Args:
        rgb: uint8 (H, W, 3).
        coarse: float32 (h, w), disparity on the grid.
        grid: of the photo.
        soft: whether the depth's steps are soft.
    """
    height, width = coarse.shape
    if min(height, width) < 4 * FARTHEST:
        return 0.0, 0.0
    across, down, strength = _photo_edges(rgb, grid)
    step_across, step_down = _gradient(coarse)
    steep = np.hypot(step_across, step_down)
    weight = np.maximum(steep - np.float32(1.5) * box(steep, NEIGHBOURHOOD), np.float32(0))
    inner = np.zeros(coarse.shape, np.bool_)
    inner[FARTHEST:-FARTHEST, FARTHEST:-FARTHEST] = True
    index = np.flatnonzero((weight > CLEAR / REACH) & inner)
    if index.size < FEWEST:
        return 0.0, 0.0
    index = index[:: -(-index.size // EDGES)]
    mine = weight.ravel()[index]
    mine = np.minimum(mine, np.quantile(mine, 0.8)) / steep.ravel()[index]
    to_right, to_bottom = mine * step_across.ravel()[index], mine * step_down.ravel()[index]
    normal = (across / strength).ravel(), (down / strength).ravel()
    fit = np.empty((2 * FARTHEST + 1,) * 2, np.float32)
    for y in range(-FARTHEST, FARTHEST + 1):
        for x in range(-FARTHEST, FARTHEST + 1):
            place = index + (y * width + x)
            fit[y + FARTHEST, x + FARTHEST] = np.abs(to_right * normal[0][place] + to_bottom * normal[1][place]).mean()
    fit = np.asarray(cv2.GaussianBlur(fit, (3, 3), 0), np.float32)
    y, x = (int(place) - FARTHEST for place in np.unravel_index(int(fit.argmax()), fit.shape))
    best, own = float(fit.max()), float(fit[FARTHEST, FARTHEST])
    certain = best > (CERTAIN_SOFT if soft else CERTAIN_SHARP) * float(np.median(fit))
    if not certain or best < BETTER * own or np.hypot(x, y) < LEAST_MOVE:
        return 0.0, 0.0
    return float(x), float(y)


def _photo_edges(rgb: NDArray[np.uint8], grid: Grid) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Gradient of the photo's strongest channel, across and down, and the number to divide it by.

    That number is the gradient's strength plus its mean strength in the neighbourhood, so only gradients that stand out count.
    """
    colour = np.asarray(cv2.GaussianBlur(grid.shrink(rgb), (0, 0), 0.7), np.float32)
    gradients = [_gradient(np.ascontiguousarray(colour[..., channel])) for channel in range(3)]
    across, down = gradients[0]
    power = across * across + down * down
    for more_across, more_down in gradients[1:]:
        more = more_across * more_across + more_down * more_down
        stronger = more > power
        across, down = np.where(stronger, more_across, across), np.where(stronger, more_down, down)
        power = np.maximum(power, more)
    strength = np.sqrt(power)
    return across, down, strength + box(strength, NEIGHBOURHOOD) + np.float32(2.0)


def _gradient(plane: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    across, down = (cv2.Scharr(plane, cv2.CV_32F, *way, scale=1 / 32) for way in ((1, 0), (0, 1)))
    return np.asarray(across, np.float32), np.asarray(down, np.float32)
