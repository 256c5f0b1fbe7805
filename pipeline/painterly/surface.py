"""Makes a painting's ground, which is below the first stroke, and its surface, on which the light falls.

Oil stands up from the canvas and catches the light. Watercolour gathers at the edges of a wash and in the hollows of the paper.
Its pigment model is that of A. Bousseau et al., "Interactive watercolor rendering with temporal coherence and abstraction"
(NPAR 2006): C' = C·(1 − (1 − C)·(d − 1)) with the pigment density d.
"""

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from daemon.catalogues.styles import StrokesStyle
from pipeline.image.filters import resize
from pipeline.layers.bands import in_parallel
from pipeline.painterly.brush import Canvas

Floats = NDArray[np.float32]

_PAPER = (251, 249, 243)  # a warm white
_WASHED = 0.55  # fraction of paper in the first wash
_THINNED = 0.6  # how much less pigment than in a full colour, because watercolour is light
_LIGHT = 26.0  # levels that light and shade add at most, at full relief
_RUNS = ((90, 0.0011), (320, 0.0005))  # waves per longer side, and how far they move paint, as a fraction of that side
_STRIP = 64  # rows of a photo processed at a time
_NOISE_SIDE = 1024  # side of the patch of paper that is repeated


def ground(base: NDArray[np.uint8], style: StrokesStyle) -> NDArray[np.uint8]:
    """The ground below the first stroke, uint8 (h, w, 3): for oil the base itself, for paper a thin wash of it."""
    if style.paper == 0.0:
        return base
    white = np.empty_like(base)
    white[:] = _PAPER
    share = _WASHED * style.paper
    return cast(NDArray[np.uint8], cv2.addWeighted(base, 1.0 - share, white, share, 0.0))


def finish(canvas: Canvas, shape: tuple[int, int], style: StrokesStyle, generator: np.random.Generator) -> NDArray[np.uint8]:
    """The finished painting, reduced to the photo's `shape` (H, W): uint8 (H, W, 3)."""
    rgb = canvas.seen(*shape)
    if style.paper > 0.0:
        height = resize(canvas.heights(), shape, cv2.INTER_AREA)
        rgb, height = _bleed(rgb, height, style, generator)
        rgb = _watercolour(rgb, height, style, generator)
    if style.relief > 0.0:
        light = resize(_relief(canvas.heights()), shape, cv2.INTER_AREA)
        rgb = _lit(rgb, light * np.float32(_LIGHT * style.relief))
    return rgb


def _relief(height: NDArray[np.uint8]) -> Floats:
    """How much of the light from the upper left each pixel of the canvas catches, −1 to 1."""
    height = cast(NDArray[np.uint8], cv2.GaussianBlur(height, (0, 0), 1.1))
    slope = cv2.filter2D(height, cv2.CV_32F, np.array([[-2, -1, 0], [-1, 0, 1], [0, 1, 2]], np.float32) / 8)
    return np.asarray(np.clip(slope / np.float32(24.0), -1.0, 1.0), np.float32)


def _lit(rgb: NDArray[np.uint8], light: Floats) -> NDArray[np.uint8]:
    grey = np.rint(light).astype(np.int16)
    return cast(NDArray[np.uint8], cv2.add(rgb, cv2.merge([grey, grey, grey]), dtype=cv2.CV_8U))


def _bleed(
    rgb: NDArray[np.uint8], height: NDArray[np.uint8], style: StrokesStyle, generator: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Let the edges of washes run a little into the paper: smooth noise of two sizes shifts them."""
    rows, columns = rgb.shape[:2]
    places = []
    for line in (np.arange(columns, dtype=np.float32)[None, :], np.arange(rows, dtype=np.float32)[:, None]):
        moved = np.zeros((rows, columns), np.float32)
        for cells, share in _RUNS:
            scale = cells / max(rows, columns)
            coarse = generator.standard_normal((max(2, round(rows * scale)), max(2, round(columns * scale))), np.float32)
            coarse *= np.float32(share * style.paper * max(rows, columns))
            moved += resize(coarse, (rows, columns), cv2.INTER_CUBIC)
        moved += line
        places.append(moved)
    x, y = places
    seen = cv2.remap(rgb, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    thick = cv2.remap(height, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(seen, np.uint8).reshape(rgb.shape), np.asarray(thick, np.uint8).reshape(height.shape)


def _watercolour(
    rgb: NDArray[np.uint8], height: NDArray[np.uint8], style: StrokesStyle, generator: np.random.Generator
) -> NDArray[np.uint8]:
    rows, columns = rgb.shape[:2]
    grain, flow = _paper(generator), _flow((rows, columns), generator)
    grain = np.tile(grain, (1, -(-columns // _NOISE_SIDE)))[:, :columns]
    # Where neighbouring washes differ, pigment has gathered.
    fine = max(0.8, max(rows, columns) / 2500)
    edge = cv2.absdiff(cv2.GaussianBlur(height, (0, 0), fine), cv2.GaussianBlur(height, (0, 0), 3 * fine))
    out = np.empty_like(rgb)
    share = np.float32(style.paper)

    def strip(top: int) -> None:
        """Process as many rows as fit in a core's cache."""
        here = slice(top, min(top + _STRIP, rows))
        paper = np.take(grain, np.arange(here.start, here.stop), axis=0, mode="wrap")
        density = np.float32(0.7) * np.minimum(edge[here] / np.float32(40.0), np.float32(1.0))
        density += np.float32(0.3) * flow[here] - np.float32(_THINNED)
        density *= share
        density += np.float32(0.22) * share * paper
        colour = rgb[here] / np.float32(255.0)
        colour *= np.float32(1.0) - (np.float32(1.0) - colour) * density[..., None]
        colour -= (paper * (np.float32(0.012) * share))[..., None]
        out[here] = np.rint(np.clip(colour, 0.0, 1.0) * np.float32(255.0))

    in_parallel(strip, range(0, rows, _STRIP))
    return out


def _paper(generator: np.random.Generator) -> Floats:
    """The grain of cold-pressed paper, float32 (side, side), about −1 to 1; its edges match when it is repeated."""
    white = generator.standard_normal((_NOISE_SIDE, _NOISE_SIDE), np.float32)
    grain = np.zeros_like(white)
    for sigma, weight in ((1.2, 0.6), (2.6, 0.4)):
        smooth = _blurred_around(white, sigma)
        grain += np.float32(weight) * smooth / smooth.std()
    return np.asarray(np.clip(grain / np.float32(1.8), -1.0, 1.0), np.float32)


def _blurred_around(noise: Floats, sigma: float) -> Floats:
    """Noise, blurred as if its patch were repeated without end."""
    margin = round(6 * sigma)
    wrapped = np.pad(noise, margin, mode="wrap")
    return np.asarray(cv2.GaussianBlur(wrapped, (0, 0), sigma), np.float32)[margin:-margin, margin:-margin]


def _flow(shape: tuple[int, ...], generator: np.random.Generator) -> Floats:
    """How water moved the pigment: smooth noise of several sizes, float32 (H, W), about −1 to 1."""
    height, width = shape[:2]
    total = np.zeros((height, width), np.float32)
    for cells, weight in ((6, 0.5), (14, 0.3), (40, 0.2)):
        scale = cells / max(height, width)
        size = (max(2, round(height * scale)), max(2, round(width * scale)))
        coarse = generator.standard_normal(size, np.float32)
        total += np.float32(weight) * resize(coarse, (height, width), cv2.INTER_CUBIC)
    return np.clip(total, -1.0, 1.0)
