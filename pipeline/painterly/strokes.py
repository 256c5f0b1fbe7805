"""Paints stroke by stroke, without weights: with curved brush strokes of several sizes.

After A. Hertzmann, "Painterly Rendering with Curved Brush Strokes of Multiple Sizes" (SIGGRAPH 1998): the picture is painted
from large brushes to small ones, and a smaller brush touches only where the paint still differs too much from the photo.
Strokes run along the smoothed structure tensor, over an edge-preserving base (E. Gastal and M. Oliveira, "Domain Transform",
2011). This module decides where strokes go, on reduced pictures, so that the cost does not grow with the photo. `brush` draws
them, and `surface` gives the painting its surface.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from daemon.catalogues.styles import StrokesStyle
from pipeline.image.filters import resize
from pipeline.painterly import surface
from pipeline.painterly.brush import Canvas, Strokes

Rgb = NDArray[np.uint8]
Floats = NDArray[np.float32]

_STUDY_SIDE = 2048  # longer side of the picture that strokes are planned on; no brush follows finer structures
_PLAN_RADIUS = 4.0  # a brush's radius in pixels of the picture its strokes are planned on: enough to follow a bend
_STEP = 1.0  # of a stroke's path, in brush radii
_THINNED_BELOW = 0.25  # below this strength, the paint becomes thinner instead of the brushes smaller
_SPACING = 1.5  # of possible starts of strokes, in brush radii: strokes are long, so ten of them cover each place
_SMALLEST = 0.0009  # smallest brush radius as a fraction of the longer side: finer strokes look like the photo
_CALM = 0.04  # weight of the wide surroundings in the orientation, which flat areas follow
_LIGHTEST = 1e-3  # pull towards one direction where there is no structure to follow


@dataclass(frozen=True, eq=False)
class _Study:
    """The picture on which the strokes of one brush are planned: the base, reduced until the radius is at most `_PLAN_RADIUS`.

    Attributes:
        reference: float32 (h, w, 3), the base, blurred to what the brush can show, 0 to 255.
        tangent: float32 (h, w, 2), unit vectors (x, y) along the structures.
        radius: of the brush, in pixels of this picture.
    """

    reference: Floats
    tangent: Floats
    radius: float


@dataclass(frozen=True, eq=False)
class Painted:
    """A painting and its strokes.

    Attributes:
        rgb: uint8 (H, W, 3).
        owners: int32 (h, w) at the photo's aspect, not larger than the photo: which stroke is uppermost, 0 for none. None if
            the paint is so thin that the photo's own forms show.
    """

    rgb: Rgb
    owners: NDArray[np.int32] | None


def paint(
    rgb: Rgb,
    style: StrokesStyle,
    *,
    strength: float,
    seed: int,
    threads: int = 1,
    progress: Callable[[float], None] = lambda _: None,
) -> Painted:
    """Paint a photo.

    Args:
        rgb: uint8 (H, W, 3).
        style: its brushes, threshold and other settings.
        strength: 0 is the photo itself, byte for byte; towards 1 the brushes grow to twice their size.
        seed: of the random generator; the same seed gives the same bytes, for any number of threads.
        threads: how many threads draw at once.
        progress: called with the fraction that is done, 0 to 1.

    Returns:
        The painting, as large as the photo.
    """
    if strength <= 0.0:
        return Painted(rgb.copy(), None)
    height, width = rgb.shape[:2]
    looseness = 4.0 ** (max(strength, _THINNED_BELOW) - 0.5)
    base = _base(rgb)
    canvas = Canvas.primed(surface.ground(base, style), (height, width))
    radii = [max(share * looseness, _SMALLEST) * max(height, width) for share in style.brushes]
    effort = np.cumsum([0.0, *(1.0 / radius for radius in radii)])
    for layer, radius in enumerate(radii):
        generator = np.random.default_rng((seed, layer))
        study = _study(base, radius / max(height, width))
        strokes = _plan(study, canvas, radius, style, looseness, first=layer == 0, generator=generator)
        begin, end = (0.9 * float(effort[at] / effort[-1]) for at in (layer, layer + 1))

        def within(share: float, begin: float = begin, end: float = end) -> None:
            progress(begin + (end - begin) * share)

        canvas.draw(strokes, opacity=style.opacity, threads=threads, progress=within)
    painting = surface.finish(canvas, (height, width), style, np.random.default_rng((seed, len(radii))))
    if strength < _THINNED_BELOW:
        share = strength / _THINNED_BELOW
        painting = cast(Rgb, cv2.addWeighted(painting, share, rgb, 1.0 - share, 0.0))
    progress(1.0)
    return Painted(painting, canvas.owners if strength >= _THINNED_BELOW else None)


def _base(rgb: Rgb) -> Rgb:
    """The photo without its fine texture but with its edges, at the planning size."""
    height, width = rgb.shape[:2]
    scale = min(1.0, _STUDY_SIDE / max(height, width))
    small = resize(rgb, (max(1, round(height * scale)), max(1, round(width * scale))), cv2.INTER_AREA)
    if min(small.shape[:2]) < 3:  # the filter needs neighbouring pixels
        return small
    sigma = max(3.0, max(small.shape[:2]) / 150)
    return cast(Rgb, cv2.edgePreservingFilter(small, flags=cv2.RECURS_FILTER, sigma_s=sigma, sigma_r=0.25))


def _study(base: Rgb, share: float) -> _Study:
    """Prepare the base for a brush whose radius is the fraction `share` of the longer side."""
    height, width = base.shape[:2]
    radius = share * max(height, width)
    scale = min(1.0, _PLAN_RADIUS / radius)
    small = resize(base, (max(1, round(height * scale)), max(1, round(width * scale))), cv2.INTER_AREA)
    radius *= scale
    return _Study(_blurred(small, radius), _tangent(small, radius), radius)


def _blurred(picture: Rgb, radius: float) -> Floats:
    blurred = cv2.GaussianBlur(picture, (0, 0), max(0.5, 0.4 * radius))
    return blurred.astype(np.float32).reshape(picture.shape)


def _tangent(picture: Rgb, radius: float) -> Floats:
    """Unit vectors along the structures: the minor eigenvector of the smoothed structure tensor (Brox et al., 2006)."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255.0
    dx, dy = (np.asarray(cv2.Scharr(grey, cv2.CV_32F, *order), np.float32) / np.float32(32.0) for order in ((1, 0), (0, 1)))
    tensor = cv2.merge([dx * dx, dx * dy, dy * dy])
    near = cv2.GaussianBlur(tensor, (0, 0), max(1.0, 0.75 * radius))
    coarse = cv2.resize(tensor, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA) if min(grey.shape) >= 8 else tensor
    wide = cv2.GaussianBlur(coarse, (0, 0), 2.5 * max(1.0, radius))
    wide = cv2.resize(wide, (grey.shape[1], grey.shape[0]), interpolation=cv2.INTER_LINEAR)
    xx, xy, yy = cv2.split(cv2.addWeighted(near, 1.0, wide, _CALM, 0.0).reshape(*grey.shape, 3))
    even = xx - yy
    # A slight pull to the diagonal along which a right hand paints.
    odd = np.float32(2.0) * xy + np.float32(_LIGHTEST * 1e-3)
    # Halves the angle atan2(odd, even), which is twice the gradient's; with square roots this is three times as fast.
    cosine = np.clip(even / np.maximum(np.hypot(even, odd), np.float32(1e-30)), np.float32(-1.0), np.float32(1.0))
    half = np.float32(0.5)
    return np.asarray(cv2.merge([np.copysign(np.sqrt(half - half * cosine), -odd), np.sqrt(half + half * cosine)]), np.float32)


