"""Finds out whether a dropped depth picture is probably inside out: far where it should be near.

Two statistics are compared. In nearly every photo, what is lower in the picture is nearer, because people stand on the ground
and look ahead. And what stands in the middle is seldom farther than the whole border, except in rooms. A picture that is wrong in
both has the polarity of the other kind of depth picture (disparity instead of distance, or the reverse).

On seven maps that were measured, rendered or painted (rooms, a desk, a portrait, a pet, a motorcycle), no right one gets the
warning, and five of the seven do when they are inside out. The other two are corners of rooms. A wrong warning is worse than
none, so only a clear fall counts.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.depth.depth_map import Mask

#: The correlation of row number and mean disparity, and the difference between the lowest and the highest fifth, as a share of
#: the whole range. Both must be below.
_FALLS, _DROPS = -0.5, -0.15
#: If the middle is nearer than the border by this share of the range, a figure stands there, and the map is taken as right.
_STANDS_OUT = 0.3
#: A fifth of the rows at either end, and the border's width as a share of the shorter side.
_END, _BORDER = 0.2, 0.06
#: Pixels of the longer side that are examined.
_SIDE = 400
#: Stray values do not count: the range is that between these percentiles.
_RANGE = (2.0, 98.0)


def looks_inside_out(values: NDArray[np.float32], valid: Mask | None) -> bool:
    """Whether near and far are probably exchanged.

    Args:
        values: (h, w) disparity, 0 far to 1 near.
        valid: bool (h, w), where it was measured; None: everywhere.
    """
    step = -(-max(values.shape) // _SIDE)
    depth = values[::step, ::step].astype(np.float64)
    known = np.ones(depth.shape, bool) if valid is None else valid[::step, ::step]
    rows = known.any(axis=1)
    if rows.sum() < 10:
        return False
    low, high = np.percentile(depth[known], _RANGE)
    if high - low <= 0:
        return False
    depth = np.clip((depth - low) / (high - low), 0.0, 1.0)
    number = np.flatnonzero(rows)
    mean = np.array([depth[row][known[row]].mean() for row in number])
    if mean.std() == 0 or np.corrcoef(number, mean)[0, 1] > _FALLS:
        return False
    height, width = depth.shape
    end, border = max(1, round(_END * height)), max(1, round(_BORDER * min(height, width)))
    bottom, top = _median(depth[-end:], known[-end:]), _median(depth[:end], known[:end])
    inner = np.zeros(depth.shape, bool)
    inner[border:, border:-border] = True  # the lower border is the ground, not the background
    middle = (slice(round(0.3 * height), round(0.75 * height)), slice(round(0.3 * width), round(0.7 * width)))
    around = _median(depth, known & ~inner)
    stands_out = _median(depth[middle], known[middle]) - around
    return bool(bottom - top <= _DROPS and not stands_out >= _STANDS_OUT)


def _median(depth: NDArray[np.float64], known: Mask) -> float:
    """The median of the known values; NaN if there are none, which every comparison then denies."""
    return float(np.median(depth[known])) if known.any() else float("nan")
