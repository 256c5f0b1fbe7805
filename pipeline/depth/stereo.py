"""Measures depth from the two views of a stereo photo: a spatial photo, a multi-picture pair, or a pair side by side.

`pipeline.image.stereo` finds the views and matches them. Parts that only one eye sees, and parts without structure, have no
reading.
"""

import os

import numpy as np

from daemon.contract.manifest import Depth
from daemon.contract.messages import Limits
from daemon.contract.names import to_text
from daemon.errors import DepthUnreadable, JobError, is_passing
from pipeline.depth.depth_map import DepthMap, stretched
from pipeline.image import decode
from pipeline.image.stereo import views
from pipeline.image.stereo.matching import NoMatch, measure
from pipeline.image.turning import upright
from pipeline.layers.distances import Distances

OUTLIERS = 0.001
"""The fraction of the readings that may be wrong at each end, and is clipped."""
NEAREST, FARTHEST = 0.05, 10_000.0
"""Metres: if the nearest point is not between these, what the file says about its cameras is wrong."""


def read(path: bytes, *, photo: decode.Photo, limits: Limits) -> DepthMap | None:
    """Measure the depth of a stereo photo.

    Args:
        path: the photo's file.
        photo: the decoded photo; the depth is that of its view.
        limits: for the second view as well.

    Returns:
        The depth, upright; None if the photo has no second view.

    Raises:
        DepthUnreadable: the second view is damaged, or does not match the photo's.
        SourceMissing: the file is gone.
    """
    name = to_text(os.path.basename(path))
    try:
        found = views.find(path, photo=photo, limits=limits)
    except (JobError, MemoryError):
        raise
    except Exception as reason:  # decoders raise anything for hostile bytes
        if is_passing(reason):
            raise
        raise DepthUnreadable(
            f"{name} is a stereo photo, but its second view cannot be read.", detail=f"{type(reason).__name__}: {reason}"
        ) from reason
    if found is None:
        return None
    # The right eye's view is the left one of a mirrored scene.
    pair = (found.photo, found.other) if found.is_left else (found.photo[:, ::-1], found.other[:, ::-1])
    try:
        measured = measure(*(np.ascontiguousarray(view) for view in pair))
    except NoMatch as reason:
        raise DepthUnreadable(f"{name} is a stereo photo, but its two views {reason}, so they gave no depth.") from reason
    disparity, valid = (measured.disparity, measured.valid) if found.is_left else (
        measured.disparity[:, ::-1], measured.valid[:, ::-1]
    )  # fmt: skip
    disparity, valid = upright(np.ascontiguousarray(disparity), found.turn), upright(
        np.ascontiguousarray(valid), found.turn
    )  # fmt: skip
    provenance = Depth(
        source="photo",
        polarity="disparity",
        method="stereo",
        valid=round(float(valid.mean()), 4),
    )
    values, far, near = stretched(disparity, valid, outliers=OUTLIERS)
    return DepthMap(values, valid, provenance, distances=_distances(far, near, measured.disparity.shape[1], found))


def _distances(far: float, near: float, width: int, found: views.Views) -> Distances | None:
    """What two disparities, in pixels of views that are `width` pixels wide, mean in space; None if the file does not say."""
    if found.reach is None:
        return None
    scale = found.photo.shape[1] / width
    inverse_far, inverse_near = ((each * scale - found.offset) / found.reach for each in (far, near))
    plausible = 1 / FARTHEST <= inverse_near <= 1 / NEAREST and inverse_near > inverse_far
    return Distances(inverse_far, inverse_near, in_metres=True) if plausible else None
