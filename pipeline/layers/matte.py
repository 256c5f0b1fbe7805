"""Estimates soft alpha and clean colours along the borders between layers.

There is one border per threshold k. It separates layer k and everything in front of it from everything behind it. Only a band
along the border is processed. The estimate is Bayesian matting's (Chuang et al., 2001) with isotropic colour models: each side's
colour is a local mean with a variance, alpha is the pixel's position on the line between both means, and the remainder is divided
between the two colours by their variances. Where both sides look alike, the antialiased step of the depth decides.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.image.filters import box, dilate, erode, local_colours, power, stacked, threshold
from pipeline.layers.bands import BLOCK, Grid, Pixels, around, band_radius, dot, in_parallel
from pipeline.layers.crumbs import is_crumb, smallest_piece

NOISE = 4.0
"""Levels of sensor and compression noise; a smaller difference between colours means nothing."""
NOTHING = 0.01
"""An alpha up to this counts as 0, and an alpha this close to 1 counts as 1.

The limit is small because the dropped part stays in the ground when the front moves away. With 0.02, it would show as an outline.
"""
GLOW = 0.1
"""The largest alpha beyond the band that counts as lens blur; anything more is a separate thing."""
SURE_GLOW = 10.0
"""A glow counts by half if its squared difference from the ground is this many variances of the ground: about three standard
deviations."""
GLOW_REACH = 3
"""How far the glow reaches, in half widths of the band."""
EDGE_BLUR = 0.7
"""Standard deviation in pixels of an antialiased edge, used where colour cannot decide."""
_BLURRED = 8
"""How many pixels that blur reads on each side, at most."""


@dataclass(frozen=True)
class Border:
    """The soft band between the front (layer k and all nearer ones) and the layers behind it.

    Attributes:
        index: intp (n,), flat indices into (H, W), rising.
        alpha: uint8 (n,), how much of the pixel the front covers.
        colour: uint8 (n, 3), the estimated colour of the front.
    """

    index: NDArray[np.intp]
    alpha: NDArray[np.uint8]
    colour: NDArray[np.uint8]


AlphaEstimator = Callable[[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.intp]], NDArray[np.float32]]
"""Estimates the alpha of a band. Arguments: the picture, uint8 (H, W, 3); the front, uint8 (H, W), 0 or 255; the flat indices of
the band's pixels, intp (n,). Returns float32 (n,), 0 to 1, or NaN where colours should decide. Several threads may call it."""


def estimate_borders(
    rgb: NDArray[np.uint8],
    opaque: NDArray[np.bool_] | None,
    labels: NDArray[np.uint8],
    num_layers: int,
    alpha_estimator: AlphaEstimator | None = None,
) -> list[Border]:
    """Estimate the soft borders of all layers but the farthest.

    Args:
        rgb: uint8 (H, W, 3).
        opaque: bool (H, W), where the picture's own alpha is 255; None for everywhere. Colour elsewhere is ignored.
        labels: uint8 (H, W), 0 (farthest) to num_layers − 1.
        num_layers: how many layers.
        alpha_estimator: estimates alpha, except at the rim of the band; None to estimate it from colours.

    Returns:
        num_layers − 1 borders, starting with that of layer 1.
    """
    grid = Grid.of(rgb.shape)
    colour = grid.shrink(rgb).astype(np.float32)
    seen = None if opaque is None else grid.share(opaque.view(np.uint8) * np.uint8(255))
    moments = stacked(colour, power(colour))

    def border(k: int) -> Border:
        return _border(rgb, opaque, threshold(labels, k), moments, seen, grid, alpha_estimator)

    there = cv2.calcHist([labels], [0], None, [num_layers], [0.0, float(num_layers)]).reshape(-1) > 0
    some = [k for k in range(1, num_layers) if there[k]]
    found = dict(zip(some, in_parallel(border, some), strict=True))
    # The front of a layer without pixels is that of the next nearer layer that has any.
    return [
        found[min(nearer)] if (nearer := [each for each in some if each >= k]) else _no_border() for k in range(1, num_layers)
    ]


def _no_border() -> Border:
    return Border(np.zeros(0, np.intp), np.zeros(0, np.uint8), np.zeros((0, 3), np.uint8))


