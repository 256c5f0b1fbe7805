"""Learned depth from several passes: the picture and its mirror image, then overlapping tiles of a large photo.

A network sees a few hundred pixels per side. Averaging with the mirrored picture removes what it wrongly infers from left and
right; tiles show it what is too small in the whole picture. Every tile is fitted to the whole by the scale and shift that
relative depth leaves open (Ranftl et al., "Towards Robust Monocular Depth Estimation", 2020, eq. 4). It keeps the coarse shape
of the whole (as in Miangoleh et al., "Boosting Monocular Depth Estimation Models", 2021, where a network merges) and fades into
its neighbours.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.image.filters import box, resize

PART = 0.6
"""The part of a side that one tile covers. Two by two tiles overlap by a third, so every seam is inside another tile."""
LONG = 2.5
"""Above this proportion, the picture is only cut along its longer side, into tiles as high as the picture and"""
LONG_PART = 1.5
"""times its shorter side."""
OVERLAP = 1 / 3
TRIMMED = 0.2
"""Fraction of a tile's worst-fitting pixels that the second fit leaves out: thin things that the whole did not show."""
COARSE = 8
"""The whole decides on everything larger than a tile's side divided by this."""
LEAST_LIKENESS = 0.5
"""A tile whose correlation with the whole is lower than this shows nothing recognisable (a wall, the sky) and is not used."""

Plane = NDArray[np.float32]
Predict = Callable[[NDArray[np.uint8]], Plane]


def look(
    rgb: NDArray[np.uint8], predict: Predict, short_side: int, *, progress: Callable[[float], None] = lambda _: None
) -> Plane:
    """Estimate depth in several passes.

    Args:
        rgb: uint8 (H, W, 3).
        predict: returns the network's float32 (h, w) for a picture, in any affine unit.
        short_side: of the network's input in pixels. Tiles are used only if each has at least that many of the photo's own
            pixels.
        progress: called with the fraction that is done, 0 to 1.

    Returns:
        float32 (h, w) in the unit of the pass over the whole; with tiles, at their finer resolution.
    """
    height, width = rgb.shape[:2]
    parts = _parts(height, width)
    if min(parts[0][0].stop, parts[0][1].stop) < short_side:
        parts = []
    looks = 2 + len(parts)
    whole = predict(rgb)
    progress(1 / looks)
    whole = (whole + predict(np.ascontiguousarray(rgb[:, ::-1]))[:, ::-1]) / np.float32(2.0)
    progress(2 / looks)
    if not parts or not np.isfinite(whole).all():
        return np.ascontiguousarray(whole)
    seen: list[Plane] = []
    for part in parts:
        seen.append(predict(np.ascontiguousarray(rgb[part])))
        progress((2 + len(seen)) / looks)
    return _merged(whole, seen, parts, (height, width))


def _parts(height: int, width: int) -> list[tuple[slice, slice]]:
    """Overlapping tiles of a picture, row by row."""
    if width > LONG * height:
        rows, columns = [slice(0, height)], _spans(width, round(LONG_PART * height))
    elif height > LONG * width:
        rows, columns = _spans(height, round(LONG_PART * width)), [slice(0, width)]
    else:
        rows, columns = _spans(height, round(PART * height)), _spans(width, round(PART * width))
    return [(row, column) for row in rows for column in columns]


def _spans(length: int, part: int) -> list[slice]:
    """Stretches of length `part` that cover `length`, evenly spread.

    Each overlaps its neighbour by at least `OVERLAP` of itself.
    """
    part = max(1, min(part, length))
    count = 1 + int(np.ceil((length - part) / (part * (1 - OVERLAP)) - 0.01))
    starts = np.rint(np.linspace(0, length - part, count)).astype(int)
    return [slice(int(start), int(start) + part) for start in starts]


def _merged(whole: Plane, seen: list[Plane], parts: list[tuple[slice, slice]], full: tuple[int, int]) -> Plane:
    """The whole picture's depth plus what the tiles add to it, at their resolution."""
    first = parts[0]
    finer = [
        max(1, min(round(got * side / (cut.stop - cut.start)), side))
        for got, side, cut in zip(seen[0].shape, full, first, strict=True)
    ]
    ground = resize(whole, tuple(finer), cv2.INTER_LINEAR)
    total, weight = np.zeros_like(ground), np.zeros_like(ground)
    for part, raw in zip(parts, seen, strict=True):
        place = tuple(
            slice(round(cut.start * fine / side), round(cut.stop * fine / side))
            for cut, fine, side in zip(part, finer, full, strict=True)
        )
        below = np.ascontiguousarray(ground[place])
        fitted = _fitted(resize(raw, below.shape, cv2.INTER_LINEAR), below)
        fade = np.outer(*(_fade(cut, side, size) for cut, side, size in zip(part, full, below.shape, strict=True)))
        weight[place] += fade
        if fitted is not None:  # otherwise the whole's depth stays, and the neighbours fade into it
            window = 2 * (min(below.shape) // (2 * COARSE)) + 1
            fitted += box(below - fitted, window)
            total[place] += fade * (fitted - below)
    merged: Plane = (ground + total / np.maximum(weight, np.float32(1e-6))).astype(np.float32)
    return merged


def _fitted(part: Plane, whole: Plane) -> Plane | None:
    """The tile in the whole's unit, by least squares, repeated without the worst values; None if they have nothing in common."""
    if not np.isfinite(part).all() or part.std() == 0.0 or whole.std() == 0.0:
        return None
    x, y = part.ravel().astype(np.float64), whole.ravel().astype(np.float64)
    if np.corrcoef(x, y)[0, 1] < LEAST_LIKENESS:
        return None
    scale, shift = np.polyfit(x, y, 1)
    error = np.abs(scale * x + shift - y)
    good = error <= np.quantile(error, 1.0 - TRIMMED)
    scale, shift = np.polyfit(x[good], y[good], 1)
    return None if scale <= 0.0 else (part * np.float32(scale) + np.float32(shift)).astype(np.float32)


def _fade(cut: slice, side: int, size: int) -> Plane:
    """Weights along one side of a tile: 1 inside, falling evenly over the overlap where the tile ends within the picture."""
    at = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size) / np.float32(OVERLAP)
    rise = np.ones(size, np.float32) if cut.start == 0 else np.minimum(at, 1.0)
    fall = np.ones(size, np.float32) if cut.stop == side else np.minimum(at[::-1], 1.0)
    fade: Plane = np.minimum(rise, fall).astype(np.float32)
    return fade