def _plan(
    study: _Study,
    canvas: Canvas,
    radius: float,
    style: StrokesStyle,
    looseness: float,
    *,
    first: bool,
    generator: np.random.Generator,
) -> Strokes:
    """The strokes of one brush, in the order in which they are painted."""
    height, width = study.reference.shape[:2]
    # Hairs and relief do not count as errors, so compare with what the brush could show.
    painted = _blurred(canvas.seen(height, width), study.radius)
    error = np.sqrt(np.square(painted - study.reference).sum(axis=2))
    if style.paper == 0.0:
        error[canvas.bare(height, width)] = 255.0  # a gap in the paint always gets a stroke
    threshold = 0.0 if first else style.threshold * looseness**0.5
    dots = style.length[1] == 0.0
    cell = study.radius * (1.0 if dots else _SPACING)
    starts = _starts(error, max(1, round(cell)), threshold, generator)
    paths, counts = _trace(study, painted, starts, style, first=first)
    rows, columns = starts[:, 1].astype(np.intp), starts[:, 0].astype(np.intp)
    colours = _wander(study.reference[rows, columns], style, generator)
    scale = np.float32(radius / study.radius)
    return Strokes.mixed((paths + np.float32(0.5)) * scale, counts, colours, radius, style.relief, generator)


def _starts(error: Floats, cell: int, threshold: float, generator: np.random.Generator) -> Floats:
    """Where strokes begin: the worst pixel of every grid cell whose mean error is above the threshold.

    Returns:
        float32 (n, 2), x and y, in random order.
    """
    height, width = error.shape
    rows, columns = -(-height // cell), -(-width // cell)
    padded = np.full((rows * cell, columns * cell), -1.0, np.float32)
    # Ties are broken at random: otherwise flat areas would show the grid.
    padded[:height, :width] = error + generator.random((height, width), np.float32) * 8.0
    cells = padded.reshape(rows, cell, columns, cell).transpose(0, 2, 1, 3).reshape(rows, columns, -1)
    worst = cells.argmax(axis=2)
    inside = np.maximum((cells >= 0).sum(axis=2), 1)
    mean = np.where(cells >= 0, cells, 0).sum(axis=2) / inside - 4.0
    row, column = np.nonzero((mean > threshold) | (threshold == 0.0))
    offset = worst[row, column]
    places = np.column_stack([column * cell + offset % cell, row * cell + offset // cell]).astype(np.float32)
    return places[generator.permutation(len(places))]


def _trace(
    study: _Study, painted: Floats, starts: Floats, style: StrokesStyle, *, first: bool
) -> tuple[Floats, NDArray[np.intp]]:
    """Follow the structures from all starts at once, until the colour no longer fits (Hertzmann, 1998, figure 3).

    Returns:
        float32 (n, L, 2) paths in pixels of the study, and how many points of each are used.
    """
    step = _STEP * study.radius
    least, most = (round(length / _STEP) for length in style.length)
    height, width = study.reference.shape[:2]
    paths = np.repeat(starts[:, None, :], most + 1, axis=1)
    counts = np.ones(len(starts), np.intp)
    row, column = starts[:, 1].astype(np.intp), starts[:, 0].astype(np.intp)
    colour = study.reference[row, column]
    place, heading = starts.copy(), study.tangent[row, column].copy()
    going = np.arange(len(starts))
    for number in range(1, most + 1):
        row = np.clip(place[going, 1], 0, height - 1).astype(np.intp)
        column = np.clip(place[going, 0], 0, width - 1).astype(np.intp)
        here = study.reference[row, column]
        if number > max(least, 1):
            fits = np.square(here - colour[going]).sum(axis=1) <= np.maximum(
                np.square(here - painted[row, column]).sum(axis=1), 0.0 if not first else 900.0
            )
            going, row, column = going[fits], row[fits], column[fits]
        along = study.tangent[row, column]
        along = np.where((along * heading[going]).sum(axis=1, keepdims=True) < 0, -along, along)
        turned = style.curvature * along + (1.0 - style.curvature) * heading[going]
        heading[going] = turned / np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-6)
        place[going] += heading[going] * np.float32(step)
        paths[going, number] = place[going]
        counts[going] = number + 1
    return paths, counts


def _wander(colours: Floats, style: StrokesStyle, generator: np.random.Generator) -> Rgb:
    """Colours (n, 3) with the style's jitter in hue, saturation and brightness; uint8."""
    if len(colours) == 0:
        return np.zeros((0, 3), np.uint8)
    hsv = cv2.cvtColor((colours / 255.0)[None].astype(np.float32), cv2.COLOR_RGB2HSV)[0]
    jitter = style.jitter
    chance = generator.standard_normal((len(colours), 3)).clip(-2.5, 2.5)
    hsv[:, 0] = (hsv[:, 0] + 360.0 * jitter.hue * chance[:, 0]) % 360.0
    # Grey has no hue to strengthen, so the change grows with the colour that is there.
    hsv[:, 1] = np.clip(hsv[:, 1] * (1.0 + jitter.saturation * (1.0 + 2.0 * chance[:, 1])), 0.0, 1.0)
    hsv[:, 2] = np.clip(hsv[:, 2] + jitter.value * chance[:, 2] * (0.25 + 0.75 * hsv[:, 2]), 0.0, 1.0)
    rgb = cv2.cvtColor(hsv[None].astype(np.float32), cv2.COLOR_HSV2RGB)[0]
    return np.asarray(np.rint(rgb * 255.0), np.uint8)
