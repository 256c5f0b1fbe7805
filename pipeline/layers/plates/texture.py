"""Finds texture for what is hidden: the offsets at which a layer repeats itself, and the offset to use for each hidden cell.

After K. He and J. Sun, "Statistics of Patch Offsets for Image Completion" (ECCV 2012): similar patches of a picture are at few
dominant offsets. That paper finds the offsets by a patch search, and chooses among them by a graph cut. Here correlation (FFT)
finds them, and a hidden cell uses the offset at which its known surroundings agree best. Everything happens on a grid of about
512 cells.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.image.filters import box, dilate_mask, erode, power

Pixel = TypeVar("Pixel", np.bool_, np.float32)

CANDIDATES = 6
"""Offsets kept per ring of distances. The best few serve nearly every cell, and more would only take time."""
LEAST_OVERLAP = 0.05
"""At least this fraction of the layer must overlap itself at an offset for the agreement there to mean anything."""
LEAST_STRENGTH = 0.55
"""Strength of a random texture: at full strength it would look wrong everywhere; without it, the fill would look blurred."""
TEXTURED = 8.0
"""Texture with this many times the noise's power is shown at half strength; for flatter surfaces a smooth fill is better."""
UNLIKE = 2.2
"""A source whose disagreement is more than this times the local power is of another kind. In one random texture, the ratio is
2."""
USUAL = 3.0
"""Detail with up to this many times a layer's usual power is texture. Stronger detail is an object, and copied parts look
wrong."""


@dataclass(frozen=True)
class Texture:
    """Where hidden cells copy their texture from.

    Attributes:
        offsets: int32 (n, 2), dy, dx in cells.
        choice: uint8 (h, w), which offset a cell takes.
        strength: float32 (h, w), 0 (no source, or too far in) to 1 (the source continues the surroundings).
    """

    offsets: NDArray[np.int32]
    choice: NDArray[np.uint8]
    strength: NDArray[np.float32]


