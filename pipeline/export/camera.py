"""The camera that every moving and every 3-D output has in common: one plane per layer, seen through a pinhole camera.

The camera is at the origin and looks along the z axis. Each layer is a flat plane, square to that axis, at the distance that its
depth range implies, and as large as what the camera sees there. So from where the camera stands, all planes together show the
photo exactly, and from beside it near planes move further than far ones.

What a camera sees of a plane moves by `focal_length / distance` pixels for each unit that the camera moves aside. This is linear
in 1/distance, which is what disparity is: 1/distance = far + (near − far) · disparity. Where the depth source says what far and
near are, planes stand at true distances (in metres), or at distances in true proportion. Otherwise far and near are assumed:
disparity 1 is `ASSUMED_NEAR` units away, disparity 0 `ASSUMED_FAR` units.

This module is pure. `pipeline.layers.plates.fill` decides how far planes may move before holes would show.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.layers.distances import Distances

ASSUMED_NEAR, ASSUMED_FAR = 2.0, 10.0
"""Units to disparity 1 and 0 if the source does not say: somebody two metres away before a background at ten."""
MOST_APART = 100.0
"""The farthest plane is at most this many times as far away as the nearest: a sky at infinity could not be a plane, and programs
that draw in single precision would lose the near ones."""
ASSUMED_LENS = 35.0
"""Focal length, as of a lens on 35-mm film, if the picture does not say: between a phone's 26 mm and the 50 mm called normal."""
_NEAREST_METRES = (1e-3, 1e3)
"""1/distance of the nearest thing in a photo, in 1/m: between a millimetre and a kilometre. Other metres are wrong metadata."""
CLOSEST = 0.2
"""The camera moves forward by at most this fraction of the distance to the nearest plane: that then is a quarter larger."""
_FILM_DIAGONAL = math.hypot(36.0, 24.0)
_LENSES = (8.0, 1200.0)  # outside lies no lens, only a wrong entry
PIVOT = 1 / 3
"""The depth that stays where it is when the camera moves, between the farthest (0) and the nearest plane (1) in 1/distance.

A third of the movement is behind it and two thirds are in front. So everything moves a little, near things move most, and little
of the border needs cropping.
"""


@dataclass(frozen=True)
class Plane:
    """One layer in space.

    Attributes:
        distance: from the camera, along its axis, in the camera's unit.
        scale: its size, as a multiple of a plane at the pivot: `distance / pivot`.
        size: its width and height, in the camera's unit: what the camera sees at that distance.
        travel: how far it moves when the camera moves as far as `Camera.reach` to the left, as a fraction of the picture's width;
            and of its height when the camera moves up. Above 0 for planes before the pivot.
    """

    distance: float
    scale: float
    size: tuple[float, float]
    travel: float


@dataclass(frozen=True)
class Camera:
    """The camera, and the planes before it, back to front.

    Attributes:
        width, height: of the picture, in pixels.
        focal_length: in pixels of the picture.
        lens: "exif" if the focal length comes from the picture, "assumed" otherwise.
        unit: "metre", or "relative" if only the proportions of distances count.
        pivot: the distance that stays where it is when the camera moves.
        reach: how far the camera may move to each side, and up and down, in `unit`; 0 if everything is equally far away.
        push: how far the camera may move forward, in `unit`.
        planes: the layers, back to front.
    """

    width: int
    height: int
    focal_length: float
    lens: Literal["exif", "assumed"]
    unit: Literal["metre", "relative"]
    pivot: float
    reach: tuple[float, float]
    push: float
    planes: tuple[Plane, ...]

    @property
    def fov(self) -> tuple[float, float]:
        """The angles of view, horizontal and vertical, in degrees."""
        across, down = (math.degrees(2.0 * math.atan(side / (2.0 * self.focal_length))) for side in (self.width, self.height))
        return across, down


