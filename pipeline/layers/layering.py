"""Makes layers from depth by running refine, split, matte, fill and recompose (steps 4 to 8).

The steps are functions in separate modules; this one only passes the data from one to the next. Decoding, depth sources and
files are handled elsewhere.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.layers.assemble import assemble_layers
from pipeline.layers.bands import band_radius
from pipeline.layers.crumbs import smallest_piece, without_crumbs
from pipeline.layers.matte import AlphaEstimator, estimate_borders
from pipeline.layers.plates.fill import MAX_PARALLAX
from pipeline.layers.plates.painted import Painter
from pipeline.layers.recompose import compose, solve
from pipeline.layers.refine import refine
from pipeline.layers.split import find_thresholds, label, without_slivers
from pipeline.layers.stroke_regions import keep_whole

STAGES = ("refine", "split", "matte", "fill", "recompose")
#: Where filling and recomposing begin, as fractions of the time that all steps take.
_FILL, _RECOMPOSE = 0.5, 0.8


@dataclass(frozen=True)
class Layers:
    """A picture as layers, back to front.

    Attributes:
        rgba: N arrays uint8 (H, W, 4), straight (not premultiplied) alpha, full canvas; colour is 0 where alpha is 0.
        composite: the stacked layers, uint8 (H, W, 3), or (H, W, 4) if the picture has an alpha.
        disparity: float32 (H, W), 0 far to 1 near, at the photo's resolution, with its edges on the photo's edges.
        labels: uint8 (H, W), 0 (farthest) to N − 1: the layer of every pixel before mattes softened the borders.
        method: natural, equal, quantile or given.
        thresholds: N − 1 disparities, strictly rising; a pixel belongs to layer k if it is at or above exactly k of them.
        depth_ranges: (far, near) per layer: the two disparities between which the layer lies.
        coverage: per layer the fraction of the picture's pixels in which it is the frontmost visible layer.
        bboxes: per layer x, y, width, height of its visible part; None if it is empty.
        max_error: largest difference between the composite and the picture in any channel, 0 to 255 levels.
        raised_alpha: number of pixels whose alpha was raised so that an exact colour exists.
        mean_colour_distance: mean distance between solved and estimated colour over the soft pixels, in levels.
    """

    rgba: list[NDArray[np.uint8]]
    composite: NDArray[np.uint8]
    disparity: NDArray[np.float32]
    labels: NDArray[np.uint8]
    method: str
    thresholds: tuple[float, ...]
    depth_ranges: tuple[tuple[float, float], ...]
    coverage: tuple[float, ...]
    bboxes: tuple[tuple[int, int, int, int] | None, ...]
    max_error: int
    raised_alpha: int
    mean_colour_distance: float

    @property
    def filled(self) -> list[int]:
        """The numbers of the layers that are not empty, back to front."""
        return [k for k, box in enumerate(self.bboxes) if box is not None]


def layer_picture(
    rgb: NDArray[np.uint8],
    alpha: NDArray[np.uint8] | None,
    values: NDArray[np.float32],
    valid: NDArray[np.bool_] | None,
    *,
    num_layers: int,
    split: str | Sequence[float] = "natural",
    cuts: Sequence[float] = (),
    stroke_regions: NDArray[np.int32] | None = None,
    alpha_estimator: AlphaEstimator | None = None,
    painter: Painter | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Layers:
    """Cut a picture into depth-ordered layers that recompose to it exactly.

    Args:
        rgb: uint8 (H, W, 3), upright.
        alpha: uint8 (H, W) or None (opaque).
        values: float32 (h, w) disparity at the source's own resolution, 0 far to 1 near; h, w need not be the photo's.
        valid: bool (h, w), False where the source measured nothing; None if it measured everywhere.
        num_layers: 2 to 12.
        split: natural, equal, quantile, or num_layers − 1 strictly rising thresholds in 0…1.
        cuts: disparities at which the natural split may cut, because they lie between things which the source knows to be
            separate; the most important first. If there are none, the split finds its own cuts.
        stroke_regions: int32 (h, w), numbers of brush strokes, 0 for none: borders go around strokes where possible
            (`pipeline.layers.stroke_regions`).
        alpha_estimator: estimates the alpha of the soft borders; None to estimate it from colours.
        painter: paints large hidden parts of the farthest layer; None to fill them with copies of their surroundings.
        progress: called with the name of the stage and the fraction of all work that is done, 0 to 1. It is called when each
            stage of `STAGES` begins, while layers are filled, and once at the end. Any thread may call it, but only one at a
            time.

    Returns:
        Always `num_layers` layers. If the picture has fewer distinct depths or known things, some layers are empty.

    Raises:
        ValueError: shapes do not match, or the thresholds do not match `num_layers`.
    """
    _check(rgb, alpha, values, valid, num_layers)

    def begin(stage: str, share: float) -> None:
        if progress is not None:
            progress(stage, share)

    begin("refine", 0.0)
    disparity = refine(rgb, values, valid)
    begin("split", 0.25)
    visible = None if alpha is None else alpha > 0
    thresholds = find_thresholds(disparity, visible, num_layers, split, cuts)
    labels = without_slivers(label(disparity, thresholds), num_layers, round(band_radius(rgb.shape)))
    labels = without_crumbs(labels, smallest_piece(labels.size))
    if stroke_regions is not None:
        labels = keep_whole(labels, stroke_regions, num_layers)
    begin("matte", 0.3)
    opaque = None if alpha is None else alpha == 255
    borders = estimate_borders(rgb, opaque, labels, num_layers, alpha_estimator)
    begin("fill", _FILL)
    stack = assemble_layers(
        rgb, alpha, labels, num_layers, borders, lambda share: begin("fill", _FILL + (_RECOMPOSE - _FILL) * share), painter
    )
    begin("recompose", _RECOMPOSE)
    solved = solve(rgb, stack.rgba, stack.soft)
    composed = compose(rgb, alpha, stack.rgba)
    begin("recompose", 1.0)
    return Layers(
        rgba=stack.rgba,
        composite=composed.picture,
        disparity=disparity,
        labels=labels,
        method=split if isinstance(split, str) else "given",
        thresholds=thresholds,
        depth_ranges=_ranges(disparity, thresholds),
        coverage=composed.coverage,
        bboxes=composed.bboxes,
        max_error=composed.error,
        raised_alpha=solved.raised_alpha,
        mean_colour_distance=solved.distance,
    )


def shifts(layers: Layers) -> tuple[float, ...]:
    """How far each layer moves at the preview's largest deflection, as a fraction of the picture's longer side.

    The farthest layer stays, so that no gap opens behind it or at the edge of the canvas. The nearest moves by `MAX_PARALLAX`,
    and the others in proportion to the middle of their depth range. The preview moves layer k by ± shifts[k] · longer side, in
    any direction.

    Returns:
        One number per layer, back to front, rising from 0 to at most `MAX_PARALLAX`.
    """
    filled = layers.filled
    if not filled:
        return (0.0,) * len(layers.bboxes)
    middle = [(far + near) / 2 for far, near in layers.depth_ranges]
    back, front = middle[filled[0]], middle[filled[-1]]
    span = front - back
    if span <= 0.0:
        return (0.0,) * len(middle)
    return tuple(MAX_PARALLAX * min(max((m - back) / span, 0.0), 1.0) for m in middle)


def _check(
    rgb: NDArray[np.uint8],
    alpha: NDArray[np.uint8] | None,
    values: NDArray[np.float32],
    valid: NDArray[np.bool_] | None,
    num_layers: int,
) -> None:
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0:
        raise ValueError(f"rgb must be uint8 (H, W, 3), not {rgb.dtype} {rgb.shape}")
    if alpha is not None and (alpha.dtype != np.uint8 or alpha.shape != rgb.shape[:2]):
        raise ValueError(f"alpha must be uint8 {rgb.shape[:2]}, not {alpha.dtype} {alpha.shape}")
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"values must be (h, w), not {values.shape}")
    if valid is not None and valid.shape != values.shape:
        raise ValueError(f"valid has shape {valid.shape}, values {values.shape}")
    if not 2 <= num_layers <= 12:
        raise ValueError(f"num_layers is {num_layers}; allowed are 2 to 12")


def _ranges(disparity: NDArray[np.float32], thresholds: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """The two disparities between which each layer lies. The first and last are the picture's extremes, if beyond the cuts."""
    low, high, _, _ = cv2.minMaxLoc(disparity)
    bounds = [min(low, thresholds[0]), *thresholds, max(high, thresholds[-1])]
    return tuple(pairwise(bounds))
