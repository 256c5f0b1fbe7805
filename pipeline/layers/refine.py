"""Brings disparity to the photo's resolution, and its steps onto the photo's edges.

Surfaces are interpolated; steps stay steps. A displaced depth map is moved back onto its photo. `soft_steps` makes the soft steps
of networks sharp. Around a sharp step, every pixel goes to the side that fits its colour, near or far. Otherwise depths in
between (a "skirt") would be left, and a threshold could cut a false layer from them.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.image.filters import dilate, erode, local_colours, power, resize, stacked
from pipeline.layers import soft_steps
from pipeline.layers.bands import BLOCK, Grid, Pixels, dot, in_parallel
from pipeline.layers.fidelity import SOFT, displacement, step_width
from pipeline.layers.soft_steps import STEP, bend

LONGEST_GAP = 0.06
"""A gap of at most this fraction of the longer side is filled from its two ends. A stereo pair leaves gaps half as long."""
BRIDGE_SIDE = 1024
"""With more values than this on the longer side, only every second, third, … value is used to bridge gaps: bridges are guesses
anyway."""
FARTHER = 12.0
"""How strongly unknown values follow the farther surroundings: the parts that cameras cannot see are usually behind."""
COLOUR_NOISE = 8.0
"""Levels by which the colour of one surface varies in a photo."""
ENLARGED = 1.5
"""If one depth value covers at least this many pixels, enlarging has blurred the steps."""
PASSES = 2
"""The second pass decides what was beyond the first one's window: the outer slope of a blurred step. A third changes little."""
KEEP = 0.35
"""How clearly a pixel's colour must fit the other side to overrule a depth that already has an edge there."""
MOST_LEVELS = 1024
"""A map with more levels has stairs that are too low to be seen."""
HIGHEST = 1 / 64
"""A higher stair is taken for a step of the scene, which stays as it is."""
ROUNDS = 24
"""Each round carries a value one pixel further; slopes with stairs longer than twice this keep them."""


def refine(rgb: NDArray[np.uint8], values: NDArray[np.float32], valid: NDArray[np.bool_] | None) -> NDArray[np.float32]:
    """Bring disparity to the photo's resolution, and its steps onto the photo's edges.

    Args:
        rgb: uint8 (H, W, 3).
        values: float32 (h, w), 0 far to 1 near; values that are not finite count as not measured.
        valid: bool (h, w), False where nothing was measured; None if everything was measured.

    Returns:
        float32 (H, W), 0 to 1; 0 everywhere if nothing was measured.

    Raises:
        ValueError: `values` and `valid` differ in shape.
    """
    known = np.isfinite(values)
    if valid is not None:
        if valid.shape != values.shape:
            raise ValueError(f"valid has shape {valid.shape}, values {values.shape}")
        known &= valid
    height, width = rgb.shape[:2]
    full = np.clip(values, 0.0, 1.0, dtype=np.float32) if known.all() else _fill_unknown(values, known)
    scale = max(height / values.shape[0], width / values.shape[1])
    if scale >= ENLARGED:
        full = np.clip(between_levels(full), 0.0, 1.0)
    if full.shape != (height, width):
        shrink = height < values.shape[0] or width < values.shape[1]
        full = resize(full, (height, width), cv2.INTER_NEAREST_EXACT if shrink else cv2.INTER_LINEAR)
        np.clip(full, 0.0, 1.0, out=full)
    grid = Grid.of(full.shape)
    coarse = resize(full, grid.shape, cv2.INTER_NEAREST_EXACT)
    wide = step_width(coarse)
    full = _moved(full, displacement(rgb, coarse, grid, wide >= SOFT), grid)
    if wide >= SOFT:
        soft_steps.sharpen(rgb, full, wide)
        return full
    for _ in range(1 if scale < ENLARGED else PASSES):
        _sharpen(rgb, full, scale)
    return full


