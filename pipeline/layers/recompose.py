"""Makes the layers recompose to the picture exactly, in eight bits.

Layers are stacked with straight alpha: `round((a·F + (255 − a)·B) / 255)`, which is also what Pillow's `alpha_composite`
computes over an opaque ground. In each soft pixel, the colour of the nearest visible layer is solved for, so that the stack gives
the picture's colour.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.image.filters import put, threshold
from pipeline.layers.bands import BLOCK, Pixels, dot, in_parallel, strips

NEAR_ESTIMATE = 16
"""How many levels a solved colour may differ from the estimated one; more shows as a coloured fringe when layers move."""
GROUND_SLACK = 16.0
"""How many levels an invented colour behind a soft pixel may change to make the mixture exact."""
ALPHA_SLACK = 24.0
"""How many levels alpha may change to fit the ground: it was estimated before the ground was filled."""
ALIKE = 1000.0
"""If cover and ground are closer than this squared distance (18 levels per channel), they say little about alpha."""


@dataclass(frozen=True)
class Solved:
    """How solving changed the soft pixels.

    Attributes:
        raised_alpha: number of pixels whose alpha was raised so that an exact colour exists.
        distance: mean Euclidean distance between solved and estimated colour over the pixels that stayed soft, in levels.
    """

    raised_alpha: int
    distance: float


def over(top: NDArray[np.uint8], alpha: NDArray[np.uint8], ground: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Eight-bit "over" on an opaque ground, rounded to nearest: uint8 (n, 3), (n,), (n, 3) → (n, 3)."""
    a = alpha.astype(np.uint32)[:, None]
    total = a * top + (255 - a) * ground + 128
    rounded: NDArray[np.uint8] = ((total + (total >> 8)) >> 8).astype(np.uint8)
    return rounded


def solve(rgb: NDArray[np.uint8], rgba: list[NDArray[np.uint8]], index: NDArray[np.intp]) -> Solved:
    """Change the layers at some pixels so that they recompose to the picture exactly there.

    For the picture's colour I and the composite B of the layers below, the nearest visible layer gets
    `F = round((255·I − (255 − α)·B) / α)`. First, an invented colour directly below may change by at most `GROUND_SLACK`. Then α
    rises until F is in 0…255 and at most `NEAR_ESTIMATE` from the colour that the layer had. If there is no such α below 255,
    the pixel becomes either all ground (α = 0) or all cover (α = 255, F = I), depending on its colour and its α.

    Args:
        rgb: uint8 (H, W, 3), the picture.
        rgba: layers uint8 (H, W, 4), back to front, C-contiguous, with estimated colours; changed in place.
        index: flat indices of the pixels to solve. At each, the farthest visible layer must be opaque.

    Returns:
        How far the result is from the estimates.
    """
    planes = [layer.reshape(-1, 4).view(np.uint32)[:, 0] for layer in rgba]

    def work(start: int) -> tuple[int, float, int]:
        block = index[start : start + BLOCK]
        packed = np.stack([plane.take(block) for plane in planes])
        soft = np.flatnonzero(_is_soft(packed.view(np.uint8).reshape(*packed.shape, 4)[..., 3]))
        if not soft.size:
            return 0, 0.0, 0
        block, packed = block[soft], packed.take(soft, axis=1)
        # The channels first: operations on a few long rows are much faster than on many rows of three.
        stack = np.stack([np.stack(cv2.split(layer.view(np.uint8).reshape(1, -1, 4)))[:, 0] for layer in packed])
        result = _solve_block(Pixels.at(block, rgb.shape[:2]).colours(rgb), stack)
        for plane, solved in zip(planes, stack, strict=True):
            plane[block] = np.asarray(cv2.merge(list(solved[:, None])), np.uint8).reshape(-1, 4).view(np.uint32)[:, 0]
        return result

    results = in_parallel(work, range(0, index.size, BLOCK))
    soft = sum(count for _, _, count in results)
    return Solved(sum(raised for raised, _, _ in results), sum(far for _, far, _ in results) / soft if soft else 0.0)


