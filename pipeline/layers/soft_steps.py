"""Makes soft steps of disparity sharp, at the photo's edges.

Where a step is many pixels wide, its middle says little about where the thing ends; the photo says it better. The share of the
near side is regressed on the photo's colour within a window as wide as the step. This is a guided filter (He et al., "Guided
Image Filtering", 2010), the local model of closed-form matting (Levin et al., 2008), but only over cells of the step and of the
two surfaces that it joins. The result is stretched towards the two sides and filtered again, so that it settles on the strongest
edge nearby. Coefficients are computed on the coarse grid and applied to the colours of all pixels (He and Sun, "Fast Guided
Filter", 2015).

A soft map flattens what is thinner than its steps, such as hair. There, a pixel with the colour of the solid thing nearby gets
the disparity of that thing.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.image.filters import box, channels, dilate, dilate_mask, erode, local_colours, power, resize, stacked
from pipeline.layers.bands import BLOCK, Grid, Pixels, in_parallel

STEP = 0.03
"""A larger difference of disparity between neighbours separates two things. With four layers, this is an eighth of a layer's
depth."""
SLOPE = 1.5
"""A step must be more than this many times as steep as its surroundings."""
SPAN = 0.75
"""Half the extent of a step, and half a window, in widths of the step. This far from its middle, a step is within 10 % of its
sides."""
NOISE = 3e-4
"""A variance of colour (0 to 1) up to this means nothing: it is noise of 4 levels."""
STRETCH, PASSES = 3.0, 2
"""How far each pass pushes the near side's share to 0 or 1, and how many passes."""
BEYOND = 3
"""This many cells beyond a step still belong to it: an edge of the photo there attracts the step's end."""
OUTSIDE = 0.25
"""A cell belongs to a third surface if it is this far below the step's far side or above its near side, in heights of the
step."""
DONE = 0.08
"""A disparity stays as it is if it is this close to that of its own side, in heights of the step."""

LIKE = 0.6
"""A pixel looks like the near side if its colour is this far on the way from the far side's colour to the near side's."""
DISTINCT = 20.0
"""Two colours are distinct if their squared distance is this many variances of both. With less, textures in rooms look alike."""
STRAND = 5.0
"""How far a thin part can be from the solid thing that it belongs to, in spans of the step. Hair is as long as that."""


@dataclass(frozen=True)
class _Solids:
    """The solid things next to the thin parts of a soft map, on the grid.

    Attributes:
        thin: bool (h, w), cells near thin parts that have a solid thing close by, in another colour than the far side.
        behind: float32 (h, w, 4), the colour of the closest part of the far side; the fourth channel is its variance.
        ahead: float32 (h, w, 4), the same of the closest solid thing on the near side.
        near: float32 (h, w), the disparity of that thing.
    """

    thin: NDArray[np.bool_]
    behind: NDArray[np.float32]
    ahead: NDArray[np.float32]
    near: NDArray[np.float32]


