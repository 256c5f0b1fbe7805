"""What the zeros of a dropped depth picture mean: no reading, or the end of the scale.

Depth cameras and stereo matchers write 0 where they measured nothing. A network writes 0 at the end of its scale, which in a
disparity map is the farthest: in 12 of 18 maps that networks wrote, 4 to 35 % of the pixels are such zeros, nearly all sky.

The two look different at their border. A scale that ends at 0 runs down to it: beside the zeros of networks' maps the median
value is 1 of 255 (4 in one map). A hole lies beside a near thing's edge or in its shadow: beside the holes of real Kinect
maps the values are in the middle of what was measured (64th to 81st percentile), and even the farthest is 12 % of the nearest.

One decision is made for the whole picture, from all of its border together. Region by region would be wrong more often: sky
seen between an arm and a body touches only near values and would count as a hole, while the same sky above the horizon does
not. A map has one writer, so its zeros have one meaning.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from daemon.contract.spec import DepthKind
from pipeline.depth.depth_map import Mask

# The border is looked at this far from the zeros, as a share of the longer side. Right beside them a map that was enlarged has
# values between a hole's 0 and the reading next to it, which would look like a scale that runs down to 0.
_AWAY = 0.01
# "Close to 0": up to this share of the largest reading. A ramp over half a picture's height is at 3 % there, the farthest of a
# real Kinect map at 12 %.
_CLOSE = 0.10
# A few stray readings, too large by far, must not set the scale: the largest is the 99th percentile.
_LARGEST = 99.0
# How much of the border must be close to 0 for 0 to be the end of the scale. In a disparity map, near things before the sky can
# make up most of the sky's border (88 % where four towers and a rocket stand before it), while none of a real Kinect's border
# is close to 0: little is enough. In a distance map the end is the nearest, where a camera's holes are likely and a network's 0
# is rare: nearly all of the border must be close to 0.
_ENOUGH: dict[DepthKind, float] = {"disparity": 0.08, "distance": 0.75}
# Pixels of the longer side that are looked at: enough to see every border that matters, and quick for any picture.
_SIDE = 1000


def end_of_scale(raw: NDArray[Any], zeros: Mask, readings: Mask, kind: DepthKind) -> bool:
    """Whether 0 is the end of the scale (farthest of a disparity map, nearest of a distance map), not "no reading".

    Args:
        raw: (h, w), the numbers as they are in the file, of any scale.
        zeros: bool (h, w), the zeros in question.
        readings: bool (h, w), the positive numbers; none of them is in `zeros`.
        kind: what larger values mean.

    Returns:
        False also where no reading is near a zero.
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
    """Where a zero is at most so many pixels away along both sides."""
    square = np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
    return cv2.dilate(zeros.astype(np.uint8), square).reshape(zeros.shape) > 0