def _is_soft(alphas: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where the nearest visible layer is partly transparent: alphas of N layers, uint8 (N, n) → bool (n,)."""
    top = alphas[0].copy()
    for alpha in alphas[1:]:
        np.copyto(top, alpha, where=alpha > 0)
    soft: NDArray[np.bool_] = (top > 0) & (top < 255)
    return soft


def _solve_block(image: NDArray[np.float32], stack: NDArray[np.uint8]) -> tuple[int, float, int]:
    """Solve n soft pixels of `stack`, uint8 (N, 4, n), in place, for the picture's colours, float32 (3, n)."""
    top = np.zeros(image.shape[1], np.uint8)
    for k, layer in enumerate(stack):
        np.copyto(top, np.uint8(k), where=layer[3] > 0)
    cover = stack[0].copy()
    for k, layer in enumerate(stack[1:], 1):
        np.copyto(cover, layer, where=top == k)
    ground, under, bent = _compose_below(stack, top)
    estimate, start = cover[:3].astype(np.float32), cover[3].astype(np.float32)
    fitted = _fit_alpha(image, start, estimate, ground)
    np.copyto(ground, _bend(image, fitted, estimate, ground), where=bent)
    alpha = _least_alpha(image, fitted, estimate, ground)
    # A pixel without a soft solution becomes ground if its colour is like the ground's, more readily the less of it is covered.
    # Otherwise it becomes cover.
    become = bent & (alpha == 255)
    if become.any():
        share = fitted / np.float32(255.0)
        become &= share * _length(image - ground) < (1.0 - share) * _length(image - estimate)
        np.copyto(ground, image, where=become)
        alpha[become] = 0
    a = np.maximum(alpha, 1.0)
    colour = np.rint((255.0 * image - (255.0 - a) * ground) / a)
    np.copyto(colour, np.float32(0), where=alpha == 0)
    for k, layer in enumerate(stack):
        here = top == k
        np.copyto(layer[:3], ground, where=bent & (under == k), casting="unsafe")
        np.copyto(layer[:3], colour, where=here, casting="unsafe")
        np.copyto(layer[3], alpha, where=here, casting="unsafe")
    stays = (alpha > 0) & (alpha < 255)
    distance = np.sqrt(_length(colour - estimate)[stays])
    return int(np.count_nonzero(alpha > fitted)), float(distance.astype(np.float64).sum()), int(np.count_nonzero(stays))


def _compose_below(
    stack: NDArray[np.uint8], top: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.bool_]]:
    """The composite below the top layer, float32 (3, n) whole levels, the next visible layer, and whether that is opaque."""
    ground = np.zeros((3, top.size), np.uint16)
    under = np.zeros(top.size, np.uint8)
    opaque = stack[0, 3].copy()
    for k, layer in enumerate(stack[:-1]):
        here = (top > k) & (layer[3] > 0)
        if not here.any():
            continue
        # As in `over`, but in 16 bits, which no sum exceeds. An alpha of 0 leaves the ground as it is.
        a = np.where(here, layer[3], np.uint8(0)).astype(np.uint16)
        ground *= np.uint16(255) - a
        ground += a * layer[:3]
        ground += np.uint16(128)
        ground += ground >> 8
        ground >>= 8
        np.copyto(under, np.uint8(k), where=here)
        np.copyto(opaque, layer[3], where=here)
    return ground.astype(np.float32), under, opaque == 255


def _length(colours: NDArray[np.float32]) -> NDArray[np.float32]:
    """Squared Euclidean length, (3, n) → (n,)."""
    return dot(colours, colours)


