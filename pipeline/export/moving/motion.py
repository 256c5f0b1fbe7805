"""How the camera moves: the path of each `motion`, as poses over time. Pure; `frames` draws what the camera sees.

Every path is a loop that begins and ends at rest, where the camera shows the photo exactly. It is smooth everywhere, and at rest
its speed is 0, so that the loop has no visible seam. Where planes move aside, their borders would come into view; so the lens
zooms in just far enough for that, with the same easing, and no border has to be invented.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from daemon.contract.spec import JobSpec, MotionName
from pipeline.export.camera import Camera

_PEAK = 3.0 * math.sqrt(3.0) / 8.0
"""The largest value of sin φ · (1 − cos φ) / 2, at φ = 2π/3: divides it, so that the camera goes as far as it may."""
_PUSH_ZOOM = 0.08
"""By how much the lens zooms in while the camera moves forward: forward movement alone hardly changes what is far away."""
_ACROSS_ZOOM = 0.2
"""By how much it zooms in for `pan` and `tilt`: room in which the frame can move over the picture."""


@dataclass(frozen=True)
class Motion:
    """How a picture moves, as the YAML file says.

    Attributes:
        name: the path.
        seconds: length of the loop.
        fps: frames per second.
        amount: how far the camera goes, as a fraction of how far it may go, above 0 and up to 1.
        size: the longer side of the frames in pixels, at most; each format says how much larger than the photo they may be.
    """

    name: MotionName = "sway"
    seconds: float = 6.0
    fps: int = 30
    amount: float = 1.0
    size: int = 1920

    @staticmethod
    def of(spec: JobSpec) -> "Motion":
        """The motion that a job asks for."""
        return Motion(spec.motion, spec.seconds, spec.fps, spec.amount, spec.size)

    @property
    def frames(self) -> int:
        """How many frames the loop has: at least two."""
        return max(2, round(self.seconds * self.fps))


DEFAULT = Motion()


@dataclass(frozen=True)
class Pose:
    """Where the camera is, and what it shows.

    Attributes:
        aside: its place to the left of rest, as a fraction of `Camera.reach`, −1 to 1. Near planes then move to the right.
        above: the same upwards; near planes move down.
        forward: how far it moved forward, as a fraction of `Camera.push`, 0 to 1.
        zoom: of the lens, 1 or more.
        across, down: by how much the frame is moved over the picture, as fractions of width and height, before zooming. The
            picture moves to the right and down.
    """

    aside: float = 0.0
    above: float = 0.0
    forward: float = 0.0
    zoom: float = 1.0
    across: float = 0.0
    down: float = 0.0


REST = Pose()


def poses(motion: Motion, camera: Camera) -> Iterator[Pose]:
    """The poses of all frames, in order. The first is at rest; after the last, the first would follow."""
    for frame in range(motion.frames):
        yield pose(motion, camera, frame / motion.frames)


def pose(motion: Motion, camera: Camera, time: float) -> Pose:
    """The pose at a time of the loop, 0 to 1; at both ends the camera is at rest."""
    angle = 2.0 * math.pi * time
    eased = (1.0 - math.cos(angle)) / 2.0
    to_and_fro = math.sin(angle) * eased / _PEAK
    amount = motion.amount
    travel = max(abs(plane.travel) for plane in camera.planes)
    match motion.name:
        case "sway":
            return Pose(aside=amount * to_and_fro, zoom=_zoom(amount * eased * 2.0 * travel / _PEAK))
        case "orbit":
            # Outwards on a spiral, around twice, and back.
            radius = amount * eased
            return Pose(
                aside=radius * math.sin(2.0 * angle), above=radius * math.cos(2.0 * angle), zoom=_zoom(radius * 2.0 * travel)
            )
        case "push-in":
            return Pose(forward=amount * eased, zoom=_zoom(amount * eased * _PUSH_ZOOM))
        case "pan" | "tilt":
            # Half of the room that zooming makes is to each side. Planes that move against each other take some of it.
            room = _ACROSS_ZOOM / 2.0 * _PEAK - travel
            moved = amount * to_and_fro
            zoom = _zoom(amount * eased * _ACROSS_ZOOM)
            if motion.name == "pan":
                return Pose(aside=moved, across=moved * room, zoom=zoom)
            return Pose(above=moved, down=moved * room, zoom=zoom)


def _zoom(cropped: float) -> float:
    """The zoom that crops this fraction of width and height: half of it at each side."""
    return 1.0 / (1.0 - cropped)
