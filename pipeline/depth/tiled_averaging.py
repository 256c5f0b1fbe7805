"""Estimates depth in several passes of a network: the picture and its mirror image, then overlapping tiles of a large photo.

A network sees a few hundred pixels per side. Averaging with the mirror image removes errors that depend on what is left and what
is right. Tiles show the network what is too small in the whole picture. Relative depth has an arbitrary scale and shift, so each
tile's depth is scaled and shifted to fit the depth of the whole picture (Ranftl et al., "Towards Robust Monocular Depth
Estimation", 2020, eq. 4). The coarse shape comes from the whole picture, as in Miangoleh et al., "Boosting Monocular Depth
Estimation Models", 2021 (there a network merges the two). Each tile fades into its neighbours.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.image.filters import box, resize

PART = 0.6
"""The fraction of a side that one tile covers. Two by two tiles overlap by a third, so every seam is inside another tile."""
LONG = 2.5
"""If the longer side is more than this many times the shorter one, the picture is cut only along its longer side."""
LONG_PART = 1.5
"""The length of a tile of such a long picture, as a multiple of the picture's shorter side."""
OVERLAP = 1 / 3
"""At least this fraction of a tile overlaps its neighbour."""
TRIMMED = 0.2
"""The second fit leaves out this fraction of a tile's pixels, the worst-fitting ones: thin things that the pass over the whole
picture did not show."""
COARSE = 8
"""The whole picture's depth decides the shape of everything larger than a tile's side divided by this."""
LEAST_LIKENESS = 0.5
"""A tile is not used if its correlation with the whole picture's depth is lower than this: it shows nothing recognisable (a wall,
the sky)."""

Plane = NDArray[np.float32]
Predict = Callable[[NDArray[np.uint8]], Plane]


def estimate(
    rgb: NDArray[np.uint8], predict: Predict, short_side: int, *, progress: Callable[[float], None] = lambda _: None
) -> Plane:
    """Estimate depth in several passes.

    Args:
        rgb: uint8 (H, W, 3).
        predict: returns the network's float32 (h, w) for a picture, in any scale and with any shift.
        short_side: of the network's input in pixels. Tiles are used only if each has at least that many of the photo's own
            pixels.
        progress: called with the fraction that is done, 0 to 1.

    Returns:
        float32 (h, w), in the scale and with the shift of the pass over the whole picture; with tiles, at their finer resolution.
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
    """Evenly spaced stretches of length `part` that cover `length`. Each overlaps the next by at least the fraction `OVERLAP`."""
    part = max(1, min(part, length))
    count = 1 + int(np.ceil((length - part) / (part * (1 - OVERLAP)) - 0.01))
    starts = np.rint(np.linspace(0, length - part, count)).astype(int)
    return [slice(int(start), int(start) + part) for start in starts]


def _merged(whole: Plane, seen: list[Plane], parts: list[tuple[slice, slice]], full: tuple[int, int]) -> Plane:
    """The whole picture's depth plus what the tiles add to it, at the resolution of the tiles."""
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
    """Fit the tile's depth to the whole's by least squares, then again without the worst values; None if they are too unlike."""
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
    """Weights along one side of a tile: 1 inside. They fall linearly over the overlap at an end that is within the picture."""
    at = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size) / np.float32(OVERLAP)
    rise = np.ones(size, np.float32) if cut.start == 0 else np.minimum(at, 1.0)
    fall = np.ones(size, np.float32) if cut.stop == side else np.minimum(at[::-1], 1.0)
    fade: Plane = np.minimum(rise, fall).astype(np.float32)
    return fade