def _border(
    rgb: NDArray[np.uint8],
    opaque: NDArray[np.bool_] | None,
    front: NDArray[np.uint8],
    moments: NDArray[np.float32],
    seen: NDArray[np.float32] | None,
    grid: Grid,
    alpha_estimator: AlphaEstimator | None,
) -> Border:
    coverage = grid.shrink(front)
    radius = max(1, round(band_radius(rgb.shape) / grid.step))
    window = 2 * radius + 1
    band = dilate(coverage, window) > erode(coverage, window)
    glow, glowing = _glow(coverage, band, moments, seen, radius)
    beyond = (glow > 0.0) & ~band
    band |= beyond
    index = np.flatnonzero(grid.enlarge_mask(band) if opaque is None else grid.enlarge_mask(band) & opaque)
    if not index.size:
        return _no_border()
    depth_says, ahead, behind = _side_models(coverage, band, moments, seen, radius)
    ahead = np.where(beyond[:, :, None], glowing, ahead)
    near = _pixels_around(band, grid)
    blurred = np.empty_like(front)
    blurred[near] = cv2.GaussianBlur(front[near], (0, 0), EDGE_BLUR)
    step_alpha = blurred.take(index)
    estimated = None if alpha_estimator is None else alpha_estimator(rgb, front, index)
    alpha, faint, clean = (np.empty((index.size, *colours), np.uint8) for colours in ((), (), (3,)))

    def block(start: int) -> None:
        here = slice(start, start + BLOCK)
        pixels = Pixels.at(index[here], grid.full)
        inside, ahead_here, behind_here, glow_here = pixels.planes(depth_says, ahead, behind, glow)
        alpha[here], own = _unmix(
            pixels.colours(rgb),
            ahead_here,
            behind_here,
            step_alpha[here].astype(np.float32) / np.float32(255.0),
            inside,
            None if estimated is None else estimated[here],
        )
        cv2.merge([*own[:, None]], clean[here][None])
        faint[here] = np.rint(glow_here * np.float32(255.0))

    in_parallel(block, range(0, index.size, BLOCK))
    alpha = _without_specks(front, near, index, alpha, step_alpha)
    np.maximum(alpha, faint, out=alpha)
    # A pixel that lost its cover must be in the band too, because the layers behind show there.
    keep = np.flatnonzero(cv2.bitwise_or(alpha, front.take(index)))
    return Border(index.take(keep), alpha.take(keep), clean.take(keep, axis=0))


def _pixels_around(band: NDArray[np.bool_], grid: Grid) -> tuple[slice, slice]:
    """The rows and columns of pixels around the band's cells.

    The margin is as wide as the largest crumb, and a few pixels for the blur, so both are as in the whole picture.
    """
    margin = smallest_piece(grid.full[0] * grid.full[1]) + _BLURRED
    places = []
    for cells, count, side in zip(around(band, 1), band.shape, grid.full, strict=True):
        start, stop = (int(cell * side / count) for cell in (cells.start, min(cells.stop, count)))
        places.append(slice(max(0, start - margin), stop + margin))
    return places[0], places[1]


def _without_specks(
    front: NDArray[np.uint8],
    near: tuple[slice, slice],
    index: NDArray[np.intp],
    alpha: NDArray[np.uint8],
    step_alpha: NDArray[np.uint8],
) -> NDArray[np.uint8]:
    """Remove specks from alpha.

    A crumb gets at most the alpha that the depth alone gives, and a gap as small as a crumb gets at least that alpha. All pixels
    of `index`, and crumbs around them, are within the rows and columns `near`.
    """
    mask = front.copy()
    mask.reshape(-1)[index] = alpha
    crumb = np.zeros(front.shape, np.bool_)
    crumb[near] = is_crumb(threshold(np.ascontiguousarray(mask[near]), 128), smallest_piece(front.size))
    specks = np.flatnonzero(crumb.take(index))
    out = alpha.copy()
    own, depth_alone = alpha[specks], step_alpha[specks]
    covers = mask.take(index[specks]) >= 128
    out[specks] = np.where(covers, np.minimum(own, depth_alone), np.maximum(own, depth_alone))
    return out