def camera_before(
    size: tuple[int, int],
    shifts: Sequence[float],
    depth_ranges: Sequence[tuple[float, float]],
    filled: Sequence[bool],
    distances: Distances | None,
    focal_35mm: float | None = None,
) -> Camera:
    """Place the planes.

    Args:
        size: width and height of the picture, in pixels.
        shifts: of each layer, back to front, as `pipeline.layers.layering.shifts` returns them: fractions of the longer side.
        depth_ranges: (far, near) disparity of each, 0 to 1.
        filled: whether each layer has any pixels. An empty layer stands with the nearest one that the picture has in its
            direction.
        distances: what the disparities mean; None if nobody knows.
        focal_35mm: of the lens, converted to 35-mm film, in millimetres; None, or a value that no lens has, if unknown.

    Raises:
        ValueError: the sequences differ in length, or are empty.
    """
    width, height = size
    known = focal_35mm is not None and _LENSES[0] <= focal_35mm <= _LENSES[1]
    focal = (focal_35mm if known and focal_35mm else ASSUMED_LENS) * math.hypot(width, height) / _FILM_DIAGONAL
    nearness = _nearness(shifts, depth_ranges, filled, distances)
    back, front = min(nearness), max(nearness)
    at_pivot = back + (front - back) * PIVOT
    most = max(shifts)
    # Depths that differ by less are the same: a camera that tells them apart would have to move by kilometres.
    span = front - back if front - back > 1e-6 * front else 0.0
    # Moving aside by x moves a plane by focal · x · nearness pixels.
    reach = (most * width / (focal * span), most * height / (focal * span)) if span > 0.0 else (0.0, 0.0)
    # Moving forward by t moves what is r pixels from the middle by r · t · nearness, as seen on the plane itself.
    push = CLOSEST / front
    if span > 0.0:
        push = min(push, most * max(width, height) / (math.hypot(width, height) / 2.0 * span))
    planes = tuple(
        Plane(
            distance=1.0 / each,
            scale=at_pivot / each,
            size=(width / (focal * each), height / (focal * each)),
            travel=most * (each - at_pivot) / span if span > 0.0 else 0.0,
        )
        for each in nearness
    )
    return Camera(
        width=width,
        height=height,
        focal_length=focal,
        lens="exif" if known else "assumed",
        unit="metre" if _is_metric(distances) else "relative",
        pivot=1.0 / at_pivot,
        reach=reach,
        push=push,
        planes=planes,
    )


def _nearness(
    shifts: Sequence[float],
    depth_ranges: Sequence[tuple[float, float]],
    filled: Sequence[bool],
    distances: Distances | None,
) -> list[float]:
    """1/distance of each plane, rising from back to front.

    The farthest and the nearest plane with pixels get the middles of their depth ranges, and the others stand in proportion to
    their shifts, which are the middles of theirs.
    """
    if not len(shifts) == len(depth_ranges) == len(filled) or not shifts:
        raise ValueError(f"{len(shifts)} shifts, {len(depth_ranges)} depth ranges and {len(filled)} layers do not fit")
    far, near = _scale(distances)
    there = [k for k, full in enumerate(filled) if full] or [0]
    ends = [sum(depth_ranges[k]) / 2.0 for k in (there[0], there[-1])]
    back, front = (far + (near - far) * middle for middle in ends)
    back = max(back, front / MOST_APART)
    most = max(shifts)
    return [back + (front - back) * (shift / most if most > 0.0 else 0.0) for shift in shifts]


def _is_metric(distances: Distances | None) -> bool:
    return (
        distances is not None
        and distances.in_metres
        and distances.near > distances.far
        and _NEAREST_METRES[0] <= distances.near <= _NEAREST_METRES[1]
    )


def _scale(distances: Distances | None) -> tuple[float, float]:
    """1/distance at disparity 0 and 1."""
    if distances is None or distances.near <= max(distances.far, 0.0):
        return 1.0 / ASSUMED_FAR, 1.0 / ASSUMED_NEAR
    far = max(distances.far, 0.0)
    if _is_metric(distances):
        return far, distances.near
    return far / distances.near / ASSUMED_NEAR, 1.0 / ASSUMED_NEAR