def _fit_alpha(
    image: NDArray[np.float32], start: NDArray[np.float32], estimate: NDArray[np.float32], ground: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Recompute alpha from the filled ground, at most `ALPHA_SLACK` levels from the matte's alpha."""
    axis = estimate - ground
    length = _length(axis)
    along = 255.0 * dot(image - ground, axis) / np.maximum(length, 1.0)
    change = np.clip(along - start, -ALPHA_SLACK, ALPHA_SLACK) * (length / (length + ALIKE))
    fitted: NDArray[np.float32] = np.rint(np.clip(start + change, 1.0, 254.0)).astype(np.float32)
    return fitted


def _bend(
    image: NDArray[np.float32], alpha: NDArray[np.float32], estimate: NDArray[np.float32], ground: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Change the ground to absorb its part of the mixture's error, so that cover and ground together change least."""
    a = alpha / np.float32(255.0)
    rest = image - a * estimate
    rest -= (1.0 - a) * ground
    rest *= 1.0 - a
    rest /= a * a + (1.0 - a) ** 2
    change = np.clip(rest, -GROUND_SLACK, GROUND_SLACK, out=rest)
    change += ground
    np.clip(change, 0.0, 255.0, out=change)
    return np.rint(change, out=change)


def _least_alpha(
    image: NDArray[np.float32], start: NDArray[np.float32], estimate: NDArray[np.float32], ground: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The smallest whole alpha, at least `start`, with an exact colour in range and near the estimate in every channel.

    255 if there is none.
    """
    low = np.maximum(estimate - NEAR_ESTIMATE, 0.0) - ground
    high = np.minimum(estimate + NEAR_ESTIMATE, 255.0) - ground
    need = 255.0 * (image - ground)
    # The exact colour minus the ground is need / alpha, rounded; it must be between low and high.
    bounds = _bound(need, np.where(need > 0, high, low))
    least = np.maximum(np.maximum(np.maximum(bounds[0], bounds[1]), bounds[2]), np.float32(1.0))
    alpha = np.maximum(start, np.ceil(least - 1e-3))
    solved = np.rint(need / np.maximum(alpha, 1.0))
    within = (solved >= low) & (solved <= high)
    fits = within[0] & within[1] & within[2] & (alpha < 255)
    return np.where(fits, alpha, np.float32(255.0))


def _bound(need: NDArray[np.float32], limit: NDArray[np.float32]) -> NDArray[np.float32]:
    """The alpha at which need / alpha reaches a limit with the same sign; 255 if it never does, 0 if nothing is needed."""
    reachable = need * limit > 0
    alpha = need / np.where(reachable, limit, np.float32(1.0))
    np.copyto(alpha, np.float32(255.0), where=~reachable)
    np.copyto(alpha, np.float32(0.0), where=need == 0)
    return np.minimum(alpha, np.float32(255.0), out=alpha)


@dataclass(frozen=True)
class Composed:
    """The stacked layers, and what is seen of each.

    Attributes:
        picture: uint8 (H, W, 3), or (H, W, 4) if the picture has an alpha.
        error: the largest difference from the picture in any channel, including alpha, 0 to 255 levels.
        coverage: per layer the fraction of the picture's pixels in which it is the frontmost visible layer.
        bboxes: per layer x, y, width, height of its visible part; None if it is empty.
    """

    picture: NDArray[np.uint8]
    error: int
    coverage: tuple[float, ...]
    bboxes: tuple[tuple[int, int, int, int] | None, ...]


def compose(rgb: NDArray[np.uint8], alpha: NDArray[np.uint8] | None, rgba: Sequence[NDArray[np.uint8]]) -> Composed:
    """Stack the layers, compare the result with the picture, and measure what is seen of each layer.

    Args:
        rgb: uint8 (H, W, 3), the picture.
        alpha: uint8 (H, W) or None for opaque; colour under alpha 0 is not compared.
        rgba: uint8 (H, W, 4), back to front, straight alpha. Wherever more than one is visible, the farthest of them must be
            opaque, as in all layers that this program makes.
    """
    height, width = rgb.shape[:2]
    out = np.empty((height, width, 3 if alpha is None else 4), np.uint8)

    def strip(rows: slice) -> tuple[float, list[int], list[tuple[int, int, int, int]]]:
        layers = [layer[rows] for layer in rgba]
        alphas = [np.asarray(cv2.extractChannel(layer, 3), np.uint8).reshape(layer.shape[:2]) for layer in layers]
        got = _compose_strip(layers, alphas)
        own = np.ascontiguousarray(rgb[rows])
        colour = np.asarray(cv2.cvtColor(got, cv2.COLOR_RGBA2RGB), np.uint8).reshape(own.shape)
        cover = np.asarray(cv2.extractChannel(got, 3), np.uint8).reshape(own.shape[:2])
        if alpha is None:
            out[rows] = colour
            return max(cv2.norm(own, colour, cv2.NORM_INF), 255.0 - cv2.minMaxLoc(cover)[0]), *_seen(alphas, rows.start)
        out[rows] = got
        wanted = np.ascontiguousarray(alpha[rows])
        colour = np.where((wanted == 0)[..., None], own, colour)
        return max(cv2.norm(own, colour, cv2.NORM_INF), cv2.norm(wanted, cover, cv2.NORM_INF)), *_seen(alphas, rows.start)

    errors, counts, boxes = zip(*in_parallel(strip, strips(height, width)), strict=True)
    coverage = tuple(sum(each) / (height * width) for each in zip(*counts, strict=True))
    return Composed(out, int(max(errors)), coverage, tuple(_united(each) for each in zip(*boxes, strict=True)))


def _seen(alphas: list[NDArray[np.uint8]], top: int) -> tuple[list[int], list[tuple[int, int, int, int]]]:
    """Per layer the number of pixels in which it is frontmost, and the box around its visible part, of a strip from row `top`."""
    free = np.full(alphas[0].shape, 255, np.uint8)
    counts: list[int] = []
    boxes: list[tuple[int, int, int, int]] = []
    for alpha in reversed(alphas):
        there = threshold(alpha, 1)
        counts.append(cv2.countNonZero(cv2.bitwise_and(there, free)))
        free = np.asarray(cv2.subtract(free, there), np.uint8)
        x, y, width, height = cv2.boundingRect(there)
        boxes.append((int(x), top + int(y), int(width), int(height)))
    return counts[::-1], boxes[::-1]


def _united(boxes: Sequence[tuple[int, int, int, int]]) -> tuple[int, int, int, int] | None:
    """The box around boxes, each x, y, width, height; those without width do not count, and None if there is no other."""
    some = [box for box in boxes if box[2]]
    if not some:
        return None
    x, y = min(box[0] for box in some), min(box[1] for box in some)
    return x, y, max(box[0] + box[2] for box in some) - x, max(box[1] + box[3] for box in some) - y


def _compose_strip(layers: list[NDArray[np.uint8]], alphas: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    ground = layers[0].copy()
    for layer, alpha in zip(layers[1:], alphas[1:], strict=True):
        if not cv2.hasNonZero(alpha):
            continue
        # Over nothing, a layer is unchanged, even where it is not opaque.
        hard = alpha == 255
        soft = (alpha > 0) & ~hard
        if soft.any():
            hard |= soft & (ground[:, :, 3] == 0)
            index = np.flatnonzero(soft & ~hard)
            flat, top = ground.reshape(-1, 4), layer.reshape(-1, 4)[index]
            flat[index, :3] = over(top[:, :3], top[:, 3], flat[index, :3])
        put(layer, hard, ground)
    return ground