def sharpen(rgb: NDArray[np.uint8], disparity: NDArray[np.float32], width: float) -> None:
    """Give every pixel of a soft step the disparity of one of its sides, in place.

    Args:
        rgb: uint8 (H, W, 3).
        disparity: float32 (H, W).
        width: the width of the steps, in cells of the picture's grid.
    """
    grid = Grid.of(disparity.shape)
    coarse = resize(disparity, grid.shape, cv2.INTER_NEAREST_EXACT)
    span = SPAN * width
    step, far, near = _surfaces(coarse, span)
    if not step.any():
        return
    distance, far, near = _extended(step, far, near)
    height = np.maximum(near - far, np.float32(1e-6))
    side = (coarse - far) / height
    within = (side > -OUTSIDE) & (side < 1.0 + OUTSIDE) & (distance <= 2.0 * span)
    side = np.clip(side, 0.0, 1.0)
    colour = grid.shrink(rgb).astype(np.float32) / np.float32(255.0)
    slope, offset = _regress(colour, side, within.astype(np.float32), max(2, round(span)))
    solids = _solids(colour, coarse, side, within, span)
    far, near = _nearest_sides(side, within, coarse, far, near)
    index = np.flatnonzero(grid.enlarge_mask(within & (step | (distance <= BEYOND))))
    blocks = [index[start : start + BLOCK] for start in range(0, index.size, BLOCK)]
    is_near = np.zeros(disparity.shape, np.uint8)
    flat = disparity.reshape(-1)

    def decide(block: NDArray[np.intp]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        pixels = Pixels.at(block, grid.full)
        far_here, near_here = pixels.sample(far), pixels.sample(near)
        own = (flat[block] - far_here) / np.maximum(near_here - far_here, np.float32(1e-6))
        said = np.einsum("ij,ij->i", pixels.sample(slope), rgb.reshape(-1, 3)[block].astype(np.float32) / np.float32(255.0))
        said += pixels.sample(offset)
        towards_near = said > 0.5
        thin = np.flatnonzero(solids.thin.reshape(-1)[pixels.cells(solids.thin.shape)] & (own > DONE))
        some = pixels.some(thin)
        thin = thin[_looks_near(rgb.reshape(-1, 3)[some.index], some, solids)]
        towards_near[thin] = True
        # The step's own near side may be a flattened peak.
        near_here[thin] = np.maximum(near_here[thin], pixels.some(thin).sample(solids.near))
        own[thin] = (flat[block[thin]] - far_here[thin]) / np.maximum(near_here[thin] - far_here[thin], np.float32(1e-6))
        is_near.reshape(-1)[block] = towards_near
        return far_here, near_here, own

    decided = in_parallel(decide, blocks)
    calm = cv2.medianBlur(is_near, 3).reshape(-1)
    for block, (far_here, near_here, own) in zip(blocks, decided, strict=True):
        towards_near = calm[block] > 0
        value = flat[block]
        np.copyto(value, near_here, where=towards_near & (own < 1.0 - DONE))
        np.copyto(value, far_here, where=~towards_near & (own > DONE))
        flat[block] = value


def _surfaces(coarse: NDArray[np.float32], span: float) -> tuple[NDArray[np.bool_], NDArray[np.float32], NDArray[np.float32]]:
    """The cells of steps, and the disparities of the far and near surface that each step joins.

    The search stops at a surface: everything beyond it belongs to another step, even if it is close by.
    """
    reach = int(np.ceil(span))
    window = 2 * reach + 1
    gradients = [np.abs(cv2.Scharr(coarse, cv2.CV_32F, *way, scale=1 / 32)) for way in ((1, 0), (0, 1))]
    steep = np.asarray(np.maximum(*gradients), np.float32).reshape(coarse.shape)
    usual = box(erode(steep, window), window)
    step = (steep > STEP / (2.0 * span) + SLOPE * usual) & (dilate(bend(coarse, reach), window) > STEP / 3.0)
    far, near = coarse, coarse
    for _ in range(reach):
        far, near = np.where(step, erode(far, 3), coarse), np.where(step, dilate(near, 3), coarse)
    step &= near - far > STEP + 2.0 * span * usual
    return step, far, near


def bend(coarse: NDArray[np.float32], radius: int) -> NDArray[np.float32]:
    """How far each cell is from the mean along its row or column: a third of a step's height next to the step, 0 on a slope."""
    length = 2 * radius + 1
    across = np.abs(coarse - box(coarse, length, 1))
    down = np.abs(coarse - box(coarse, 1, length))
    # At the edge of the canvas, the mean of a slope is not its middle.
    across[:, :radius] = across[:, -radius:] = 0.0
    down[:radius] = down[-radius:] = 0.0
    bent: NDArray[np.float32] = np.maximum(across, down)
    return bent


def _extended(
    step: NDArray[np.bool_], far: NDArray[np.float32], near: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Distance in cells to the nearest step, and that step's far and near side, for every cell."""
    distance, place = _closest(step)
    return distance, far.reshape(-1)[place], near.reshape(-1)[place]


def _nearest_sides(
    side: NDArray[np.float32],
    within: NDArray[np.bool_],
    coarse: NDArray[np.float32],
    far: NDArray[np.float32],
    near: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """For every cell, the disparities of the closest cells that are certainly on the step's far and on its near side.

    `far` and `near` are extremes over a neighbourhood, so they are too far or too near on a surface that slopes. They are
    returned unchanged where the closest cell belongs to another step.
    """
    height = near - far
    found = []
    for value, sure in ((far, within & (side < DONE)), (near, within & (side > 1.0 - DONE))):
        if not sure.any():
            found.append(value)
            continue
        closest = coarse.reshape(-1)[_closest(sure)[1]]
        found.append(np.where(np.abs(closest - value) < OUTSIDE * height, closest, value))
    return found[0], found[1]


def _solids(
    colour: NDArray[np.float32],
    coarse: NDArray[np.float32],
    side: NDArray[np.float32],
    within: NDArray[np.bool_],
    span: float,
) -> _Solids:
    """Find the thin parts of a soft map, and the solid things that they belong to."""
    window = 2 * round(span / (2 * SPAN)) + 1
    peak = coarse - dilate(erode(coarse, window), window) > STEP
    solid, ground = within & (side > 1.0 - DONE) & ~peak, within & (side < DONE)
    if not (peak.any() and solid.any() and ground.any()):
        nothing = np.zeros((*coarse.shape, 4), np.float32)
        return _Solids(np.zeros(coarse.shape, np.bool_), nothing, nothing, coarse)
    radius = max(2, round(span))
    moments = stacked(colour, power(colour))
    (distance, ahead_at), (_, behind_at) = _closest(solid), _closest(ground)
    ahead, behind = (
        local_colours(moments, part.astype(np.float32) + np.float32(1e-9), 2 * radius + 1).reshape(-1, 4)[place]
        for part, place in ((solid, ahead_at), (ground, behind_at))
    )
    distinct = power(ahead[..., :3] - behind[..., :3]) > DISTINCT * (ahead[..., 3] + behind[..., 3] + np.float32(NOISE))
    thin = distinct & (distance < STRAND * span) & dilate_mask(peak, 2 * radius + 1)
    return _Solids(thin, behind, ahead, coarse.reshape(-1)[ahead_at])


def _looks_near(colour: NDArray[np.uint8], pixels: Pixels, solids: _Solids) -> NDArray[np.bool_]:
    """Which of these pixels, uint8 (n, 3), have the colour of the solid thing rather than that of the far side, bool (n,)."""
    behind, ahead = pixels.sample(solids.behind)[:, :3], pixels.sample(solids.ahead)[:, :3]
    axis = ahead - behind
    along = np.einsum("ij,ij->i", colour.astype(np.float32) / np.float32(255.0) - behind, axis)
    return np.asarray(along > LIKE * np.einsum("ij,ij->i", axis, axis), np.bool_)


def _closest(mask: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """For every cell, the distance to the closest cell of the mask, and its flat index, both (h, w); not for an empty mask."""
    distance, nearest = cv2.distanceTransformWithLabels(
        (~mask).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    owner = np.zeros(int(nearest.max()) + 1, np.intp)
    owner[nearest[mask]] = np.flatnonzero(mask)
    return np.asarray(distance, np.float32), owner[nearest]


def _regress(
    colour: NDArray[np.float32], side: NDArray[np.float32], weight: NDArray[np.float32], radius: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Slope (h, w, 3) and offset (h, w) that predict the near side's share from a colour.

    Each cell gets the mean of the slopes and offsets of all windows around it.
    """
    window = 2 * radius + 1
    total = box(weight, window) + np.float32(1e-6)
    mean = box(colour * channels(weight), window) / channels(total)
    spread = {}
    for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)):
        product = np.ascontiguousarray(colour[..., i] * colour[..., j] * weight)
        spread[i, j] = box(product, window) / total - mean[..., i] * mean[..., j]
        if i == j:
            spread[i, j] += np.float32(NOISE)
    inverse = _inverse(spread)
    answer = side
    slope, offset = np.zeros_like(colour), side
    for number in range(PASSES + 1):
        if number:
            answer = _stretched((slope * colour).sum(axis=2) + offset)
        weighted = answer * weight
        level = box(weighted, window) / total
        together = box(colour * channels(weighted), window) / channels(total) - mean * channels(level)
        x, y, z = (together[..., k] for k in range(3))
        local = np.stack([row[0] * x + row[1] * y + row[2] * z for row in inverse], axis=2)
        rest = level - (local * mean).sum(axis=2)
        slope = box(local * channels(weight), window) / channels(total)
        offset = box(rest * weight, window) / total
    return slope, offset


def _inverse(spread: dict[tuple[int, int], NDArray[np.float32]]) -> list[list[NDArray[np.float32]]]:
    """The inverses of symmetric 3 × 3 matrices, by cofactors."""
    a, b, c, d, e, f = (spread[i, j] for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)))
    first, second, third = d * f - e * e, c * e - b * f, b * e - c * d
    scale = np.float32(1.0) / np.maximum(a * first + b * second + c * third, np.float32(1e-14))
    middle, last = b * c - a * e, a * d - b * b
    return [
        [first * scale, second * scale, third * scale],
        [second * scale, (a * f - c * c) * scale, middle * scale],
        [third * scale, middle * scale, last * scale],
    ]


def _stretched(said: NDArray[np.float32]) -> NDArray[np.float32]:
    """The near side's share as predicted from colour, pushed towards 0 or 1."""
    share: NDArray[np.float32] = np.float32(0.5) + np.float32(STRETCH) * (said - np.float32(0.5))
    np.clip(share, 0.0, 1.0, out=share)
    return share