def _glow(
    coverage: NDArray[np.uint8],
    band: NDArray[np.bool_],
    moments: NDArray[np.float32],
    seen: NDArray[np.float32] | None,
    radius: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The front's faint alpha outside of its border, float32 (h, w), 0 to `GLOW`, and the front's colour there, (h, w, 4).

    A lens blurs the front a little way over a ground that is sharp, or blurred differently. If this faint part stayed in the
    ground, it would show as an outline. The ground's colour is taken from farther out. Where that colour varies as much as the
    glow would change it, the result is 0.
    """
    glow = np.zeros(coverage.shape, np.float32)
    if not band.any():
        return glow, moments
    reach = GLOW_REACH * radius
    near = around(band, 3 * reach)
    front = coverage[near]
    distance = cv2.distanceTransform((front == 0).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    outside = (distance > 0.0) & (distance < reach)
    weights = [(front == 255).astype(np.float32), (distance >= reach).astype(np.float32)]
    if seen is not None:
        weights = [weight * (seen[near] == 1.0) for weight in weights]
        outside &= seen[near] == 1.0
    ahead, behind = (
        local_colours(moments[near], weight + np.float32(1e-9), 2 * size + 1)
        for weight, size in zip(weights, (reach + radius, 2 * reach), strict=True)
    )
    axis = ahead[..., :3] - behind[..., :3]
    length = np.maximum(power(axis), np.float32(1.0))
    product = (moments[near][..., :3] - behind[..., :3]) * axis
    along = np.clip(product.sum(axis=2) / length, 0.0, GLOW)
    signal = np.square(along) * length
    share = along * signal / (signal + SURE_GLOW * (behind[..., 3] + np.float32(1.0)))
    share *= np.clip(2.0 - 2.0 * distance / reach, 0.0, 1.0)
    share = np.where(outside & (share > NOTHING / 2.0), share, np.float32(0))
    glow[near] = share
    colours = np.zeros(moments.shape, np.float32)
    colours[near] = ahead
    colours[..., 3] /= 3.0
    return glow, colours


def _side_models(
    coverage: NDArray[np.uint8],
    band: NDArray[np.bool_],
    moments: NDArray[np.float32],
    seen: NDArray[np.float32] | None,
    radius: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """How far inside the front each cell of the band is, and colour and variance (h, w, 4) of front and back around it.

    Cells far inside a side count most. Away from the band the numbers mean nothing.
    """
    window = 4 * radius + 1
    near = around(band, 3 * radius)  # the two windows together read this far
    front = coverage[near].astype(np.float32) / np.float32(255.0)
    inside = np.empty(coverage.shape, np.float32)
    inside[near] = box(front, 2 * radius + 1)
    sides = []
    for side, share in ((front, inside[near]), (1.0 - front, 1.0 - inside[near])):
        # Thin poles and hair have no cell far inside, but still count a little.
        weight = side * (np.square(np.square(share)) + np.float32(1e-4)) + np.float32(1e-9)
        if seen is not None:
            weight *= np.maximum(seen[near] * np.float32(20.0) - np.float32(19.0), np.float32(1e-6))
        model = np.empty(moments.shape, np.float32)
        model[near] = local_colours(moments[near], weight, window)
        model[near][..., 3] /= 3.0
        sides.append(model)
    return inside, sides[0], sides[1]


def _unmix(
    pixel: NDArray[np.float32],
    ahead: NDArray[np.float32],
    behind: NDArray[np.float32],
    step_alpha: NDArray[np.float32],
    inside: NDArray[np.float32],
    estimated: NDArray[np.float32] | None,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Alpha, uint8 (n,), and the front's colour, uint8 (3, n), of n pixels; colours have their channels first."""
    axis = ahead[:3] - behind[:3]
    length = dot(axis, axis)
    along = dot(pixel - behind[:3], axis) / np.maximum(length, 1e-3)
    noise = NOISE**2 + ahead[3] + behind[3]
    trust = length / (length + 6.0 * noise)
    if estimated is not None:
        known = np.isfinite(estimated)
        trust, along = np.where(known, np.float32(1.0), trust), np.where(known, estimated, along)
    # At the rim of the band the depth is certain.
    trust *= np.clip(4.0 * np.minimum(inside, 1.0 - inside), 0.0, 1.0)
    alpha = step_alpha + trust * (np.clip(along, 0.0, 1.0) - step_alpha)
    alpha = np.clip((alpha - NOTHING) / (1.0 - 2.0 * NOTHING), 0.0, 1.0)
    axis *= alpha
    axis += behind[:3]
    rest = np.subtract(pixel, axis, out=axis)
    share_ahead, share_behind = alpha * ahead[3], (1.0 - alpha) * behind[3]
    gain = share_ahead / (alpha * share_ahead + (1.0 - alpha) * share_behind + NOISE**2)
    rest *= gain
    rest += ahead[:3]
    clean = np.clip(rest, 0.0, 255.0, out=rest)
    return np.rint(alpha * 255.0).astype(np.uint8), np.rint(clean, out=clean).astype(np.uint8)
