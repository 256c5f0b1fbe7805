"""Draws strokes on a canvas. A stroke is a bundle of hairs, and each hair is a tapered, antialiased polygon.

The canvas has a fourth channel, the height of the paint, which is lit later. Small pictures are painted larger and reduced at
the end, because hairs are finer than their pixels.
"""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.image.filters import resize

Floats = NDArray[np.float32]

_LEAST_SIDE, _MAX_ENLARGED = 2000, 4  # hairs need pixels; more than four times would be invisible after reduction
_OWNERS_SIDE = 2048  # longer side of the stroke map, as of the picture that strokes are planned on
_BANDS = 8  # fixed, so that the bytes do not depend on the number of threads
_CHUNK = 2048  # strokes whose hairs are computed at a time
_BITS = 4  # fractional bits of coordinates
_MAX_HAIRS = 12
_RAGGED = 0.22  # fraction of a stroke's length by which hairs end earlier or later than others
_BUNDLE = 0.87  # half the width of a bundle of hairs, in brush radii, including half of the outermost hair
_HAIR_TONE = 15.0  # levels by which a hair is lighter or darker than its stroke, at full relief
_BARE, _THIN, _MEDIUM_HEIGHT = 0, 1, 128  # heights: no paint, the least paint, the usual paint


@dataclass(frozen=True, eq=False)
class Strokes:
    """Strokes of one brush, in the order in which they are painted.

    Attributes:
        paths: float32 (n, L, 2), x and y in pixels of the photo.
        counts: intp (n,), how many points of each path are used; 1 is a dot.
        colours: uint8 (n, 3).
        radius: of the brush, in pixels of the photo.
        tones: float32 (n, hairs), how much lighter or darker each hair is, −1 to 1.
        ends: float32 (n, hairs, 2), where a hair begins and ends, as fractions of the stroke.
        heights: float32 (n,), how thick the paint is, −1 to 1.
        relief: how clearly hairs and heights show, 0 to 1.
    """

    paths: Floats
    counts: NDArray[np.intp]
    colours: NDArray[np.uint8]
    radius: float
    tones: Floats
    ends: Floats
    heights: Floats
    relief: float

    @classmethod
    def mixed(
        cls,
        paths: Floats,
        counts: NDArray[np.intp],
        colours: NDArray[np.uint8],
        radius: float,
        relief: float,
        generator: np.random.Generator,
    ) -> "Strokes":
        """Strokes with randomly varied hairs."""
        number = len(paths)
        hairs = 1 if paths.shape[1] == 1 or relief == 0.0 else int(np.clip(round(1.6 * np.sqrt(radius)), 3, _MAX_HAIRS))
        tones = generator.uniform(-1.0, 1.0, (number, hairs)).astype(np.float32)
        ragged = generator.uniform(0.0, _RAGGED, (number, hairs, 2)).astype(np.float32)
        ends = np.stack([ragged[..., 0] * 0.5, 1.0 - ragged[..., 1]], axis=-1)
        if hairs == 1:
            ends[...] = (0.0, 1.0)
        heights = generator.uniform(-1.0, 1.0, number).astype(np.float32)
        return cls(paths, counts, colours, radius, tones, ends, heights, relief)


