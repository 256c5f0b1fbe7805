"""What disparities mean in space."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Distances:
    """What disparity means in space: 1/distance is `far` at disparity 0, `near` at disparity 1, and linear between.

    Attributes:
        far, near: near is larger than far. In 1/m if `in_metres`; otherwise only their ratio counts.
        in_metres: whether the source measured, or a model estimated, metres.
    """

    far: float
    near: float
    in_metres: bool
