"""Aligns the rows of a stereo pair, so that each point is in the same row of both views, and finds the range of its disparities.

Points that both views show are found by ORB (Rublee et al., "ORB: an efficient alternative to SIFT or SURF", 2011). Between two
cameras that look in nearly the same direction, a rotation and a change of zoom move the rows by

    y' = ((1 + s)·y + r·x + a) / (1 − k·x − q·y)

(s zoom, r roll, a pitch, k yaw, q pitch; coordinates from the middle of the picture, in widths), whatever the depth is. These
five numbers are fitted to the points by RANSAC, and the other view is warped by the homography that they belong to. This is
rectification without calibration, with the first order of the rotation (after Fusiello and Irsara, "Quasi-Euclidean uncalibrated
rectification", 2008), and it leaves the photo itself as it is, so that its depth need not be warped back.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Floats = NDArray[np.float64]

FEATURES = 3000
#: Descriptors of one point differ in fewer bits than this, of 256.
MAX_BITS = 64
RATIO = 0.8
"""The best match must be this much better than the second best (Lowe, 2004)."""
MAX_SHIFT, MAX_RISE = 0.3, 0.05
"""How far a point may move along and across the rows, as a fraction of the width. Cameras for stereo stand well within this."""
TOLERANCE = 0.0015
"""How far from its row a matched point may be, as a fraction of the width: 1.5 pixels of 1,000."""
MIN_POINTS, MIN_SHARE = 40, 0.5
"""So many points, and this share of all matches, must agree. Two pictures of different things have next to none."""
LEAST_DEPTH = 0.003
"""Disparities of a scene with depth differ by at least this fraction of the width."""
ROUNDS = 200
_SAMPLE = 5
_LARGEST = np.array([0.1, 0.1, MAX_RISE, 0.2, 0.2])  # of s, r, a, k, q; more is no stereo camera, and would warp much
_SEED = 7


@dataclass(frozen=True, eq=False)
class Alignment:
    """How a pair fits together.

    Attributes:
        warp: float64 (3, 3), from pixels of the photo to pixels of the other view, disparity apart.
        disparities: the smallest and largest disparity of the matched points, in pixels: how much farther left a point is in
            the right view.
        points: how many matched points agree.
        share: which fraction of all matched points these are.
        depth: how much the disparities differ, as a fraction of the width.
    """

    warp: Floats
    disparities: tuple[float, float]
    points: int
    share: float
    depth: float

    @property
    def has_depth(self) -> bool:
        """Whether the disparities differ enough (`LEAST_DEPTH`)."""
        return self.depth >= LEAST_DEPTH


def align(left: Grey, right: Grey) -> Alignment | None:
    """Align a pair.

    Args:
        left: uint8 (h, w), the view that stays as it is.
        right: uint8 (h, w).

    Returns:
        How the right view fits; None if too few points match, as between pictures of different things.
    """
    height, width = left.shape
    first, second = _matched(left, right)
    if len(first) < MIN_POINTS:
        return None
    middle = np.array([width / 2, height / 2])
    here, there = (first - middle) / width, (second - middle) / width
    numbers, agree = _fitted(here, there)
    if agree.sum() < max(MIN_POINTS, MIN_SHARE * len(here)):
        return None
    s, r, a, k, q = numbers
    relative = np.array([[1 + s, -r, 0.0], [r, 1 + s, a], [-k, -q, 1.0]])
    to_relative = np.array([[1 / width, 0, -0.5], [0, 1 / width, -height / width / 2], [0, 0, 1.0]])
    warp = np.linalg.solve(to_relative, relative @ to_relative)
    straight = _moved(np.linalg.inv(relative), there[agree])
    disparity = (here[agree][:, 0] - straight[:, 0]) * width
    low, high = np.percentile(disparity, (0.5, 99.5))
    return Alignment(warp, (float(low), float(high)), int(agree.sum()), float(agree.mean()), float(high - low) / width)


def straightened(right: Grey, alignment: Alignment) -> tuple[Grey, NDArray[np.bool_]]:
    """The right view with the rows of the left one, uint8 (h, w), and where it has pixels."""
    size = (right.shape[1], right.shape[0])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpPerspective(right, alignment.warp, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.warpPerspective(np.full_like(right, 255), alignment.warp, size, flags=flags, borderValue=0)
    return np.asarray(moved, np.uint8), np.asarray(inside) == 255


def _matched(left: Grey, right: Grey) -> tuple[Floats, Floats]:
    """Points that both views show: float64 (n, 2) each, x and y in pixels."""
    detector = cv2.ORB.create(nfeatures=FEATURES, fastThreshold=7)
    (some, first), (others, second) = (detector.detectAndCompute(view, None) for view in (left, right))
    nothing = np.zeros((0, 2))
    if first is None or second is None or len(first) < 2 or len(second) < 2:
        return nothing, nothing
    pairs = []
    for found in cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(first, second, k=2):
        best, next_best = found
        if best.distance <= MAX_BITS and best.distance < RATIO * next_best.distance:
            pairs.append((some[best.queryIdx].pt, others[best.trainIdx].pt))
    if not pairs:
        return nothing, nothing
    both = np.array(pairs)
    return both[:, 0], both[:, 1]


def _fitted(here: Floats, there: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """The five numbers by RANSAC (Fischler and Bolles, 1981), and which points agree with them."""
    x, y = here.T
    along, rise = there[:, 0] - x, there[:, 1] - y
    rows = np.stack([y, x, np.ones_like(x), x * there[:, 1], y * there[:, 1]], axis=1)
    possible = (np.abs(along) <= MAX_SHIFT) & (np.abs(rise) <= 2 * MAX_RISE)
    chosen = np.flatnonzero(possible)
    best, most = np.zeros(_SAMPLE), np.zeros(len(x), bool)
    if len(chosen) < MIN_POINTS:
        return best, most
    dice = np.random.default_rng(_SEED)
    for attempt in range(ROUNDS):
        if attempt == 0:  # a pair without rotation needs only a shift
            numbers = np.array([0.0, 0.0, np.median(rise[chosen]), 0.0, 0.0])
        else:
            sample = dice.choice(chosen, _SAMPLE, replace=False)
            try:
                numbers = np.linalg.solve(rows[sample], rise[sample])
            except np.linalg.LinAlgError:
                continue
        if (np.abs(numbers) > _LARGEST).any():
            continue
        agree = possible & (np.abs(rows @ numbers - rise) <= TOLERANCE)
        if agree.sum() > most.sum():
            best, most = numbers, agree
    for _ in range(3):  # least squares over all that agree; a little ridge keeps what the points do not determine at 0
        if most.sum() < MIN_POINTS:
            break
        a = rows[most]
        ridge = len(a) * 1e-6 * np.diag([1.0, 1.0, 0.0, 1.0, 1.0])
        refined = np.linalg.solve(a.T @ a + ridge, a.T @ rise[most])
        agree = possible & (np.abs(rows @ refined - rise) <= TOLERANCE)
        if (np.abs(refined) > _LARGEST).any() or agree.sum() < most.sum() * 0.9:
            break
        best, most = refined, agree
    return best, most


def _moved(homography: Floats, points: Floats) -> Floats:
    moved = np.column_stack([points, np.ones(len(points))]) @ homography.T
    return np.asarray(moved[:, :2] / moved[:, 2:], np.float64)