def between_levels(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The smoothest surface that is within one level of these values.

    Phones and many programs store depth in 256 levels. A slope is stored as a staircase, and a border that follows one of its
    stairs has teeth when the map is enlarged to its photo. The surface is diffused, and kept within one level of what was
    stored, in turns (projection onto convex sets). Exact storage would allow half a level, but phones also compress the map
    with losses, which moves values to the next level.

    Args:
        values: float32 (h, w), finite.

    Returns:
        float32 (h, w), nowhere farther from `values` than the usual distance between two levels. `values` itself if it has more
        than `MOST_LEVELS` levels, or if that distance is more than `HIGHEST`.
    """
    levels = np.unique(values)
    if not 1 < levels.size <= MOST_LEVELS:
        return values
    level = np.float32(np.median(np.diff(levels)))
    if level > HIGHEST:
        return values
    low, high = values - level, values + level
    smooth = values
    for _ in range(ROUNDS):
        smooth = np.asarray(cv2.GaussianBlur(smooth, (3, 3), 0, borderType=cv2.BORDER_REPLICATE), np.float32)
        np.clip(smooth, low, high, out=smooth)
    return smooth


def _moved(disparity: NDArray[np.float32], cells: tuple[float, float], grid: Grid) -> NDArray[np.float32]:
    """The disparity moved by these cells to the right and down. Its edge is repeated where the move leaves a gap."""
    if not any(cells):
        return disparity
    shift = np.array([[1.0, 0.0, cells[0] * grid.step], [0.0, 1.0, cells[1] * grid.step]])
    moved = cv2.warpAffine(disparity, shift, disparity.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32).reshape(disparity.shape)


def _fill_unknown(values: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Bridge short gaps along the row or the column, whichever way is shorter. Fill the others from their surroundings.

    If both ends are on one surface, the bridge is straight. If they are on two surfaces, it takes the value of the farther end.
    """
    start = np.where(known, np.clip(np.nan_to_num(values), 0.0, 1.0), 0.0).astype(np.float32)
    step = -(-max(values.shape) // BRIDGE_SIDE)
    across, width = _bridged_rows(start[::step, ::step], known[::step, ::step])
    down, height = _bridged_rows(start[::step, ::step].T, known[::step, ::step].T)
    bridged = np.where(width <= height.T, across, down.T)
    short = np.minimum(width, height.T) <= max(2.0, LONGEST_GAP * max(bridged.shape))
    bridged = np.where(short, bridged, _spread(start[::step, ::step], known[::step, ::step]))
    np.copyto(start, resize(bridged, values.shape, cv2.INTER_NEAREST_EXACT), where=~known)
    return start


def _bridged_rows(start: NDArray[np.float32], known: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """`_bridge` for the rows that have gaps; the others stay as they are."""
    filled, length = start.copy(), np.zeros(start.shape, np.float32)
    gaps = np.flatnonzero(~known.all(axis=1))
    filled[gaps], length[gaps] = _bridge(start[gaps], known[gaps])
    return filled, length


def _bridge(start: NDArray[np.float32], known: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fill along rows. Also returns the length of the gap that each value bridges, infinite if it reaches the canvas's edge."""
    count = start.shape[1]
    place = np.arange(count)
    before = np.maximum.accumulate(np.where(known, place, -1), axis=1)
    after = np.minimum.accumulate(np.where(known, place, count)[:, ::-1], axis=1)[:, ::-1]
    left, right = (np.take_along_axis(start, np.clip(end, 0, count - 1), axis=1) for end in (before, after))
    one_sided = (before < 0) | (after >= count)
    gap = np.maximum(after - before, 1).astype(np.float32)
    straight = left + (right - left) * ((place - before) / gap).astype(np.float32)
    filled = np.where(np.abs(right - left) > STEP, np.minimum(left, right), straight)
    return filled.astype(np.float32), np.where(one_sided, np.float32(np.inf), gap)


def _spread(values: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Push-pull (Gortler et al., "The Lumigraph", 1996) with weights that favour the far side."""
    start = np.where(known, np.clip(values, 0.0, 1.0), 0.0).astype(np.float32)
    weight = np.where(known, np.exp(-FARTHER * start), 0.0).astype(np.float32)
    levels = [(start * weight, weight)]
    while max(levels[-1][1].shape) > 1:
        h, w = levels[-1][1].shape
        half = (h + 1) // 2, (w + 1) // 2
        levels.append((resize(levels[-1][0], half, cv2.INTER_AREA), resize(levels[-1][1], half, cv2.INTER_AREA)))
    tiny = np.float32(1e-20)
    coarse: NDArray[np.float32] = (levels[-1][0] / np.maximum(levels[-1][1], tiny)).astype(np.float32)
    for product, mass in reversed(levels[:-1]):
        coarse = resize(coarse, mass.shape, cv2.INTER_LINEAR).copy()
        has = mass > tiny
        coarse[has] = product[has] / mass[has]
    coarse[known] = start[known]
    np.clip(coarse, 0.0, 1.0, out=coarse)
    return coarse


def _sharpen(rgb: NDArray[np.uint8], disparity: NDArray[np.float32], scale: float) -> None:
    """Decide near or far, in place, for every pixel around a step; everything else stays as it is."""
    grid = Grid.of(disparity.shape, smooth=True)
    reach = max(2.0 + max(disparity.shape) / 1000.0, 2.0 * scale) / grid.step
    radius = max(1, round(reach))
    coarse = resize(disparity, grid.shape, cv2.INTER_NEAREST_EXACT)
    window = 2 * radius + 1
    far, near = erode(coarse, window), dilate(coarse, window)
    band = (dilate(bend(coarse, radius), window) > STEP / 3) & (near - far > STEP)
    if not band.any():
        return
    index = np.flatnonzero(grid.enlarge_mask(band))
    blocks = [index[start : start + BLOCK] for start in range(0, index.size, BLOCK)]
    behind, ahead = _side_colours(rgb, coarse, far, near, band, radius)
    flat = disparity.reshape(-1)
    is_near = np.zeros(disparity.shape, np.uint8)

    def decide(block: NDArray[np.intp]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        pixels = Pixels.at(block, grid.full)
        far_here, near_here, behind_here, ahead_here = pixels.planes(far, near, behind, ahead)
        side = (flat.take(block) - far_here) / np.maximum(near_here - far_here, np.float32(1e-6))
        lean = _colour_side(pixels.colours(rgb), behind_here, ahead_here)
        sharp = np.abs(side - 0.5) * 2.0  # 1: the depth itself decides; 0: it is in between
        towards_near = side + (lean - 0.5) * np.where(sharp > 0.5, 2.0 - 2.0 * KEEP, 4.0) > 0.5
        is_near.reshape(-1)[block] = towards_near
        return far_here, near_here, side

    decided = in_parallel(decide, blocks)
    calm = cv2.medianBlur(is_near, 3).reshape(-1)
    for block, (far_here, near_here, side) in zip(blocks, decided, strict=True):
        towards_near = calm[block] > 0
        own = flat[block]
        np.copyto(own, near_here, where=towards_near & (side < 0.75))
        np.copyto(own, far_here, where=~towards_near & (side > 0.25))
        steep = near_here - far_here > STEP
        flat[block[steep]] = own[steep]


def _side_colours(
    rgb: NDArray[np.uint8],
    coarse: NDArray[np.float32],
    far: NDArray[np.float32],
    near: NDArray[np.float32],
    band: NDArray[np.bool_],
    radius: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Colour and variance (h, w, 4) of the far and of the near side around each cell of the band."""
    colour = resize(rgb, coarse.shape, cv2.INTER_AREA).astype(np.float32)
    moments = stacked(colour, power(colour))
    side = np.clip((coarse - far) / np.maximum(near - far, np.float32(1e-6)), 0.0, 1.0)
    models = []
    for weight in (np.clip(1.0 - 3.0 * side, 0.0, 1.0), np.clip(3.0 * side - 2.0, 0.0, 1.0)):
        weight = np.where(band, weight, 0.0).astype(np.float32) + np.float32(1e-6)
        models.append(local_colours(moments, weight, 4 * radius + 1))
    return models[0], models[1]


def _colour_side(pixel: NDArray[np.float32], behind: NDArray[np.float32], ahead: NDArray[np.float32]) -> NDArray[np.float32]:
    """For each of n pixels, 0 to 1: whether its colour (3, n) is that of the far (0) or of the near (1) side.

    0.5 is undecided. `behind` and `ahead`: (4, n), colour and variance of the two sides.
    """
    axis = ahead[:3] - behind[:3]
    length = dot(axis, axis)
    noise = COLOUR_NOISE**2 + behind[3] + ahead[3]
    along = dot(pixel - behind[:3], axis) / np.maximum(length, np.float32(1e-3))
    trust = length / (length + 4.0 * noise)
    lean: NDArray[np.float32] = 0.5 + (np.clip(along, 0.0, 1.0) - 0.5) * trust
    return lean
