"""Depth that the phone stored in the photo: the auxiliary depth picture of a HEIC file.

Its samples are quantised between bounds stored with them (ISO/IEC 23008-12, 6.11.3, after the depth representation information
SEI message of ITU-T H.265, G.14.2.6). libheif turns the depth picture upright by its own properties, which match the photo's.
"""

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from daemon.contract.manifest import Depth
from daemon.contract.messages import JobCommand, Limits
from daemon.contract.names import to_text
from daemon.errors import DepthMissing, DepthUnreadable, JobError
from pipeline.depth.depth_map import DepthMap, inverse, normalised, same_shape
from pipeline.depth.source import PassedOver, Progress, Source, path_of
from pipeline.image import decode
from pipeline.image.source_file import check_limits, open_source

if TYPE_CHECKING:
    from pipeline.image import heif

_INVERSE_Z, _DISPARITY, _Z = 0, 1, 2  # representation types; 3 (non-uniform) preserves only the order


def read(path: bytes, *, photo: decode.Photo, limits: Limits) -> DepthMap | None:
    """Read the stored depth.

    Args:
        path: the photo's file.
        photo: the decoded photo.
        limits: checked again when the file is opened here.

    Returns:
        The depth, upright; None if the photo contains none.

    Raises:
        DepthUnreadable: there is depth, but it is damaged or has another shape than the photo.
        SourceMissing: the file is gone.
    """
    if photo.format != "HEIF":
        return None
    from pipeline.image import heif

    name = to_text(os.path.basename(path))
    with open_source(path) as file:
        check_limits(path, limits, size=os.fstat(file.fileno()).st_size)
        try:
            found = heif.depth_images(heif.parse(file))
        except (JobError, MemoryError):
            raise
        except Exception as reason:  # pi-heif raises anything for hostile bytes
            raise DepthUnreadable(f"The depth stored in {name} cannot be decoded.", detail=str(reason)) from reason
    if not found:
        return None
    stored = found[0]
    if not same_shape(stored.samples.shape[:2], photo.rgb.shape[:2]) or stored.samples.ndim != 2:
        raise DepthUnreadable(f"The depth stored in {name} has another shape than the photo.")
    disparity, polarity, remarks = physical(stored)
    everywhere = np.ones(disparity.shape, bool)
    return DepthMap(normalised(disparity, everywhere), None, Depth(source="photo", polarity=polarity, valid=1.0), remarks)


def physical(stored: "heif.DepthImage") -> tuple[NDArray[np.float64], Any, tuple[str, ...]]:
    """Disparity of a stored depth picture, in its own unit.

    Args:
        stored: samples and their bounds. Without usable bounds the samples count as disparity from 0 to 1, with a warning.

    Returns:
        float64 (h, w), larger is nearer (in 1/m if there are bounds as phones write them); "disparity" or "distance"; warnings.
    """
    share = stored.samples.astype(np.float64) / ((1 << stored.bits) - 1)
    about = stored.metadata
    kind = about.get("representation_type")
    near, far = about.get("z_near"), about.get("z_far")
    low, high = about.get("d_min"), about.get("d_max")
    if kind == _DISPARITY and low is not None and high is not None and high > low:
        return low + share * (high - low), "disparity", ()
    if kind in (_INVERSE_Z, _Z) and near is not None and far is not None and 0 < near < far:
        if kind == _Z:
            distance = near + share * (far - near)
            return inverse(distance, np.ones(distance.shape, bool)), "distance", ()
        return 1 / far + share * (1 / near - 1 / far), "disparity", ()
    return share, "disparity", ("The depth stored in the photo has no scale; only its order from far to near was used.",)


def _asked_for(picture: decode.Photo, job: JobCommand, _progress: Progress) -> DepthMap:
    stored = read(path_of(job, job.image), photo=picture, limits=job.limits)
    if stored is None:
        raise DepthMissing(
            f"`depth: photo` was asked for, but {job.image} holds no depth.",
            hint="Only HEIC portrait photos contain depth; use `depth: auto` instead.",
        )
    return stored


def _find(picture: decode.Photo, job: JobCommand, _progress: Progress) -> DepthMap | None:
    try:
        return read(path_of(job, job.image), photo=picture, limits=job.limits)
    except DepthUnreadable as reason:
        raise PassedOver(f"{reason.message} Another source was used.") from reason


SOURCE = Source(in_words="stored in the photo", read=_asked_for, find=_find)