def find_texture(
    colour: NDArray[np.float32], weight: NDArray[np.float32], wanted: NDArray[np.bool_], reach: float, noise: float
) -> Texture | None:
    """Choose a source for each hidden cell of a layer.

    Args:
        colour: float32 (h, w, 3), the layer minus its smooth part; anything where unknown.
        weight: float32 (h, w), 1 where the colour is certain.
        wanted: bool (h, w), the hidden cells that need texture.
        reach: how far into the hidden part texture is needed, in cells.
        noise: a cell's variance from camera noise alone, summed over channels, in squared levels.

    Returns:
        The choice; None if there is nothing to copy or nothing to fill.
    """
    known = weight > 0.99
    if not wanted.any() or np.count_nonzero(known) < 64:
        return None
    nearby = max(4, round(3 * reach))
    around = dilate_mask(wanted, 2 * nearby + 1)
    offsets = _dominant_offsets(colour, known & around, reach)
    if not len(offsets):
        return None
    distance = cv2.distanceTransform(1 - known.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    fade = np.clip((1.4 * reach - distance) / max(0.4 * reach, 1.0), 0.0, 1.0).astype(np.float32)
    # Grid cells are coarser than pixels, so a source right at a border could read across it.
    inner = ~dilate_mask(~known, 3)
    best = np.full(known.shape, np.inf, np.float32)
    choice = np.zeros(known.shape, np.uint8)
    for number, offset in enumerate(offsets):
        cost = _disagreement(colour, known, inner, offset, reach)
        better = wanted & (cost < best)
        best[better] = cost[better]
        choice[better] = number
    around_it = _local_power(colour, known, reach)
    usual = np.float32(np.median(around_it[known & around]))
    stuck = wanted & np.isinf(best) & (fade > 0.0) & (around_it < USUAL * usual)
    if stuck.any():
        # Offsets that suit most of a layer may lead out of it in its corners. There, any offset to similar texture will do.
        spare = _all_around(1.5 * reach)
        for number, offset in enumerate(spare, len(offsets)):
            cost = _disagreement(colour, known, inner, offset, reach)
            better = stuck & (cost < best) & (cost < UNLIKE * around_it)
            best[better] = cost[better]
            choice[better] = number
        offsets = np.concatenate([offsets, spare])
    likeness = 1.0 - best / np.maximum(2.0 * around_it, 1.0)
    rough = around_it / (around_it + TEXTURED * noise)
    rough *= np.clip(2.0 - around_it / np.maximum(USUAL * usual, 1.0), 0.0, 1.0)
    strength = np.where(np.isfinite(best), rough * np.clip(likeness, LEAST_STRENGTH, 1.0), 0.0).astype(np.float32)
    return Texture(offsets, choice, strength * fade)


def _dominant_offsets(colour: NDArray[np.float32], known: NDArray[np.bool_], reach: float) -> NDArray[np.int32]:
    """Offsets at which the known part agrees best with itself: the best few of each ring of distances, the nearest ring first."""
    radius = max(4, round(4 * reach))
    height, width = known.shape
    # Padded with zeros by the largest offset, so that what wraps around the edge meets only zeros.
    size = [cv2.getOptimalDFTSize(max(side + radius, 2 * radius + 1)) for side in (height, width)]
    padded = np.zeros((3, *size), np.float32)
    grey = colour.mean(axis=2)
    padded[0, :height, :width] = known
    padded[1, :height, :width] = grey * known
    padded[2, :height, :width] = grey * grey * known
    mask, first, second = (cv2.dft(plane, flags=cv2.DFT_COMPLEX_OUTPUT) for plane in padded)
    overlap = _correlate(mask, mask, radius)
    cross = _correlate(first, first, radius)
    energy = _correlate(mask, second, radius)
    total = energy + energy[::-1, ::-1] - 2.0 * cross
    valid = overlap > LEAST_OVERLAP * np.count_nonzero(known)
    mean = np.where(valid, total / np.maximum(overlap, 1.0), np.inf).astype(np.float32)
    dy, dx = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    length = np.hypot(dy, dx)
    lowest = mean <= erode(mean, 3) + np.float32(1e-6)
    chosen: list[tuple[int, int]] = []
    for inner, outer in ((1.5, 0.6 * reach), (0.6 * reach, 1.4 * reach), (1.4 * reach, 4.0 * reach)):
        ring = np.flatnonzero(lowest & np.isfinite(mean) & (length >= inner) & (length < outer))
        order = ring[np.argsort(mean.reshape(-1)[ring], kind="stable")]
        chosen += [(int(dy.reshape(-1)[i]), int(dx.reshape(-1)[i])) for i in order[:CANDIDATES]]
    return np.array(chosen, np.int32).reshape(-1, 2)


def _all_around(length: float) -> NDArray[np.int32]:
    """Eight offsets of a given length, int32 (8, 2), one in each direction."""
    turns = np.arange(8) * (np.pi / 4)
    return np.rint(length * np.stack([np.sin(turns), np.cos(turns)], axis=1)).astype(np.int32)


def _correlate(a: NDArray[Any], b: NDArray[Any], radius: int) -> NDArray[np.float32]:
    """Sum over q of a(q) · b(q + o) for all |dy|, |dx| ≤ radius, from the transforms of a and b."""
    product = cv2.mulSpectrums(b, a, 0, conjB=True)
    full: NDArray[np.float32] = np.asarray(
        cv2.dft(product, flags=cv2.DFT_INVERSE | cv2.DFT_SCALE | cv2.DFT_REAL_OUTPUT), np.float32
    )
    rolled = np.roll(full, (radius, radius), axis=(0, 1))
    return rolled[: 2 * radius + 1, : 2 * radius + 1]


def _moved(picture: NDArray[Pixel], offset: NDArray[np.int32]) -> NDArray[Pixel]:
    """The picture read at p + offset; zero outside, and everywhere if the offset is longer than the picture."""
    out = np.zeros_like(picture)
    height, width = picture.shape[:2]
    # A slice that ends before 0 would count from the other end; in a strip, offsets are longer than the short side.
    dy, dx = int(np.clip(offset[0], -height, height)), int(np.clip(offset[1], -width, width))
    to = np.s_[max(0, -dy) : min(height, height - dy), max(0, -dx) : min(width, width - dx)]
    out[to] = picture[max(0, dy) : min(height, height + dy), max(0, dx) : min(width, width + dx)]
    return out


def _disagreement(
    colour: NDArray[np.float32], known: NDArray[np.bool_], source: NDArray[np.bool_], offset: NDArray[np.int32], reach: float
) -> NDArray[np.float32]:
    """Mean squared difference around each cell between the known surroundings and what the offset would put there.

    Infinite where the offset does not lead to a cell of `source`.
    """
    there = _moved(known, offset)
    both = (known & there).astype(np.float32)
    difference = power(colour - _moved(colour, offset)) * both
    window = 2 * max(2, round(0.7 * reach)) + 1
    mass = box(both, window, border=cv2.BORDER_CONSTANT)
    cost = box(difference, window, border=cv2.BORDER_CONSTANT) / np.maximum(mass, np.float32(1e-6))
    # An offset that leaves hardly anything to compare is used only if every other offset does so too.
    cost += np.where(mass > 0.02, np.float32(0), np.float32(1e4))
    return np.where(_moved(source, offset), cost, np.float32(np.inf))


def _local_power(colour: NDArray[np.float32], known: NDArray[np.bool_], reach: float) -> NDArray[np.float32]:
    """Variance of the texture around each cell, summed over channels."""
    window = 2 * max(2, round(1.4 * reach)) + 1
    mass = box(known.astype(np.float32), window)
    total = box(power(colour) * known, window)
    mean: NDArray[np.float32] = (total / np.maximum(mass, np.float32(1e-6))).astype(np.float32)
    return mean
