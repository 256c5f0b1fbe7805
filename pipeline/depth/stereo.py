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
from pipeline.depth.depth_map import DepthMap, normalised
from pipeline.image import decode
from pipeline.image.stereo import views
from pipeline.image.stereo.matching import Measured, NoMatch, measure
from pipeline.image.turning import upright

OUTLIERS = 0.001
"""The fraction of the readings that may be wrong at each end, and is clipped."""
NEAREST, FARTHEST = 0.05, 10_000.0
"""Metres: distances outside these, computed from what a file says about its cameras, are not reported."""


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
        distances=_distances(measured, found),
    )
    return DepthMap(normalised(disparity, valid, outliers=OUTLIERS), valid, provenance)


def _distances(measured: Measured, found: views.Views) -> tuple[float, float] | None:
    """The nearest and the farthest distance in metres; None if the file does not say how the cameras stand."""
    if found.reach is None:
        return None
    scale = measured.disparity.shape[1] / found.photo.shape[1]
    readings = measured.disparity[measured.valid] / scale - found.offset
    low, high = (float(each) for each in np.quantile(readings, (OUTLIERS, 1.0 - OUTLIERS)))
    if low <= 0.0 or not NEAREST <= found.reach / high <= found.reach / low <= FARTHEST:
        return None
    return round(found.reach / high, 3), round(found.reach / low, 3)
