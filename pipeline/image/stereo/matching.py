"""Measures the disparity of a stereo pair by semi-global matching, and marks what cannot be trusted.

The method is Hirschmüller's ("Stereo processing by semiglobal matching and mutual information", 2008) in OpenCV's version. The
pair is matched in both directions. Where the two results disagree, where nothing like a pixel is in the other view, and around
specks, there is no reading.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.image.filters import resize
from pipeline.image.stereo.alignment import Grey, align, straightened

SIDE = 1280
"""Pixels of the longer side at which views are matched. The layers' borders come from the photo, not from here."""
BLOCK = 5
"""Side of the compared windows: wide enough for noise, narrow enough for twigs."""
AGREE = 1.0
"""Pixels by which the two directions may differ (Hirschmüller's consistency check)."""
SPECK, SPECK_STEP = 200, 2
"""Areas of fewer pixels whose disparity differs from that around them by more than this are errors."""
MARGIN = 0.2
"""The range of disparities is widened by this, because points are not found on everything."""
MOST_DISPARITIES = 384
ENOUGH = 0.5
"""If less of the picture has readings, the views do not match. Pairs of the same scene reach 0.7 to 0.95."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Disparity of the left view.

    Attributes:
        disparity: float32 (h, w), in pixels of this array, larger is nearer; at most `SIDE` pixels on the longer side.
        valid: bool (h, w), False where there is no reading.
    """

    disparity: NDArray[np.float32]
    valid: NDArray[np.bool_]


class NoMatch(Exception):
    """Raised if two views do not fit together; the message is the rest of a sentence about the two views."""


def measure(left: Grey, right: Grey) -> Measured:
    """Measure the disparity of a pair.

    Args:
        left: uint8 (h, w), the left eye's view, whose disparity is wanted.
        right: uint8 (h, w), the right eye's.

    Raises:
        NoMatch: too little of the views matches, or the scene shows no depth.
    """
    scale = min(1.0, SIDE / max(left.shape))
    shape = (max(1, round(left.shape[0] * scale)), max(1, round(left.shape[1] * scale)))
    left, right = (resize(view, shape, cv2.INTER_AREA) for view in (left, right))
    found = align(left, right)
    if found is None:
        raise NoMatch("show different things, or are too far apart")
    low, high = found.disparities
    if not found.has_depth:
        raise NoMatch("are the same, so they hold no depth")
    right, inside = straightened(right, found)
    margin = MARGIN * (high - low) + 4.0
    start = int(np.floor(low - margin))
    count = min(-(-int(np.ceil(high + margin) - start) // 16) * 16, MOST_DISPARITIES)
    forward = _matched(left, right, start, count)
    backward = _matched(right[:, ::-1], left[:, ::-1], start, count)[:, ::-1]
    valid = _without_specks(forward, _consistent(forward, backward, start, inside))
    share = float(valid.mean())
    if share < ENOUGH:
        raise NoMatch(f"match in only {share:.0%} of the picture")
    return Measured(np.where(valid, forward, 0.0).astype(np.float32), valid)


def _matched(left: Grey, right: Grey, start: int, count: int) -> NDArray[np.float32]:
    """The disparity of the left view, float32 (h, w), below `start` where nothing was found."""
    # OpenCV leaves out the columns whose partner could lie outside the picture, so the pictures are made wider for it.
    before, behind = max(0, start + count), max(0, -start)
    wide = [cv2.copyMakeBorder(np.ascontiguousarray(view), 0, 0, before, behind, cv2.BORDER_REPLICATE) for view in (left, right)]
    matcher = cv2.StereoSGBM.create(
        minDisparity=start,
        numDisparities=count,
        blockSize=BLOCK,
        P1=8 * BLOCK**2,  # the penalties that OpenCV's manual recommends
        P2=32 * BLOCK**2,
        disp12MaxDiff=-1,  # both directions are compared here instead
        preFilterCap=31,
        uniquenessRatio=5,
        speckleWindowSize=SPECK,
        speckleRange=SPECK_STEP,
        mode=cv2.STEREO_SGBM_MODE_SGBM,
    )
    found = np.asarray(matcher.compute(wide[0], wide[1]), np.float32) / np.float32(16)  # it counts in sixteenths
    return found[:, before : before + left.shape[1]]


def _without_specks(disparity: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`valid` without small areas that stand apart from all around them: where the check left holes, errors become islands."""
    nothing = -(1 << 14)
    counted = np.where(valid, np.rint(disparity * 16), nothing).astype(np.int16)
    cv2.filterSpeckles(counted, nothing, SPECK, SPECK_STEP * 16)
    return np.asarray(counted != nothing, np.bool_)


def _consistent(
    forward: NDArray[np.float32], backward: NDArray[np.float32], start: int, inside: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Where both directions agree, and the partner is inside the other view."""
    height, width = forward.shape
    columns = np.arange(width, dtype=np.float32)
    rows = np.broadcast_to(np.arange(height, dtype=np.float32)[:, None], forward.shape)
    partner = columns - forward
    other, seen = (
        cv2.remap(plane, partner, np.ascontiguousarray(rows), how, borderMode=cv2.BORDER_CONSTANT, borderValue=outside)
        for plane, how, outside in (
            (np.ascontiguousarray(backward), cv2.INTER_NEAREST, float(start - 1)),
            (inside.view(np.uint8), cv2.INTER_NEAREST, 0.0),
        )
    )
    agree = np.abs(np.asarray(other) - forward) <= AGREE
    return np.asarray((forward >= start) & (np.asarray(other) >= start) & agree & (np.asarray(seen) > 0), np.bool_)