class Canvas:
    """Holds the paint and its height, and records which stroke is where.

    Attributes:
        pixels: uint8 (H·factor, W·factor, 4): red, green, blue, height.
        factor: how many times larger than the photo it is.
        owners: int32 (h, w) at the photo's aspect, longer side at most `_OWNERS_SIDE`: the number of the uppermost stroke, 0
            for none.
    """

    def __init__(self, pixels: NDArray[np.uint8], factor: int) -> None:
        self.pixels = pixels
        self.factor = factor
        height, width = (side // factor for side in pixels.shape[:2])
        scale = min(1.0, _OWNERS_SIDE / max(height, width))
        self.owners = np.zeros((max(1, round(height * scale)), max(1, round(width * scale))), np.int32)
        self._drawn = 0

    @classmethod
    def primed(cls, ground: NDArray[np.uint8], shape: tuple[int, int]) -> "Canvas":
        """A canvas for a photo of `shape` (H, W), with a ground, uint8 (h, w, 3), of any size."""
        factor = int(np.clip(-(-_LEAST_SIDE // max(shape)), 1, _MAX_ENLARGED))
        size = (shape[0] * factor, shape[1] * factor)
        pixels = np.empty((*size, 4), np.uint8)
        pixels[:, :, :3] = resize(ground, size, cv2.INTER_LINEAR)
        pixels[:, :, 3] = _BARE
        return cls(pixels, factor)

    def seen(self, height: int, width: int) -> NDArray[np.uint8]:
        """The paint, reduced to (height, width): uint8 RGB."""
        return np.ascontiguousarray(resize(self.pixels, (height, width), cv2.INTER_AREA)[:, :, :3])

    def bare(self, height: int, width: int) -> NDArray[np.bool_]:
        """Where the ground is unpainted, at (height, width)."""
        bare = np.asarray(cv2.inRange(self.pixels, (0, 0, 0, _BARE), (255, 255, 255, _BARE)), np.uint8)
        return resize(bare, (height, width), cv2.INTER_AREA) > 127

    def heights(self) -> NDArray[np.uint8]:
        """The height of the paint, uint8 (H·factor, W·factor); the ground is as high as the usual stroke."""
        height = np.ascontiguousarray(self.pixels[:, :, 3])
        height[height == _BARE] = _MEDIUM_HEIGHT
        return height

    def draw(self, strokes: Strokes, *, opacity: float, threads: int, progress: Callable[[float], None]) -> None:
        """Paint each stroke over the strokes before it. Then blend all of them together over the canvas with `opacity`."""
        below = self.pixels[:, :, :3].copy() if opacity < 1.0 else None
        edges = np.linspace(0, self.pixels.shape[0], _BANDS + 1).astype(int)
        with ThreadPoolExecutor(threads) as pool:
            noted = pool.submit(self._note_owners, strokes)
            bands = [pool.submit(self._draw_band, strokes, int(top), int(end)) for top, end in itertools.pairwise(edges)]
            for done, band in enumerate(bands, 1):
                band.result()
                progress(done / _BANDS)
            noted.result()
        if below is not None:
            mixed = cv2.addWeighted(np.ascontiguousarray(self.pixels[:, :, :3]), opacity, below, 1.0 - opacity, 0.0)
            self.pixels[:, :, :3] = mixed

    def _note_owners(self, strokes: Strokes) -> None:
        """Write the number of every stroke where the stroke is, treating its hairs as one area."""
        number = len(strokes.paths)
        scale = np.float32(max(self.owners.shape) * self.factor / max(self.pixels.shape[:2]))
        if strokes.paths.shape[1] == 1:
            centres = np.rint((strokes.paths[:, 0] * scale - np.float32(0.5)) * (1 << _BITS)).astype(int).tolist()
            reach = round(strokes.radius * float(scale) * (1 << _BITS))
            for index, centre in enumerate(centres, self._drawn + 1):
                cv2.circle(self.owners, centre, reach, (index,), cv2.FILLED, cv2.LINE_8, _BITS)
        else:
            ends = strokes.ends.mean(axis=1, keepdims=True)
            radius = strokes.radius * (_BUNDLE if strokes.tones.shape[1] > 1 else 1.0)
            whole = replace(strokes, radius=radius, tones=np.zeros((number, 1), np.float32), ends=ends)
            for start in range(0, number, _CHUNK):
                which = np.arange(start, min(start + _CHUNK, number))
                outlines = _outlines(whole, which, 1)[:, 0] * scale - np.float32(0.5)
                fixed = np.rint(outlines * np.float32(1 << _BITS)).astype(np.int32)
                first = self._drawn + 1 + start
                for index, (outline, count) in enumerate(zip(fixed, strokes.counts[which].tolist(), strict=True), first):
                    cv2.fillPoly(self.owners, [_used_points(outline, count)], (index,), cv2.LINE_8, _BITS)
        self._drawn += number

    def _draw_band(self, strokes: Strokes, top: int, end: int) -> None:
        if top == end:
            return
        view = self.pixels[top:end]
        reach = strokes.radius * 1.5 + 1
        highest = strokes.paths[:, :, 1].min(axis=1) - reach
        lowest = strokes.paths[:, :, 1].max(axis=1) + reach
        touching = np.nonzero((lowest * self.factor >= top) & (highest * self.factor <= end))[0]
        for start in range(0, len(touching), _CHUNK):
            which = touching[start : start + _CHUNK]
            if strokes.paths.shape[1] == 1:
                _dots(view, strokes, which, self.factor, top)
            else:
                _hairs(view, strokes, which, self.factor, top)


def _hairs(view: NDArray[np.uint8], strokes: Strokes, which: NDArray[np.intp], factor: int, top: int) -> None:
    fineness = _fineness(strokes.radius * factor)
    outlines = _outlines(strokes, which, fineness)
    outlines *= np.float32(factor)
    outlines[..., 1] -= np.float32(top)
    fixed = np.rint(outlines * np.float32(1 << _BITS) - np.float32(1 << _BITS >> 1)).astype(np.int32)
    colours = _colours(strokes, which)
    smooth = cv2.LINE_AA if factor == 1 else cv2.LINE_8  # what is reduced later need not be smoothed twice
    points = ((strokes.counts[which] - 1) * fineness + 1).tolist()
    for own, count, paint in zip(fixed, points, colours, strict=True):
        for hair, colour in zip(own, paint, strict=True):
            cv2.fillPoly(view, [_used_points(hair, count)], colour, smooth, _BITS)


def _fineness(radius: float) -> int:
    """How many parts to divide a step of a path into, so that a brush with this radius in pixels shows no corners."""
    return int(np.clip(round(radius / 8.0), 1, 4))


def _used_points(outline: NDArray[np.int32], count: int) -> NDArray[np.int32]:
    """The points of an outline (2·P, 2) that belong to a path with `count` points."""
    if 2 * count == len(outline):
        return outline
    return np.concatenate([outline[:count], outline[len(outline) - count :]])


def _outlines(strokes: Strokes, which: NDArray[np.intp], fineness: int) -> Floats:
    """The outlines of hairs along cubic B-splines: float32 (n, hairs, 2·P, 2).

    An outline runs forward on the right side of a hair and back on the left. P is (L − 1)·fineness + 1. A path with fewer than L
    points uses only the first points of the right side and the last points of the left.
    """
    paths, last = _along_splines(strokes.paths[which], np.maximum(strokes.counts[which] - 1, 1), fineness)
    hairs = strokes.tones.shape[1]
    at, last = np.arange(paths.shape[1]), last[:, None]
    # The direction at each point, by central differences within the path.
    following = np.take_along_axis(paths, np.minimum(at + 1, last)[..., None], axis=1)
    before = np.take_along_axis(paths, np.maximum(np.minimum(at, last) - 1, 0)[..., None], axis=1)
    along = following - before
    along /= np.maximum(np.linalg.norm(along, axis=2, keepdims=True), 1e-6)
    normal = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    share = np.minimum(at / last, 1.0).astype(np.float32)
    # Each hair begins and ends at its own place: its points are those of the stroke, shifted along it.
    own = strokes.ends[which]
    wanted = (own[:, :, :1] + (own[:, :, 1:] - own[:, :, :1]) * share[:, None, :]) * last[:, None]
    floor = np.minimum(wanted.astype(np.intp), (last - 1)[:, None])
    part = (wanted - floor)[..., None].astype(np.float32)
    row = np.arange(len(which))[:, None, None]
    middle = paths[row, floor] * (1 - part) + paths[row, floor + 1] * part
    across = normal[row, floor] * (1 - part) + normal[row, floor + 1] * part
    spread = np.linspace(-1.0, 1.0, hairs + 2, dtype=np.float32)[1:-1] if hairs > 1 else np.zeros(1, np.float32)
    # The brush is pressed in the middle and lifted at the ends. Single hairs end in a point, a wash ends round.
    pressure = (0.72 + 0.28 * np.sin(np.pi * np.clip(share * 0.9 + 0.1, 0, 1)))[:, None, :, None]
    if hairs > 1:
        tip = np.sqrt(np.clip(np.minimum(share * 6.0 + 0.35, (1.0 - share) * 4.0 + 0.15), 0.0, 1.0))
    else:
        radii = np.minimum(share, 1.0 - share) * last / fineness
        tip = np.maximum(np.sqrt(np.clip(1.0 - np.square(1.0 - np.minimum(radii, 1.0)), 0.0, 1.0)), 0.35 / fineness)
    half = np.float32(strokes.radius * (1.35 / hairs if hairs > 1 else 1.0))
    centre = middle + across * (spread[None, :, None, None] * np.float32(strokes.radius) * pressure)
    edge = across * (half * tip[:, None, :, None])
    return np.concatenate([centre + edge, (centre - edge)[:, :, ::-1]], axis=2).astype(np.float32)


def _along_splines(paths: Floats, last: NDArray[np.intp], fineness: int) -> tuple[Floats, NDArray[np.intp]]:
    """Points of uniform cubic B-splines that begin and end where their paths do.

    Args:
        paths: float32 (n, L, 2), the control points.
        last: (n,), the index of the last control point that is used, at least 1.
        fineness: points per control point.

    Returns:
        float32 (n, (L − 1)·fineness + 1, 2), and the index of the last point that is used.
    """
    number, length = paths.shape[:2]
    row = np.arange(number)
    control = np.empty((number, length + 2, 2), np.float32)
    control[:, 1:-1] = paths
    # Beyond its ends, a path continues straight.
    control[:, 0] = 2 * paths[:, 0] - paths[:, 1]
    control[row, last + 2] = 2 * paths[row, last] - paths[row, last - 1]
    control[last < length - 1, -1] = 0.0  # it is not used
    fine = np.empty((number, (length - 1) * fineness + 1, 2), np.float32)
    for piece in range(fineness):
        t = piece / fineness
        weights = ((1 - t) ** 3 / 6, (3 * t**3 - 6 * t**2 + 4) / 6, (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6)
        count = length if piece == 0 else length - 1
        ahead = control[:, 3 : 3 + count] * np.float32(t**3 / 6) if piece else 0.0
        fine[:, piece::fineness] = sum(control[:, k : k + count] * np.float32(weight) for k, weight in enumerate(weights)) + ahead
    return fine, last * fineness


def _colours(strokes: Strokes, which: NDArray[np.intp]) -> list[list[tuple[int, ...]]]:
    """Colour and height of every hair, (n, hairs) of (red, green, blue, height)."""
    tones = strokes.tones[which][..., None]
    colours = strokes.colours[which].astype(np.float32)[:, None, :] + tones * np.float32(_HAIR_TONE * strokes.relief)
    heights = _MEDIUM_HEIGHT + 50.0 * strokes.heights[which][:, None, None] + 60.0 * tones
    paint = np.rint(np.concatenate([colours.clip(0, 255), heights.clip(_THIN, 255)], axis=2)).astype(int)
    return cast(list[list[tuple[int, ...]]], paint.tolist())


def _dots(view: NDArray[np.uint8], strokes: Strokes, which: NDArray[np.intp], factor: int, top: int) -> None:
    centres = strokes.paths[which, 0] * np.float32(factor) - np.float32(0.5)
    centres[:, 1] -= np.float32(top)
    fixed = np.rint(centres * (1 << _BITS)).astype(int).tolist()
    radii = np.rint(strokes.radius * factor * (1.0 + 0.22 * strokes.tones[which, 0]) * (1 << _BITS)).astype(int).tolist()
    for centre, radius, (colour,) in zip(fixed, radii, _colours(strokes, which), strict=True):
        cv2.circle(view, centre, radius, colour, cv2.FILLED, cv2.LINE_AA, _BITS)
