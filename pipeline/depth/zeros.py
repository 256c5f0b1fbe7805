"""Decides what the zeros of a dropped depth picture mean: not measured, or the end of the scale.

Depth cameras and stereo matchers write 0 where they measured nothing. A network writes 0 at the end of its scale, which is the
farthest in a disparity map: in 12 of 18 maps that networks wrote, 4 to 35 % of the pixels are such zeros, nearly all of them
sky.

The values at the border of the zeros tell the two meanings apart. A scale that ends at 0 falls gradually to 0: next to the zeros
of networks' maps, the median value is 1 of 255 (4 in one map). A hole is next to a near thing's edge or in its shadow: next to
the holes of real Kinect maps, the values are in the middle of what was measured (64th to 81st percentile), and even the smallest
is 12 % of the largest.

One decision is made for the whole picture, from the border of all its zeros together. Deciding by region would be wrong more
often: sky between an arm and a body touches only near values and would count as a hole, while the same sky above the horizon does
not. A map has one writer, so its zeros have one meaning.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from daemon.contract.spec import DepthKind
from pipeline.depth.depth_map import Mask

# The border is examined at this distance from the zeros, as a fraction of the longer side. Right next to them, an enlarged map
# has values between a hole's 0 and the measured value, which would look like a scale that falls to 0.
_AWAY = 0.01
# "Close to 0": up to this fraction of the largest value. A ramp over half a picture's height is at 3 % there, the farthest
# value of a real Kinect map at 12 %.
_CLOSE = 0.10
# A few stray values, much too large, must not set the scale: the 99th percentile counts as the largest.
_LARGEST = 99.0
# How much of the border must be close to 0 for 0 to be the end of the scale. In a disparity map, near things in front of the
# sky can make up most of the sky's border (88 % where four towers and a rocket stand in front of it), while none of a real
# Kinect's border is close to 0, so a small part is enough. In a distance map, the end is the nearest. There a camera's holes are
# likely and a network's 0 is rare, so nearly all of the border must be close to 0.
_ENOUGH: dict[DepthKind, float] = {"disparity": 0.08, "distance": 0.75}
# Pixels of the longer side that are examined: enough to see every border that matters, and fast for any picture.
_SIDE = 1000


def end_of_scale(raw: NDArray[Any], zeros: Mask, readings: Mask, kind: DepthKind) -> bool:
    """Whether 0 is the end of the scale (farthest in a disparity map, nearest in a distance map), and not "not measured".

    Args:
        raw: (h, w), the numbers from the file, in any scale.
        zeros: bool (h, w), the zeros whose meaning is asked for.
        readings: bool (h, w), the positive numbers; none of them is in `zeros`.
        kind: what larger values mean.

    Returns:
        False also if no measured value is near a zero.
    """
    step = -(-max(raw.shape) // _SIDE)
    raw, zeros, readings = (plane[::step, ::step] for plane in (raw, zeros, readings))
    away = max(2, round(_AWAY * max(raw.shape)))
    border = raw[_within(zeros, away) & ~_within(zeros, away - 1) & readings]
    if border.size == 0:
        return False
    largest = float(np.percentile(raw[readings], _LARGEST))
    return float(np.mean(border <= _CLOSE * largest)) >= _ENOUGH[kind]


def _within(zeros: Mask, pixels: int) -> Mask:
    """Where a zero is at most `pixels` rows and `pixels` columns away."""
    square = np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
    return cv2.dilate(zeros.astype(np.uint8), square).reshape(zeros.shape) > 0
